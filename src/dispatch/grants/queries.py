"""Reads of grants, for those who give, hold or lend them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import BodyNotFound, GrantNotFound, PlaceNotFound
from dispatch.people.tables import accounts, bodies, grants
from dispatch.places.queries import ids_of, path_of
from dispatch.places.tables import places

_place, _seat, _lent = places.alias("place"), places.alias("seat"), grants.alias("lent")
_path = func.coalesce(_place.c.path, _seat.c.path)


def _rows(tenant_id: int) -> Select[Any]:
    return (
        select(
            grants,
            accounts.c.name.label("account_name"),
            _place.c.name.label("place_name"),
            _place.c.kind.label("place_kind"),
            bodies.c.name.label("body_name"),
            bodies.c.kind.label("body_kind"),
            _path.label("path"),
            _lent.c.account_id.label("lender_id"),
        )
        .select_from(
            grants.join(
                accounts,
                and_(accounts.c.tenant_id == grants.c.tenant_id, accounts.c.id == grants.c.account_id),
            )
            .outerjoin(
                _place, and_(_place.c.tenant_id == grants.c.tenant_id, _place.c.id == grants.c.place_id)
            )
            .outerjoin(
                bodies, and_(bodies.c.tenant_id == grants.c.tenant_id, bodies.c.id == grants.c.body_id)
            )
            .outerjoin(_seat, and_(_seat.c.tenant_id == bodies.c.tenant_id, _seat.c.id == bodies.c.place_id))
            .outerjoin(
                _lent, and_(_lent.c.tenant_id == grants.c.tenant_id, _lent.c.id == grants.c.delegated_from)
            )
        )
        .where(grants.c.tenant_id == tenant_id)
    )


def _known_to(actor: Actor) -> ColumnElement[bool]:
    """Grants that the actor holds, lent, or administers; of others he learns nothing."""
    ways: list[ColumnElement[bool]] = [
        grants.c.account_id == actor.account_id,
        _lent.c.account_id == actor.account_id,
    ]
    for grant in actor.grants:
        if grant.role is Role.ADMIN and grant.path:
            above = path_of(grant.path)
            ways.append(and_(_path >= above, _path < above + "~"))
    return or_(*ways)


async def grant(db: AsyncConnection, actor: Actor, grant_id: UUID) -> Any:
    """One grant, ended ones included.

    Raises:
        GrantNotFound: unknown, or none of the actor's business.
    """
    found = await db.execute(_rows(actor.tenant.id).where(grants.c.id == grant_id, _known_to(actor)))
    row = found.one_or_none()
    if row is None:
        raise GrantNotFound()
    return row


async def page(
    db: AsyncConnection,
    actor: Actor,
    *,
    account_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Any]:
    """Grants that the actor holds, lent or administers, newest first, one more than ``limit``."""
    by = (grants.c.valid_from, grants.c.id)
    rows = _rows(actor.tenant.id).where(_known_to(actor)).order_by(*(column.desc() for column in by))
    if account_id is not None:
        rows = rows.where(grants.c.account_id == account_id)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows.limit(limit + 1))).all())


async def where(
    db: AsyncConnection, tenant_id: int, place_id: UUID | None, body_id: UUID | None
) -> tuple[tuple[UUID, ...], str, str | None]:
    """(path of ids, kind of the place, kind of the body) of the place or body that a role is given for.

    Raises:
        PlaceNotFound, BodyNotFound: no such, or out of use.
    """
    kind = None
    if body_id is not None:
        body = await db.execute(
            select(bodies.c.kind, bodies.c.place_id).where(
                bodies.c.tenant_id == tenant_id, bodies.c.id == body_id, bodies.c.retired_at.is_(None)
            )
        )
        found = body.one_or_none()
        if found is None:
            raise BodyNotFound()
        kind, place_id = found.kind, found.place_id
    place = await db.execute(
        select(places.c.kind, places.c.path).where(
            places.c.tenant_id == tenant_id, places.c.id == place_id, places.c.retired_at.is_(None)
        )
    )
    row = place.one_or_none()
    if row is None:
        raise PlaceNotFound()
    return ids_of(row.path), row.kind, kind


async def same(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    role: Role,
    place_id: UUID | None,
    body_id: UUID | None,
    *,
    at: datetime,
) -> UUID | None:
    """The grant that already gives this, without an end."""
    return await db.scalar(
        select(grants.c.id).where(
            grants.c.tenant_id == tenant_id,
            grants.c.account_id == account_id,
            grants.c.role == role,
            grants.c.place_id.is_(None) if place_id is None else grants.c.place_id == place_id,
            grants.c.body_id.is_(None) if body_id is None else grants.c.body_id == body_id,
            grants.c.valid_from <= at,
            grants.c.valid_to.is_(None),
        )
    )
