"""Short messages: the port to whoever sends them, and a fake."""
