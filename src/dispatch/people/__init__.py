"""People: accounts, grants, bodies (units, teams, providers, departments), members."""
