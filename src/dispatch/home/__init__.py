"""The first screen, the badges, and whether the service is well."""
