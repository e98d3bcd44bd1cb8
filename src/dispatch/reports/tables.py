"""Numbers that were published: written once, never changed."""

from sqlalchemy import Column, Index, Integer, String

from dispatch.db.base import tenant_fk, tenant_index, tenant_table
from dispatch.db.types import Id, Instant
from dispatch.orders.tables import orders, ratings

publications = tenant_table(
    "publications",
    # One row per cell of a month, told or not: a missing row would tell a zero from a few. Null is left out.
    Column("month", String(7), nullable=False),
    Column("place_id", Id, nullable=False),
    # Empty: all of them.
    Column("category_code", String(16), nullable=False),
    # The place above it in the table of its month; none above the whole.
    Column("above_id", Id),
    Column("filed", Integer),
    Column("done", Integer),
    Column("on_time", Integer),
    Column("late", Integer),
    Column("unjudged", Integer),
    Column("verdicts", Integer),
    Column("satisfied", Integer),
    Column("dissatisfied", Integer),
    Column("published_at", Instant, nullable=False),
    tenant_fk("place_id", "places"),
    tenant_index("ix_publications_place", "place_id", "month"),
    tenant_index("ix_publications_above", "above_id", "month"),
    key=("month", "place_id", "category_code"),
)

# What a month is counted from.
Index(
    "ix_orders_done",
    orders.c.tenant_id,
    orders.c.done_at,
    postgresql_where=orders.c.done_at.is_not(None),
    sqlite_where=orders.c.done_at.is_not(None),
)
Index("ix_ratings_at", ratings.c.tenant_id, ratings.c.rated_at)
