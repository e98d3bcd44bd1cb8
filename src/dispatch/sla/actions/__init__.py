"""Writes of calendars and policies."""
