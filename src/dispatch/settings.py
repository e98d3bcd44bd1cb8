"""Everything that can be set from outside: environment variables with the prefix ``DISPATCH_``."""

import re
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEVELOPMENT_KEY = "development-only-key-never-in-production"
DEVELOPMENT_DATA_KEYS = "dev:ZGV2ZWxvcG1lbnQtb25seS1uZXZlci1wcm9kdWN0aW8="
DEVELOPMENT_LOOKUP_KEY = "development-only-lookup-key-never-in-production"
SHORTEST_KEY_BYTES = 32  # RFC 7518 §3.2: an HS256 key has at least the size of the hash

_DATA_KEY = re.compile(r"[a-z0-9]{1,16}:[A-Za-z0-9+/]{43}=")


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
        pattern=r"^(sqlite\+aiosqlite|postgresql\+(psycopg|asyncpg))://",
        repr=False,  # it may hold a password
    )
    pool_size: int = Field(8, ge=1, le=200, description="Database connections kept open per process.")
    pool_wait_seconds: float = Field(
        15.0, gt=0, le=60, description="Wait for a free connection before answering BUSY, s."
    )
    lock_wait_seconds: float = Field(
        5.0, gt=0, le=60, description="Wait for another transaction's lock before answering BUSY, s."
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address the server listens on.")
    port: int = Field(
        8000, ge=0, le=65535, description="Port the server listens on; 0 lets the system choose."
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
    access_token_seconds: int = Field(7200, ge=60, le=86400, description="Life of an access token, s.")

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
        262_144, ge=1024, le=64 * 1024 * 1024, description="Largest request body, bytes; above it 413."
    )
    minimum_clients: dict[str, str] = Field(
        default_factory=dict,
        description='Oldest client version served, per client kind: {"mp": "1.4.0"}; below it 426.',
    )
    worker_tick_seconds: float = Field(
        1.0, gt=0, le=60, description="Pause between two rounds of the worker, s."
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

    @model_validator(mode="after")
    def _nothing_of_development_in_production(self) -> Self:
        if self.production and self.demo:
            raise ValueError("DISPATCH_DEMO and DISPATCH_PRODUCTION exclude each other")
        if self.production and self.session_key.get_secret_value() == DEVELOPMENT_KEY:
            raise ValueError("DISPATCH_SESSION_KEY must be set in production")
        if self.production and DEVELOPMENT_DATA_KEYS in self.data_keys.get_secret_value():
            raise ValueError("DISPATCH_DATA_KEYS must be set in production")
        if self.production and self.lookup_key.get_secret_value() == DEVELOPMENT_LOOKUP_KEY:
            raise ValueError("DISPATCH_LOOKUP_KEY must be set in production")
        return self
