"""Tallies of reveals, policies, consents, and what people asked of their own data."""

from sqlalchemy import Column, Index, Integer, String, Text

from dispatch.db.base import code_column, one_of, tally, tenant_fk, tenant_index, tenant_table
from dispatch.db.sealed import Sealed
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.keeping import Purpose
from dispatch.domain.people import Role

REVEAL_STATES = ("pending", "approved", "refused", "lapsed")
DATA_ASKS = ("export", "correction", "deletion")
DATA_STATES = ("pending", "waiting", "done")

reveal_tallies = tenant_table(
    "reveal_tallies",
    # How often an account had contact data shown in an hour ("2026112409", UTC) or on a day ("20261124").
    Column("account_id", Id, nullable=False),
    Column("span", String(10), nullable=False),
    Column("shown", Integer, nullable=False),
    tenant_fk("account_id", "accounts"),
    key=("account_id", "span"),
)

reveal_requests = tenant_table(
    "reveal_requests",
    # Break-glass: somebody of the district asks for an order's contact data, a second person decides.
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("grant_id", Id, nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("text", Text),
    code_column("status", REVEAL_STATES),
    Column("asked_at", Instant, nullable=False),
    Column("decided_by", Id),
    code_column("decided_role", Role, nullable=True),
    Column("decision", Text),
    Column("decided_at", Instant),
    Column("open_until", Instant),
    one_of("status", REVEAL_STATES),
    tenant_fk("order_id", "orders"),
    tenant_fk("account_id", "accounts"),
    tenant_index("ix_reveal_requests_order", "order_id", "asked_at"),
    tenant_index("ix_reveal_requests_asked", "asked_at", "id"),
)
Index(
    "uq_reveal_requests_pending",
    reveal_requests.c.tenant_id,
    reveal_requests.c.order_id,
    reveal_requests.c.account_id,
    unique=True,
    postgresql_where=reveal_requests.c.status == "pending",
    sqlite_where=reveal_requests.c.status == "pending",
)

privacy_policies = tenant_table(
    "privacy_policies",
    # What people were told, word for word; a new text is a new version, and consent is asked again.
    Column("version", Integer, nullable=False),
    Column("title", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("published_by", Id, nullable=False),
    Column("published_at", Instant, nullable=False),
    key=("version",),
)

consents = tenant_table(
    "consents",
    # Append-only but for the end: who agreed to what, to which version of the policy, and when it was withdrawn.
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("purpose", Purpose),
    Column("version", Integer, nullable=False),
    Column("given_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    # Given to staff, who wrote it down: by whom, and {how, note?, verified, role}.
    Column("recorded_by", Id),
    Column("evidence", Json),
    one_of("purpose", Purpose),
    tenant_fk("account_id", "accounts"),
    tenant_index("ix_consents_account", "account_id", "purpose", "given_at"),
)
Index(
    "uq_consents_standing",
    consents.c.tenant_id,
    consents.c.account_id,
    consents.c.purpose,
    unique=True,
    postgresql_where=consents.c.withdrawn_at.is_(None),
    sqlite_where=consents.c.withdrawn_at.is_(None),
)

data_requests = tenant_table(
    "data_requests",
    # What a person asked of their own data, and how it was answered: the record of requests (PIPL Art. 50).
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("kind", DATA_ASKS),
    code_column("status", DATA_STATES),
    # Why it waits: order_open, take_active, office_held; of a file that was given up: failed.
    Column("reason", String(32)),
    # Names of the corrected fields; never their values.
    Column("fields", Json),
    # The file, in base64, until it expires.
    Column("content", Sealed("data_requests.content")),
    # Of a deleted account: who it was, for those who must trace a leak, and for nobody else.
    Column("former_name", Sealed("data_requests.former_name")),
    # How often a file could not be made.
    tally("tries"),
    Column("asked_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("expires_at", Instant),
    one_of("kind", DATA_ASKS),
    one_of("status", DATA_STATES),
    tenant_fk("account_id", "accounts"),
    tenant_index("ix_data_requests_account", "account_id", "asked_at", "id"),
    tenant_index("ix_data_requests_status", "status", "kind", "asked_at"),
)
Index(
    "uq_data_requests_open",
    data_requests.c.tenant_id,
    data_requests.c.account_id,
    data_requests.c.kind,
    unique=True,
    postgresql_where=data_requests.c.status != "done",
    sqlite_where=data_requests.c.status != "done",
)
