"""Finding what belongs together: duplicates of an order, clusters of open ones."""
