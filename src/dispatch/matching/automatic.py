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
from sqlalchemy import ColumnElement, and_, delete, exists, false, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.guarding import Count, counted
from dispatch.dispatching.actions import handing_out
from dispatch.dispatching.tables import matching_rules
from dispatch.domain.automatic import RETRY, Step, next_step
from dispatch.domain.conflict import conflicts
from dispatch.domain.explaining import scored
from dispatch.domain.matching import Candidate, Need, place_in_line, why_not
from dispatch.domain.matchrule import EVERY_ITEM, Rule
from dispatch.domain.order import DispatchState, Mode, State, TakerKind, TakeState
from dispatch.domain.people import GROUND_ROLES, Actor
from dispatch.domain.refusal import Refusal, TargetNotAllowed
from dispatch.matching import actions, needs, queries
from dispatch.matching.batch import EVERYWHERE, Left, Placed, Waiting, plan, waiting
from dispatch.matching.tables import matching_waits
from dispatch.orders import visibility
from dispatch.orders.actions.performing import Call
from dispatch.orders.tables import dispatches, orders, takes
from dispatch.orders.whole import number
from dispatch.people.queries import homes
from dispatch.people.shapes import shape_of, values
from dispatch.people.tables import accounts, grants
from dispatch.places.queries import ids_of
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
        switched_on = await _switched_on(db, service.tenant.id)
        if switched_on is None:
            return {}
        rests = await _waits(db, service.tenant.id)
        due = (switched_on, ~_just_tried(service.tenant.id, at), ~_recalled(service.tenant.id))
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


async def _switched_on(db: AsyncConnection, tenant_id: int) -> ColumnElement[bool] | None:
    """Whether an order's item dispatches itself; None if none does."""
    rows = select(matching_rules.c.item_code, matching_rules.c.auto).where(
        matching_rules.c.tenant_id == tenant_id, matching_rules.c.auto.is_not(None)
    )
    told: dict[str, bool] = {row.item_code: row.auto for row in await db.execute(rows)}
    if not any(told.values()):
        return None
    every = told.pop(EVERY_ITEM, False)
    differ = sorted(code for code, auto in told.items() if auto is not every)
    return orders.c.item_code.notin_(differ) if every else orders.c.item_code.in_(differ)


def _just_tried(tenant_id: int, at: datetime) -> ColumnElement[bool]:
    return exists().where(
        matching_waits.c.tenant_id == tenant_id,
        matching_waits.c.order_id == orders.c.id,
        matching_waits.c.tried_at > at - RETRY,
    )


def _recalled(tenant_id: int) -> ColumnElement[bool]:
    """Whether a person took the order back last: it is that person's."""
    newest = (
        select(dispatches.c.state)
        .where(dispatches.c.tenant_id == tenant_id, dispatches.c.order_id == orders.c.id)
        .order_by(dispatches.c.created_at.desc(), dispatches.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(newest, "") == DispatchState.RECALLED


async def _waits(db: AsyncConnection, tenant_id: int) -> dict[UUID, Any]:
    rows = await db.execute(select(matching_waits).where(matching_waits.c.tenant_id == tenant_id))
    return {row.order_id: row for row in rows}


@dataclass(frozen=True, slots=True)
class _Staff:
    """A grid worker, where, behind which door, and with how much in hand. ``path`` holds the ids down to the place."""

    id: UUID
    path: tuple[UUID, ...]
    household_id: UUID | None
    address_key: str | None
    active: int


@dataclass(frozen=True, slots=True)
class _Others:
    """Who is tried when no member is found."""

    bodies: Sequence[Candidate]
    staff: Sequence[_Staff]


async def _others(db: AsyncConnection, tenant_id: int, beside: needs.Context, *, at: datetime) -> _Others:
    everybody = await queries.candidates(db, tenant_id, EVERYWHERE, beside, at=at)
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
    home = homes(tenant_id, accounts.c.disabled_at.is_(None)).subquery("home")
    rows = await db.execute(
        select(
            grants.c.account_id,
            places.c.path,
            home.c.household_id,
            home.c.address_key,
            in_hand.label("active"),
        )
        .join(home, home.c.id == grants.c.account_id)
        .join(places, and_(places.c.tenant_id == grants.c.tenant_id, places.c.id == grants.c.place_id))
        .where(
            grants.c.tenant_id == tenant_id,
            grants.c.role.in_(GROUND_ROLES),
            grants.c.valid_from <= at,
            or_(grants.c.valid_to.is_(None), grants.c.valid_to > at),
        )
        .order_by(grants.c.account_id)
    )
    staff = [
        _Staff(row.account_id, ids_of(row.path), row.household_id, row.address_key, row.active)
        for row in rows
    ]
    return _Others([one for one in everybody if one.body], staff)


async def _tried(database: Database, service: Actor, placed: Placed, *, at: datetime) -> dict[UUID, Step]:
    told = await actions.hand_out(database, service, [placed], in_order=True, at=at)
    return {id: Step.OFFER for id, refused in told.items() if refused is None}


async def _without_members(
    database: Database, service: Actor, left: Left, others: _Others, rest: Any, *, at: datetime
) -> dict[UUID, Step]:
    """One order for which no member was found. Who is refused is passed over for the next, each in a transaction of its
    own; the try is noted whatever came of it, or the same one would be tried for ever."""
    need, rule = left.waiting.need, left.waiting.rule
    teams, units = (_best_bodies(left.waiting, others, kind) for kind in (TakerKind.TEAM, TakerKind.UNIT))
    staff = _nearest_staff(need, others)
    fewest = 1 if need.urgency == "U1" else need.slots  # in an emergency whoever is there goes ahead
    while True:
        step = next_step(
            need,
            rule,
            people=bool(teams),
            unit=bool(units),
            staff=len(staff) >= fewest,
            opened=rest is not None and rest.opened,
            waited=at - rest.since if rest else timedelta(0),
        )
        line = {Step.OFFER: teams, Step.UNIT: units, Step.STAFF: staff}.get(step, [])
        named = line[: need.slots if step is Step.STAFF else 1]
        data = _handing(step, rule, need, named)
        try:
            async with database.writing() as db:
                if data is not None:
                    await handing_out.dispatch(db, service, need.order_id, data, Call(), at=at)
                await _note(db, service.tenant.id, left, opened=step is Step.OPEN, at=at)
        except TargetNotAllowed as refusal:
            refused = [one for one in named if str(one["id"]) == refusal.facts.get("target")] or named
            if refused:
                line[:] = [one for one in line if one not in refused]
                continue
        except Refusal:
            pass  # it moved on meanwhile
        else:
            return {need.order_id: step}
        async with database.writing() as db:
            await _note(db, service.tenant.id, left, opened=False, at=at)
        return {}


def _best_bodies(one: Waiting, others: _Others, kind: TakerKind) -> list[dict[str, Any]]:
    """The teams or units to ask, best first, as a dispatch names them."""
    can = [who for who in others.bodies if who.kind is kind and not why_not(one.need, who)]
    told = [(who, scored(one.need, who, one.rule.weights)) for who in can]
    told.sort(key=lambda line: place_in_line(one.need, line[0], line[1].value))
    return [actions.target(*line) for line in told]


def _nearest_staff(need: Need, others: _Others) -> list[dict[str, Any]]:
    """Staff of the order's grid, then of its community, then of the other grids there; among them who has least in hand."""
    barred = {id for _, id in (*need.returned, *need.on_it)}
    ranked: dict[UUID, tuple[int, int, UUID]] = {}
    for who in others.staff:
        if who.id in barred or conflicts(need.concerned, who.id, who.household_id, who.address_key):
            continue
        near = _how_near(need, who)
        if near is not None:
            key = (near, who.active, who.id)
            ranked[who.id] = min(key, ranked.get(who.id, key))
    return [{"kind": TakerKind.STAFF, "id": id} for *_, id in sorted(ranked.values())]


def _how_near(need: Need, who: _Staff) -> int | None:
    """0 of the order's grid, 1 of its community, 2 of another grid there; None from elsewhere."""
    here = who.path[-1]
    if need.grid_id is not None and here == need.grid_id:
        return 0
    if need.community_id is None or need.community_id not in who.path:
        return None
    return 1 if here == need.community_id else 2


def _handing(step: Step, rule: Rule, need: Need, named: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The body of the dispatch that a step calls for."""
    if step is Step.OPEN:
        return {"mode": Mode.OPEN, "slots_min": need.slots, "expires_in_seconds": rule.open_seconds}
    if step in (Step.OFFER, Step.UNIT):
        return {"mode": Mode.OFFER, "targets": named, "expires_in_seconds": rule.offer_seconds}
    if step is Step.STAFF:
        return {"mode": Mode.ASSIGN, "targets": named, "slots_min": len(named)}
    return None


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
