"""Whether the books of an order add up."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from dispatch.db.outbox import outbox
from dispatch.domain.order import Move, State
from dispatch.domain.replay import Logged, Replayed, replay
from dispatch.orders.tables import dispatches, order_steps, orders, takes
from tests.town import Town


async def assert_books(town: Town) -> int:
    """Log, row, slots and facts of every order of a town agree. Returns how many orders there are."""
    mine = [table.c.tenant_id == town.tenant_id for table in (orders, order_steps, dispatches, takes, outbox)]
    rows = await town.rows(select(orders).where(mine[0]))
    steps: dict[UUID, list[Any]] = {}
    for step in await town.rows(select(order_steps).where(mine[1]).order_by(order_steps.c.seq)):
        steps.setdefault(step.order_id, []).append(step)
    for row in rows:
        told = replay(
            Logged(
                s.seq,
                Move(s.move),
                State(s.state_from) if s.state_from else None,
                State(s.state_to),
                s.detail,
            )
            for s in steps[row.id]
        )
        assert told == Replayed(
            state=State(row.state),
            version=row.version,
            round=row.round,
            flags=frozenset(row.flags),
            level=row.level,
            left=row.left_state,
            parent_id=str(row.parent_id) if row.parent_id else None,
        ), (row.id, [s.move for s in steps[row.id]])
    active: dict[UUID, int] = {}
    for take in await town.rows(select(takes).where(mine[3], takes.c.state == "active")):
        active[take.order_id] = active.get(take.order_id, 0) + 1
    for row in await town.rows(select(dispatches).where(mine[2])):
        assert row.slots_taken <= row.slots_max
        if row.state in ("running", "filled"):
            assert row.slots_taken == active.get(row.order_id, 0)
            assert (row.state == "filled") == (row.slots_taken == row.slots_max)
    for row in rows:
        if row.state in ("accepted", "rejected", "merged", "cancelled", "closed", "done"):
            assert row.id not in active, row.state
    facts = await town.rows(select(outbox.c.body).where(mine[4], outbox.c.fact == "order.moved"))
    assert len(facts) == sum(len(lines) for lines in steps.values())
    return len(rows)
