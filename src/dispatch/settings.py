"""Everything that can be set from outside: environment variables with the prefix ``DISPATCH_``."""

import base64
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

DEVELOPMENT_KEY = "development-only-key-never-in-production"
DEVELOPMENT_DATA_KEYS = "dev:ZGV2ZWxvcG1lbnQtb25seS1uZXZlci1wcm9kdWN0aW8="
DEVELOPMENT_LOOKUP_KEY = "development-only-lookup-key-never-in-production"
SHORTEST_KEY_BYTES = 32  # RFC 7518 §3.2: an HS256 key has at least the size of the hash

ADDRESS = r"^(sqlite\+aiosqlite|postgresql\+(psycopg|asyncpg))://"
_DATA_KEY = re.compile(r"[a-z0-9]{1,16}:[A-Za-z0-9+/]{43}=")


def _key_bytes(named: str) -> bytes:
    """The key of ``<id>:<base64>``: the last sign of base64 can be written in several ways."""
    return base64.b64decode(named.strip().partition(":")[2])


class WechatApp(BaseModel):
    """A mini-program that people sign in from."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    secret: SecretStr
    tenant: str | None = None
    """Code of the tenant that strangers become residents of; without it a client must name one."""
    place: str | None = None
    """Code of the place there that new residents are at home in."""
    registers: bool = True
    """Whether strangers become residents at all; false for a program that only staff use."""
    push_token: SecretStr | None = None
    push_key: SecretStr | None = Field(None, min_length=43, max_length=43)
    """Token and EncodingAESKey of the message push, as the console shows them."""


class OidcProvider(BaseModel):
    """An OpenID Connect provider that staff of one tenant sign in at."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    tenant: str
    redirect_uri: str


class Settings(BaseSettings):
    """The settings of one process, read once at its start and never changed."""

    model_config = SettingsConfigDict(
        env_prefix="DISPATCH_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,  # an input may be a key or a password
    )

    database_url: str = Field(
        "sqlite+aiosqlite:///var/dispatch.db",
        description="Address of the database: sqlite+aiosqlite, postgresql+psycopg or postgresql+asyncpg.",
        pattern=ADDRESS,
        repr=False,  # it may hold a password
    )
    migration_url: str = Field(
        "",
        description="Address for `migrate`, `backup`, `restore` and `db`, where it differs: past the pooler, the "
        "coordinator of Citus, a role that owns the tables.",
        pattern=f"^$|{ADDRESS}",
        repr=False,
    )
    replica_url: str = Field(
        "",
        description="Address of a streaming replica of that database, for requests that only read; "
        "never one that it has not replayed far enough for.",
        pattern=r"^$|^postgresql\+(psycopg|asyncpg)://",
        repr=False,
    )
    pool_size: int | None = Field(
        None,
        ge=1,
        le=200,
        description="Database connections kept open per process; 8 on PostgreSQL, 3 readers on SQLite unless said.",
    )
    pool_wait_seconds: float = Field(
        15.0, gt=0, le=60, description="Wait for a free connection before answering BUSY, s."
    )
    lock_wait_seconds: float = Field(
        5.0, gt=0, le=60, description="Wait for another transaction's lock before answering BUSY, s."
    )

    files_dir: Path = Field(
        Path("var/files"),
        description="Directory of the files that people send, beside the database; every server and worker needs the "
        "same one.",
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address the server listens on.")
    port: int = Field(
        8000, ge=0, le=65535, description="Port the server listens on; 0 lets the system choose."
    )
    drain_seconds: float = Field(
        5.0,
        ge=0,
        le=300,
        description="After SIGTERM: how long /v1/readyz says 503 and requests are still answered, so that whoever "
        "spreads them looks away first, s. SIGINT and demonstrations do not wait.",
    )
    demo: bool = Field(
        False, description="Demonstration mode: made-up data, open sign-in. Refused in production."
    )
    production: bool = Field(
        False, description="Refuse to start with demonstration data or a development key."
    )

    session_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_KEY),
        description="Key that signs the access tokens; 32 bytes or more, kept secret.",
    )
    session_keys_retired: list[SecretStr] = Field(
        default_factory=list,
        description="Older session keys, which sign no more and still verify: a JSON list.",
    )
    access_token_seconds: int = Field(1800, ge=60, le=86400, description="Life of an access token, s.")
    password_memory_kib: int = Field(
        65536, ge=32, le=1_048_576, description="Memory of one Argon2id hash, KiB (RFC 9106 §4)."
    )
    password_passes: int = Field(3, ge=1, le=10, description="Passes of Argon2id over that memory.")
    password_workers: int = Field(
        2, ge=1, le=32, description="Passwords that one process hashes at a time; the others wait."
    )

    wechat_apps: dict[str, WechatApp] = Field(
        default_factory=dict,
        description="Mini-programs by appid: see howto/wechat.md.",
    )
    wechat_api: str = Field(
        "https://api.weixin.qq.com", pattern=r"^https?://", description="Where WeChat's server API is."
    )
    wechat_timeout_seconds: float = Field(
        5.0, gt=0, le=30, description="Wait for an answer of WeChat before answering 503, s."
    )
    sms_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Where short messages are posted to, as {phone, text}; without it none are sent.",
    )
    sms_secret: SecretStr | None = Field(None, description="What the sender of short messages knows us by.")
    oidc_providers: dict[str, OidcProvider] = Field(
        default_factory=dict, description="Providers for staff by name: see howto/first-admin.md."
    )

    trusted_hosts: list[str] = Field(
        default_factory=lambda: ["*"],
        description='Names this service answers to: ["dispatch.example.cn", "*.example.cn"]; others get 400.',
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="Proxies whose X-Forwarded-For and -Proto are believed: addresses or networks, by commas.",
    )
    cors_origins: list[str] = Field(
        default_factory=list, description="Origins of web pages that may call: a JSON list."
    )
    rate_per_address: int = Field(
        6000,
        ge=0,
        description="Requests a minute from one address, per process; 0 is no limit. Many people share one.",
    )
    rate_per_account: int = Field(
        6000, ge=0, description="Requests a minute of one account, per process; 0 is no limit."
    )

    data_keys: SecretStr = Field(
        SecretStr(DEVELOPMENT_DATA_KEYS),
        description="Keys that seal phones, addresses and names: `id:base64 of 32 bytes`, the current one first, "
        "older ones behind commas until `dispatch keys rotate` has run.",
    )
    lookup_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_LOOKUP_KEY),
        description="Key of the hashes by which phones are found; 32 bytes or more, kept secret and kept for good.",
    )

    body_limit_bytes: int = Field(
        262_144,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Largest request body, bytes; above it 413. A roster may be 4 MiB.",
    )
    minimum_clients: dict[str, str] = Field(
        default_factory=dict,
        description='Oldest client version served, per client kind: {"mp": "1.4.0"}; below it 426.',
    )
    worker_tick_seconds: float = Field(
        1.0, gt=0, le=60, description="Pause between two rounds of the worker, s."
    )

    metrics_address: str = Field(
        "",
        pattern=r"^(|.+:\d{1,5})$",
        description="Where Prometheus asks this process, host:port; keep it from the public. Empty: nowhere.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity that is logged."
    )
    log_json: bool = Field(True, description="One JSON object per log line; false gives lines for people.")

    @field_validator("minimum_clients")
    @classmethod
    def _versions_are_dotted_numbers(cls, minimum: dict[str, str]) -> dict[str, str]:
        for kind, version in minimum.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,15}", kind) or not re.fullmatch(
                r"\d{1,6}(\.\d{1,6}){0,3}", version
            ):
                raise ValueError('DISPATCH_MINIMUM_CLIENTS must look like {"mp": "1.4.0"}')
        return minimum

    @field_validator("database_url", "migration_url", "replica_url")
    @classmethod
    def _address_leads_to_a_database(cls, url: str, of: ValidationInfo) -> str:
        if not url:
            return url
        name = f"DISPATCH_{str(of.field_name).upper()}"
        try:
            parts = make_url(url)
        except (ArgumentError, ValueError):
            raise ValueError(f"{name} is no address of a database") from None
        if parts.database in (None, "", ":memory:"):  # every connection to :memory: is another database
            raise ValueError(f"{name} must name a database, and not one in memory")
        return url

    @field_validator("session_key")
    @classmethod
    def _key_is_long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < SHORTEST_KEY_BYTES:
            raise ValueError(f"DISPATCH_SESSION_KEY must have at least {SHORTEST_KEY_BYTES} bytes")
        return key

    @field_validator("lookup_key")
    @classmethod
    def _lookup_key_is_long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < SHORTEST_KEY_BYTES:
            raise ValueError(f"DISPATCH_LOOKUP_KEY must have at least {SHORTEST_KEY_BYTES} bytes")
        return key

    @field_validator("data_keys")
    @classmethod
    def _data_keys_are_keys(cls, keys: SecretStr) -> SecretStr:
        parts = [part.strip() for part in keys.get_secret_value().split(",")]
        if not all(_DATA_KEY.fullmatch(part) for part in parts) or len(
            {part.partition(":")[0] for part in parts}
        ) != len(parts):
            raise ValueError(
                "DISPATCH_DATA_KEYS must be <id>:<base64 of 32 bytes>, ids of a-z and 0-9, each once"
            )
        return keys

    @field_validator("session_keys_retired")
    @classmethod
    def _old_keys_are_long_enough(cls, keys: list[SecretStr]) -> list[SecretStr]:
        return [cls._key_is_long_enough(key) for key in keys]

    @property
    def seals_as_in_development(self) -> bool:
        """Whether one of the data keys is the development key, whatever it is called and however it is written."""
        known = _key_bytes(DEVELOPMENT_DATA_KEYS)
        return any(_key_bytes(part) == known for part in self.data_keys.get_secret_value().split(","))

    @property
    def owner_url(self) -> str:
        """Where tables are changed and copied."""
        return self.migration_url or self.database_url

    @property
    def session_keys(self) -> tuple[str, ...]:
        """Every key that verifies; the first one signs."""
        every = (self.session_key, *self.session_keys_retired)
        return tuple(dict.fromkeys(key.get_secret_value() for key in every))

    @model_validator(mode="after")
    def _nothing_of_development_in_production(self) -> Self:
        if self.replica_url and self.database_url.startswith("sqlite"):
            raise ValueError("DISPATCH_REPLICA_URL needs a PostgreSQL in DISPATCH_DATABASE_URL")
        if self.production and self.demo:
            raise ValueError("DISPATCH_DEMO and DISPATCH_PRODUCTION exclude each other")
        if self.production and self.session_key.get_secret_value() == DEVELOPMENT_KEY:
            raise ValueError("DISPATCH_SESSION_KEY must be set in production")
        if self.production and self.seals_as_in_development:
            raise ValueError("DISPATCH_DATA_KEYS must be set in production")
        if self.production and self.lookup_key.get_secret_value() == DEVELOPMENT_LOOKUP_KEY:
            raise ValueError("DISPATCH_LOOKUP_KEY must be set in production")
        if self.production:
            self._no_half_measures()
        return self

    def _no_half_measures(self) -> None:
        if DEVELOPMENT_KEY in self.session_keys:
            raise ValueError("DISPATCH_SESSION_KEYS_RETIRED holds the development key")
        if "*" in self.cors_origins:
            raise ValueError("DISPATCH_CORS_ORIGINS must name the origins in production")
        if not self.wechat_api.startswith("https://"):
            raise ValueError("DISPATCH_WECHAT_API must be https in production")
        if self.sms_url is not None and not self.sms_url.startswith("https://"):
            raise ValueError("DISPATCH_SMS_URL must be https in production")
        for name, provider in self.oidc_providers.items():
            if not provider.issuer.startswith("https://"):
                raise ValueError(f"DISPATCH_OIDC_PROVIDERS: the issuer of {name} must be https in production")
