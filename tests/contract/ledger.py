"""Whether the books of an order add up."""

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from dispatch.db.outbox import outbox
from dispatch.domain.chain import audit
from dispatch.domain.order import Move, State
from dispatch.domain.planning import RESTARTED, key_of
from dispatch.domain.replay import Logged, Replayed, replay
from dispatch.domain.running import expected, view
from dispatch.domain.sla import Clock as RunClock
from dispatch.orders.queries import whole_of
from dispatch.orders.tables import dispatch_targets, dispatches, order_steps, orders, takes
from dispatch.sla.tables import timers
from tests.town import Town


async def _assert_clocks(town: Town, order_id: UUID, steps: list[Any]) -> None:
    """Exactly the clocks run that the order's state asks for, for their owners; they stand when it stands."""
    async with town.database.reading() as db:
        seen = await whole_of(db, town.tenant_id, order_id)
        armed = (await db.execute(_ARMED, {"tenant": town.tenant_id, "id": order_id})).all()
    after = view(seen.life, [], seen.places)
    runs = [run for run in seen.runs if run.stopped_at is None]
    owned = {key_of(after, run): run.owner for run in runs}
    assert len(owned) == len(runs)
    assert owned == expected(after, {run.clock for run in runs}), seen.life.state
    stood = _pauses(steps)
    heir = any("heir_of" in step.detail for step in steps)
    for run in seen.runs:
        ends = run.stopped_at or run.started_at
        assert run.since <= run.started_at <= ends
        assert (run.outcome is None) == (run.stopped_at is None or run.due_at is None) or run.reason
        if run.stopped_at is None:
            waits = run.clock in (RunClock.ANSWER, RunClock.PAUSE)
            assert (run.paused_at is not None) == (after.paused and not waits)
            known = [(p.start, p.end) for p in run.pauses if p.reason in ("need_info", "paused")]
            # While it was another's turn it stood anyway: a pause within that time is not kept beside it.
            away = [p for p in run.pauses if p.reason in RESTARTED.values()]
            due = [
                pause
                for pause in stood
                if pause[0] >= run.since
                and not waits
                and not any(p.start <= pause[0] and (p.end is None or pause[0] < p.end) for p in away)
            ]
            assert heir or known == due, (run, [step.move for step in steps])
    live = {(run.clock, run.subject_id, run.deadline_no) for run in runs if run.paused_at is None}
    assert {(t.clock, t.subject_id, t.deadline_no) for t in armed} <= live


_ARMED = select(timers).where(
    timers.c.tenant_id == bindparam("tenant"),
    timers.c.order_id == bindparam("id"),
    timers.c.fired_at.is_(None),
)


def _pauses(steps: list[Any]) -> list[tuple[datetime, datetime | None]]:
    """When the order stood, by its log."""
    found: list[tuple[datetime, datetime | None]] = []
    for step in steps:
        if step.state_to in ("need_info", "paused") and step.state_from != step.state_to:
            found.append((step.at, None))
        elif step.state_from in ("need_info", "paused") and step.state_from != step.state_to:
            found[-1] = (found[-1][0], step.at)
    return found


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
        entries = [step._mapping for step in steps[row.id]]
        chained = audit(
            row.id, entries, version=row.version, head=row.head, erased={s.seq for s in steps[row.id]}
        )
        assert (chained.broken, chained.unchained) == (None, 0), (row.id, chained)
    active: dict[UUID, int] = {}
    for take in await town.rows(select(takes).where(mine[3], takes.c.state == "active")):
        active[take.order_id] = active.get(take.order_id, 0) + 1
    waits = (dispatch_targets.c.tenant_id == town.tenant_id, dispatch_targets.c.state == "asked")
    asked = Counter(
        row.dispatch_id for row in await town.rows(select(dispatch_targets.c.dispatch_id).where(*waits))
    )
    for row in await town.rows(select(dispatches).where(mine[2])):
        assert row.slots_taken <= row.slots_max
        if row.state in ("running", "filled"):
            assert row.slots_taken == active.get(row.order_id, 0)
            assert (row.state == "filled") == (row.slots_taken == row.slots_max)
            assert row.slots_held == (asked.get(row.id, 0) if row.mode == "open" else 0)
            assert row.slots_taken + row.slots_held <= row.slots_max
    for row in rows:
        if row.state in ("accepted", "rejected", "merged", "cancelled", "closed", "done"):
            assert row.id not in active, row.state
    for row in rows:
        await _assert_clocks(town, row.id, steps[row.id])
    facts = await town.rows(select(outbox.c.body).where(mine[4], outbox.c.fact == "order.moved"))
    assert len(facts) == sum(len(lines) for lines in steps.values())
    return len(rows)
