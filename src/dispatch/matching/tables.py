"""What tenants set about matching."""

from sqlalchemy import Boolean, Column, Integer, SmallInteger, String

from dispatch.db.base import tenant_table
from dispatch.db.types import Instant, Json

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
