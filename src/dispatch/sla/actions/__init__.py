"""Writes of calendars, policies, clocks and timers."""
