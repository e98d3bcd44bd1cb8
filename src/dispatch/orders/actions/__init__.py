"""Acts on orders. Every verb is the same walk: read the order whole, decide, write where it still holds."""
