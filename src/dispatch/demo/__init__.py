"""A made-up district to look around in. Served in demonstration mode only."""
