"""What other policies would do, before they stand: to open orders the very changes that would be made, to closed ones
the verdicts that would have been given."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.planning import deadline
from dispatch.domain.policy import Policies
from dispatch.domain.running import Run
from dispatch.domain.sla import Outcome
from dispatch.sla import queries
from dispatch.sla.actions.recomputing import BATCH, Judge, Moved, clocks_of, open_orders, recompute
from dispatch.sla.queries import Rules, run_of
from dispatch.sla.tables import clocks

JUDGED = frozenset({Outcome.ON_TIME, Outcome.LATE})


@dataclass(slots=True)
class Tried:
    """Orders whose deadlines would be others, and whose verdicts."""

    orders: int = 0
    changed: set[UUID] = field(default_factory=set)
    breached: set[UUID] = field(default_factory=set)
    relieved: set[UUID] = field(default_factory=set)


async def on_open(db: AsyncConnection, tenant_id: int, policies: Policies, *, at: datetime) -> list[Moved]:
    """The deadlines of running clocks that these policies would move: what ``recompute`` would do, undone."""
    rules = Rules(await queries.calendar_for(db, tenant_id), policies)
    moved: list[Moved] = []
    after: UUID | None = None
    while ids := await open_orders(db, tenant_id, after=after):
        moved += await recompute(db, tenant_id, ids, at=at, limits=True, rules=rules)
        after = ids[-1]
    return moved


async def on_closed(
    db: AsyncConnection, tenant_id: int, policies: Policies, since: datetime, until: datetime
) -> Tried:
    """The verdicts that these policies would have given on orders whose last clock stopped in [since, until).

    Each clock is measured by the calendar that it was judged by, so that only the policies make a difference.
    """
    tried = Tried()
    judges: dict[int, Judge] = {}
    after: UUID | None = None
    while ids := await _closed(db, tenant_id, since, until, after):
        rows = await clocks_of(db, tenant_id, ids, clocks.c.outcome.in_(JUDGED))
        for version in {row.calendar for row in rows} - judges.keys():
            judges[version] = Judge(Rules(await queries.calendar_at(db, tenant_id, version), policies))
        await asyncio.to_thread(_judge, tried, rows, judges)  # a month is some seconds of arithmetic
        tried.orders += len(ids)
        after = ids[-1]
    return tried


async def _closed(
    db: AsyncConnection, tenant_id: int, since: datetime, until: datetime, after: UUID | None
) -> Sequence[UUID]:
    last = func.max(clocks.c.stopped_at)
    found = (
        select(clocks.c.order_id)
        .where(clocks.c.tenant_id == tenant_id)
        .group_by(clocks.c.order_id)
        .having(func.count() == func.count(clocks.c.stopped_at), last >= since, last < until)
        .order_by(clocks.c.order_id)
        .limit(BATCH)
    )
    if after is not None:
        found = found.where(clocks.c.order_id > after)
    return list((await db.execute(found)).scalars())


def _judge(tried: Tried, rows: Sequence[Any], judges: Mapping[int, Judge]) -> None:
    for row in rows:
        run = run_of(row._mapping)
        if run.dated or run.stopped_at is None:
            continue
        _, basis = judges[row.calendar].of(row)
        due = deadline(replace(run, limit=basis.limits.get(run.clock)), basis)
        due_at = due.due_at if due else None
        if due_at != run.due_at:
            tried.changed.add(row.order_id)
        late = due_at is not None and _rested(run) > due_at
        if late and run.outcome is Outcome.ON_TIME:
            tried.breached.add(row.order_id)
        if not late and run.outcome is Outcome.LATE:
            tried.relieved.add(row.order_id)


def _rested(run: Run) -> datetime:
    """When a stopped clock stood still: if it stopped within a pause, at the beginning of that."""
    assert run.stopped_at is not None
    last = run.pauses[-1] if run.pauses else None
    return last.start if last and last.end == run.stopped_at else run.stopped_at
