"""Handing out, taking, serving."""
