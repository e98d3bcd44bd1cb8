"""Acts on personal data, by what they are for."""
