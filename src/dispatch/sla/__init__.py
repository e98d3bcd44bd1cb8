"""By what orders are timed: calendars and policies in versions, clocks and the timers that they arm."""
