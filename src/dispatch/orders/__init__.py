"""The order, its log, and the acts of filer and community."""
