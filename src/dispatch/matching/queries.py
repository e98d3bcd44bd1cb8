"""Who could help: members, units and teams around a place, with what they have in hand and behind them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, null, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain import freetime
from dispatch.domain.ability import Skill
from dispatch.domain.household import HOUSEHOLD
from dispatch.domain.life import Party
from dispatch.domain.matching import RESTING, Candidate
from dispatch.domain.matchrule import EVERY_ITEM
from dispatch.domain.order import DispatchState, TakerKind, TakeState, TargetState
from dispatch.domain.taking import LATELY, TakingRule
from dispatch.matching.needs import Context, point_of
from dispatch.orders.tables import dispatch_targets, dispatches, give_backs, orders, ratings, takes
from dispatch.people.tables import accounts, bodies, body_people, members
from dispatch.places.queries import below, ids_of
from dispatch.places.tables import places

KINDS = (TakerKind.MEMBER, TakerKind.TEAM, TakerKind.UNIT)
PAST = timedelta(days=365)
"""Verdicts older than a year say little."""


@dataclass(frozen=True, slots=True)
class Record:
    """What takes and offers say of a taker."""

    active: int = 0
    asked: int = 0
    served: int = 0
    this_day: int = 0
    this_week: int = 0
    last_at: float = 0.0
    verdicts: int = 0
    verdict_sum: float = 0.0
    given_back: int = 0


async def candidates(
    db: AsyncConnection,
    tenant_id: int,
    path: str,
    beside: Context,
    *,
    item_code: str = EVERY_ITEM,
    beneficiary_id: UUID | None = None,
    at: datetime,
) -> list[Candidate]:
    """Everybody who checked in at the place with this path or below, and every unit and team that serves it.

    Five statements, however many there are, and one more where an item has a limit of its own.

    Args:
        item_code: by whose rule somebody rests who gave back too often.
    """
    rows = (await db.execute(_members(tenant_id, path))).all()
    found = (await db.execute(_bodies(tenant_id, path))).all()
    people = (await db.execute(_people(tenant_id, [row.id for row in found]))).all()
    taking = beside.taking(item_code)
    records = await _records(db, tenant_id, path, [row.id for row in found], taking, at=at)
    helped = await familiar(db, tenant_id, [beneficiary_id] if beneficiary_id else [])
    of_items = await _of_items(db, tenant_id, beside.limited) if beside.limited else {}
    by_body: dict[UUID, list[Candidate]] = {}
    for row in people:
        by_body.setdefault(row.body_id, []).append(_member(row, beside))
    everybody = [_member(row, beside) for row in rows]
    everybody += [_body(row, tuple(by_body.get(row.id, ()))) for row in found]
    theirs = helped.get(beneficiary_id, {}) if beneficiary_id else {}
    limits = beside.taking(EVERY_ITEM)
    return [
        replace(
            _with_record(one, records, theirs, taking),
            capacity=limits.body_limit if one.body else limits.member_limit,
            of_items=of_items.get(one.party, {}),
        )
        for one in everybody
    ]


def _with_record(
    one: Candidate,
    records: Mapping[Party, Record],
    helped: Mapping[Party, int],
    taking: TakingRule,
) -> Candidate:
    record = records.get(one.party, Record())
    rests = bool(taking.cool_after) and record.given_back >= taking.cool_after
    return replace(
        one,
        state=RESTING if rests and one.state == "active" else one.state,
        active=record.active,
        asked=record.asked,
        served=record.served,
        this_day=record.this_day,
        this_week=record.this_week,
        last_at=record.last_at,
        verdicts=record.verdicts,
        verdict_sum=record.verdict_sum,
        helped=helped.get(one.party, 0),
    )


DAY, WEEK = timedelta(days=1), timedelta(days=7)
"""Over which a member's own limits count: to the hour, so that no midnight doubles them."""

_there, _home = places.alias("there"), places.alias("home")


def _person(*columns: ColumnElement[Any]) -> Select[Any]:
    """A member with account, community and home."""
    found: Select[Any] = select(
        members.c.account_id.label("id"),
        accounts.c.name,
        accounts.c.address_key,
        members.c.state,
        members.c["items"],
        members.c.skills,
        members.c.free_times,
        members.c.location,
        members.c.leaves,
        members.c.most_a_day,
        members.c.most_a_week,
        members.c.born_on,
        members.c.guardian_consent_on,
        _there.c.path,
        _there.c.street_id,
        _there.c.community_id,
        members.c.grid_id.label("own_grid_id"),
        _home.c.grid_id,
        _home.c.community_id.label("home_community_id"),
        case((_home.c.kind == HOUSEHOLD, _home.c.id), else_=null()).label("household_id"),
    )
    return found.add_columns(*columns)


_SOURCE = (
    members.join(
        accounts, and_(accounts.c.tenant_id == members.c.tenant_id, accounts.c.id == members.c.account_id)
    )
    .join(
        _there,
        and_(
            _there.c.tenant_id == members.c.tenant_id,
            _there.c.id == func.coalesce(members.c.grid_id, members.c.community_id),
        ),
    )
    .outerjoin(_home, and_(_home.c.tenant_id == accounts.c.tenant_id, _home.c.id == accounts.c.home_place_id))
)


def _members(tenant_id: int, path: str) -> Select[Any]:
    return (
        _person()
        .select_from(_SOURCE)
        .where(
            members.c.tenant_id == tenant_id,
            members.c.state != "ended",
            accounts.c.disabled_at.is_(None),
            _around(tenant_id, path),
        )
        .order_by(members.c.account_id)
    )


def _around(tenant_id: int, path: str) -> ColumnElement[bool]:
    """Members of the place with this path, be it their grid or above it."""
    return or_(
        members.c.community_id.in_(below(tenant_id, path)), members.c.grid_id.in_(below(tenant_id, path))
    )


def _bodies(tenant_id: int, path: str) -> Select[Any]:
    """Units and teams of this place, of those below, and of those above that serve it too."""
    return (
        select(
            bodies.c.id,
            bodies.c.kind,
            bodies.c.name,
            places.c.path,
            places.c.street_id,
            places.c.community_id,
            places.c.grid_id,
        )
        .join(places, and_(places.c.tenant_id == bodies.c.tenant_id, places.c.id == bodies.c.place_id))
        .where(
            bodies.c.tenant_id == tenant_id,
            bodies.c.kind.in_((TakerKind.UNIT, TakerKind.TEAM)),
            bodies.c.retired_at.is_(None),
            or_(bodies.c.place_id.in_(below(tenant_id, path)), bodies.c.place_id.in_(ids_of(path))),
        )
        .order_by(bodies.c.id)
    )


def _people(tenant_id: int, body_ids: Sequence[UUID]) -> Select[Any]:
    return (
        _person(body_people.c.body_id)
        .select_from(
            _SOURCE.join(
                body_people,
                and_(
                    body_people.c.tenant_id == members.c.tenant_id,
                    body_people.c.account_id == members.c.account_id,
                ),
            )
        )
        .where(
            members.c.tenant_id == tenant_id,
            members.c.state != "ended",
            body_people.c.body_id.in_(body_ids),
        )
        .order_by(body_people.c.body_id, members.c.account_id)
    )


def _member(row: Any, beside: Context) -> Candidate:
    return Candidate(
        kind=TakerKind.MEMBER,
        id=row.id,
        name=row.name,
        path=ids_of(row.path),
        state=row.state,
        street_id=row.street_id,
        community_id=row.community_id,
        # A home elsewhere says nothing of the way within the community.
        grid_id=row.own_grid_id or (row.grid_id if row.home_community_id == row.community_id else None),
        point=point_of(row.location),
        offers=frozenset(row.items),
        offer_names=beside.offer_names,
        skills=tuple(_skill(line) for line in row.skills),
        free=freetime.week(row.free_times) if row.free_times else None,
        household_id=row.household_id,
        address_key=row.address_key,
        leaves=tuple((_date(line["from"]), _date(line["until"])) for line in row.leaves),
        most_a_day=row.most_a_day,
        most_a_week=row.most_a_week,
        born_on=row.born_on,
        guardian_consent_on=row.guardian_consent_on,
    )


def _skill(line: Mapping[str, Any]) -> Skill:
    expires = line.get("expires_on")
    return Skill(line["code"], line["name"], _date(expires) if expires else None)


def _date(text: str) -> Any:
    return datetime.fromisoformat(text).date()


def _body(row: Any, people: tuple[Candidate, ...]) -> Candidate:
    return Candidate(
        kind=TakerKind(row.kind),
        id=row.id,
        name=row.name,
        path=ids_of(row.path),
        street_id=row.street_id,
        community_id=row.community_id,
        grid_id=row.grid_id,
        people=people,
    )


async def _records(
    db: AsyncConnection,
    tenant_id: int,
    path: str,
    body_ids: Sequence[UUID],
    taking: TakingRule,
    *,
    at: datetime,
) -> dict[Party, Record]:
    """What everybody around has in hand, was asked, did and gave back lately and how it was judged, in one statement."""
    around = select(members.c.account_id).where(members.c.tenant_id == tenant_id, _around(tenant_id, path))

    def ours(kind: ColumnElement[str], id: ColumnElement[UUID]) -> ColumnElement[bool]:
        return or_(
            and_(kind == TakerKind.MEMBER, id.in_(around)),
            and_(kind.in_((TakerKind.UNIT, TakerKind.TEAM)), id.in_(body_ids)),
        )

    held = _held(tenant_id, at).where(ours(takes.c.kind, takes.c.taker_id))
    asked = _asked(tenant_id).where(ours(dispatch_targets.c.kind, dispatch_targets.c.target_id))
    since = at - timedelta(seconds=taking.cool_seconds)
    back = _given_back(tenant_id, since).where(ours(give_backs.c.kind, give_backs.c.taker_id))
    found: dict[Party, Record] = {}
    for row in await db.execute(union_all(held, asked, back)):
        party = (row.kind, row.id)
        before = found.get(party, Record())
        found[party] = Record(
            active=before.active + row.active,
            asked=before.asked + row.asked,
            served=before.served + row.served + row.asked,
            this_day=before.this_day + row.this_day + row.asked,
            this_week=before.this_week + row.this_week + row.asked,
            last_at=max(before.last_at, row.last_at.timestamp() if row.last_at else 0.0),
            verdicts=before.verdicts + row.verdicts,
            verdict_sum=before.verdict_sum + float(row.verdict_sum),
            given_back=before.given_back + row.given_back,
        )
    return found


def _held(tenant_id: int, at: datetime) -> Select[Any]:
    later = ratings.alias("later")
    newest = ~(
        select(literal(1))
        .where(
            later.c.tenant_id == ratings.c.tenant_id,
            later.c.order_id == ratings.c.order_id,
            later.c.round == ratings.c.round,
            later.c.revision > ratings.c.revision,
        )
        .exists()
    )
    judged = and_(
        ratings.c.tenant_id == takes.c.tenant_id,
        ratings.c.order_id == takes.c.order_id,
        ratings.c.round == takes.c.round,
        takes.c.state == TakeState.DONE,
        newest,
    )
    active = case((takes.c.state == TakeState.ACTIVE, 1), else_=0)

    def since(span: timedelta) -> ColumnElement[int]:
        return func.sum(case((takes.c.taken_at > at - span, 1), else_=0))

    return (
        select(
            takes.c.kind,
            takes.c.taker_id.label("id"),
            func.sum(active).label("active"),
            literal(0).label("asked"),
            since(LATELY).label("served"),
            since(DAY).label("this_day"),
            since(WEEK).label("this_week"),
            func.max(takes.c.taken_at).label("last_at"),
            func.count(ratings.c.score).label("verdicts"),
            func.coalesce(func.sum(ratings.c.score), 0).label("verdict_sum"),
            literal(0).label("given_back"),
        )
        .select_from(takes.outerjoin(ratings, judged))
        .where(
            takes.c.tenant_id == tenant_id,
            or_(takes.c.state == TakeState.ACTIVE, takes.c.taken_at > at - PAST),
        )
        .group_by(takes.c.kind, takes.c.taker_id)
    )


def _asked(tenant_id: int) -> Select[Any]:
    """Offers that wait for an answer."""
    return (
        select(
            dispatch_targets.c.kind,
            dispatch_targets.c.target_id.label("id"),
            literal(0).label("active"),
            func.count().label("asked"),
            literal(0).label("served"),
            literal(0).label("this_day"),
            literal(0).label("this_week"),
            func.max(dispatches.c.created_at).label("last_at"),
            literal(0).label("verdicts"),
            literal(0).label("verdict_sum"),
            literal(0).label("given_back"),
        )
        .select_from(
            dispatch_targets.join(
                dispatches,
                and_(
                    dispatches.c.tenant_id == dispatch_targets.c.tenant_id,
                    dispatches.c.id == dispatch_targets.c.dispatch_id,
                ),
            )
        )
        .where(
            dispatch_targets.c.tenant_id == tenant_id,
            dispatch_targets.c.state == TargetState.ASKED,
            dispatches.c.state == DispatchState.RUNNING,
        )
        .group_by(dispatch_targets.c.kind, dispatch_targets.c.target_id)
    )


async def _of_items(
    db: AsyncConnection, tenant_id: int, item_codes: Sequence[str]
) -> dict[Party, dict[str, int]]:
    """How many orders of each of these items everybody holds or is asked for."""
    found: dict[Party, dict[str, int]] = {}
    own = and_(orders.c.tenant_id == tenant_id, orders.c.item_code.in_(item_codes))
    held = (
        select(takes.c.kind, takes.c.taker_id.label("id"), orders.c.item_code, func.count().label("many"))
        .join(orders, and_(orders.c.tenant_id == takes.c.tenant_id, orders.c.id == takes.c.order_id))
        .where(takes.c.tenant_id == tenant_id, takes.c.state == TakeState.ACTIVE, own)
        .group_by(takes.c.kind, takes.c.taker_id, orders.c.item_code)
    )
    target = dispatch_targets.c
    asked = (
        select(target.kind, target.target_id.label("id"), orders.c.item_code, func.count().label("many"))
        .join(
            dispatches,
            and_(dispatches.c.tenant_id == target.tenant_id, dispatches.c.id == target.dispatch_id),
        )
        .join(
            orders, and_(orders.c.tenant_id == dispatches.c.tenant_id, orders.c.id == dispatches.c.order_id)
        )
        .where(
            target.tenant_id == tenant_id,
            target.state == TargetState.ASKED,
            dispatches.c.state == DispatchState.RUNNING,
            own,
        )
        .group_by(target.kind, target.target_id, orders.c.item_code)
    )
    for row in await db.execute(union_all(held, asked)):
        counts = found.setdefault((row.kind, row.id), {})
        counts[row.item_code] = counts.get(row.item_code, 0) + row.many
    return found


def _given_back(tenant_id: int, since: datetime) -> Select[Any]:
    """How often takes were given back, or ended by time."""
    return (
        select(
            give_backs.c.kind,
            give_backs.c.taker_id.label("id"),
            literal(0).label("active"),
            literal(0).label("asked"),
            literal(0).label("served"),
            literal(0).label("this_day"),
            literal(0).label("this_week"),
            literal(None, give_backs.c.at.type).label("last_at"),
            literal(0).label("verdicts"),
            literal(0).label("verdict_sum"),
            func.count().label("given_back"),
        )
        .where(give_backs.c.tenant_id == tenant_id, give_backs.c.at > since)
        .group_by(give_backs.c.kind, give_backs.c.taker_id)
    )


async def familiar(
    db: AsyncConnection, tenant_id: int, beneficiary_ids: Iterable[UUID]
) -> dict[UUID, dict[Party, int]]:
    """Who helped whom how often: by beneficiary, then by taker. One statement."""
    wanted = list(beneficiary_ids)
    rows = await db.execute(
        select(orders.c.beneficiary_id, takes.c.kind, takes.c.taker_id, func.count().label("times"))
        .select_from(
            takes.join(orders, and_(orders.c.tenant_id == takes.c.tenant_id, orders.c.id == takes.c.order_id))
        )
        .where(
            takes.c.tenant_id == tenant_id,
            takes.c.state == TakeState.DONE,
            orders.c.beneficiary_id.in_(wanted),
        )
        .group_by(orders.c.beneficiary_id, takes.c.kind, takes.c.taker_id)
    )
    found: dict[UUID, dict[Party, int]] = {}
    for row in rows:
        found.setdefault(row.beneficiary_id, {})[(row.kind, row.taker_id)] = row.times
    return found
