"""Orders that dispatch themselves: items whose rule says so, tried until somebody is found.

A worker looks every few seconds; what was just accepted is matched at once, what found nobody again every
minute. An order that a person recalled is that person's: it is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import and_, delete, false, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.guarding import Count, counted
from dispatch.dispatching.actions import handing_out
from dispatch.domain.automatic import RETRY, Step, next_step
from dispatch.domain.explaining import scored
from dispatch.domain.matching import Candidate, place_in_line, why_not
from dispatch.domain.matchrule import EVERY_ITEM
from dispatch.domain.order import DispatchState, Mode, State, TakerKind, TakeState
from dispatch.domain.people import GROUND_ROLES, Actor
from dispatch.domain.refusal import Refusal
from dispatch.matching import actions, needs, queries
from dispatch.matching.batch import EVERYWHERE, Left, Placed, Waiting, plan, waiting
from dispatch.matching.tables import matching_rules, matching_waits
from dispatch.orders import visibility
from dispatch.orders.actions.performing import Call
from dispatch.orders.tables import orders, takes
from dispatch.orders.whole import number
from dispatch.people.shapes import shape_of, values
from dispatch.people.tables import accounts, grants
from dispatch.places.tables import places

log = structlog.get_logger(__name__)

STILL = (State.ACCEPTED, State.REDO, State.OPEN)
"""States in which nobody has been found yet; in ``offered`` an answer is awaited."""


async def look_again(database: Database, at: datetime) -> None:
    """The job: every tenant in turn; what fails in one keeps no other waiting."""
    for service in await actions.services(database):
        try:
            await dispatch_by_itself(database, service, at=at)
        except Exception as error:
            log.error(
                "matching.failed", tenant=service.tenant.code, error=type(error).__name__, exc_info=error
            )


async def dispatch_by_itself(database: Database, service: Actor, *, at: datetime) -> dict[UUID, Step]:
    """Try what is due for every order of a tenant that dispatches itself; what was done for each."""
    async with database.reading() as db:
        if not await _switched_on(db, service.tenant.id):
            return {}
        rests = await _waits(db, service.tenant.id)

        def due(one: Waiting) -> bool:
            last, rest = one.whole.life.last, rests.get(one.need.order_id)
            by_hand = last is not None and last.state is DispatchState.RECALLED
            return one.rule.auto and not by_hand and (rest is None or rest.tried_at <= at - RETRY)

        found, beside = await waiting(db, service, only=due, at=at)
        made = await plan(db, service, found, beside, at=at)
        others = await _others(db, service.tenant.id, beside, at=at) if made.left else _Others((), ())
    done: dict[UUID, Step] = {}
    for placed in made.placed:
        done |= await _tried(database, service, placed, at=at)
    for left in made.left:
        rest = rests.get(left.waiting.need.order_id)
        done |= await _without_members(database, service, left, others, rest, at=at)
    if rests or made.left:
        async with database.writing() as db:
            await _forget(db, service.tenant.id)
    return done


async def _switched_on(db: AsyncConnection, tenant_id: int) -> bool:
    some = select(matching_rules.c.item_code).where(
        matching_rules.c.tenant_id == tenant_id, matching_rules.c.auto.is_(True)
    )
    return (await db.scalar(some.limit(1))) is not None


async def _waits(db: AsyncConnection, tenant_id: int) -> dict[UUID, Any]:
    rows = await db.execute(select(matching_waits).where(matching_waits.c.tenant_id == tenant_id))
    return {row.order_id: row for row in rows}


@dataclass(frozen=True, slots=True)
class _Staff:
    """A grid worker, where, and with how much in hand."""

    id: UUID
    place_id: UUID
    active: int


@dataclass(frozen=True, slots=True)
class _Others:
    """Who is tried when no member is found."""

    bodies: Sequence[Candidate]
    staff: Sequence[_Staff]


async def _others(db: AsyncConnection, tenant_id: int, beside: needs.Context, *, at: datetime) -> _Others:
    everybody = await queries.candidates(db, tenant_id, EVERYWHERE, beside, beside.rule(EVERY_ITEM), at=at)
    in_hand = (
        select(func.count())
        .where(
            takes.c.tenant_id == grants.c.tenant_id,
            takes.c.kind == TakerKind.STAFF,
            takes.c.taker_id == grants.c.account_id,
            takes.c.state == TakeState.ACTIVE,
        )
        .scalar_subquery()
    )
    rows = await db.execute(
        select(grants.c.account_id, grants.c.place_id, in_hand.label("active"))
        .join(
            accounts, and_(accounts.c.tenant_id == grants.c.tenant_id, accounts.c.id == grants.c.account_id)
        )
        .where(
            grants.c.tenant_id == tenant_id,
            grants.c.role.in_(GROUND_ROLES),
            grants.c.valid_from <= at,
            or_(grants.c.valid_to.is_(None), grants.c.valid_to > at),
            accounts.c.disabled_at.is_(None),
        )
        .order_by(grants.c.account_id)
    )
    staff = [_Staff(row.account_id, row.place_id, row.active) for row in rows]
    return _Others([one for one in everybody if one.body], staff)


async def _tried(database: Database, service: Actor, placed: Placed, *, at: datetime) -> dict[UUID, Step]:
    told = await actions.hand_out(database, service, [placed], in_order=True, at=at)
    return {id: Step.OFFER for id, refused in told.items() if refused is None}


async def _without_members(
    database: Database, service: Actor, left: Left, others: _Others, rest: Any, *, at: datetime
) -> dict[UUID, Step]:
    """One order for which no member was found, in a transaction of its own."""
    need, rule = left.waiting.need, left.waiting.rule
    team, unit = (_best_body(left.waiting, others, kind) for kind in (TakerKind.TEAM, TakerKind.UNIT))
    staff = _nearest_staff(left.waiting, others)
    step = next_step(
        need,
        rule,
        people=team is not None,
        unit=unit is not None,
        staff=staff is not None,
        opened=rest is not None and rest.opened,
        waited=at - rest.since if rest else timedelta(0),
    )
    data = _handing(step, rule.offer_seconds, rule.open_seconds, team if step is Step.OFFER else unit, staff)
    try:
        async with database.writing() as db:
            if data is not None:
                await handing_out.dispatch(db, service, need.order_id, data, Call(), at=at)
            await _note(db, service.tenant.id, left, opened=step is Step.OPEN, at=at)
    except Refusal:
        return {}  # it moved on meanwhile; if it still waits, the next look finds it
    return {need.order_id: step}


def _best_body(one: Waiting, others: _Others, kind: TakerKind) -> dict[str, Any] | None:
    """The team or unit to ask, as a dispatch names it."""
    can = [who for who in others.bodies if who.kind is kind and not why_not(one.need, who)]
    told = [(who, scored(one.need, who, one.rule.weights)) for who in can]
    if not told:
        return None
    return actions.target(*min(told, key=lambda line: place_in_line(one.need, line[0], line[1].value)))


def _nearest_staff(one: Waiting, others: _Others) -> dict[str, Any] | None:
    """Staff of the order's grid, else of its community; among them who has least in hand."""
    need = one.need
    near = {place: rank for rank, place in enumerate((need.grid_id, need.community_id)) if place}
    barred = {id for _, id in need.returned} | need.concerned.kept | {need.concerned.beneficiary_id}
    can = [who for who in others.staff if who.place_id in near and who.id not in barred]
    if not can:
        return None
    best = min(can, key=lambda who: (near[who.place_id], who.active, who.id))
    return {"kind": TakerKind.STAFF, "id": best.id}


def _handing(
    step: Step,
    offer_seconds: int,
    open_seconds: int,
    body: dict[str, Any] | None,
    staff: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """The body of the dispatch that a step calls for."""
    if step is Step.OPEN:
        return {"mode": Mode.OPEN, "expires_in_seconds": open_seconds}
    if step in (Step.OFFER, Step.UNIT):
        return {"mode": Mode.OFFER, "targets": [body], "expires_in_seconds": offer_seconds}
    return {"mode": Mode.ASSIGN, "targets": [staff]} if step is Step.STAFF else None


async def _note(db: AsyncConnection, tenant_id: int, left: Left, *, opened: bool, at: datetime) -> None:
    """Put the order into the visible queue, or note another try."""
    order_id = left.waiting.need.order_id
    line = {"since": at, "tried_at": at, "opened": opened, "why_not": dict(left.why_not)}
    key = {"tenant_id": tenant_id, "order_id": order_id, **line}
    await counted(db, Count(matching_waits, key, "tries"))
    again = {"tried_at": at, "why_not": dict(left.why_not)} | ({"opened": True} if opened else {})
    await db.execute(
        update(matching_waits)
        .where(matching_waits.c.tenant_id == tenant_id, matching_waits.c.order_id == order_id)
        .values(**again)
    )


async def _forget(db: AsyncConnection, tenant_id: int) -> None:
    """Orders that somebody has taken, or that are gone, leave the queue; an offer that waits keeps its place."""
    settled = select(orders.c.id).where(
        orders.c.tenant_id == tenant_id,
        orders.c.id.in_(select(matching_waits.c.order_id).where(matching_waits.c.tenant_id == tenant_id)),
        orders.c.state.notin_((*STILL, State.OFFERED)),
    )
    await db.execute(
        delete(matching_waits).where(
            matching_waits.c.tenant_id == tenant_id, matching_waits.c.order_id.in_(settled)
        )
    )


@dataclass(frozen=True, slots=True)
class Unmatched:
    """One line of the queue."""

    order_id: UUID
    number: str
    state: str
    item_code: str
    urgency: str
    place_name: str
    since: datetime
    tried_at: datetime
    tries: int
    opened: bool
    why_not: dict[str, int]


async def unmatched(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Unmatched]:
    """Orders in the actor's scope for which nobody was found, longest first; one more than ``limit``."""
    by = (matching_waits.c.since, matching_waits.c.order_id)
    ways = [false(), *visibility.scoped(shape_of(actor))]
    rows = (
        select(
            *(
                matching_waits.c[name]
                for name in ("order_id", "since", "tried_at", "tries", "opened", "why_not")
            ),
            orders.c.day,
            orders.c.serial,
            orders.c.state,
            orders.c.item_code,
            orders.c.urgency,
            places.c.name.label("place_name"),
        )
        .join(orders, and_(orders.c.tenant_id == matching_waits.c.tenant_id, orders.c.id == by[1]))
        .join(places, and_(places.c.tenant_id == orders.c.tenant_id, places.c.id == orders.c.place_id))
        .where(matching_waits.c.tenant_id == actor.tenant.id, or_(*ways), orders.c.state.in_(STILL))
        .order_by(*by)
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) > tuple_(*after))
    return [
        Unmatched(
            order_id=row.order_id,
            number=number(row.day, row.serial),
            state=row.state,
            item_code=row.item_code,
            urgency=row.urgency,
            place_name=row.place_name,
            since=row.since,
            tried_at=row.tried_at,
            tries=row.tries,
            opened=row.opened,
            why_not=row.why_not,
        )
        for row in await db.execute(rows, values(actor))
    ]
