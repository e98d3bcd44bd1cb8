"""What the service does by itself when a clock says so. Every act goes through the rulebook, as the system."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.life import THE_SYSTEM
from dispatch.domain.order import LEASE_EXPIRED, Exit, Mode, Move, TargetState
from dispatch.domain.refusal import Refusal, RequestPending
from dispatch.domain.running import Run
from dispatch.domain.sla import CLOCK_LABELS, Clock, Step, ladder
from dispatch.domain.step import step
from dispatch.orders import log, queries
from dispatch.orders.actions import merging
from dispatch.orders.whole import Whole, terms_of
from dispatch.sla.actions import firing
from dispatch.sla.queries import basis_for

AGAIN_IN = timedelta(days=1)
"""When an end that a pending request stands in the way of is tried again."""


class Meanwhile(Exception):
    """The order moved between reading and writing: the fact is told again in a moment."""


async def act_on_step(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Do what a step of a clock brings about, if the clock still stands as the step knew it."""
    level = Step(body["level"])
    if level not in _DEEDS:
        return
    seen = await queries.whole_of(db, tenant_id, UUID(body["order_id"]))
    run = _of(seen, body)
    if run is None or run.stopped_at is not None or run.paused_at is not None:
        return
    try:
        if level is Step.BREACH:
            await _climb(db, tenant_id, seen, body, run)
        elif level in _PRESSES:
            done = await _moved(
                db, seen, _PRESSES[level], {"text": f"{CLOCK_LABELS[run.clock]}超时未办。"}, at
            )
            _written(done)
        elif level is Step.ACT and run.clock in _ACTS:
            _written(await _ACTS[run.clock](db, seen, run, at))
    except RequestPending:
        await firing.again(db, tenant_id, body, at=at + AGAIN_IN)
    except Refusal:
        return  # no longer possible, and so no longer needed


def _written(done: bool) -> None:
    if not done:
        raise Meanwhile()


def _of(seen: Whole, body: Mapping[str, Any]) -> Run | None:
    """The newest run of the clock that a step tells of, if its deadline is still that one."""
    clock, subject_id = Clock(body["clock"]), UUID(body["subject_id"])
    runs = [run for run in seen.runs if run.clock is clock and run.subject_id == subject_id]
    last = max(runs, key=lambda run: run.nth, default=None)
    return last if last and last.deadline_no == body["deadline_no"] else None


async def _climb(db: AsyncConnection, tenant_id: int, seen: Whole, body: Mapping[str, Any], run: Run) -> None:
    """Overdue: from here on silence is urged, then supervised."""
    assert run.due_at is not None
    basis = await basis_for(db, tenant_id, terms_of(seen), seen.row)
    waits = ladder(basis.urgency, run.due_at, basis.calendar)
    await firing.arm(db, tenant_id, body, waits, loud=basis.loud)


_DEEDS = frozenset({Step.BREACH, Step.URGE, Step.SUPERVISE, Step.ACT})
"""Steps that do something; the others are only told."""

_PRESSES = {Step.URGE: Move.URGE, Step.SUPERVISE: Move.SUPERVISE}


async def _moved(db: AsyncConnection, seen: Whole, move: Move, data: Mapping[str, Any], at: datetime) -> bool:
    moved = step(seen.life, move, THE_SYSTEM, data, at=at)
    return await log.record(db, seen, [(moved, log.system(seen.row.tenant_id))], at=at)


async def _lapse(db: AsyncConnection, seen: Whole, run: Run, at: datetime) -> bool:
    """Nobody took it in time: the ring widens (grid, community, street), the next is asked, or it comes back."""
    held = seen.life.held
    if held is None or held.unexpired(at):
        return True
    rings = [id for id in (seen.row.grid_id, seen.row.community_id, seen.row.street_id) if id]
    wider = rings[rings.index(held.ring_id) + 1 :] if held.ring_id in rings else []
    next_ring = wider[0] if held.mode is Mode.OPEN and wider else None
    return await _moved(db, seen, Move.LAPSE, {"next_ring_id": next_ring}, at)


async def _unclaimed(db: AsyncConnection, seen: Whole, run: Run, at: datetime) -> bool:
    """Who waited did not come for the place that was kept: the next in line are asked."""
    held = seen.life.held
    targets = held.targets if held else ()
    over = [t.party for t in targets if t.state is TargetState.ASKED and t.until and t.until < at]
    if not over:
        return True
    return await _moved(db, seen, Move.LAPSE, {"unclaimed": over}, at)


async def _unheld(db: AsyncConnection, seen: Whole, run: Run, at: datetime) -> bool:
    """Nothing was heard of the taker: the order goes back to those it was put before."""
    take = next((take for take in seen.life.active if take.id == run.subject_id), None)
    if take is None or take.lease_until is None or at <= take.lease_until:
        return True
    return await _moved(db, seen, Move.RELEASE, {"lapsed": take.id, "reason_code": LEASE_EXPIRED}, at)


async def _resume(db: AsyncConnection, seen: Whole, run: Run, at: datetime) -> bool:
    return await _moved(db, seen, Move.RESUME, {"text": "挂账复核日已到。"}, at)


async def _close(db: AsyncConnection, seen: Whole, run: Run, at: datetime) -> bool:
    return await _moved(db, seen, Move.CLOSE, {"exit": Exit.NO_VERDICT}, at)


async def _withdraw(db: AsyncConnection, seen: Whole, run: Run, at: datetime) -> bool:
    return await merging.withdraw_unanswered(db, seen, at=at)


_ACTS: Mapping[Clock, Callable[[AsyncConnection, Whole, Run, datetime], Awaitable[bool]]] = {
    Clock.EXPIRY: _lapse,
    Clock.LEASE: _unheld,
    Clock.PLACE: _unclaimed,
    Clock.ANSWER: _withdraw,
    Clock.PAUSE: _resume,
    Clock.EVALUATE: _close,
}
