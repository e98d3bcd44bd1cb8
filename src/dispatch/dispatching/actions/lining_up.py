"""候补: whoever finds an open order full stands in line; the place that comes free is kept for the first, for a while."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Update, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.guarding import Rows, Seen, guarded
from dispatch.db.idempotency import claim
from dispatch.dispatching.actions.taking import acting_as, of_taker, still_refused
from dispatch.dispatching.queries import read_rules
from dispatch.domain import queue
from dispatch.domain.life import THE_SYSTEM, Dispatch, Party, in_audience
from dispatch.domain.order import EDGES, Mode, Move, TargetState
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    NotInLine,
    OrderClosed,
    OrderNotFound,
    PlacesFree,
    RoleForbidden,
)
from dispatch.domain.rules import moved_away
from dispatch.domain.step import step
from dispatch.domain.taking import rule_for
from dispatch.orders import log
from dispatch.orders.actions.performing import ATTEMPTS, Call, Done, looked
from dispatch.orders.tables import dispatch_targets, dispatches
from dispatch.orders.whole import Whole


async def join(db: AsyncConnection, actor: Actor, order_id: UUID, call: Call, *, at: datetime) -> Done:
    """Stand in line for an open order that is full. ``outcome`` tells the place in line; who waits already keeps it.

    Raises:
        OrderNotFound: not in its audience.
        OrderClosed: nothing can be taken of it any more.
        PlacesFree: it is not full.
        NotEligible: as for a take.
    """
    party, grant = acting_as(actor)
    if party is None:
        raise RoleForbidden()
    also = of_taker(actor, party, at=at)
    for _ in range(ATTEMPTS):
        seen, row, done = await looked(db, actor, order_id, call, also=also, hidden=True)
        if done:
            return done
        at = seen.not_before(at)
        held = seen.life.held
        if row.kept_from or held is None or not in_audience(held, grant, party):
            raise OrderNotFound()
        nth = queue.place_in_line(held, party)
        if nth is not None:
            until = next(target.until for target in held.targets if target.party == party)
            return Done(order_id, {"place": nth, "until": until.isoformat() if until else None})
        _full(seen, held, at=at)
        refusal = still_refused(actor, seen, row, party, at=at)
        if refusal:
            raise refusal
        outcome = {"place": sum(target.state in queue.IN_LINE for target in held.targets) + 1}
        kept = await claim(db, call.key, status=200, order_id=order_id, outcome=outcome, at=at)
        if kept and await _joined(db, seen, held, row, party):
            return Done(order_id, outcome)
        await start_over(db)
    raise moved_away(seen.life)


def _full(seen: Whole, held: Dispatch, *, at: datetime) -> None:
    """Check that there is something to wait for.

    Raises:
        OrderClosed, PlacesFree: there is not.
    """
    open_ = held.mode is Mode.OPEN and held.unexpired(at) and (seen.life.state, Move.TAKE) in EDGES
    if not open_:
        raise OrderClosed(state=seen.life.state.value)
    if not queue.full(held):
        raise PlacesFree()


async def _joined(db: AsyncConnection, seen: Whole, held: Dispatch, row: Any, party: Party) -> bool:
    """Write the line, if the dispatch is as it was seen: a place that came free meanwhile would be nobody's."""
    tenant_id = seen.row.tenant_id
    seconds = rule_for(seen.row.item_code, read_rules(row.taking_rules)).wait_seconds
    guard = _line_changes(tenant_id, held).values(wait_seconds=seconds)
    line = {
        "tenant_id": tenant_id,
        "dispatch_id": held.id,
        "kind": str(party[0]),
        "target_id": party[1],
        "seq": Seen("waiters"),
        "state": TargetState.WAITING,
        "match": None,
        "until": None,
    }
    return (
        await guarded(db, guard, [Rows(dispatch_targets, [line], update=("seq", "state", "until"))])
        is not None
    )


def _line_changes(tenant_id: int, held: Dispatch) -> Update:
    """Count a change of the line on the dispatch, if it is as it was seen: whoever is giving a place to the next in line
    sees that it is another line."""
    return (
        update(dispatches)
        .where(
            dispatches.c.tenant_id == tenant_id,
            dispatches.c.id == held.id,
            dispatches.c.state == held.state,
            dispatches.c.slots_taken == held.slots_taken,
            dispatches.c.slots_held == held.slots_held,
            dispatches.c.waiters == held.waiters,
        )
        .values(waiters=dispatches.c.waiters + 1)
        .returning(dispatches.c.waiters)
    )


async def leave(db: AsyncConnection, actor: Actor, order_id: UUID, call: Call, *, at: datetime) -> Done:
    """Leave the line, or give the place up that was kept: then the next is asked.

    Raises:
        NotInLine: the actor does not wait.
    """
    party, _ = acting_as(actor)
    for _ in range(ATTEMPTS):
        seen, _row, done = await looked(db, actor, order_id, call, hidden=True)
        if done:
            return done
        held = seen.life.held
        if (
            party is None
            or held is None
            or held.mode is not Mode.OPEN
            or not queue.place_in_line(held, party)
        ):
            raise NotInLine()
        if await claim(db, call.key, status=200, order_id=order_id, outcome={}, at=at) and await _left(
            db, seen, held, party, at=at
        ):
            return Done(order_id, {})
        await start_over(db)
    raise moved_away(seen.life)


async def _left(db: AsyncConnection, seen: Whole, held: Dispatch, party: Party, *, at: datetime) -> bool:
    tenant_id = seen.row.tenant_id
    mine = next(target for target in held.targets if target.party == party)
    if mine.state is TargetState.ASKED:
        data = {"unclaimed": [party], "ends": TargetState.DECLINED}
        moved = step(seen.life, Move.LAPSE, THE_SYSTEM, data, at=at)
        return await log.record(db, seen, [(moved, log.system(tenant_id))], at=at)
    gone = (
        update(dispatch_targets)
        .where(
            dispatch_targets.c.tenant_id == tenant_id,
            dispatch_targets.c.dispatch_id == held.id,
            dispatch_targets.c.kind == str(party[0]),
            dispatch_targets.c.target_id == party[1],
        )
        .values(state=TargetState.DECLINED)
    )
    return await guarded(db, _line_changes(tenant_id, held), [gone]) is not None
