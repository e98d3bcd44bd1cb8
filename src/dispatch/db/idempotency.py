"""Answers kept by key: a repeated request is answered, not done again.

Kept are the status, the order and the outcome's word; never a rendered answer, so that a repeat is
rendered again for today's viewer and no personal data lies in this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Insert, Select, SmallInteger, String, bindparam, delete, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.base import tenant_index, tenant_table
from dispatch.db.bound import TENANT, Brought, Columns, made_once
from dispatch.db.dialect import folded, insert_for
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.refusal import IdempotencyInProgress, IdempotencyKeyReused

KEPT_DAYS = 8
"""Days a key is kept; the contract promises at least seven."""

LOCK_NOT_AVAILABLE = "55P03"

idempotency_keys = tenant_table(
    "idempotency_keys",
    Column("account_id", Id, nullable=False),
    Column("grant_id", Id, nullable=False),
    Column("route", String(64), nullable=False),
    Column("key", String(128), nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("order_id", Id),
    Column("outcome", Json),
    Column("created_at", Instant, nullable=False),
    tenant_index("ix_idempotency_keys_created", "created_at"),
    key=("account_id", "grant_id", "route", "key"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key in its scope, with the fingerprint of the request it came with."""

    tenant_id: int
    account_id: UUID
    grant_id: UUID
    route: str
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What the first request under a key led to."""

    status: int
    order_id: UUID | None
    outcome: Any


async def kept(db: AsyncConnection, key: Key | None) -> Kept | None:
    """What the key led to before, if anything.

    Raises:
        IdempotencyKeyReused: the key came with another request.
    """
    if key is None:
        return None
    row = (await db.execute(_KEPT, _values(key))).one_or_none()
    return None if row is None else _checked(key, row._asdict())


def looked_up(key: Key | None) -> list[Brought]:
    """The kept answer as a column ``kept``, so that a verb's first statement can bring it along; none without a key."""
    return [] if key is None else [Brought(_LOOKED_UP, _values(key))]


def brought(key: Key | None, row: Any) -> Kept | None:
    """Read a row with ``looked_up``.

    Raises:
        IdempotencyKeyReused: the key came with another request.
    """
    if key is None or not row.kept:
        return None
    return _checked(key, row.kept[0])


_COLUMNS = (
    idempotency_keys.c.body_hash,
    idempotency_keys.c.status,
    idempotency_keys.c.order_id,
    idempotency_keys.c.outcome,
)


_SCOPE = ("account_id", "grant_id", "route", "key")
_KEPT: Select[Any] = select(*_COLUMNS).where(
    idempotency_keys.c.tenant_id == TENANT,
    *(
        idempotency_keys.c[name] == bindparam(f"key_{name}", type_=idempotency_keys.c[name].type)
        for name in _SCOPE
    ),
)
_LOOKED_UP = Columns(kept=folded(_KEPT))


def _values(key: Key) -> dict[str, Any]:
    return {"tenant_id": key.tenant_id} | {f"key_{name}": getattr(key, name) for name in _SCOPE}


def _checked(key: Key, row: Mapping[str, Any]) -> Kept:
    if row["body_hash"] != key.body_hash:
        raise IdempotencyKeyReused()
    return Kept(row["status"], row["order_id"], row["outcome"])


async def claim(
    db: AsyncConnection, key: Key | None, *, status: int, order_id: UUID | None, outcome: Any, at: datetime
) -> bool:
    """Keep the answer under the key, in the effect's transaction. True without a key.

    A parallel request under the same key waits here for the first one to end; False if that one kept
    its answer (start over and replay it).

    Raises:
        IdempotencyInProgress: the wait timed out.
    """
    if key is None:
        return True
    row = {
        "tenant_id": key.tenant_id,
        "account_id": key.account_id,
        "grant_id": key.grant_id,
        "route": key.route,
        "key": key.key,
        "body_hash": key.body_hash,
        "status": status,
        "order_id": order_id,
        "outcome": outcome,
        "created_at": at,
    }
    try:
        claimed = (await db.execute(_claim(db.dialect.name), row)).one_or_none()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise IdempotencyInProgress() from error
        raise
    return claimed is not None


@made_once
def _claim(dialect: str) -> Insert:
    write: Insert = insert_for(dialect, idempotency_keys).on_conflict_do_nothing()
    return write.returning(idempotency_keys.c.key)


async def forget(db: AsyncConnection, tenant_id: int, *, before: datetime) -> int:
    """Drop keys kept long enough. Returns how many."""
    table = idempotency_keys.c
    gone = await db.execute(
        delete(idempotency_keys).where(table.tenant_id == tenant_id, table.created_at < before)
    )
    return int(gone.rowcount)
