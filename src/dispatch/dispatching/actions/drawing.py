"""The next order for me: of many who ask at once each gets another one, and nobody is refused what a neighbour was given.

By id everybody reaches for the head of a list: of 64 who drain 1,000 orders each is refused nine times for every order
won. Asking for the next, each passes by what another is taking (performance notes, "Contention").
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.guarding import Count, counted
from dispatch.db.idempotency import brought
from dispatch.dispatching.actions.taking import acting_as, once
from dispatch.dispatching.queries import before_next, next_open, read_load, read_rules
from dispatch.domain.life import Party
from dispatch.domain.matchrule import EVERY_ITEM
from dispatch.domain.order import OPEN_KINDS
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    CoolingDown,
    NotEligible,
    NothingOpen,
    OrderClosed,
    OrderNotFound,
    RoleForbidden,
    SlotTaken,
    TakeLimitReached,
)
from dispatch.domain.taking import limit_reached, rests_until, rule_for
from dispatch.orders.actions.performing import Call, Data, Done
from dispatch.orders.tables import takers

MOST_PASSED = 20
"""Orders tried one after the other, if something stands against each that only the taking finds."""

PASSED_BY = (NotEligible, SlotTaken, OrderClosed, OrderNotFound, CoolingDown, TakeLimitReached)


async def take_next(db: AsyncConnection, actor: Actor, data: Data, call: Call, *, at: datetime) -> Done:
    """Take the best order that is open to the caller. ``data``: item_code, place_id.

    Returns:
        ``outcome`` as of ``taking.take``.

    Raises:
        RoleForbidden: the acting grant takes nothing that is open to all.
        TakeLimitReached, CoolingDown: whatever the order.
        NothingOpen: there is none.
    """
    party, _ = acting_as(actor)
    if party is None or party[0] not in OPEN_KINDS:
        raise RoleForbidden()
    passed: set[UUID] = set()
    for _ in range(MOST_PASSED):
        known = await before_next(db, actor, party, call.key, at=at)
        if kept := brought(call.key, known):
            return Done.replay(kept)
        _may_take_any(party, known, at=at)
        me = {"tenant_id": actor.tenant.id, "kind": str(party[0]), "taker_id": party[1]}
        await counted(db, Count(takers, me, "takes_made", by=0))  # the taker's row is locked first
        order_id = None
        for wait in (False, True):
            order_id = order_id or await next_open(
                db,
                actor,
                party,
                known,
                item_code=data.get("item_code"),
                place_id=data.get("place_id"),
                passed=passed,
                wait=wait,
                at=at,
            )
        if order_id is None:
            raise NothingOpen()
        try:
            done = await once(db, actor, order_id, {}, call, at=at)
        except PASSED_BY:
            passed.add(order_id)
            done = None
        if done is not None:
            return done
        await start_over(db)
    raise NothingOpen()


def _may_take_any(party: Party, known: Any, *, at: datetime) -> None:
    """Check what holds for every order.

    Raises:
        CoolingDown, TakeLimitReached: by the rule of all items.
    """
    rules, load = read_rules(known.taking_rules), read_load(known)
    rests = rests_until(rule_for(EVERY_ITEM, rules), load.given_back, at)
    if rests:
        raise CoolingDown(until=rests.isoformat())
    if limit := limit_reached(party[0], EVERY_ITEM, rules, load.held):
        raise TakeLimitReached(limit=limit)
