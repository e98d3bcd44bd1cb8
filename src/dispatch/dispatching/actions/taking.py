"""接单: one atomic operation with a typed outcome.

The order of the guards is the rulebook's ("How a take is decided"), and every one of them is a
condition inside a write, so that no two takers can both see the last slot: (1) the taker's own row,
(2) the dispatch's row, (3) the take, (4) the order's row, (5) step and fact.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Update, case, exists, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import Dependent, Rows, Seen, counting_up, guarded
from dispatch.db.engine import start_over
from dispatch.db.idempotency import claim
from dispatch.db.ids import new_id
from dispatch.domain.conflict import UNTOLD
from dispatch.domain.handing import asked_next, taken
from dispatch.domain.life import (
    Dispatch,
    Life,
    Party,
    Take,
    Target,
    in_audience,
    named,
    own_take,
    party_of,
    standing,
)
from dispatch.domain.moved import Moved
from dispatch.domain.order import (
    EDGES,
    Mode,
    Move,
    TakerKind,
    TakeState,
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
from dispatch.orders import log, queries
from dispatch.orders.actions.performing import ATTEMPTS, Call, Data, Done, looked
from dispatch.orders.concerned import conflict, homes_column
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    order_steps,
    take_people,
    takers,
    takes,
)
from dispatch.orders.visibility import kept_from
from dispatch.orders.whole import Whole
from dispatch.people import queries as people
from dispatch.people.queries import PEOPLE
from dispatch.people.serving import not_serving, serving

TAKEN, ALREADY_YOURS = "taken", "already_yours"


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
        SlotTaken, OrderClosed, NotEligible: why not, for whoever is or was in the audience.
    """
    homes = homes_column(actor.tenant.id, [actor.account_id])
    also = serving(actor) | homes | {"kept_from": kept_from(actor)}
    for _ in range(ATTEMPTS):
        seen, row, done = await looked(db, actor, order_id, call, also=also, hidden=True)
        if done:
            return done
        at = seen.not_before(at)
        if row.kept_from:
            raise OrderNotFound()
        party, grant = _as(actor)
        other = _as_another(data, party)
        held = None if other else _held_by(seen.life, party)
        if held is not None:
            outcome = {"outcome": ALREADY_YOURS, "take_id": str(held)}
            if await claim(db, call.key, status=200, order_id=order_id, outcome=outcome, at=at):
                return Done(order_id, outcome)
            await start_over(db)
            continue
        refusal = await _refusal(db, actor, seen, row, party, grant, at=at)
        if other and not isinstance(refusal, OrderNotFound):
            raise RoleForbidden()
        if refusal or party is None:
            raise refusal or RoleForbidden()
        won = await _win(db, actor, seen, party, call, at=at)
        if won is not None:
            return Done(order_id, {"outcome": TAKEN, "take_id": str(won)})
        await start_over(db)
    raise SlotTaken()


def _as(actor: Actor) -> tuple[Party | None, Grant]:
    """What the actor takes as, and under which grant."""
    grant = actor.acting
    assert grant is not None  # writes have one
    return party_of(grant, actor.account_id), grant


def _as_another(data: Data, party: Party | None) -> bool:
    """Whether the caller wants to take as somebody it does not act for."""
    wanted = data.get("as")
    return wanted is not None and (TakerKind(wanted["kind"]), wanted["id"]) != party


def _held_by(life: Life, party: Party | None) -> UUID | None:
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
    why = not_serving(row)
    return NotEligible(why=why) if why else None


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


async def _win(
    db: AsyncConnection, actor: Actor, seen: Whole, party: Party, call: Call, *, at: datetime
) -> UUID | None:
    """Win a slot, or None if what was seen no longer holds (the transaction must then start over)."""
    tenant_id, held = actor.tenant.id, seen.life.held
    assert held is not None
    kind, taker_id = party
    take_id = _former(seen, held, party) or new_id()
    outcome = {"outcome": TAKEN, "take_id": str(take_id)}
    if not await claim(db, call.key, status=200, order_id=seen.life.id, outcome=outcome, at=at):
        return None
    me = {"tenant_id": tenant_id, "kind": str(kind), "taker_id": taker_id}
    await db.execute(counting_up(db, takers, me, "takes_made"))
    slot = await guarded(
        db, _slot_guard(tenant_id, held, party, at=at), _take(actor, seen, held, party, take_id, at=at)
    )
    if slot is None:
        return None
    made = Take(take_id, held.id, TakerKind(kind), taker_id, TakeState.ACTIVE, at, actor.account_id)
    return take_id if await _settle(db, actor, seen, made, slot.slots_taken, at=at) else None


def _former(seen: Whole, held: Dispatch, party: Party) -> UUID | None:
    """A take that the same taker gave back in this dispatch: it is made active again."""
    for line in seen.lists["takes"]:
        if line["dispatch_id"] == held.id and (line["kind"], line["taker_id"]) == party:
            found: UUID = line["id"]
            return found
    return None


def _slot_guard(tenant_id: int, held: Dispatch, party: Party, *, at: datetime) -> Any:
    """A slot, if there is one: running, unexpired, not full, and the taker is not on it yet."""
    kind, taker_id = party
    mine = exists().where(
        takes.c.tenant_id == tenant_id,
        takes.c.order_id == dispatches.c.order_id,
        takes.c.kind == str(kind),
        takes.c.taker_id == taker_id,
        takes.c.state == TakeState.ACTIVE,
    )
    conditions = [
        dispatches.c.tenant_id == tenant_id,
        dispatches.c.id == held.id,
        dispatches.c.state == "running",
        dispatches.c.slots_taken < dispatches.c.slots_max,
        (dispatches.c.expires_at.is_(None)) | (dispatches.c.expires_at >= at),
        ~mine,
    ]
    full = dispatches.c.slots_taken + 1 >= dispatches.c.slots_max
    return (
        update(dispatches)
        .where(*conditions)
        .values(
            slots_taken=dispatches.c.slots_taken + 1,
            takes_made=dispatches.c.takes_made + 1,
            state=case((full, "filled"), else_="running"),
        )
        .returning(dispatches.c.id, dispatches.c.slots_taken, dispatches.c.takes_made)
    )


def _take(
    actor: Actor, seen: Whole, held: Dispatch, party: Party, take_id: UUID, *, at: datetime
) -> list[Dependent]:
    """The take's row and the person it puts on the order."""
    tenant_id, life, (kind, taker_id) = actor.tenant.id, seen.life, party
    row = {
        "tenant_id": tenant_id,
        "id": take_id,
        "order_id": life.id,
        "dispatch_id": held.id,
        "nth": Seen("takes_made"),
        "kind": str(kind),
        "taker_id": taker_id,
        "account_id": actor.account_id,
        "state": TakeState.ACTIVE,
        "round": life.round,
        "taken_at": at,
        "ended_at": None,
        "reached_at": None,
        "failed_tries": 0,
        "last_try_at": None,
        "minutes": None,
    }
    renewed = tuple(name for name in row if name not in ("tenant_id", "id", "order_id", "dispatch_id", "nth"))
    dependents: list[Dependent] = [Rows(takes, [row], update=renewed)]
    if kind in PEOPLE:
        person = {
            "tenant_id": tenant_id,
            "order_id": life.id,
            "account_id": taker_id,
            "take_id": take_id,
            "position": 0,
        }
        # A row of an earlier round, done and gone, is written over.
        dependents.append(Rows(take_people, [person], update=("take_id", "position")))
    return dependents


def _following(held: Dispatch, party: Party, slots_taken: int) -> tuple[Target, ...]:
    """Whom an offer in order asks next, now that this party has taken: somebody while slots are free."""
    if held.mode is Mode.OPEN or slots_taken >= held.slots_max:
        return ()
    return asked_next(
        tuple(
            replace(target, state=TargetState.TAKEN) if target.party == party else target
            for target in held.targets
        )
    )


def _accepted(
    tenant_id: int, held: Dispatch, party: Party, following: tuple[Target, ...], moved: Moved
) -> list[Dependent]:
    """The candidate has taken, and the next one is asked."""
    if held.mode is Mode.OPEN:
        return []
    changes: list[Dependent] = [_line(tenant_id, held, party).values(state=TargetState.TAKEN)]
    changes += [_line(tenant_id, held, target.party).values(state=target.state) for target in following]
    if moved.dispatch:
        own = (dispatches.c.tenant_id == tenant_id, dispatches.c.id == held.id)
        changes.append(update(dispatches).where(*own).values(**moved.dispatch))
    return changes


def _still_asked(tenant_id: int, held: Dispatch, party: Party) -> list[ColumnElement[bool]]:
    """The candidate has not declined meanwhile.

    Asked in a statement under the dispatch's lock: it sees a decline that came between, which the slot's
    guard may not (its subquery reads what stood when it began to wait).
    """
    if held.mode is Mode.OPEN:
        return []
    asked = exists().where(
        dispatch_targets.c.tenant_id == tenant_id,
        dispatch_targets.c.dispatch_id == held.id,
        dispatch_targets.c.kind == str(party[0]),
        dispatch_targets.c.target_id == party[1],
        dispatch_targets.c.state.in_((TargetState.ASKED, TargetState.TAKEN)),
    )
    return [asked]


def _line(tenant_id: int, held: Dispatch, party: Party) -> Update:
    return update(dispatch_targets).where(
        dispatch_targets.c.tenant_id == tenant_id,
        dispatch_targets.c.dispatch_id == held.id,
        dispatch_targets.c.kind == str(party[0]),
        dispatch_targets.c.target_id == party[1],
    )


async def _settle(
    db: AsyncConnection, actor: Actor, seen: Whole, made: Take, slots_taken: int, *, at: datetime
) -> bool:
    """Write order, step and fact. The dispatch's lock is held, so only moves that leave the dispatch alone
    (a note, a push) may have come between: look again and write against what stands now. If somebody was
    staffed meanwhile it may have been this taker: then all starts over."""
    who, tenant_id, first = log.author(actor), actor.tenant.id, seen.life.version
    for _ in range(ATTEMPTS):
        held = seen.life.held
        if held is None or (seen.life.state, Move.TAKE) not in EDGES:
            return False
        moved = taken(seen.life, made.id, slots_taken)
        following = _following(held, made.party, slots_taken)
        if following and held.lasts_seconds:  # the next one asked has his own time
            until = at + timedelta(seconds=held.lasts_seconds)
            moved = replace(moved, dispatch_id=held.id, dispatch={"expires_at": until})
        if await log.rejoin(
            db,
            seen,
            moved,
            who,
            made,
            at=at,
            where=_still_asked(tenant_id, held, made.party),
            besides=_accepted(tenant_id, held, made.party, following, moved),
        ):
            return True
        also = {"staffed": _staffed(tenant_id, seen.life.id, since=first)}
        seen, row = await queries.whole(db, actor, seen.life.id, hidden=True, also=also)
        if row.staffed:
            return False
    return False


def _staffed(tenant_id: int, order_id: UUID, *, since: int) -> ColumnElement[bool]:
    """Whether a body was staffed after a version."""
    return exists().where(
        order_steps.c.tenant_id == tenant_id,
        order_steps.c.order_id == order_id,
        order_steps.c.seq > since,
        order_steps.c.move == Move.STAFF,
    )
