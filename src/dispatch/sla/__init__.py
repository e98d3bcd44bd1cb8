"""By what orders are timed: a tenant's working calendar and its policies, in versions."""
