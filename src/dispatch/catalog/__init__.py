"""The service catalogue: what may be asked for, with limits and flags."""
