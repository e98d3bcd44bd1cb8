"""报到: members check in with a community, renew, move, take leave and go."""
