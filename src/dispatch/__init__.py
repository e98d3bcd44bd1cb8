"""三单制 dispatch: residents ask, the community dispatches, neighbours take, residents judge."""
