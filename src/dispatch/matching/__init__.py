"""Bringing demand and hands together: candidates, automatic dispatch, many orders at once."""
