"""Reads of accounts, grants and bodies; how a token's word about grants is proven."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Label, Select, and_, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import ME, TENANT
from dispatch.db.dialect import folded
from dispatch.db.tenants import tenants
from dispatch.domain.household import HOUSEHOLD
from dispatch.domain.order import PEOPLE
from dispatch.domain.people import Actor, Grant, Role, Tenant
from dispatch.domain.refusal import TokenRevoked
from dispatch.people.shapes import SESSION, values
from dispatch.people.tables import accounts, bodies, former_names, grants, sessions
from dispatch.places.tables import places

_ENDED: ColumnElement[bool] = exists(
    select(literal(1)).where(
        sessions.c.tenant_id == TENANT, sessions.c.id == SESSION, sessions.c.revoked_at.is_not(None)
    )
)
"""Whether the session was revoked. Its row outlives every token that was made for it (auth/timers.py)."""

PROOF: Label[int | None] = (
    select(accounts.c.grants_version)
    .where(
        accounts.c.tenant_id == TENANT,
        accounts.c.id == ME,
        accounts.c.disabled_at.is_(None),
        ~_ENDED,
    )
    .scalar_subquery()
    .label("proof")
)
"""The version of the actor's grants as it is now; None if the account is gone or disabled or the session ended.

A statement that brings it along, with ``shapes.values``, proves the token without a round trip of its own.
"""
_PROVE = select(PROOF)


async def prove(db: AsyncConnection, actor: Actor) -> None:
    """Check that the actor's grants stand as the token says.

    Raises:
        TokenRevoked: they have changed, or the account is gone.
    """
    proven(actor, await db.scalar(_PROVE, values(actor)))


def proven(actor: Actor, version: int | None) -> None:
    """Take note of what a statement said of the actor's grants (``PROOF``).

    Raises:
        TokenRevoked: they have changed since the token was made, or the account is gone.
    """
    if version != actor.version and not actor.is_service:
        raise TokenRevoked()
    actor.proven = True


async def grants_of(db: AsyncConnection, tenant_id: int, account_id: UUID) -> tuple[Grant, ...]:
    """Every grant the account ever had, with the path of its place (a body's grant: of the body's place)."""
    rows = await db.execute(_GRANTS, {"tenant_id": tenant_id, "me": account_id})
    return tuple(_grant(row) for row in rows)


_place, _seat = places.alias("place"), places.alias("seat")
_GRANTS: Select[Any] = (
    select(
        grants.c.id,
        grants.c.role,
        grants.c.place_id,
        grants.c.body_id,
        grants.c.valid_from,
        grants.c.valid_to,
        _place.c.kind.label("place_kind"),
        _place.c.name.label("place_name"),
        func.coalesce(_place.c.path, _seat.c.path).label("path"),
        bodies.c.kind.label("body_kind"),
        bodies.c.name.label("body_name"),
    )
    .select_from(
        grants.outerjoin(
            _place, and_(_place.c.tenant_id == grants.c.tenant_id, _place.c.id == grants.c.place_id)
        )
        .outerjoin(bodies, and_(bodies.c.tenant_id == grants.c.tenant_id, bodies.c.id == grants.c.body_id))
        .outerjoin(_seat, and_(_seat.c.tenant_id == bodies.c.tenant_id, _seat.c.id == bodies.c.place_id))
    )
    .where(grants.c.tenant_id == TENANT, grants.c.account_id == ME)
    .order_by(grants.c.valid_from, grants.c.id)
)
"""An account's grants, oldest first."""


def _grant(row: Any) -> Grant:
    return Grant(
        id=row.id,
        role=Role(row.role),
        place_id=row.place_id,
        place_kind=row.place_kind,
        place_name=row.place_name,
        path=tuple(UUID(part) for part in (row.path or "").strip("/").split("/") if part),
        body_id=row.body_id,
        body_kind=row.body_kind,
        body_name=row.body_name,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )


async def hold(db: AsyncConnection, tenant_id: int, account_id: UUID) -> bool:
    """Lock an account's row until the transaction ends, so that two acts on it take turns. False if it is gone."""
    found = await db.scalar(
        select(accounts.c.id)
        .where(
            accounts.c.tenant_id == tenant_id, accounts.c.id == account_id, accounts.c.disabled_at.is_(None)
        )
        .with_for_update()
    )
    return found is not None


async def grants_ever(db: AsyncConnection, actor: Actor) -> Sequence[Grant]:
    """Every grant the actor ever had, those that ended included: who once was in an audience gets a typed answer."""
    return await grants_of(db, actor.tenant.id, actor.account_id)


@dataclass(frozen=True, slots=True)
class Person:
    """An account with its tenant and every grant it ever had."""

    tenant: Tenant
    account_id: UUID
    name: str
    version: int
    grants: tuple[Grant, ...]


_PERSON: Select[Any] = (
    select(
        accounts.c.id,
        accounts.c.name,
        accounts.c.grants_version,
        tenants.c.code.label("tenant_code"),
        tenants.c.name.label("tenant_name"),
        tenants.c.zone,
        tenants.c.labels,
        folded(_GRANTS).label("grants"),
    )
    .select_from(accounts.join(tenants, tenants.c.id == accounts.c.tenant_id))
    .where(
        accounts.c.tenant_id == TENANT,
        accounts.c.id == ME,
        accounts.c.disabled_at.is_(None),
        ~_ENDED,
    )
)


async def person(
    db: AsyncConnection, tenant_id: int, account_id: UUID, session_id: UUID | None = None
) -> Person | None:
    """All that a token stands for, in one statement; None if the account is gone or disabled or the session ended."""
    bound = {"tenant_id": tenant_id, "me": account_id, "session_id": session_id}
    found = await db.execute(_PERSON, bound)
    row = found.one_or_none()
    if row is None:
        return None
    tenant = Tenant(tenant_id, row.tenant_code, row.tenant_name, ZoneInfo(row.zone), dict(row.labels))
    held = tuple(_grant(SimpleNamespace(**line)) for line in row.grants)
    return Person(tenant, row.id, row.name, row.grants_version, held)


def homes(tenant_id: Any, *wanted: ColumnElement[bool]) -> Select[Any]:
    """Who lives behind which door: account, household (a place that is one door), address key."""
    return (
        select(accounts.c.id, accounts.c.address_key, places.c.id.label("household_id"))
        .select_from(
            accounts.outerjoin(
                places,
                and_(
                    places.c.tenant_id == accounts.c.tenant_id,
                    places.c.id == accounts.c.home_place_id,
                    places.c.kind == HOUSEHOLD,
                ),
            )
        )
        .where(accounts.c.tenant_id == tenant_id, *wanted)
    )


def former_names_of(tenant_id: Any, ids: Select[Any]) -> ColumnElement[Any]:
    """What the accounts of a select were called before, as one column for ``name_at``."""
    rows = select(former_names.c.account_id, former_names.c.until_at, former_names.c.name).where(
        former_names.c.tenant_id == tenant_id, former_names.c.account_id.in_(ids)
    )
    return folded(rows.order_by(former_names.c.until_at))


def name_at(former: Iterable[Mapping[str, Any]], account_id: UUID, at: datetime, name: str) -> str:
    """What an account was called at an instant. ``former``: ``former_names_of``; ``name``: what it is called now."""
    then = (line["name"] for line in former if line["account_id"] == account_id and line["until_at"] > at)
    return str(next(then, name))


async def names(
    db: AsyncConnection, tenant_id: int, targets: Iterable[tuple[str, UUID]]
) -> dict[tuple[str, UUID], str]:
    """Names of takers and targets, by kind and id; who is unknown is left out. One statement."""
    wanted = set(targets)
    people = [id for kind, id in wanted if kind in PEOPLE]
    others = [id for kind, id in wanted if kind not in PEOPLE]
    if not wanted:
        return {}
    persons = select(accounts.c.id, accounts.c.name).where(
        accounts.c.tenant_id == tenant_id, accounts.c.id.in_(people)
    )
    named = select(bodies.c.kind, bodies.c.id, bodies.c.name).where(
        bodies.c.tenant_id == tenant_id, bodies.c.id.in_(others)
    )
    row = (await db.execute(select(folded(persons).label("persons"), folded(named).label("bodies")))).one()
    told = {("", line["id"]): line["name"] for line in row.persons}
    told |= {(line["kind"], line["id"]): line["name"] for line in row.bodies}
    found = {(kind, id): told.get(("" if kind in PEOPLE else str(kind), id)) for kind, id in wanted}
    return {target: name for target, name in found.items() if name is not None}


async def holders(
    db: AsyncConnection,
    tenant_id: int,
    roles: Iterable[Role],
    *,
    place_id: UUID | None = None,
    body_id: UUID | None = None,
    at: datetime,
) -> set[UUID]:
    """Accounts that now hold one of these roles at exactly this place, or for this body."""
    rows = select(grants.c.account_id).where(
        grants.c.tenant_id == tenant_id,
        grants.c.role.in_(tuple(roles)),
        grants.c.place_id == place_id if place_id is not None else grants.c.body_id == body_id,
        grants.c.valid_from <= at,
        or_(grants.c.valid_to.is_(None), grants.c.valid_to > at),
    )
    return set((await db.execute(rows)).scalars())
