"""What matching does: it asks those whom it found, through the verb that a dispatcher uses.

Hands are counted under a lock on each taker's row, so two runs at once ask nobody beyond the limit; the order's
own guard lets one of them hand it out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.guarding import Count, counted
from dispatch.db.tenants import tenants
from dispatch.dispatching.actions import handing_out
from dispatch.domain.life import Party
from dispatch.domain.matching import Candidate, Scored
from dispatch.domain.order import DispatchState, Mode, TakeState, TargetState
from dispatch.domain.people import Actor, Tenant, the_service
from dispatch.domain.refusal import Refusal
from dispatch.matching.batch import Placed, Plan, plan, waiting
from dispatch.orders.actions.performing import Call
from dispatch.orders.tables import dispatch_targets, dispatches, takers, takes
from dispatch.people.queries import prove

FULL = "TAKER_FULL"
"""What is said of an order whose taker was given other work between plan and deed; the next run looks again."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run planned, and what became of each order: None if it was handed out, else the reason."""

    plan: Plan
    refused: dict[UUID, str | None]


async def match(
    database: Database, actor: Actor, *, place_id: UUID | None = None, dry_run: bool, at: datetime
) -> Ran:
    """Match everything that waits in the actor's scope; each order is handed out in a transaction of its own.

    Args:
        place_id: only at this place and below.
        dry_run: only say what would be done.
    """
    async with database.reading() as db:
        await prove(db, actor)
        found, beside = await waiting(db, actor, place_id=place_id, at=at)
        made = await plan(db, actor, found, beside, at=at)
    if dry_run:
        return Ran(made, {})
    return Ran(made, await hand_out(database, actor, made.placed, at=at))


def told(ran: Ran) -> list[dict[str, Any]]:
    """A run, line by line, for the command line."""
    placed = [
        {
            "order": one.waiting.whole.number,
            "takers": [
                {"name": who.name, "score": scored.value, "reasons": scored.reasons}
                for who, scored in one.takers
            ],
            "refused": ran.refused.get(one.waiting.need.order_id),
        }
        for one in ran.plan.placed
    ]
    left = [
        {"order": one.waiting.whole.number, "takers": [], "why_not": one.why_not} for one in ran.plan.left
    ]
    return placed + left


async def services(database: Database, *, code: str | None = None) -> list[Actor]:
    """The service itself in every tenant, or in one."""
    async with database.reading() as db:
        rows = select(tenants).order_by(tenants.c.id)
        found = (await db.execute(rows if code is None else rows.where(tenants.c.code == code))).all()
    return [
        the_service(Tenant(row.id, row.code, row.name, ZoneInfo(row.zone), dict(row.labels))) for row in found
    ]


async def hand_out(
    database: Database, actor: Actor, placed: Iterable[Placed], *, in_order: bool = False, at: datetime
) -> dict[UUID, str | None]:
    """Ask whom the plan names. An order that moved on, or whose taker is full by now, is left alone.

    Args:
        in_order: name the next best too, to be asked one after the other (in an emergency all at once).
    """
    told: dict[UUID, str | None] = {}
    for one in placed:
        order_id = one.waiting.need.order_id
        try:
            async with database.writing() as db:
                done = await offer(db, actor, one, in_order=in_order, at=at)
                told[order_id] = None if done else FULL
        except Refusal as refusal:
            told[order_id] = refusal.code
    return told


async def offer(
    db: AsyncConnection, actor: Actor, one: Placed, *, in_order: bool = False, at: datetime
) -> bool:
    """Offer an order to its takers. False if one of them has no hand free any more.

    Raises:
        OrderMoved: somebody else has handed it out, or it is no longer there to be.
    """
    rule, slots = one.waiting.rule, one.waiting.need.slots
    parties = [who.party for who, _ in one.takers]
    limits = {who.party: who.capacity for who, _ in one.takers}
    in_hand = await _counted(db, actor.tenant.id, parties)
    if any(in_hand[party] >= limits[party] for party in parties):
        return False
    # Of several slots all takers must be asked at once, and the others would be asked with them.
    named = [*one.takers, *one.others] if in_order and slots == 1 else one.takers
    data = {
        "mode": Mode.OFFER,
        "targets": [target(who, told) for who, told in named],
        "parallel": slots > 1 or one.waiting.need.urgency == "U1",
        "slots_min": slots,
        "slots_max": slots,
        "expires_in_seconds": rule.offer_seconds,
    }
    await handing_out.dispatch(db, actor, one.waiting.need.order_id, data, Call(), at=at)
    return True


def target(who: Candidate, told: Scored) -> dict[str, Any]:
    """A candidate as a dispatch names it, with what was said for it at the time."""
    parts = {name: round(part, 3) for name, part in told.parts.items()}
    said = {"score": told.value, "parts": parts, "reasons": list(told.reasons)}
    return {"kind": who.kind, "id": who.id, "match": said}


async def _counted(db: AsyncConnection, tenant_id: int, parties: Sequence[Party]) -> dict[Party, int]:
    """What each holds or is asked for, read under the lock that its takes take too.

    Taker first, then dispatch, then order: the rulebook's order; and takers always in the same one, so that two
    runs wait for each other and never in a circle.
    """
    for kind, id in sorted(parties):
        key = {"tenant_id": tenant_id, "kind": str(kind), "taker_id": id}
        await counted(db, Count(takers, key, "takes_made", by=0))
    held = select(takes.c.kind, takes.c.taker_id.label("id"), func.count().label("many")).where(
        takes.c.tenant_id == tenant_id,
        takes.c.state == TakeState.ACTIVE,
        or_(*(and_(takes.c.kind == str(kind), takes.c.taker_id == id) for kind, id in parties)),
    )
    asked = (
        select(dispatch_targets.c.kind, dispatch_targets.c.target_id.label("id"), func.count().label("many"))
        .select_from(
            dispatch_targets.join(
                dispatches,
                and_(
                    dispatches.c.tenant_id == dispatch_targets.c.tenant_id,
                    dispatches.c.id == dispatch_targets.c.dispatch_id,
                    dispatches.c.tenant_id == literal(tenant_id),
                ),
            )
        )
        .where(
            dispatch_targets.c.tenant_id == tenant_id,
            dispatch_targets.c.state == TargetState.ASKED,
            dispatches.c.state == DispatchState.RUNNING,
            or_(
                *(
                    and_(dispatch_targets.c.kind == str(kind), dispatch_targets.c.target_id == id)
                    for kind, id in parties
                )
            ),
        )
    )
    counts = dict.fromkeys(parties, 0)
    rows = await db.execute(
        union_all(
            held.group_by(takes.c.kind, takes.c.taker_id),
            asked.group_by(dispatch_targets.c.kind, dispatch_targets.c.target_id),
        )
    )
    for row in rows:
        counts[(row.kind, row.id)] += row.many
    return counts
