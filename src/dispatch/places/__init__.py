"""Places: a tree of typed nodes, from the district down to the building."""
