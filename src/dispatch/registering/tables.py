"""Registrations of units and teams."""

from sqlalchemy import Column, Date, Index, Integer, String, Text

from dispatch.db.base import code_column, one_of, tenant_fk, tenant_index, tenant_table, tenant_unique
from dispatch.db.sealed import Sealed
from dispatch.db.types import Id, Instant

REGISTERING = ("unit", "team")
REGISTRATION_STATES = ("filed", "approved", "returned", "withdrawn", "ended")

registrations = tenant_table(
    "registrations",
    # One agreement (共建协议) of a unit or team with a community or street; a renewal is another row.
    Column("id", Id, nullable=False),
    # None until the first one is approved.
    Column("body_id", Id),
    code_column("kind", REGISTERING),
    code_column("state", REGISTRATION_STATES),
    Column("name", String(64), nullable=False),
    Column("place_id", Id, nullable=False),
    # The agreement holds from the first of these days, the last one excluded.
    Column("from_on", Date, nullable=False),
    Column("until_on", Date, nullable=False),
    # Where the signed paper lies: a number or an attachment's reference.
    Column("document", String(200)),
    # [{name, phone, duty?}] as JSON: one person on each side to call.
    Column("liaisons", Sealed("registrations.liaisons")),
    Column("filed_by", Id, nullable=False),
    Column("filed_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", Id),
    Column("text", Text),
    # The receipt (回执) is H<day>-<serial>, of the same count as those of members.
    Column("day", String(8)),
    Column("serial", Integer),
    Column("reminded_at", Instant),
    Column("ended_at", Instant),
    one_of("kind", REGISTERING),
    one_of("state", REGISTRATION_STATES),
    tenant_fk("body_id", "bodies"),
    tenant_fk("place_id", "places"),
    tenant_fk("filed_by", "accounts"),
    tenant_unique("day", "serial"),
    tenant_index("ix_registrations_place", "place_id", "state", "filed_at", "id"),
    tenant_index("ix_registrations_body", "body_id", "from_on"),
    tenant_index("ix_registrations_until", "state", "until_on"),
)
Index(
    "uq_registrations_filed",
    registrations.c.tenant_id,
    registrations.c.body_id,
    unique=True,
    postgresql_where=registrations.c.state == "filed",
    sqlite_where=registrations.c.state == "filed",
)
