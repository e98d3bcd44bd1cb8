"""What an account is told inside the application."""

from sqlalchemy import Column, Integer, String

from dispatch.db.base import tenant_fk, tenant_index, tenant_table
from dispatch.db.types import Id, Instant

notices = tenant_table(
    "notices",
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    # What it is about: an order, a claim on a listing (resources.claims), or neither (a check-in).
    Column("order_id", Id),
    Column("claim_id", Id),
    # Which step of which order, which request or check-in was told: the same is told once.
    Column("cause", String(96), nullable=False),
    Column("event", String(32), nullable=False),
    Column("text", String(256), nullable=False),
    Column("seq", Integer),
    Column("created_at", Instant, nullable=False),
    Column("read_at", Instant),
    tenant_fk("account_id", "accounts"),
    tenant_fk("order_id", "orders"),
    tenant_index("uq_notices_cause", "account_id", "cause", unique=True),
    tenant_index("ix_notices_account", "account_id", "created_at", "id"),
    tenant_index("ix_notices_cause", "cause"),
)
