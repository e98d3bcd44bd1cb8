"""How a slot is won: the writes of a take, and its guards.

The order of the guards is the rulebook's ("How a take is decided"), and every one of them is a condition inside a
write, so that no two takers can both see the last slot: (1) the taker's own row, (2) the dispatch's row, (3) the take,
(4) the order's row, (5) step and fact. The taker's row counts every take: if the count is not the one that was read,
somebody took with the same hands, and the load is read again under the lock.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, case, exists, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import TENANT, Brought, Columns
from dispatch.db.guarding import Change, Count, Dependent, Rows, Seen, counted, guarded
from dispatch.db.idempotency import claim
from dispatch.db.ids import new_id
from dispatch.db.types import Id, Instant
from dispatch.dispatching.queries import load_now, read_load, read_rules
from dispatch.domain.calendar import due
from dispatch.domain.handing import asked_next, taken
from dispatch.domain.life import (
    Dispatch,
    Party,
    Take,
    Target,
    asked_of,
    named,
)
from dispatch.domain.moved import Moved
from dispatch.domain.order import (
    EDGES,
    PEOPLE,
    Mode,
    Move,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Actor
from dispatch.domain.refusal import NotEligible, Refusal
from dispatch.domain.sla import Clock
from dispatch.domain.taking import Wanted, lease_until, rule_for, unfair
from dispatch.orders import log, queries
from dispatch.orders.actions.performing import ATTEMPTS, Call
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    order_steps,
    orders,
    take_people,
    takers,
    takes,
)
from dispatch.orders.whole import Whole, terms_of
from dispatch.people.serving import not_serving
from dispatch.sla.queries import basis_for

TAKEN = "taken"


def against(seen: Whole, row: Any, party: Party, *, at: datetime) -> Refusal | None:
    """What the taker's load has against it. ``row``: holds ``load_columns``."""
    order, held = seen.row, seen.life.held
    assert held is not None  # no refusal
    wanted = Wanted(seen.life.id, order.item_code, order.wanted_from, order.wanted_to)
    return unfair(wanted, party, held, read_rules(row.taking_rules), read_load(row), at=at)


async def win(
    db: AsyncConnection, actor: Actor, seen: Whole, row: Any, party: Party, call: Call, *, at: datetime
) -> UUID | None:
    """Win a slot, or None if what was seen no longer holds (the transaction must then start over).

    Raises:
        TakeLimitReached, CoolingDown, NotEligible: by what this taker took in the meantime.
    """
    tenant_id, held = actor.tenant.id, seen.life.held
    assert held is not None
    take_id, nth = former(seen, held, party) or (new_id(), None)
    outcome = {"outcome": TAKEN, "take_id": str(take_id)}
    if not await claim(db, call.key, status=200, order_id=seen.life.id, outcome=outcome, at=at):
        return None
    await alone(db, actor, seen, row, party, at=at)
    at = seen.life.later(at)
    kept_until = await lease(db, seen, row, held, at=at)
    made = Take(take_id, held.id, TakerKind(party[0]), party[1], TakeState.ACTIVE, at, actor.account_id)
    made = replace(made, lease_until=kept_until)
    slot = await guarded(db, _slot_guard(tenant_id, held, party, at=at), take_rows(actor, seen, made, at=at))
    if slot is None:
        return None
    made = replace(made, nth=nth or slot.takes_made)
    return take_id if await _settle(db, actor, seen, made, slot.slots_taken) else None


async def raised(db: AsyncConnection, tenant_id: int, party: Party) -> int:
    """Lock the taker's row and count on: from here on nobody else takes with these hands, and a take that was judged
    before is judged again. Whoever ends a taker's service begins with it."""
    me = {"tenant_id": tenant_id, "kind": str(party[0]), "taker_id": party[1]}
    found: int = (await counted(db, Count(takers, me, "takes_made"))).takes_made
    return found


async def alone(
    db: AsyncConnection, actor: Actor, seen: Whole, row: Any, party: Party, *, at: datetime
) -> None:
    """Have the taker's row to oneself (``raised``).

    Raises:
        Refusal: what they took since ``row`` was read stands against one more, or they serve no more.
    """
    if await raised(db, actor.tenant.id, party) == row.takes_made + 1:
        return
    now = await load_now(db, actor, party, at=at)
    why = not_serving(now)
    refusal = NotEligible(why=why) if why else against(seen, now, party, at=at)
    if refusal:
        raise refusal


def former(seen: Whole, held: Dispatch, party: Party) -> tuple[UUID, int] | None:
    """Id and ``nth`` of a take that the same taker gave back in this dispatch: it is made active again."""
    for line in seen.lists["takes"]:
        if line["dispatch_id"] == held.id and (line["kind"], line["taker_id"]) == party:
            return line["id"], line["nth"]
    return None


_ON_IT = exists().where(
    takes.c.tenant_id == dispatches.c.tenant_id,
    takes.c.order_id == dispatches.c.order_id,
    takes.c.kind == bindparam("slot_kind", type_=takes.c.kind.type),
    takes.c.taker_id == bindparam("slot_taker", type_=Id()),
    takes.c.state == TakeState.ACTIVE,
)
_OWN, _WHEN = bindparam("slot_own", type_=Integer()), bindparam("slot_at", type_=Instant())
_FREE = (
    dispatches.c.slots_taken + dispatches.c.slots_held - _OWN < dispatches.c.slots_max,
    or_(dispatches.c.expires_at.is_(None), dispatches.c.expires_at >= _WHEN),
    ~_ON_IT,
)
"""A slot is left (``slot_own``: 1 if a place is kept for this taker), in time, and the taker is not on it yet."""
_ONE_MORE = {
    "slots_taken": dispatches.c.slots_taken + 1,
    "takes_made": dispatches.c.takes_made + 1,
    "slots_held": dispatches.c.slots_held - _OWN,
    "state": case((dispatches.c.slots_taken + 1 >= dispatches.c.slots_max, "filled"), else_="running"),
}


def _slot_guard(tenant_id: int, held: Dispatch, party: Party, *, at: datetime) -> Change:
    """A slot, if there is one."""
    own = int(held.mode is Mode.OPEN and asked_of(held, party))
    bound = {"slot_kind": str(party[0]), "slot_taker": party[1], "slot_own": own, "slot_at": at}
    where = {"tenant_id": tenant_id, "id": held.id, "state": "running"}
    told = ("id", "slots_taken", "takes_made")
    return Change(dispatches, where, _ONE_MORE, holds=_FREE, bound=bound, returning=told)


async def lease(
    db: AsyncConnection, seen: Whole, row: Any, held: Dispatch, *, at: datetime
) -> datetime | None:
    """Until when the take will be kept without a sign of life. No statement: the first one brought what it rests on."""
    basis = await basis_for(db, seen.row.tenant_id, terms_of(seen), seen.row)
    limit = basis.limits.get(Clock.CONTACT)
    contact = due(limit, at, basis.calendar) if limit else None
    rule = rule_for(seen.row.item_code, read_rules(row.taking_rules))
    return lease_until(rule, held.mode, seen.row.urgency, contact.due_at if contact else None, at)


def take_rows(
    actor: Actor, seen: Whole, made: Take, *, nth: int | None = None, at: datetime
) -> list[Dependent]:
    """The take's row and the person it puts on the order. ``nth``: the how-manieth of the dispatch; else the guard tells."""
    tenant_id, life, (kind, taker_id) = actor.tenant.id, seen.life, made.party
    row = {
        "tenant_id": tenant_id,
        "id": made.id,
        "order_id": life.id,
        "dispatch_id": made.dispatch_id,
        "nth": Seen("takes_made") if nth is None else nth,
        "kind": str(kind),
        "taker_id": taker_id,
        "account_id": made.account_id,
        "state": TakeState.ACTIVE,
        "round": life.round,
        "taken_at": at,
        "ended_at": None,
        "reached_at": None,
        "failed_tries": 0,
        "last_try_at": None,
        "lease_until": made.lease_until,
        "minutes": None,
    }
    renewed = tuple(name for name in row if name not in ("tenant_id", "id", "order_id", "dispatch_id", "nth"))
    dependents: list[Dependent] = [Rows(takes, [row], update=renewed)]
    if kind in PEOPLE:
        person = {
            "tenant_id": tenant_id,
            "order_id": life.id,
            "account_id": taker_id,
            "take_id": made.id,
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
    """The candidate has taken, and the next one is asked; in an open dispatch, who waited has."""
    if named(held, party) is None:
        return []
    changes: list[Dependent] = [
        _line(tenant_id, held, party, {"state": TargetState.TAKEN, "until": None}),
        *(_line(tenant_id, held, target.party, {"state": target.state}) for target in following),
    ]
    if moved.dispatch:
        changes.append(Change(dispatches, {"tenant_id": tenant_id, "id": held.id}, moved.dispatch))
    return changes


_STILL_ASKED = exists().where(
    dispatch_targets.c.tenant_id == orders.c.tenant_id,
    dispatch_targets.c.dispatch_id == bindparam("asked_in", type_=Id()),
    dispatch_targets.c.kind == bindparam("asked_kind", type_=dispatch_targets.c.kind.type),
    dispatch_targets.c.target_id == bindparam("asked_id", type_=Id()),
    dispatch_targets.c.state.in_((TargetState.ASKED, TargetState.TAKEN)),
)


def _still_asked(held: Dispatch, party: Party) -> dict[str, Any]:
    """The candidate has not declined meanwhile.

    Asked in a statement under the dispatch's lock: it sees a decline that came between, which the slot's
    guard may not (its subquery reads what stood when it began to wait).
    """
    if held.mode is Mode.OPEN and not asked_of(held, party):
        return {}
    bound = {"asked_in": held.id, "asked_kind": str(party[0]), "asked_id": party[1]}
    return {"holds": (_STILL_ASKED,), "bound": bound}


def _line(tenant_id: int, held: Dispatch, party: Party, values: Mapping[str, Any]) -> Change:
    where = {"tenant_id": tenant_id, "dispatch_id": held.id, "kind": str(party[0]), "target_id": party[1]}
    return Change(dispatch_targets, where, values)


async def _settle(db: AsyncConnection, actor: Actor, seen: Whole, made: Take, slots_taken: int) -> bool:
    """Write order, step and fact. The dispatch's lock is held, so only moves that leave the dispatch alone
    (a note, a push) may have come between: look again and write against what stands now. If somebody was
    staffed meanwhile it may have been this taker: then all starts over. Takes that were won while this one
    waited stand before it, though they may have been asked for later."""
    who, tenant_id, first = log.author(actor), actor.tenant.id, seen.life.version
    own = seen.life.held is not None and asked_of(seen.life.held, made.party)
    for _ in range(ATTEMPTS):
        held = seen.life.held
        if held is None or (seen.life.state, Move.TAKE) not in EDGES:
            return False
        if own and not asked_of(held, made.party):
            return False  # the place that was kept is another's by now
        at = seen.not_before(seen.life.later(made.taken_at, but=made.id))
        moved = taken(seen.life, made.id, slots_taken)
        mine = named(held, made.party)
        if mine is not None:
            moved = replace(moved, targets=(replace(mine, state=TargetState.TAKEN, until=None),))
        following = _following(held, made.party, slots_taken)
        if following and held.lasts_seconds:  # the next one asked has his own time
            until = at + timedelta(seconds=held.lasts_seconds)
            moved = replace(moved, dispatch_id=held.id, dispatch={"expires_at": until})
        if await log.rejoin(
            db,
            seen,
            moved,
            who,
            replace(made, taken_at=at),
            at=at,
            **_still_asked(held, made.party),
            besides=[
                *_accepted(tenant_id, held, made.party, following, moved),
                *_put_off(tenant_id, made, at),
            ],
        ):
            return True
        also = [Brought(_STAFFED, {"staffed_since": first})]
        seen, row = await queries.whole(db, actor, seen.life.id, hidden=True, also=also)
        if row.staffed:
            return False
    return False


def _put_off(tenant_id: int, made: Take, at: datetime) -> list[Dependent]:
    """The take stands where it was won, not where it was asked for."""
    if at == made.taken_at:
        return []
    return [Change(takes, {"tenant_id": tenant_id, "id": made.id}, {"taken_at": at})]


_STAFFED = Columns(
    staffed=exists().where(
        order_steps.c.tenant_id == TENANT,
        order_steps.c.order_id == queries.WANTED,
        order_steps.c.seq > bindparam("staffed_since", type_=Integer()),
        order_steps.c.move == Move.STAFF,
    )
)
"""Whether a body was staffed after a version."""
