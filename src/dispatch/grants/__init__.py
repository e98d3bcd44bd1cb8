"""Who is given which role where, for how long, and who stands in for whom."""
