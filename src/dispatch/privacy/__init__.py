"""Contact data for a purpose, consents, and what people may ask of their own data."""
