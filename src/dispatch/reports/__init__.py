"""What the service tells of its work in numbers: so far, what everybody may read."""
