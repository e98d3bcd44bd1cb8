"""Counts over all tenants that read what is open and leave alone what has come to rest.

They start from the places, the tenants and the partial indexes, so their cost grows with the work in hand and
not with the years. None of them is asked by a request.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, func, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db import outbox
from dispatch.db.tenants import tenants
from dispatch.domain.order import LIVE, State, TakerKind, TakeState
from dispatch.meters import Sample
from dispatch.orders.listing import OVERDUE_CLOCK
from dispatch.orders.tables import orders, takes
from dispatch.places.tables import places
from dispatch.sla.tables import clocks, timers

HELD = frozenset({State.OPEN, State.OFFERED, State.TAKEN, State.IN_SERVICE, State.PAUSED, State.ESCALATED})
"""States in which a take may be active."""


async def measure(db: AsyncConnection, *, at: datetime) -> list[Sample]:
    """Everything that is worth an alarm or a curve."""
    return [
        *[sample async for sample in _orders(db, at)],
        *[sample async for sample in _takes(db)],
        *_outbox(await outbox.census(db), at),
        *[sample async for sample in _timers(db, at)],
        Sample("dispatch_measured_timestamp_seconds", "When these were measured.", at.timestamp()),
    ]


async def _orders(db: AsyncConnection, at: datetime) -> AsyncIterator[Sample]:
    live = _found(LIVE)
    rows = await db.execute(_fan_out(select(live.c.state, func.count()).group_by(live.c.state)))
    counts = {row[0]: row[1] for row in rows}
    for state in State:
        if state in LIVE:
            told = "Orders that have not come to rest, by state."
            yield Sample("dispatch_orders", told, counts.get(state, 0), {"state": state})
    late = select(clocks.c.tenant_id, clocks.c.order_id).join(tenants, tenants.c.id == clocks.c.tenant_id)
    late = late.where(OVERDUE_CLOCK).distinct()
    counted = await db.scalar(_fan_out(select(func.count()).select_from(late.subquery("late"))), {"at": at})
    yield Sample("dispatch_orders_overdue", "Orders for which somebody's time is over.", counted or 0)


async def _takes(db: AsyncConnection) -> AsyncIterator[Sample]:
    held = _found(HELD)
    mine = and_(takes.c.tenant_id == held.c.tenant_id, takes.c.order_id == held.c.id)
    counted = select(takes.c.kind, func.count()).select_from(held.join(takes, mine))
    counted = counted.where(takes.c.state == TakeState.ACTIVE).group_by(takes.c.kind)
    counts = {row[0]: row[1] for row in await db.execute(_fan_out(counted))}
    for kind in TakerKind:
        yield Sample("dispatch_takes_active", "Takes being worked on.", counts.get(kind, 0), {"kind": kind})


def _outbox(waiting: dict[str, Any], at: datetime) -> Iterator[Sample]:
    for state in ("pending", "dead"):
        yield Sample("dispatch_outbox_facts", "Facts not told.", waiting[state], {"state": state})
    yield Sample("dispatch_outbox_lag_seconds", "Age of the oldest due fact.", _age(waiting["oldest"], at))


async def _timers(db: AsyncConnection, at: datetime) -> AsyncIterator[Sample]:
    due = select(func.count(), func.min(timers.c.due_at)).join(tenants, tenants.c.id == timers.c.tenant_id)
    due = due.where(timers.c.fired_at.is_(None), timers.c.due_at < at)
    count, oldest = (await db.execute(_fan_out(due))).one()
    yield Sample("dispatch_timers_due", "Timers that are due and have not fired.", count)
    yield Sample("dispatch_timers_lag_seconds", "Age of the oldest of them.", _age(oldest, at))


COMMUNITY: ColumnElement[str] = literal_column("'community'")


def _found(states: frozenset[State]) -> Subquery:
    """Orders in these states, along the index of the queue: by community, and those that have none."""
    found = select(orders.c.tenant_id, orders.c.id, orders.c.state)
    found = found.where(orders.c.state.in_(states))
    here = and_(places.c.tenant_id == orders.c.tenant_id, places.c.id == orders.c.community_id)
    inside = found.join(places, here).where(places.c.kind == COMMUNITY)
    outside = found.join(tenants, tenants.c.id == orders.c.tenant_id).where(orders.c.community_id.is_(None))
    return union_all(inside, outside).subquery("found")


def _fan_out(statement: Any) -> Any:
    return statement.execution_options(fanout=True)


def _age(oldest: datetime | None, at: datetime) -> float:
    return 0.0 if oldest is None else max(0.0, (at - oldest).total_seconds())
