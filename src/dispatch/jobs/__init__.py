"""What the worker runs: the outbox relay and the schedule."""
