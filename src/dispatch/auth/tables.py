"""What signing in needs to remember. Directories are found by their own key, before the tenant is known."""

from sqlalchemy import BigInteger, Column, Integer, String

from dispatch.db.base import directory_table, tenant_fk, tenant_table
from dispatch.db.sealed import Hashed, Sealed
from dispatch.db.types import Id, Instant

login_codes = directory_table(
    "login_codes",
    # A WeChat code that somebody signs in with, from a device: it is good once there, and for a minute here.
    Column("code_hash", String(64), primary_key=True),
    Column("claimed_at", Instant, nullable=False),
    # Empty while WeChat is being asked.
    Column("tenant_id", Integer),
    Column("session_id", Id),
    by="code_hash",
)

refresh_tokens = directory_table(
    "refresh_tokens",
    # One link of a session's chain; only the sha256 is kept.
    Column("token_hash", String(64), primary_key=True),
    Column("tenant_id", Integer, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("session_id", Id, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    by="token_hash",
)

usernames = directory_table(
    "usernames",
    Column("username", String(64), primary_key=True),
    Column("tenant_id", Integer, primary_key=True),
    Column("account_id", Id, nullable=False),
    by="username",
)

credentials = tenant_table(
    "credentials",
    # A staff account's password (Argon2id) and second factor.
    Column("account_id", Id, nullable=False),
    Column("password_hash", String(256), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("totp_secret", Sealed("credentials.totp_secret")),
    # The last time step that was used: a code is good once (RFC 6238 §5.2).
    Column("totp_step", BigInteger, nullable=False, default=0, server_default="0"),
    tenant_fk("account_id", "accounts"),
    key=("account_id",),
)

phone_codes = tenant_table(
    "phone_codes",
    # A code that was sent to a phone which an account says is its own; for ten minutes, five tries.
    Column("account_id", Id, nullable=False),
    Column("phone_hash", Hashed("accounts.phone"), nullable=False),
    Column("code_hash", String(64), nullable=False),
    Column("sent_at", Instant, nullable=False),
    Column("tried", Integer, nullable=False, default=0, server_default="0"),
    tenant_fk("account_id", "accounts"),
    key=("account_id",),
)

tries = directory_table(
    "tries",
    # Tries to sign in, counted by user name and by address, per window of time (domain/throttle.py).
    Column("kind", String(16), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("tried", Integer, nullable=False, default=0, server_default="0"),
    by="subject",
)

oidc_attempts = directory_table(
    "oidc_attempts",
    # Somebody is at the provider's page; good once, for ten minutes.
    Column("state_hash", String(64), primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("verifier", String(128), nullable=False),
    Column("device_hash", String(64)),
    Column("created_at", Instant, nullable=False),
    by="state_hash",
)
