"""HTTP mechanisms that every slice shares: callers, problems, paging, middleware."""
