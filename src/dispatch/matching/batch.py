"""A plan for many orders at once: what waits, who could, and the assignment that is best for all together."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.explaining import scored
from dispatch.domain.life import Party
from dispatch.domain.matching import Candidate, Need, Scored, why_not
from dispatch.domain.matchrule import Rule
from dispatch.domain.people import Actor
from dispatch.matching import needs, queries
from dispatch.orders.listing import backlog
from dispatch.orders.whole import Whole

if TYPE_CHECKING:
    from dispatch.matching.pool import Pool
    from dispatch.matching.solver import Demand, Floats, Ints

MOST_ORDERS = 2000
"""Orders of one run; the others wait for the next."""

FEW = 30
"""Candidates looked at for each order, best first; more only while somebody is left with nobody (performance.md §8)."""

EVERYWHERE = "/"
"""The path under which every place lies."""

Familiar = Mapping[UUID, Mapping[Party, int]]
"""By beneficiary, who helped how often."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order that waits, with its needs and its rule."""

    whole: Whole
    need: Need
    rule: Rule


@dataclass(frozen=True, slots=True)
class Placed:
    """An order and who should be asked."""

    waiting: Waiting
    takers: tuple[tuple[Candidate, Scored], ...]
    others: tuple[tuple[Candidate, Scored], ...] = ()
    """The next best, to be asked after the takers."""


@dataclass(frozen=True, slots=True)
class Left:
    """An order for which nobody was found, and how many of its street each reason kept back."""

    waiting: Waiting
    why_not: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every waiting order is in one of the two."""

    placed: tuple[Placed, ...] = ()
    left: tuple[Left, ...] = ()


async def waiting(
    db: AsyncConnection,
    actor: Actor,
    *,
    place_id: UUID | None = None,
    only: Sequence[ColumnElement[bool]] = (),
    at: datetime,
) -> tuple[list[Waiting], needs.Context]:
    """The orders that wait in the actor's scope (``only`` these), and what stands beside them."""
    wholes = await backlog(db, actor, place_id=place_id, only=only, limit=MOST_ORDERS, at=at)
    beside = await needs.context(db, actor.tenant.id, wholes)
    found = [
        Waiting(whole, needs.need(whole, beside, at=at), beside.rule(whole.row.item_code)) for whole in wholes
    ]
    return found, beside


async def plan(
    db: AsyncConnection, actor: Actor, found: Sequence[Waiting], beside: needs.Context, *, at: datetime
) -> Plan:
    """Who should be asked for each of these orders. Six statements; the solving is done beside the event loop."""
    if not found:
        return Plan()
    people = await queries.candidates(db, actor.tenant.id, EVERYWHERE, beside, at=at)
    members = [one for one in people if not one.body]
    helped = await queries.familiar(
        db, actor.tenant.id, {id for one in found if (id := one.need.concerned.beneficiary_id)}
    )
    return await asyncio.to_thread(solved, found, members, helped)


def solved(found: Sequence[Waiting], members: Sequence[Candidate], helped: Familiar) -> Plan:
    """The plan for these orders and members."""
    from dispatch.matching.pool import Pool

    placed = placements(found, Pool(members), helped)
    left = [_in_street(one) for one in found if one.need.order_id not in placed]
    return Plan(
        tuple(placed.values()),
        tuple(Left(one, _reasons(one, members)) for one in left),
    )


def placements(found: Sequence[Waiting], pool: "Pool", helped: Familiar) -> dict[UUID, Placed]:
    """Community by community first; who is left there is looked for in the whole street. Hands given are the pool's no more."""
    placed = _round(found, pool, helped)
    left = [one for one in found if one.need.order_id not in placed]
    return placed | _round([_in_street(one) for one in left if one.need.street_id], pool, helped)


def _in_street(one: Waiting) -> Waiting:
    ring_id = one.need.street_id or one.need.ring_id
    return replace(one, need=replace(one.need, ring_id=ring_id))


def _reasons(one: Waiting, members: Sequence[Candidate]) -> Mapping[str, int]:
    """What keeps back those who are near enough."""
    found: Counter[str] = Counter()
    for who in members:
        if one.need.ring_id in who.path:
            found.update(why_not(one.need, who))
    return dict(found)


def _round(found: Sequence[Waiting], pool: "Pool", helped: Familiar) -> dict[UUID, Placed]:
    """Assign what can be assigned with the hands that are still free, and take these hands.

    The solver knows one number of free hands for each; where items have limits of their own, what goes beyond one is
    put back and the rest solved again. Of an urgency what has the narrower limit goes first: it would not fit after.
    """
    placed: dict[UUID, Placed] = {}
    rest = list(found)
    while rest:
        assigned = _assigned(rest, pool, helped)
        beyond = False
        for one, demand, rows in sorted(assigned, key=lambda line: _precedence(line[0].need)):
            if (pool.hands(one.need)[list(rows)] <= 0).any():
                beyond = True
                continue
            pool.give(one.need, rows)
            left = pool.hands(one.need)
            spare = [row for row in demand.takers.tolist() if row not in rows and left[row] > 0]
            told = _told(one, rows, pool, helped)
            others = _told(one, spare[: max(one.rule.offers - len(rows), 0)], pool, helped)
            placed[one.need.order_id] = Placed(one, told, others)
        if not beyond:
            break
        rest = [one for one in rest if one.need.order_id not in placed]
    return placed


def _precedence(need: Need) -> tuple[str, int]:
    limits = [most for most in (need.capacity, need.member_limit) if most is not None]
    return (need.urgency, min(limits, default=0))


def _assigned(
    found: Sequence[Waiting], pool: "Pool", helped: Familiar
) -> list[tuple[Waiting, "Demand", tuple[int, ...]]]:
    """Who should take what, at most as much as the widest limit of these orders allows."""
    import numpy as np

    from dispatch.matching.solver import Demand, assign

    few = FEW
    limits = {_limits(one.need): one.need for one in found}
    hands = np.maximum.reduce([pool.hands(need) for need in limits.values()])
    while True:
        demands = [Demand(*_best(one, pool, helped, few), one.need.slots, one.need.urgency) for one in found]
        taken = assign(demands, hands, pool.active)
        cut = any(len(demand.takers) == few for demand in demands)
        if all(taken) or not cut or few >= pool.size:
            break
        few *= 4
    return [line for line in zip(found, demands, taken, strict=True) if line[2]]


def _limits(need: Need) -> tuple[int | None, int | None, str | None]:
    """What tells needs of different limits apart."""
    return (need.capacity, need.member_limit, None if need.member_limit is None else need.item_code)


def _told(
    one: Waiting, rows: Sequence[int], pool: "Pool", helped: Familiar
) -> tuple[tuple[Candidate, Scored], ...]:
    known = _known(one, helped)
    people = [replace(who, helped=known.get(who.party, 0)) for who in (pool.members[row] for row in rows)]
    lines = [(who, scored(one.need, who, one.rule.weights)) for who in people]
    return tuple(sorted(lines, key=lambda line: -line[1].value))


def _best(one: Waiting, pool: "Pool", helped: Familiar, few: int) -> tuple["Ints", "Floats"]:
    known = {pool.row[party]: times for party, times in _known(one, helped).items() if party in pool.row}
    return pool.best(one.need, one.rule.weights, few, known)


def _known(one: Waiting, helped: Familiar) -> Mapping[Party, int]:
    beneficiary_id = one.need.concerned.beneficiary_id
    return helped.get(beneficiary_id, {}) if beneficiary_id else {}
