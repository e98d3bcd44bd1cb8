"""Categories, items, the check-in list and reason codes, per tenant."""

from sqlalchemy import Column, Integer, String

from dispatch.db.base import tally, tenant_fk, tenant_index, tenant_table
from dispatch.db.types import Instant, Json

categories = tenant_table(
    "categories",
    Column("code", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    tally("position"),
    key=("code",),
)

items = tenant_table(
    "items",
    # Codes are text end to end: "0102" is not 102.
    Column("code", String(16), nullable=False),
    Column("category_code", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("kind", String(1), nullable=False),
    Column("urgency", String(2), nullable=False),
    # {dispatch, take, contact, finish}: domain.catalog.Limit in its wire form.
    Column("limits", Json, nullable=False),
    Column("flags", Json, nullable=False, default=list, server_default="[]"),
    # JSON Schema of extra questions, and the sentence that stops the form.
    Column("form", Json),
    Column("stop_message", String(256)),
    Column("version", Integer, nullable=False, default=1, server_default="1"),
    Column("retired_at", Instant),
    tenant_fk("category_code", "categories", "code"),
    tenant_index("ix_items_category", "category_code", "code"),
    key=("code",),
)

checkin_items = tenant_table(
    "checkin_items",
    # The 16 things a member may offer on checking in; item_codes are those they answer.
    Column("code", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("item_codes", Json, nullable=False),
    tally("position"),
    key=("code",),
)

reasons = tenant_table(
    "reasons",
    # Closed sets per act (a move or a request kind); a retired code stays readable.
    Column("act", String(24), nullable=False),
    Column("code", String(32), nullable=False),
    Column("label", String(64), nullable=False),
    tally("position"),
    Column("retired_at", Instant),
    key=("act", "code"),
)
