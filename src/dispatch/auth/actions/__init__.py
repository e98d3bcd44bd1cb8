"""The verbs of signing in, by group."""
