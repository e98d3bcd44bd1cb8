"""What matching does: it asks those whom it found, through the verb that a dispatcher uses.

Hands are counted under a lock on each taker's row, so two runs at once ask nobody beyond the limit; the order's
own guard lets one of them hand it out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, CompoundSelect, and_, case, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.guarding import Count, counted
from dispatch.db.tenants import tenants
from dispatch.dispatching.actions import handing_out
from dispatch.domain.life import Party
from dispatch.domain.matching import Candidate, Scored, hands
from dispatch.domain.order import DispatchState, Mode, TakeState, TargetState
from dispatch.domain.people import Actor, Tenant, the_service
from dispatch.domain.refusal import Refusal
from dispatch.matching.batch import Placed, Plan, plan, waiting
from dispatch.matching.queries import DAY, WEEK
from dispatch.orders.actions.performing import Call
from dispatch.orders.tables import dispatch_targets, dispatches, orders, takers, takes
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
    need, rule, slots = one.waiting.need, one.waiting.rule, one.waiting.need.slots
    asked = await _as_they_stand(db, actor.tenant.id, [who for who, _ in one.takers], need.item_code, at=at)
    if any(who.free_slots <= 0 or hands(need, who) <= 0 for who in asked):
        return False
    # Of several slots all takers must be asked at once, and the others would be asked with them.
    named = [*one.takers, *one.others] if in_order and slots == 1 else one.takers
    data = {
        "mode": Mode.OFFER,
        "targets": [target(who, told) for who, told in named],
        "parallel": slots > 1 or need.urgency == "U1",
        "slots_min": slots,
        "slots_max": slots,
        "expires_in_seconds": rule.offer_seconds,
    }
    await handing_out.dispatch(db, actor, need.order_id, data, Call(), at=at)
    return True


def target(who: Candidate, told: Scored) -> dict[str, Any]:
    """A candidate as a dispatch names it, with what was said for it at the time."""
    parts = {name: round(part, 3) for name, part in told.parts.items()}
    said = {"score": told.value, "parts": parts, "reasons": list(told.reasons)}
    return {"kind": who.kind, "id": who.id, "match": said}


async def _as_they_stand(
    db: AsyncConnection, tenant_id: int, people: Sequence[Candidate], item_code: str, *, at: datetime
) -> list[Candidate]:
    """The same with what each holds or is asked for now, of everything and of this item, and took of late; read under the
    lock that their takes take too.

    Taker first, then dispatch, then order: the rulebook's order; and takers always in the same one, so that two
    runs wait for each other and never in a circle.
    """
    parties = [who.party for who in people]
    for kind, id in sorted(parties):
        key = {"tenant_id": tenant_id, "kind": str(kind), "taker_id": id}
        await counted(db, Count(takers, key, "takes_made", by=0))
    counts = {party: [0, 0, 0, 0, 0] for party in parties}
    for row in await db.execute(_counts(tenant_id, parties, item_code, at=at)):
        party = (row.kind, row.id)
        more = (row.active, row.asked, row.of_item, row.this_day, row.this_week)
        counts[party] = [one + other for one, other in zip(counts[party], more, strict=True)]
    found = []
    for who in people:
        active, asked, of_item, day, week = counts[who.party]
        found.append(
            replace(
                who, active=active, asked=asked, of_items={item_code: of_item}, this_day=day, this_week=week
            )
        )
    return found


def _counts(tenant_id: int, parties: Sequence[Party], item_code: str, *, at: datetime) -> CompoundSelect[Any]:
    """What these takers hold and took, and what they are asked for."""
    target = dispatch_targets.c
    is_held, is_item = takes.c.state == TakeState.ACTIVE, orders.c.item_code == item_code

    def many(*which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((and_(*which), 1), else_=0))

    def theirs(kind: ColumnElement[str], id: ColumnElement[UUID]) -> ColumnElement[bool]:
        return or_(*(and_(kind == str(of), id == party_id) for of, party_id in parties))

    held = (
        select(
            takes.c.kind,
            takes.c.taker_id.label("id"),
            many(is_held).label("active"),
            literal(0).label("asked"),
            many(is_held, is_item).label("of_item"),
            many(takes.c.taken_at > at - DAY).label("this_day"),
            many(takes.c.taken_at > at - WEEK).label("this_week"),
        )
        .join(orders, and_(orders.c.tenant_id == takes.c.tenant_id, orders.c.id == takes.c.order_id))
        .where(
            takes.c.tenant_id == tenant_id,
            orders.c.tenant_id == literal(tenant_id),
            or_(is_held, takes.c.taken_at > at - WEEK),
            theirs(takes.c.kind, takes.c.taker_id),
        )
        .group_by(takes.c.kind, takes.c.taker_id)
    )
    asked = (
        select(
            target.kind,
            target.target_id.label("id"),
            literal(0).label("active"),
            func.count().label("asked"),
            many(is_item).label("of_item"),
            func.count().label("this_day"),
            func.count().label("this_week"),
        )
        .join(
            dispatches,
            and_(dispatches.c.tenant_id == target.tenant_id, dispatches.c.id == target.dispatch_id),
        )
        .join(
            orders, and_(orders.c.tenant_id == dispatches.c.tenant_id, orders.c.id == dispatches.c.order_id)
        )
        .where(
            target.tenant_id == tenant_id,
            dispatches.c.tenant_id == literal(tenant_id),
            orders.c.tenant_id == literal(tenant_id),
            target.state == TargetState.ASKED,
            dispatches.c.state == DispatchState.RUNNING,
            theirs(target.kind, target.target_id),
        )
        .group_by(target.kind, target.target_id)
    )
    return union_all(held, asked)
