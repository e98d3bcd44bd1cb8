"""The tree of places."""

from sqlalchemy import Column, SmallInteger, String

from dispatch.db.base import tenant_fk, tenant_index, tenant_table, tenant_unique
from dispatch.db.types import Id, Instant

places = tenant_table(
    "places",
    Column("id", Id, nullable=False),
    Column("parent_id", Id),
    # street, community and grid are special to orders; any other kind and any depth is allowed.
    Column("kind", String(16), nullable=False),
    Column("code", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("party_org", String(128)),
    # "/" + hex ids from the root to this place, each followed by "/": a subtree is a prefix. Bytes decide
    # the order: the rules of a language pass over "/", and then a prefix is no range and no index serves it.
    Column("path", String(528).with_variant(String(528, collation="C"), "postgresql"), nullable=False),
    Column("depth", SmallInteger, nullable=False),
    # The nearest places of the three special kinds, this one included.
    Column("street_id", Id),
    Column("community_id", Id),
    Column("grid_id", Id),
    Column("retired_at", Instant),
    tenant_fk("parent_id", "places"),
    tenant_unique("code"),
    tenant_index("ix_places_parent", "parent_id", "code"),
    tenant_index("ix_places_path", "path"),
)

place_links = tenant_table(
    "place_links",
    # A residential compound (小区) may lie in several grids, and a grid may hold several compounds.
    Column("place_id", Id, nullable=False),
    Column("grid_id", Id, nullable=False),
    tenant_fk("place_id", "places"),
    tenant_fk("grid_id", "places"),
    key=("place_id", "grid_id"),
)
