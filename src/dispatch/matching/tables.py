"""What waits for a match."""

from sqlalchemy import Boolean, Column, Integer

from dispatch.db.base import tenant_fk, tenant_index, tenant_table
from dispatch.db.types import Id, Instant, Json

matching_waits = tenant_table(
    "matching_waits",
    # Orders that were to dispatch themselves and found nobody: the queue that dispatchers see.
    Column("order_id", Id, nullable=False),
    Column("since", Instant, nullable=False),
    Column("tried_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("opened", Boolean, nullable=False),
    # How many in the street each reason kept back, at the last try.
    Column("why_not", Json, nullable=False),
    tenant_fk("order_id", "orders"),
    tenant_index("ix_matching_waits_since", "since", "order_id"),
    key=("order_id",),
)
