"""The resident's verdict."""
