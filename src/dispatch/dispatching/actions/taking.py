"""接单: one atomic operation with a typed outcome.

Who may take is judged here; the writes that win a slot stand in ``winning.py``.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import Brought, Columns
from dispatch.db.engine import start_over
from dispatch.db.idempotency import claim
from dispatch.dispatching.actions.winning import TAKEN, against, win
from dispatch.dispatching.queries import load_columns, unable_for
from dispatch.domain.conflict import UNTOLD
from dispatch.domain.life import (
    Dispatch,
    Life,
    Party,
    in_audience,
    named,
    own_take,
    party_of,
    standing,
)
from dispatch.domain.order import (
    EDGES,
    PEOPLE,
    Mode,
    Move,
    TakerKind,
    TargetState,
)
from dispatch.domain.people import Actor, Grant
from dispatch.domain.refusal import (
    NotEligible,
    OrderNotFound,
    Refusal,
    RoleForbidden,
    SlotTaken,
)
from dispatch.domain.rules import moved_away, take_refusal
from dispatch.orders.actions.performing import ATTEMPTS, Call, Data, Done, looked
from dispatch.orders.concerned import conflict, homes_column
from dispatch.orders.visibility import KEPT_FROM
from dispatch.orders.whole import Whole
from dispatch.people import queries as people
from dispatch.people.serving import not_serving, serving

ALREADY_YOURS = "already_yours"


async def take(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Take a slot of an order. Of many takers exactly as many win as there are slots.

    ``data``: as {kind, id}, what to take as (default: what the acting grant takes as).

    Returns:
        ``outcome`` ``{"outcome": "taken" | "already_yours", "take_id"}``.

    Raises:
        OrderNotFound: never in its audience.
        RoleForbidden: visible, but not the actor's to take.
        SlotTaken, OrderClosed, NotEligible, TakeLimitReached, CoolingDown: why not, for whoever is or was in the
            audience.
    """
    for _ in range(ATTEMPTS):
        done = await once(db, actor, order_id, data, call, at=at)
        if done is not None:
            return done
        await start_over(db)
    raise SlotTaken()


async def once(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done | None:
    """One attempt of ``take``. None if what was seen no longer holds: the transaction must then start over."""
    party, grant = acting_as(actor)
    also = of_taker(actor, party, at=at)
    seen, row, done = await looked(db, actor, order_id, call, also=also, hidden=True)
    if done:
        return done
    at = seen.not_before(at)
    if row.kept_from:
        raise OrderNotFound()
    other = _as_another(data, party)
    held = None if other else held_by(seen.life, party)
    if held is not None:
        outcome = {"outcome": ALREADY_YOURS, "take_id": str(held)}
        kept = await claim(db, call.key, status=200, order_id=order_id, outcome=outcome, at=at)
        return Done(order_id, outcome) if kept else None
    refusal = await _refusal(db, actor, seen, row, party, grant, at=at)
    if other and not isinstance(refusal, OrderNotFound):
        raise RoleForbidden()
    if refusal or party is None:
        raise refusal or RoleForbidden()
    won = await win(db, actor, seen, row, party, call, at=at)
    return None if won is None else Done(order_id, {"outcome": TAKEN, "take_id": str(won)})


_KEPT_FROM = Columns(kept_from=KEPT_FROM)


def of_taker(actor: Actor, party: Party | None, *, at: datetime) -> list[Brought]:
    """What a verb that gives a place is to know of who gets it: how it serves, where it lives, what it has in hand."""
    found = [serving(actor), homes_column([actor.account_id]), Brought(_KEPT_FROM)]
    return found if party is None else [*found, load_columns(party, at=at)]


def acting_as(actor: Actor) -> tuple[Party | None, Grant]:
    """What the actor takes as, and under which grant."""
    grant = actor.acting
    assert grant is not None  # writes have one
    return party_of(grant, actor.account_id), grant


def _as_another(data: Data, party: Party | None) -> bool:
    """Whether the caller wants to take as somebody it does not act for."""
    wanted = data.get("as")
    return wanted is not None and (TakerKind(wanted["kind"]), wanted["id"]) != party


def held_by(life: Life, party: Party | None) -> UUID | None:
    """The party's active take of the order."""
    return next((take.id for take in life.active if take.party == party), None)


async def _refusal(
    db: AsyncConnection,
    actor: Actor,
    seen: Whole,
    row: Any,
    party: Party | None,
    grant: Grant,
    *,
    at: datetime,
) -> Refusal | None:
    """Why not, in words that fit what the actor may know of the order."""
    life = seen.life
    every = seen.dispatches
    if not await _ever_in_audience(db, actor, every, party):
        if not row.visible:
            return OrderNotFound()
        return RoleForbidden() if (life.state, Move.TAKE) in EDGES else moved_away(life)
    who = standing(life, actor)
    refusal = take_refusal(life, who, at=at)
    if refusal:
        return refusal
    if party is None:  # spoken to under a grant that has ended; the acting one takes nothing
        return NotEligible(why="not_in_audience")
    held = life.held
    assert held is not None  # no refusal
    if held.mode is Mode.OPEN:
        if not in_audience(held, grant, party):
            return NotEligible(why="not_in_audience")
    else:
        target = named(held, party)
        if target is None or target.state not in (TargetState.ASKED, TargetState.TAKEN):
            return NotEligible(why="not_asked")
    if own_take(life, who, staffed=True):
        return NotEligible(why="already_on_order")
    if party[0] in PEOPLE and conflict(seen, row.homes, actor.account_id):
        return NotEligible(why=UNTOLD)
    # Whom a dispatcher named, the dispatcher vouches for.
    why = not_serving(row) or (held.mode is Mode.OPEN and incapable(actor, seen, row, party, at=at))
    return NotEligible(why=why) if why else against(seen, row, party, at=at)


def incapable(actor: Actor, seen: Whole, row: Any, party: Party, *, at: datetime) -> str | None:
    """Why a member may not do what the item demands; ``row`` as of a take."""
    if party[0] is not TakerKind.MEMBER:
        return None
    today = at.astimezone(actor.tenant.zone).date()
    return unable_for(row, seen.row.item_code, seen.life.item_flags, today)


def still_refused(actor: Actor, seen: Whole, row: Any, party: Party, *, at: datetime) -> Refusal | None:
    """What stands against a party on this order, whoever but a dispatcher gives it a place; ``row`` as of a take."""
    if why := unfit(seen.life, party):
        return NotEligible(why=why)
    if party[0] in PEOPLE and conflict(seen, row.homes, actor.account_id):
        return NotEligible(why=UNTOLD)
    why = not_serving(row) or incapable(actor, seen, row, party, at=at)
    return NotEligible(why=why) if why else None


def unfit(life: Life, party: Party) -> str | None:
    """What the order's own past has against a party, whoever gives it a place."""
    if party in life.barred:
        return "returned"
    on_it = any(party == take.party or party[1] in take.people for take in life.active)
    return "already_on_order" if on_it else None


async def _ever_in_audience(
    db: AsyncConnection, actor: Actor, every: list[Dispatch], party: Party | None
) -> bool:
    """Whether the actor is or was spoken to, by a grant that stands or one that has ended."""
    if party and any(named(dispatch, party) for dispatch in every):
        return True
    if any(in_audience(d, grant, party_of(grant, actor.account_id)) for d in every for grant in actor.grants):
        return True
    opened = [dispatch for dispatch in every if dispatch.mode is Mode.OPEN]
    if not opened:
        return False
    once = await people.grants_ever(db, actor)
    return any(in_audience(d, grant, party_of(grant, actor.account_id)) for d in opened for grant in once)
