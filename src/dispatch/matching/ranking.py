"""The ranking a dispatcher sees: those who can, best first, and then the others with what stands against them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.explaining import scored
from dispatch.domain.life import standing
from dispatch.domain.matching import Candidate, Need, Scored, place_in_line, why_not
from dispatch.domain.matchrule import Rule
from dispatch.domain.people import DISPATCHING_ROLES, Actor
from dispatch.domain.refusal import RoleForbidden, wrong
from dispatch.matching import needs, queries
from dispatch.orders.queries import whole
from dispatch.orders.whole import Whole

THREADED = 2000
"""From so many candidates on the work is done beside the event loop."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One line of the ranking; what stands against a candidate leaves it without a score."""

    who: Candidate
    why_not: tuple[str, ...]
    scored: Scored | None


async def candidates(
    db: AsyncConnection,
    actor: Actor,
    order_id: UUID,
    *,
    limit: int,
    ring_id: UUID | None = None,
    at: datetime,
) -> list[Ranked]:
    """Who could take an order, for its dispatcher. Seven statements, however many there are.

    Args:
        ring_id: within which of the places around the order; by default where it is open to, or its community.

    Raises:
        OrderNotFound: none, or none of the actor's business.
        RoleForbidden: visible, but not the actor's to hand out.
        ValidationFailed: the ring does not contain the order's place.
    """
    seen, _ = await whole(db, actor, order_id)
    if not standing(seen.life, actor).scoped & DISPATCHING_ROLES:
        raise RoleForbidden()
    if ring_id is not None and ring_id not in seen.life.place:
        raise wrong("ring_place_id")
    need, rule, found = await around(db, actor.tenant.id, seen, ring_id=ring_id, at=at)
    if len(found) < THREADED:
        return ranked(need, found, rule, limit)
    return await asyncio.to_thread(ranked, need, found, rule, limit)


async def around(
    db: AsyncConnection, tenant_id: int, seen: Whole, *, ring_id: UUID | None = None, at: datetime
) -> tuple[Need, Rule, list[Candidate]]:
    """What an order needs, by which rule, and everybody in its street (or in a wider ring)."""
    beside = await needs.context(db, tenant_id, [seen])
    need = needs.need(seen, beside, ring_id=ring_id, at=at)
    rule = beside.rule(need.item_code)
    found = await queries.candidates(
        db,
        tenant_id,
        path_around(seen, need.ring_id),
        beside,
        rule,
        beneficiary_id=need.concerned.beneficiary_id,
        at=at,
    )
    return need, rule, found


def path_around(seen: Whole, ring_id: UUID) -> str:
    """The path of the order's street, or of the ring if that is wider."""
    path = seen.row.place_path.strip("/").split("/")
    ends = [path.index(id.hex) for id in (seen.row.street_id, ring_id) if id and id.hex in path]
    return f"/{'/'.join(path[: min(ends, default=0) + 1])}/"


def ranked(need: Need, found: Sequence[Candidate], rule: Rule, limit: int) -> list[Ranked]:
    """The first lines of the ranking."""
    from dispatch.matching.pool import Pool

    members = [one for one in found if not one.body]
    pool = Pool(members)
    rows, _ = pool.best(need, rule.weights, limit)
    can = [members[row] for row in rows.tolist()]
    can += [one for one in found if one.body and not why_not(need, one)]
    lines = [Ranked(one, (), scored(need, one, rule.weights)) for one in can]
    lines.sort(key=lambda line: place_in_line(need, line.who, line.scored.value if line.scored else 0.0))
    if len(lines) < limit:
        others = [Ranked(one, against, None) for one in found if (against := why_not(need, one))]
        others.sort(key=lambda line: (len(line.why_not), line.who.kind, line.who.id))
        lines += others
    return lines[:limit]
