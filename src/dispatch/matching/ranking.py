"""The ranking a dispatcher sees: those who can, best first, and then the others with what stands against them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.explaining import scored
from dispatch.domain.life import standing
from dispatch.domain.matching import Candidate, Need, Scored, place_in_line, rank, why_not
from dispatch.domain.matchrule import Rule
from dispatch.domain.order import TakerKind
from dispatch.domain.people import DISPATCHING_ROLES, Actor
from dispatch.domain.privacy import KNOWS
from dispatch.domain.refusal import RoleForbidden, wrong
from dispatch.matching import needs, queries
from dispatch.orders.queries import whole
from dispatch.orders.whole import Whole

MANY = 1000
"""From so many members on columns are worth their making (5 µs a member; one by one it is up to 10)."""

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
) -> tuple[list[Ranked], bool]:
    """Who could take an order, for its dispatcher, and whether that one knows people there by name.

    Seven statements, however many there are.

    Args:
        ring_id: within which of the places around the order; by default where it is open to, or its community.

    Raises:
        OrderNotFound: none, or none of the actor's business.
        RoleForbidden: visible, but not the actor's to hand out.
        ValidationFailed: the ring does not contain the order's place.
    """
    seen, _ = await whole(db, actor, order_id)
    scoped = standing(seen.life, actor).scoped
    if not scoped & DISPATCHING_ROLES:
        raise RoleForbidden()
    if ring_id is not None and ring_id not in seen.life.place:
        raise wrong("ring_place_id", "不包含需求单所在的地点")
    need, rule, found = await around(db, actor.tenant.id, seen, ring_id=ring_id, at=at)
    if len(found) < THREADED:
        lines = ranked(need, found, rule, limit)
    else:
        lines = await asyncio.to_thread(ranked, need, found, rule, limit)
    return lines, bool(scoped & KNOWS)


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
        item_code=need.item_code,
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
    """The first lines of the ranking. Whoever is out of reach is passed over quickly: most are."""
    near, far = _parted(need.ring_id, found)
    can = _best(need, [one for one in near if not one.body], rule, limit)
    can += [one for one in near if one.body and not why_not(need, one)]
    lines = [Ranked(one, (), scored(need, one, rule.weights)) for one in can]
    lines.sort(key=lambda line: place_in_line(need, line.who, line.scored.value if line.scored else 0.0))
    if len(lines) < limit:
        others = [Ranked(one, against, None) for one in near if (against := why_not(need, one))]
        lines += sorted(others, key=lambda line: (len(line.why_not), line.who.kind, line.who.id))
    if len(lines) < limit:
        lines += [Ranked(one, why_not(need, one), None) for one in far[: limit - len(lines)]]
    return lines[:limit]


def _parted(ring_id: UUID, found: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Members within the ring with all bodies, and the other members. A path is looked through once: the members
    of a community share theirs, and comparing ids is what would cost most here."""
    inside: dict[int, bool] = {}
    near: list[Candidate] = []
    far: list[Candidate] = []
    for one in found:
        path = one.path
        within = inside.get(id(path))
        if within is None:
            within = inside[id(path)] = ring_id in path
        (near if within or one.kind is not TakerKind.MEMBER else far).append(one)
    return near, far


def _best(need: Need, members: Sequence[Candidate], rule: Rule, limit: int) -> list[Candidate]:
    """The best members: one by one where there are few, in columns where there are many."""
    if len(members) < MANY:
        return [one for one, _ in rank(need, members, rule.weights)[:limit]]
    from dispatch.matching.pool import Pool

    likely = [
        one for one in members if one.offers & need.offers or (one.skills and need.qualifications is not None)
    ]
    rows, _ = Pool(likely).best(need, rule.weights, limit)
    return [likely[row] for row in rows.tolist()]
