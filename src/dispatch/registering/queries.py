"""Reads of registrations."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.queries import looks_after
from dispatch.domain.people import BODY_ROLES, DISPATCHING_ROLES, Actor
from dispatch.domain.refusal import BodyNotFound, RegistrationNotFound
from dispatch.orders.tables import takes
from dispatch.people.tables import bodies
from dispatch.places.queries import beginning, path_of
from dispatch.places.tables import places
from dispatch.registering.tables import registrations

_place = places.alias("place")


def _rows(tenant_id: int) -> Select[Any]:
    return (
        select(registrations, _place.c.name.label("place_name"), _place.c.path)
        .join(
            _place,
            and_(_place.c.tenant_id == registrations.c.tenant_id, _place.c.id == registrations.c.place_id),
        )
        .where(registrations.c.tenant_id == tenant_id)
    )


def known_to(actor: Actor) -> ColumnElement[bool]:
    """Registrations that the actor filed, that are of the body he acts for, or with the places he looks after."""
    own = [grant.body_id for grant in actor.grants if grant.role in BODY_ROLES and grant.body_id]
    ways: list[ColumnElement[bool]] = [
        registrations.c.filed_by == actor.account_id,
        registrations.c.body_id.in_(own) if own else false(),
    ]
    for grant in looks_after(actor, DISPATCHING_ROLES):
        ways.append(beginning(_place.c.path, path_of(grant.path)))
    return or_(*ways)


async def registration(db: AsyncConnection, actor: Actor, id: UUID, *, lock: bool = False) -> Any:
    """One registration; ``lock``: until the transaction ends.

    Raises:
        RegistrationNotFound: unknown, or none of the actor's business.
    """
    mine = registrations.c.tenant_id == actor.tenant.id, registrations.c.id == id
    if lock:
        await db.execute(select(registrations.c.id).where(*mine).with_for_update())
    rows = _rows(actor.tenant.id).where(registrations.c.id == id, known_to(actor))
    row = (await db.execute(rows)).one_or_none()
    if row is None:
        raise RegistrationNotFound()
    return row


async def page(
    db: AsyncConnection,
    actor: Actor,
    *,
    state: str | None,
    kind: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Any]:
    """Registrations that concern the actor, the longest waiting first; one more than ``limit``."""
    by = (registrations.c.filed_at, registrations.c.id)
    rows = _rows(actor.tenant.id).where(known_to(actor)).order_by(*by).limit(limit + 1)
    if state is not None:
        rows = rows.where(registrations.c.state == state)
    if kind is not None:
        rows = rows.where(registrations.c.kind == kind)
    if after is not None:
        rows = rows.where(tuple_(*by) > tuple_(*after))
    return list((await db.execute(rows)).all())


def liaisons_of(row: Any) -> list[dict[str, Any]]:
    """Whom to call."""
    return json.loads(row.liaisons) if row.liaisons else []


async def body(db: AsyncConnection, tenant_id: int, body_id: UUID, *, lock: bool = False) -> Any:
    """A unit or team, one out of service too.

    Raises:
        BodyNotFound: no such.
    """
    mine = select(bodies).where(
        bodies.c.tenant_id == tenant_id, bodies.c.id == body_id, bodies.c.kind.in_(("unit", "team"))
    )
    row = (await db.execute(mine.with_for_update() if lock else mine)).one_or_none()
    if row is None:
        raise BodyNotFound()
    return row


async def standing(db: AsyncConnection, tenant_id: int, body_id: UUID) -> list[Any]:
    """The body's agreements that were approved and not ended, the earliest first."""
    rows = select(registrations).where(
        registrations.c.tenant_id == tenant_id,
        registrations.c.body_id == body_id,
        registrations.c.state == "approved",
    )
    return list((await db.execute(rows.order_by(registrations.c.from_on))).all())


async def in_hand(db: AsyncConnection, tenant_id: int, kind: str, body_id: UUID) -> bool:
    """Whether the body holds an order."""
    held = select(takes.c.id).where(
        takes.c.tenant_id == tenant_id,
        takes.c.kind == kind,
        takes.c.taker_id == body_id,
        takes.c.state == "active",
    )
    return await db.scalar(held.limit(1)) is not None


async def waiting(db: AsyncConnection, tenant_id: int, body_id: UUID) -> bool:
    """Whether a registration of the body waits for a decision."""
    filed = select(registrations.c.id).where(
        registrations.c.tenant_id == tenant_id,
        registrations.c.body_id == body_id,
        registrations.c.state == "filed",
    )
    return await db.scalar(filed) is not None
