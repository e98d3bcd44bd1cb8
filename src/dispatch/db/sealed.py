"""Personal data at rest: sealed on the way into the database, opened on the way out.

A ``Sealed`` column holds ``sealed:<key id>:<nonce and AES-256-GCM ciphertext>``; tenant, column and key id are its
associated data, so a value moved to another tenant or column does not open. A ``Hashed`` column beside it holds a
keyed hash (HMAC-SHA-256) for exact look-up. The keys belong to a ``Database`` and travel with its dialect.

Values go in as ``private(tenant_id, text)`` and come out as text. A value that was written before columns were
sealed is read as it lies there, until ``dispatch keys rotate`` seals it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ColumnElement, String, Text, cast, literal_column, type_coerce
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.sql.elements import Label
from sqlalchemy.types import TypeDecorator

PREFIX = "sealed:"
NONCE_BYTES = 12
"""NIST SP 800-38D §8.2.2: random nonces of 96 bits, good for 2^32 values under one key."""
KEY_BYTES = 32
KEY_ID = re.compile(r"[a-z0-9]{1,16}")
_INSTALLED = "dispatch_keys"


class CannotOpen(Exception):
    """A sealed value was made with a key that is not here, for another place, or was tampered with."""


class Keyring:
    """The keys of one process: the first seals, all open, one more makes look-up hashes.

    Args:
        keys: AES-256 keys by id, the current one first.
        lookup: key of the hashes; it cannot be changed without making them again.
    """

    def __init__(self, keys: Mapping[str, bytes], lookup: bytes) -> None:
        self.current = next(iter(keys))
        self._keys = {id: AESGCM(key) for id, key in keys.items()}
        self._lookup = lookup

    @classmethod
    def read(cls, keys: str, lookup: str) -> "Keyring":
        """From settings: ``id:base64,id:base64`` and the look-up key as text.

        Raises:
            ValueError: not of that form, or a key is not 32 bytes long.
        """
        found: dict[str, bytes] = {}
        for part in keys.split(","):
            id, colon, text = part.strip().partition(":")
            try:
                key = base64.b64decode(text, validate=True)
            except binascii.Error:
                key = b""
            if not colon or not KEY_ID.fullmatch(id) or len(key) != KEY_BYTES or id in found:
                raise ValueError("a data key is <id>:<base64 of 32 bytes>, ids of a-z and 0-9, each once")
            found[id] = key
        return cls(found, lookup.encode())

    def seal(self, tenant_id: int, column: str, text: str) -> str:
        """The text as it lies in the database."""
        nonce = os.urandom(NONCE_BYTES)
        bound = _bound(tenant_id, column, self.current)
        box = nonce + self._keys[self.current].encrypt(nonce, text.encode(), bound)
        return f"{PREFIX}{self.current}:{base64.b64encode(box).decode()}"

    def open(self, tenant_id: int, column: str, stored: str) -> str:
        """The text behind a stored value.

        Raises:
            CannotOpen: its key is not here, or it was sealed for another tenant or column.
        """
        if not stored.startswith(PREFIX):
            return stored
        key_id, _, box = stored[len(PREFIX) :].partition(":")
        key = self._keys.get(key_id)
        if key is None:
            raise CannotOpen(f"{column}: no key {key_id}")
        raw = base64.b64decode(box)
        try:
            text = key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(tenant_id, column, key_id))
        except InvalidTag:
            raise CannotOpen(f"{column}: not sealed for this place, or tampered with") from None
        return text.decode()

    def hashed(self, tenant_id: int, column: str, text: str) -> str:
        """The keyed hash by which a value is found."""
        return hmac.new(self._lookup, f"{tenant_id}/{column}/{text}".encode(), hashlib.sha256).hexdigest()


def _bound(tenant_id: int, column: str, key_id: str) -> bytes:
    return f"{tenant_id}/{column}/{key_id}".encode()


def new_key() -> str:
    """A fresh data key in base64, for the settings."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def install(engine: Engine, keys: Keyring) -> None:
    """Give an engine's dialect the keys."""
    setattr(engine.dialect, _INSTALLED, keys)


def keys_of(dialect: Dialect) -> Keyring:
    """The keys of an engine's dialect."""
    keys: Keyring = getattr(dialect, _INSTALLED)
    return keys


@dataclass(frozen=True, slots=True)
class Private:
    """Personal data on its way into the database; it does not print."""

    tenant_id: int
    text: str

    def __repr__(self) -> str:
        return "Private(***)"


def private(tenant_id: int, text: str | None) -> Private | None:
    """Mark a value for sealing in a tenant."""
    return None if text is None else Private(tenant_id, text)


class Sealed(TypeDecorator[Any]):
    """Text that lies sealed. ``column`` is ``table.column``, part of what it is sealed for."""

    impl = Text
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: Private | None, dialect: Dialect) -> str | None:
        """Seal. Raises: TypeError on a plain text, which would lie there in the open."""
        if value is None:
            return None
        if not isinstance(value, Private):
            raise TypeError(f"{self.column} takes private(tenant_id, text)")
        return keys_of(dialect).seal(value.tenant_id, self.column, value.text)

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Select it together with the tenant of its row: what it was sealed for is checked against where it lies."""
        return type_coerce(with_tenant(column), self)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Open. Raises: CannotOpen."""
        return opened(keys_of(dialect), self.column, value)


class SealedJson(Sealed):
    """A JSON document that lies sealed; goes in as ``private_json(tenant_id, value)`` and comes out as the value."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Open and read. Raises: CannotOpen."""
        text = super().process_result_value(value, dialect)
        return None if text is None else json.loads(text)


def private_json(tenant_id: int, value: Any) -> Private | None:
    """Mark a JSON value for sealing in a tenant."""
    return None if value is None else Private(tenant_id, json.dumps(value, ensure_ascii=False))


def with_tenant(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """``<tenant>:<stored>`` of a sealed column, for ``opened``. Raises: TypeError on what is no plain column."""
    plain: Any = column.element if isinstance(column, Label) else column
    table = getattr(plain, "table", None)
    if table is None or "tenant_id" not in table.c:
        raise TypeError(f"{column} is sealed: select the column itself, of a table that has its tenant")
    return cast(table.c.tenant_id, String) + literal_column("':'") + type_coerce(plain, Text)


def opened(keys: Keyring, column: str, told: str | None) -> str | None:
    """Read what ``with_tenant`` selected."""
    if told is None:
        return None
    tenant_id, _, stored = told.partition(":")
    return keys.open(int(tenant_id), column, stored)


@dataclass(frozen=True, slots=True)
class Made:
    """What a hash is of that is not simply a sealed column: so rotation can make it again.

    Args:
        of: the sealed column of the same table.
        beside: a plain column of the same table.
        by: makes the value of the plain one and of what was sealed; None: there is none.
    """

    of: str
    beside: str
    by: Callable[[Any, str], str | None]


class Hashed(TypeDecorator[Any]):
    """The keyed hash of a sealed column, or of what is ``made`` of one; compare it with ``private(tenant_id, text)``."""

    impl = String(64)
    cache_ok = True

    def __init__(self, column: str, made: Made | None = None) -> None:
        super().__init__()
        self.column, self.made = column, made

    def process_bind_param(self, value: Private | None, dialect: Dialect) -> str | None:
        """Hash. Raises: TypeError on a plain text."""
        if value is None:
            return None
        if not isinstance(value, Private):
            raise TypeError(f"a hash of {self.column} takes private(tenant_id, text)")
        return keys_of(dialect).hashed(value.tenant_id, self.column, value.text)
