"""Timers that are due become facts, each once, whatever dies and however many workers there are."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.outbox import announce, outbox
from dispatch.domain.facts import Fact
from dispatch.domain.sla import Clock, Step, spoken_at
from dispatch.sla.tables import timers

KEY = ("order_id", "clock", "subject_id", "level", "deadline_no")

AT_ANY_HOUR = frozenset({Clock.EXPIRY, Clock.LEASE, Clock.PLACE})
"""Waits whose end disturbs nobody but the one who is asked next: an offer goes on by night as by day."""

_FIRED = (
    update(timers)
    .where(
        timers.c.tenant_id == bindparam("of_tenant"),
        *(timers.c[name] == bindparam(f"of_{name}") for name in KEY),
        timers.c.fired_at.is_(None),
    )
    .values(fired_at=bindparam("at"))
)


async def fire(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime, limit: int) -> int:
    """Fire the timers of a tenant that are due, the oldest first; part of one transaction.

    A worker locks what it takes and others pass it by (SQLite's writers take turns), so a timer is either fired with
    its fact or, if the worker dies, still there for the next one. Only rows that are due are touched; ``now == due``
    is on time, so a timer fires after its instant.

    Returns:
        How many fired.
    """
    due = (
        select(timers)
        .where(timers.c.tenant_id == tenant_id, timers.c.fired_at.is_(None), timers.c.due_at < at)
        .order_by(timers.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await db.execute(due)).all()
    if rows:
        fired = [
            {"of_tenant": tenant_id, "at": at} | {f"of_{name}": getattr(row, name) for name in KEY}
            for row in rows
        ]
        await db.execute(_FIRED, fired)
        await db.execute(insert(outbox), [_fact(row, zone, at) for row in rows])
    return len(rows)


def _fact(row: Any, zone: ZoneInfo, at: datetime) -> dict[str, Any]:
    """The fact of a step. It bears the time at which the step was due, however late it is told."""
    body = {name: str(getattr(row, name)) for name in ("order_id", "clock", "subject_id", "level")}
    body |= {"deadline_no": row.deadline_no, "due_at": row.due_at.isoformat()}
    fact = dict(announce(row.tenant_id, Fact.CLOCK_STEP, body, order_id=row.order_id, at=row.due_at).rows[0])
    loud = row.loud or (row.level == Step.ACT and row.clock in AT_ANY_HOUR)
    spoken = spoken_at(at, zone, loud=loud)
    return fact | {"due_at": row.due_at if spoken == at else spoken}


async def arm(
    db: AsyncConnection,
    tenant_id: int,
    body: Mapping[str, Any],
    steps: Iterable[tuple[Step, datetime]],
    *,
    loud: bool,
) -> None:
    """Arm further timers of the deadline that a step's fact tells of; those that are there already stay."""
    key = {
        "tenant_id": tenant_id,
        "order_id": UUID(body["order_id"]),
        "clock": body["clock"],
        "subject_id": UUID(body["subject_id"]),
        "deadline_no": body["deadline_no"],
    }
    rows = [key | {"level": step, "due_at": when, "fired_at": None, "loud": loud} for step, when in steps]
    await insert_or_ignore(db, timers, rows)


async def again(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], *, at: datetime) -> None:
    """Let a step that found something in its way come once more, at a later time."""
    await db.execute(
        update(timers)
        .where(
            timers.c.tenant_id == tenant_id,
            timers.c.order_id == UUID(body["order_id"]),
            timers.c.clock == body["clock"],
            timers.c.subject_id == UUID(body["subject_id"]),
            timers.c.level == body["level"],
            timers.c.deadline_no == body["deadline_no"],
        )
        .values(due_at=at, fired_at=None)
    )
