"""Clocks, calendars and policies: until when, and by what rule."""
