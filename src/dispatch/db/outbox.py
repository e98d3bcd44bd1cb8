"""Facts on their way out: rows written with the change they tell of, relayed by the worker."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Column, Integer, String, Text, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.base import code_column, one_of, tenant_index, tenant_table
from dispatch.db.guarding import Rows
from dispatch.db.ids import new_id
from dispatch.db.tenants import tenants
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.facts import Fact

OUTBOX_STATES = ("pending", "done", "dead")
MOST_ATTEMPTS = 12
"""Attempts before a fact is dead: with the back-off below, a little over an hour of trying."""
LONGEST_PAUSE = timedelta(hours=1)
LATE = timedelta(minutes=5)
"""A fact that waits longer than this says that no worker runs."""

outbox = tenant_table(
    "outbox",
    Column("id", Id, nullable=False),
    code_column("fact", Fact),
    # What failed holds back later facts of its order; the body holds ids and codes only.
    Column("order_id", Id),
    # X-Request-Id of what it follows from, also through other facts; none if time did it.
    Column("request_id", String(128)),
    Column("body", Json, nullable=False),
    code_column("state", OUTBOX_STATES, server_default="pending"),
    Column("attempts", Integer, nullable=False, default=0, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("error", Text),
    one_of("state", OUTBOX_STATES),
    tenant_index("ix_outbox_due", "state", "due_at", "id"),
)


def announce(
    tenant_id: int, fact: Fact, body: Mapping[str, Any], *, order_id: Any = None, at: datetime
) -> Rows:
    """The row that tells a fact, to be written together with what it tells of (``guarded(…, then=)``)."""
    row = {
        "tenant_id": tenant_id,
        "id": new_id(),
        "fact": fact,
        "order_id": order_id,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        "body": dict(body),
        "state": "pending",
        "attempts": 0,
        "created_at": at,
        "due_at": at,
    }
    return Rows(outbox, [row])


async def tenants_waiting(db: AsyncConnection, *, at: datetime) -> list[int]:
    """Tenants that have facts to tell now. Joined to the tenants, so that the index leads past what was told."""
    waiting = (
        select(outbox.c.tenant_id)
        .join(tenants, tenants.c.id == outbox.c.tenant_id)
        .where(outbox.c.state == "pending", outbox.c.due_at <= at)
        .group_by(outbox.c.tenant_id)
        .order_by(outbox.c.tenant_id)
        .execution_options(fanout=True)
    )
    return list((await db.execute(waiting)).scalars())


async def due(db: AsyncConnection, tenant_id: int, *, at: datetime, limit: int) -> list[Any]:
    """Facts to tell now, oldest first, locked for this worker until its transaction ends.

    An order of which a fact failed and waits to be tried again waits with it. What only waits for the morning (a clock's
    step, not told by night) holds nothing back.
    SQLite knows no SKIP LOCKED and needs none: its writers take turns.
    """
    failed = outbox.alias("failed")
    held = select(failed.c.order_id).where(
        failed.c.tenant_id == tenant_id,
        failed.c.state == "pending",
        failed.c.due_at > at,
        failed.c.attempts > 0,
        failed.c.order_id.is_not(None),
    )
    rows = (
        select(outbox)
        .where(
            outbox.c.tenant_id == tenant_id,
            outbox.c.state == "pending",
            outbox.c.due_at <= at,
            or_(outbox.c.order_id.is_(None), outbox.c.order_id.not_in(held)),
        )
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    # What was tried before is due later than what it held back.
    return sorted((await db.execute(rows)).all(), key=lambda row: row.id)


async def told(db: AsyncConnection, row: Any, *, at: datetime) -> None:
    """The fact was told."""
    await db.execute(_of(row).values(state="done", attempts=row.attempts + 1, ended_at=at, error=None))


async def failed(db: AsyncConnection, row: Any, error: str, *, at: datetime) -> None:
    """Telling failed: try again in 2, 4, 8 … s, at most an hour apart; after too many attempts it is dead."""
    attempts = row.attempts + 1
    if attempts >= MOST_ATTEMPTS:
        await db.execute(_of(row).values(state="dead", attempts=attempts, ended_at=at, error=error[:2000]))
        return
    pause = min(timedelta(seconds=2**attempts), LONGEST_PAUSE)
    await db.execute(_of(row).values(attempts=attempts, due_at=at + pause, error=error[:2000]))


def _of(row: Any) -> Any:
    return update(outbox).where(outbox.c.tenant_id == row.tenant_id, outbox.c.id == row.id)


async def census(db: AsyncConnection) -> dict[str, Any]:
    """How the outbox stands over all tenants: dead facts, pending ones, the oldest pending instant.

    From the tenants, so that the index leads past what was told in the last thirty days.
    """
    waiting = select(outbox.c.state, func.count(), func.min(outbox.c.due_at))
    counted = waiting.join(tenants, tenants.c.id == outbox.c.tenant_id).where(
        outbox.c.state.in_(("pending", "dead"))
    )
    rows = (await db.execute(counted.group_by(outbox.c.state).execution_options(fanout=True))).all()
    found = {state: (count, oldest) for state, count, oldest in rows}
    return {
        "dead": found.get("dead", (0, None))[0],
        "pending": found.get("pending", (0, None))[0],
        "oldest": found.get("pending", (0, None))[1],
    }


async def drop_told(db: AsyncConnection, tenant_id: int, *, before: datetime) -> None:
    """Forget facts that were told before an instant."""
    await db.execute(
        delete(outbox).where(
            outbox.c.tenant_id == tenant_id, outbox.c.state == "done", outbox.c.ended_at < before
        )
    )
