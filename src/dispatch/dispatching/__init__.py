"""Handing orders out and taking them."""
