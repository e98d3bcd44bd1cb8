"""Accounts, grants, bodies and members."""

from sqlalchemy import Column, Date, Index, Integer, String

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
    Column("home_place_id", Id),
    # The door, as a key that only tells whether two are one (domain.household).
    Column("address_key", Hashed("address_key")),
    # Grows with every change of the account's grants; a token vouches for one value of it.
    Column("grants_version", Integer, nullable=False, default=1, server_default="1"),
    Column("disabled_at", Instant),
    Column("created_at", Instant, nullable=False),
    tenant_unique("login"),
    tenant_index("ix_accounts_phone", "phone_hash"),
    tenant_fk("home_place_id", "places"),
)

former_names = tenant_table(
    "former_names",
    # What an account was called until then: history names people as they were called at the time.
    Column("account_id", Id, nullable=False),
    Column("until_at", Instant, nullable=False),
    Column("name", Sealed("former_names.name"), nullable=False),
    tenant_fk("account_id", "accounts"),
    key=("account_id", "until_at"),
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
    Column("unit_id", Id),
    code_column("state", MEMBER_STATES, server_default="active"),
    # Codes of the check-in list (catalog): what the member offers to do.
    Column("items", Json, nullable=False, default=list, server_default="[]"),
    # [{code, name, proof?, expires_on?}]
    Column("skills", Json, nullable=False, default=list, server_default="[]"),
    # [{weekday 1..7, from "HH:MM", to "HH:MM"}] in the tenant's zone.
    Column("free_times", Json, nullable=False, default=list, server_default="[]"),
    # Where the member starts from: {lng, lat, crs, wgs84: {lng, lat}}.
    Column("location", Json),
    # Told only by the young: minors help with their guardian's consent.
    Column("born_on", Date),
    Column("guardian_consent_on", Date),
    Column("checked_in_at", Instant, nullable=False),
    Column("ended_at", Instant),
    one_of("state", MEMBER_STATES),
    tenant_fk("account_id", "accounts"),
    tenant_fk("community_id", "places"),
    tenant_fk("unit_id", "bodies"),
    tenant_index("ix_members_community", "community_id", "state"),
    key=("account_id",),
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
    # Who of the tenant made it and called it back; nobody where an operator did.
    Column("created_by", Id),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("revoked_by", Id),
    Index("ix_api_keys_tenant", "tenant_id", "created_at", "session_id"),
    by="key_id",
)
