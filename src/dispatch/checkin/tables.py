"""Check-ins as they were filed and decided, receipts, and who looked at members' phones."""

from sqlalchemy import Column, Index, Integer, String, Text

from dispatch.db.base import code_column, one_of, tenant_fk, tenant_index, tenant_table, tenant_unique
from dispatch.db.sealed import Sealed
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.people import Role

CHECKIN_KINDS = ("new", "change", "transfer", "roster")
CHECKIN_STATES = ("filed", "approved", "returned", "withdrawn")

checkins = tenant_table(
    "checkins",
    # One filing of the form (报到单): what the member said, and what the community answered.
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("kind", CHECKIN_KINDS),
    code_column("state", CHECKIN_STATES),
    Column("community_id", Id, nullable=False),
    # The whole form, as JSON: it holds an address.
    Column("form", Sealed("checkins.form")),
    # Grows with every filing over it; what a decision was made on.
    Column("version", Integer, nullable=False, default=1, server_default="1"),
    Column("filed_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", Id),
    # Why it was returned.
    Column("text", Text),
    # The receipt (回执) is H<day>-<serial>.
    Column("day", String(8)),
    Column("serial", Integer),
    one_of("kind", CHECKIN_KINDS),
    one_of("state", CHECKIN_STATES),
    tenant_fk("account_id", "accounts"),
    tenant_fk("community_id", "places"),
    tenant_unique("day", "serial"),
    tenant_index("ix_checkins_account", "account_id", "filed_at", "id"),
    tenant_index("ix_checkins_community", "community_id", "state", "filed_at", "id"),
)
Index(
    "uq_checkins_filed",
    checkins.c.tenant_id,
    checkins.c.account_id,
    unique=True,
    postgresql_where=checkins.c.state == "filed",
    sqlite_where=checkins.c.state == "filed",
)

receipt_counters = tenant_table(
    "receipt_counters",
    # Numbers of receipts: one row per tenant and day.
    Column("day", String(8), nullable=False),
    Column("value", Integer, nullable=False),
    key=("day",),
)

member_views = tenant_table(
    "member_views",
    # Who had a member's phone before his eyes, for what; the member reads it.
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("viewer_id", Id, nullable=False),
    Column("grant_id", Id),
    code_column("role", Role),
    Column("purpose", String(200), nullable=False),
    Column("fields", Json, nullable=False),
    Column("at", Instant, nullable=False),
    tenant_fk("account_id", "accounts"),
    tenant_fk("viewer_id", "accounts"),
    tenant_index("ix_member_views_account", "account_id", "at", "id"),
)
