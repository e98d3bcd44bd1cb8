"""What must hold after any fault: what was acknowledged is there, nothing happened twice, the books add up."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from dispatch import clock
from dispatch.db.outbox import outbox
from dispatch.notices.tables import notices
from dispatch.orders.tables import order_steps, orders, takes
from dispatch.sla.tables import timers
from tests.contract.ledger import assert_books
from tests.e2e.faults.pressure import Acked, Pressure
from tests.town import Town, time_works

SETTLE_SECONDS = 20


async def assert_unharmed(pressure: Pressure, *, least: int = 1, ahead: timedelta = timedelta()) -> None:
    """Everything that must hold once the fault is over and the lanes have stopped.

    Args:
        least: lives that must have come to their end: a service that refuses everything harms nothing.
        ahead: how far ahead of us the service's clock may have been.
    """
    assert not pressure.wrong, Counter(pressure.wrong).most_common(5)
    assert pressure.closed >= least, pressure.closed
    await assert_kept(pressure.town, pressure.acked, pressure.filed)
    await assert_settled(pressure.town, clock.now() + ahead)
    await assert_books(pressure.town)


async def assert_kept(town: Town, acked: list[Acked], filed: dict[str, Any]) -> None:
    """Every acknowledged write is in the log exactly once, and every intent made one order at most."""
    mine = orders.c.tenant_id == town.tenant_id
    rows = await town.rows(select(orders.c.id, orders.c.text).where(mine))
    made = Counter(row.text for row in rows)
    ids = {row.text: row.id for row in rows}
    lost = {text for text, id in filed.items() if id is not None and ids.get(text) != id}
    assert not lost, f"{len(lost)} acknowledged orders are not there"
    assert set(made.values()) <= {1}, f"made twice: {[text for text, n in made.items() if n > 1]}"
    assert set(made) <= set(filed)

    columns = (order_steps.c.order_id, order_steps.c.move, order_steps.c.account_id)
    logged = Counter(
        Acked(*row)
        for row in await town.rows(select(*columns).where(order_steps.c.tenant_id == town.tenant_id))
        if row.account_id is not None
    )
    missing = [one for one in set(acked) if logged[one] == 0]
    assert not missing, f"{len(missing)} acknowledged moves are not in the log: {missing[:3]}"
    twice = [one for one, count in logged.items() if count > 1]
    assert not twice, f"{len(twice)} moves happened twice: {twice[:3]}"

    held = await town.rows(
        select(takes.c.order_id, func.count())
        .where(takes.c.tenant_id == town.tenant_id, takes.c.state.in_(("active", "done")))
        .group_by(takes.c.order_id)
    )
    assert all(count == 1 for _, count in held), "a slot was given away twice"


async def assert_settled(town: Town, at: datetime) -> None:
    """Facts and timers come to rest: what a worker left the next one does, and nothing is told twice."""
    async with asyncio.timeout(SETTLE_SECONDS):
        await time_works(town, at)
    open_ = select(outbox.c.fact, outbox.c.state, outbox.c.error).where(
        outbox.c.tenant_id == town.tenant_id, outbox.c.state != "done"
    )
    assert not await town.rows(open_)
    due = select(timers.c.clock).where(
        timers.c.tenant_id == town.tenant_id,
        timers.c.fired_at.is_(None),
        timers.c.due_at < at,
    )
    assert not await town.rows(due)
    told = (notices.c.account_id, notices.c.order_id, notices.c.seq, notices.c.event)
    again = (
        select(*told)
        .where(notices.c.tenant_id == town.tenant_id, notices.c.seq.is_not(None))
        .group_by(*told)
        .having(func.count() > 1)
    )
    assert not await town.rows(again)
    facts = select(func.count()).where(
        outbox.c.tenant_id == town.tenant_id, outbox.c.fact == "order.moved", outbox.c.state == "done"
    )
    steps = select(func.count()).where(order_steps.c.tenant_id == town.tenant_id)
    assert (await town.rows(facts))[0][0] == (await town.rows(steps))[0][0]
