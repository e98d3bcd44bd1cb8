"""Reads of check-ins and of who belongs where."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, false, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import checkin_items
from dispatch.checkin.tables import checkins, member_views
from dispatch.domain.people import DISPATCHING_ROLES, Actor, Grant, Role
from dispatch.domain.refusal import BodyNotFound, CheckinNotFound, PlaceNotFound, RoleForbidden
from dispatch.orders.tables import take_people, takes
from dispatch.people.tables import accounts, belongings, bodies, members
from dispatch.places.queries import beginning, below, ids_of, path_of
from dispatch.places.tables import places

Place = tuple[datetime, UUID] | None


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that is in use: its kind, and the ids from the root down to it."""

    id: UUID
    kind: str
    name: str
    path: tuple[UUID, ...]
    community_id: UUID | None
    grid_id: UUID | None


async def spot(db: AsyncConnection, tenant_id: int, place_id: UUID) -> Spot:
    """A place in use.

    Raises:
        PlaceNotFound: unknown, another tenant's, or retired.
    """
    row = (
        await db.execute(
            select(places).where(
                places.c.tenant_id == tenant_id, places.c.id == place_id, places.c.retired_at.is_(None)
            )
        )
    ).one_or_none()
    if row is None:
        raise PlaceNotFound()
    return Spot(row.id, row.kind, row.name, ids_of(row.path), row.community_id, row.grid_id)


async def offered(db: AsyncConnection, tenant_id: int) -> dict[str, str]:
    """The tenant's check-in list, code to name."""
    rows = select(checkin_items.c.code, checkin_items.c.name).where(checkin_items.c.tenant_id == tenant_id)
    return {row.code: row.name for row in await db.execute(rows)}


async def member(db: AsyncConnection, tenant_id: int, account_id: UUID) -> Any:
    """The member's standing row; None for who never checked in."""
    mine = members.c.tenant_id == tenant_id, members.c.account_id == account_id
    return (await db.execute(select(members).where(*mine))).one_or_none()


async def check_unit(db: AsyncConnection, tenant_id: int, unit_id: UUID) -> None:
    """Raises: BodyNotFound: no unit in service has this id."""
    unit = select(bodies.c.id).where(
        bodies.c.tenant_id == tenant_id,
        bodies.c.id == unit_id,
        bodies.c.kind == "unit",
        bodies.c.retired_at.is_(None),
    )
    if await db.scalar(unit) is None:
        raise BodyNotFound()


async def in_hand(db: AsyncConnection, tenant_id: int, account_id: UUID) -> bool:
    """Whether the person holds an order, alone or for a body."""
    held = select(takes.c.id).where(
        takes.c.tenant_id == tenant_id, takes.c.account_id == account_id, takes.c.state == "active"
    )
    staffed = (
        select(takes.c.id)
        .join(
            take_people,
            and_(take_people.c.tenant_id == takes.c.tenant_id, take_people.c.take_id == takes.c.id),
        )
        .where(
            takes.c.tenant_id == tenant_id, takes.c.state == "active", take_people.c.account_id == account_id
        )
    )
    for rows in (held, staffed):
        if await db.scalar(rows.limit(1)) is not None:
            return True
    return False


# Check-ins

_community = places.alias("community")


def _checkins(tenant_id: int) -> Select[Any]:
    return (
        select(checkins, accounts.c.name, accounts.c.phone, _community.c.name.label("community_name"))
        .add_columns(_community.c.path)
        .join(
            accounts,
            and_(accounts.c.tenant_id == checkins.c.tenant_id, accounts.c.id == checkins.c.account_id),
        )
        .join(
            _community,
            and_(_community.c.tenant_id == checkins.c.tenant_id, _community.c.id == checkins.c.community_id),
        )
        .where(checkins.c.tenant_id == tenant_id)
    )


def form_of(row: Any) -> dict[str, Any]:
    """The form of a check-in, of one that was erased an empty one."""
    return json.loads(row.form) if row.form else {}


async def latest(db: AsyncConnection, tenant_id: int, account_id: UUID) -> Any:
    """The person's check-in that waits, else the newest; None if there is none."""
    rows = _checkins(tenant_id).where(checkins.c.account_id == account_id)
    waits = case((checkins.c.state == "filed", 0), else_=1)
    newest = rows.order_by(waits, checkins.c.filed_at.desc(), checkins.c.id.desc()).limit(1)
    return (await db.execute(newest)).one_or_none()


async def filed_by(db: AsyncConnection, tenant_id: int, account_id: UUID) -> list[Any]:
    """All that a person ever filed, the oldest first."""
    rows = _checkins(tenant_id).where(checkins.c.account_id == account_id)
    return list((await db.execute(rows.order_by(checkins.c.filed_at, checkins.c.id))).all())


async def checkin(db: AsyncConnection, actor: Actor, checkin_id: UUID) -> Any:
    """One check-in: one's own, or one of a community that the actor registers for.

    Raises:
        CheckinNotFound: unknown, or none of the actor's business.
    """
    mine = checkins.c.account_id == actor.account_id
    rows = _checkins(actor.tenant.id).where(checkins.c.id == checkin_id, or_(mine, in_scope(actor)))
    row = (await db.execute(rows)).one_or_none()
    if row is None:
        raise CheckinNotFound()
    return row


def looks_after(actor: Actor, roles: frozenset[Role] = DISPATCHING_ROLES) -> list[Grant]:
    """The actor's grants that decide on check-ins."""
    return [grant for grant in actor.grants if grant.role in roles and grant.place_id is not None]


def in_scope(actor: Actor) -> ColumnElement[bool]:
    """Check-ins with communities that the actor registers for."""
    ways = [beginning(_community.c.path, path_of(grant.path)) for grant in looks_after(actor)]
    return or_(false(), *ways)


async def page(
    db: AsyncConnection, actor: Actor, *, state: str | None, place_id: UUID | None, after: Place, limit: int
) -> list[Any]:
    """Check-ins in the actor's scope, the longest waiting first; one more than ``limit``.

    Raises:
        RoleForbidden: the actor registers nobody.
    """
    if not looks_after(actor):
        raise RoleForbidden()
    by = (checkins.c.filed_at, checkins.c.id)
    rows = _checkins(actor.tenant.id).where(in_scope(actor)).order_by(*by).limit(limit + 1)
    if state is not None:
        rows = rows.where(checkins.c.state == state)
    if place_id is not None:
        there = await spot(db, actor.tenant.id, place_id)
        rows = rows.where(checkins.c.community_id.in_(below(actor.tenant.id, path_of(there.path))))
    if after is not None:
        rows = rows.where(tuple_(*by) > tuple_(*after))
    return list((await db.execute(rows)).all())


# Who belonged where


def covers(actor: Actor, path: Sequence[UUID], roles: frozenset[Role]) -> bool:
    """Whether a grant of the actor's reaches down to the place with this path."""
    return any(grant.place_id in path for grant in looks_after(actor, roles))


async def belonged(
    db: AsyncConnection,
    tenant_id: int,
    of_ids: Sequence[UUID] | Select[Any],
    kinds: Sequence[str],
    *,
    day_ends: datetime,
    after: Place,
    limit: int,
) -> list[Any]:
    """Who belonged to one of these places or bodies as a day ended, in the order they came; one over ``limit``.

    As the day ends everybody is in one place of a kind: counts of communities add up to that of the street.
    """
    by = (belongings.c.from_at, belongings.c.party_id)
    rows = (
        select(
            belongings,
            accounts.c.name.label("account_name"),
            bodies.c.name.label("body_name"),
            places.c.name.label("place_name"),
        )
        .outerjoin(
            accounts,
            and_(accounts.c.tenant_id == belongings.c.tenant_id, accounts.c.id == belongings.c.party_id),
        )
        .outerjoin(
            bodies, and_(bodies.c.tenant_id == belongings.c.tenant_id, bodies.c.id == belongings.c.party_id)
        )
        .outerjoin(
            places, and_(places.c.tenant_id == belongings.c.tenant_id, places.c.id == belongings.c.of_id)
        )
        .where(
            belongings.c.tenant_id == tenant_id,
            belongings.c.of_id.in_(of_ids),
            belongings.c.kind.in_(kinds),
            belongings.c.from_at < day_ends,
            belongings.c.until_at >= day_ends,
        )
        .order_by(*by)
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) > tuple_(*after))
    return list((await db.execute(rows)).all())


async def history(db: AsyncConnection, tenant_id: int, account_id: UUID) -> list[Any]:
    """Where a member belonged when, the newest first."""
    where = bodies.alias("where_body")
    rows = (
        select(belongings, places.c.name.label("place_name"), where.c.name.label("body_name"))
        .outerjoin(
            places, and_(places.c.tenant_id == belongings.c.tenant_id, places.c.id == belongings.c.of_id)
        )
        .outerjoin(where, and_(where.c.tenant_id == belongings.c.tenant_id, where.c.id == belongings.c.of_id))
        .where(
            belongings.c.tenant_id == tenant_id,
            belongings.c.party_kind == "member",
            belongings.c.party_id == account_id,
        )
        .order_by(belongings.c.from_at.desc(), belongings.c.kind)
    )
    return list((await db.execute(rows)).all())


async def views(db: AsyncConnection, actor: Actor, *, after: Place, limit: int) -> list[Any]:
    """Who looked at the actor's phone as a member's, newest first; one more than ``limit``."""
    by = (member_views.c.at, member_views.c.id)
    rows = (
        select(member_views, accounts.c.name.label("viewer_name"))
        .join(
            accounts,
            and_(accounts.c.tenant_id == member_views.c.tenant_id, accounts.c.id == member_views.c.viewer_id),
        )
        .where(member_views.c.tenant_id == actor.tenant.id, member_views.c.account_id == actor.account_id)
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())
