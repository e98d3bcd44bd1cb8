"""What tenants set about taking and matching, and what was sent too late for a take."""

from sqlalchemy import Boolean, Column, Integer, SmallInteger, String

from dispatch.db.base import code_column, tenant_fk, tenant_index, tenant_table, tenant_unique
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.order import Move

taking_rules = tenant_table(
    "taking_rules",
    # An item's code, or "*" for all; what is null is left to the tenant's "*" and then to domain.taking.
    Column("item_code", String(16), nullable=False),
    Column("member_limit", SmallInteger),
    Column("body_limit", SmallInteger),
    Column("lease_seconds", Integer),
    Column("cool_after", SmallInteger),
    Column("cool_seconds", Integer),
    Column("fair_seconds", Integer),
    Column("fair_takes", SmallInteger),
    Column("overlaps", Boolean),
    Column("wait_seconds", Integer),
    Column("version", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    key=("item_code",),
)

matching_rules = tenant_table(
    "matching_rules",
    # An item's code, or "*" for all; what is null is left to the tenant's "*" and then to domain.matchrule.
    Column("item_code", String(16), nullable=False),
    Column("weights", Json),
    Column("qualifications", Json),
    Column("auto", Boolean),
    Column("capacity", SmallInteger),
    Column("offers", SmallInteger),
    Column("offer_seconds", Integer),
    Column("open_seconds", Integer),
    Column("unit_seconds", Integer),
    Column("staff_seconds", Integer),
    Column("version", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    key=("item_code",),
)

drafts = tenant_table(
    "drafts",
    # What somebody sent for a take that had ended by time: the newest of each kind of move.
    Column("take_id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("move", Move),
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    # {text, closing?, minutes?, attachment_ids}
    Column("content", Json, nullable=False),
    Column("kept_at", Instant, nullable=False),
    Column("attached_at", Instant),
    tenant_fk("order_id", "orders"),
    tenant_fk("take_id", "takes"),
    tenant_fk("account_id", "accounts"),
    tenant_unique("id"),
    tenant_index("ix_drafts_account", "account_id", "kept_at", "id"),
    key=("take_id", "account_id", "move"),
)
