"""Accounts, grants, bodies and members."""

from datetime import UTC, datetime

from sqlalchemy import CheckConstraint, Column, Date, Index, Integer, SmallInteger, String

from dispatch.db.base import (
    code_column,
    directory_table,
    one_of,
    tenant_fk,
    tenant_index,
    tenant_table,
    tenant_unique,
)
from dispatch.db.sealed import Hashed, Sealed
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.people import Role

BODY_KINDS = ("unit", "team", "provider", "department")
MEMBER_STATES = ("active", "suspended", "ended")

accounts = tenant_table(
    "accounts",
    Column("id", Id, nullable=False),
    Column("login", String(64), nullable=False),
    Column("name", Sealed("accounts.name"), nullable=False),
    Column("phone", Sealed("accounts.phone")),
    # By which an account is found when somebody files for a phone.
    Column("phone_hash", Hashed("accounts.phone")),
    # Tells whether two lines of a roster are one person; the number itself is never kept.
    Column("id_number_hash", Hashed("accounts.id_number")),
    Column("home_place_id", Id),
    # The door, as a key that only tells whether two are one (domain.household).
    Column("address_key", Hashed("address_key")),
    # Grows with every change of the account's grants; a token vouches for one value of it.
    Column("grants_version", Integer, nullable=False, default=1, server_default="1"),
    Column("disabled_at", Instant),
    Column("created_at", Instant, nullable=False),
    tenant_unique("login"),
    tenant_index("ix_accounts_phone", "phone_hash"),
    tenant_index("ix_accounts_id_number", "id_number_hash"),
    tenant_fk("home_place_id", "places"),
)

bodies = tenant_table(
    "bodies",
    Column("id", Id, nullable=False),
    code_column("kind", BODY_KINDS),
    Column("code", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    # The community, street or district that the body serves.
    Column("place_id", Id, nullable=False),
    Column("retired_at", Instant),
    one_of("kind", BODY_KINDS),
    tenant_unique("code"),
    tenant_fk("place_id", "places"),
    tenant_index("ix_bodies_place", "place_id", "kind"),
)

body_people = tenant_table(
    "body_people",
    # Who belongs to a body and may be staffed by it.
    Column("body_id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    tenant_fk("body_id", "bodies"),
    tenant_fk("account_id", "accounts"),
    key=("body_id", "account_id"),
)

grants = tenant_table(
    "grants",
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("role", Role),
    Column("place_id", Id),
    Column("body_id", Id),
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant),
    # Lent for a time: of which grant. It ends with that one at the latest.
    Column("delegated_from", Id),
    Column("given_by", Id),
    one_of("role", Role),
    tenant_fk("account_id", "accounts"),
    tenant_fk("place_id", "places"),
    tenant_fk("body_id", "bodies"),
    tenant_index("ix_grants_account", "account_id"),
    tenant_index("ix_grants_body", "body_id", "role"),
    tenant_index("ix_grants_place", "place_id", "role"),
    tenant_index("ix_grants_lent", "delegated_from"),
)

members = tenant_table(
    "members",
    # An in-service party member who has checked in with a community; the id is the account's.
    Column("account_id", Id, nullable=False),
    Column("community_id", Id, nullable=False),
    # The grid within the community, where it is known: orders that go out to a grid reach its members.
    Column("grid_id", Id),
    Column("unit_id", Id),
    # Where the member works; serving there is the unit's matter.
    Column("work_community_id", Id),
    code_column("state", MEMBER_STATES, server_default="active"),
    # Codes of the check-in list (catalog): what the member offers to do.
    Column("items", Json, nullable=False, default=list, server_default="[]"),
    # [{code, name, proof?, expires_on?}]
    Column("skills", Json, nullable=False, default=list, server_default="[]"),
    # [{weekday 1..7, from "HH:MM", to "HH:MM"}] in the tenant's zone.
    Column("free_times", Json, nullable=False, default=list, server_default="[]"),
    # What the member speaks, in words.
    Column("languages", Json, nullable=False, default=list, server_default="[]"),
    # Most orders that the member wants to be given in a day and in seven days.
    Column("most_a_day", SmallInteger),
    Column("most_a_week", SmallInteger),
    # [{from, until}] days, the last one excluded: neither offered nor matched then.
    Column("leaves", Json, nullable=False, default=list, server_default="[]"),
    # Where the member starts from: {lng, lat, crs, wgs84: {lng, lat}}.
    Column("location", Json),
    # Told only by the young: minors help with their guardian's consent.
    Column("born_on", Date),
    Column("guardian_consent_on", Date),
    Column("checked_in_at", Instant, nullable=False),
    # Until when the check-in holds without a word; none: it was never asked to be renewed.
    Column("renew_by", Date),
    # Of which end the member was reminded.
    Column("reminded_of", Date),
    # Suspended because it was not renewed; the next renewal lifts it.
    Column("lapsed_at", Instant),
    Column("ended_at", Instant),
    one_of("state", MEMBER_STATES),
    tenant_fk("account_id", "accounts"),
    tenant_fk("community_id", "places"),
    tenant_fk("grid_id", "places"),
    tenant_fk("unit_id", "bodies"),
    tenant_fk("work_community_id", "places"),
    tenant_index("ix_members_community", "community_id", "state"),
    tenant_index("ix_members_grid", "grid_id", "state"),
    tenant_index("ix_members_unit", "unit_id", "state"),
    tenant_index("ix_members_renewal", "state", "renew_by"),
    key=("account_id",),
)

BELONGERS = ("member", "unit", "team")
BELONGINGS = ("checkin", "work", "unit", "registration")
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The end of what has not ended: so a plain unique constraint allows one open period, on any database."""

belongings = tenant_table(
    "belongings",
    # Who belonged where when: [from_at, until_at). A member to the community of the check-in, to the one of the
    # work place and to a unit; a unit or team to the place it registered with. Periods of one kind never overlap
    # (people/belonging.py), two open ones not even by mistake.
    code_column("party_kind", BELONGERS),
    Column("party_id", Id, nullable=False),
    code_column("kind", BELONGINGS),
    Column("from_at", Instant, nullable=False),
    Column("until_at", Instant, nullable=False),
    # The place or the body.
    Column("of_id", Id, nullable=False),
    one_of("party_kind", BELONGERS),
    one_of("kind", BELONGINGS),
    CheckConstraint("from_at < until_at", name="period"),
    tenant_unique("party_kind", "party_id", "kind", "until_at"),
    tenant_index("ix_belongings_of", "of_id", "kind", "from_at", "until_at"),
    key=("party_kind", "party_id", "kind", "from_at"),
)

SESSION_KINDS = ("wechat", "password", "oidc", "key")

sessions = tenant_table(
    "sessions",
    # A sign-in, the family of its refresh tokens, or an API key. A revoked one ends its tokens with the commit.
    Column("id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("kind", SESSION_KINDS, server_default="wechat"),
    # The mini-program that it was opened from.
    Column("appid", String(64)),
    # sha256 of what the device calls itself; a bound session is renewed from there only.
    Column("device_hash", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    one_of("kind", SESSION_KINDS),
    tenant_fk("account_id", "accounts"),
    tenant_index("ix_sessions_account", "account_id"),
    tenant_index("ix_sessions_created", "created_at"),
)

identities = directory_table(
    "identities",
    # Who stands behind an identity at a gateway: several tenants may know the same person.
    Column("appid", String(64), primary_key=True),
    Column("subject", String(128), primary_key=True),
    Column("tenant_id", Integer, primary_key=True),
    Column("account_id", Id, nullable=False),
    # The same person at every mini-program of one Open Platform account; WeChat tells it or not.
    Column("unionid", String(128)),
    Index("ix_identities_unionid", "unionid"),
    Index("ix_identities_account", "account_id"),
    by="subject",
)

api_keys = directory_table(
    "api_keys",
    # Keys of integrations. The id stands in the key; of the secret only the sha256 is kept.
    Column("key_id", String(16), primary_key=True),
    Column("secret_hash", String(64), nullable=False),
    Column("tenant_id", Integer, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("grant_id", Id, nullable=False),
    Column("session_id", Id, nullable=False),
    Column("name", String(64), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    by="key_id",
)
