"""Reads of who looked, of policies and consents, and of what people asked of their own data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, exists, false, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.keeping import DEFAULT_TEXT, DEFAULT_TITLE, Purpose
from dispatch.domain.life import standing
from dispatch.domain.people import STREET_ROLES, Actor
from dispatch.domain.privacy import reads_reveal_requests, reads_views
from dispatch.domain.refusal import ExportNotFound, RequestNotFound, RoleForbidden
from dispatch.orders import visibility
from dispatch.orders.queries import whole
from dispatch.orders.tables import order_views, orders, takes
from dispatch.orders.visibility import visible_to
from dispatch.people import queries as people
from dispatch.people.shapes import shape_of, values
from dispatch.people.tables import accounts, bodies, grants, members
from dispatch.places.queries import path_of
from dispatch.places.tables import places
from dispatch.privacy.tables import consents, data_requests, privacy_policies, reveal_requests

Place = tuple[datetime, UUID] | None
"""Where a page goes on."""


async def views(db: AsyncConnection, actor: Actor, order_id: UUID, *, after: Place, limit: int) -> list[Any]:
    """Who looked at an order's contact data, newest first, one more than ``limit``.

    Raises:
        OrderNotFound: none of the actor's business.
        RoleForbidden: neither filer nor beneficiary nor auditor there.
    """
    seen, _ = await whole(db, actor, order_id)
    if not reads_views(standing(seen.life, actor)):
        raise RoleForbidden()
    by, second, looks = (
        (order_views.c.at, order_views.c.id),
        accounts.alias("second"),
        order_views.alias("looks"),
    )
    these = looks.c.tenant_id == actor.tenant.id, looks.c.order_id == order_id
    named = union_all(select(looks.c.account_id).where(*these), select(looks.c.second_id).where(*these))
    former = people.former_names_of(actor.tenant.id, select(named.subquery().c[0]))
    rows = (
        select(order_views, accounts.c.name.label("account_name"), second.c.name.label("second_name"))
        .add_columns(former.label("former"))
        .join(
            accounts,
            and_(accounts.c.tenant_id == order_views.c.tenant_id, accounts.c.id == order_views.c.account_id),
        )
        .outerjoin(
            second,
            and_(second.c.tenant_id == order_views.c.tenant_id, second.c.id == order_views.c.second_id),
        )
        .where(order_views.c.tenant_id == actor.tenant.id, order_views.c.order_id == order_id)
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())


async def confirmed(
    db: AsyncConnection, actor: Actor, order_id: UUID, *, at: datetime
) -> tuple[UUID, str] | None:
    """Who confirmed, and in which role, that the actor may now have an order's contact data shown."""
    asked = reveal_requests.c
    rows = (
        select(asked.decided_by, asked.decided_role)
        .where(
            asked.tenant_id == actor.tenant.id,
            asked.order_id == order_id,
            asked.account_id == actor.account_id,
            asked.status == "approved",
            asked.open_until > at,
        )
        .order_by(asked.decided_at.desc())
        .limit(1)
    )
    row = (await db.execute(rows)).one_or_none()
    return None if row is None else (row.decided_by, row.decided_role)


def _reveal_requests(tenant_id: int) -> Select[Any]:
    """Requests for contact data with who asked, who decided, and the order's number."""
    asker, decider = accounts.alias("asker"), accounts.alias("decider")
    asked = reveal_requests.c
    return (
        select(
            reveal_requests,
            orders.c.day,
            orders.c.serial,
            asker.c.name.label("asker_name"),
            decider.c.name.label("decider_name"),
        )
        .join(orders, and_(orders.c.tenant_id == asked.tenant_id, orders.c.id == asked.order_id))
        .join(asker, and_(asker.c.tenant_id == asked.tenant_id, asker.c.id == asked.account_id))
        .outerjoin(decider, and_(decider.c.tenant_id == asked.tenant_id, decider.c.id == asked.decided_by))
        .where(asked.tenant_id == tenant_id)
    )


async def reveal_request(db: AsyncConnection, actor: Actor, id: UUID) -> Any:
    """A request for contact data on an order that the actor may see.

    Raises:
        RequestNotFound: unknown, or on an order that is none of the actor's business.
    """
    rows = _reveal_requests(actor.tenant.id).where(
        reveal_requests.c.id == id, orders.c.id.in_(visible_to(shape_of(actor), orders.c.id))
    )
    row = (await db.execute(rows, values(actor))).one_or_none()
    if row is None:
        raise RequestNotFound()
    return row


async def reveal_requests_of(db: AsyncConnection, actor: Actor, order_id: UUID) -> list[Any]:
    """Every request for an order's contact data, newest first.

    Raises:
        OrderNotFound: none of the actor's business.
        RoleForbidden: neither filer nor beneficiary, nor street, district or auditor there.
    """
    seen, _ = await whole(db, actor, order_id)
    if not reads_reveal_requests(standing(seen.life, actor)):
        raise RoleForbidden()
    asked = reveal_requests.c
    rows = _reveal_requests(actor.tenant.id).where(asked.order_id == order_id)
    return list((await db.execute(rows.order_by(asked.asked_at.desc(), asked.id.desc()))).all())


async def reveal_request_page(db: AsyncConnection, actor: Actor, *, after: Place, limit: int) -> list[Any]:
    """Requests for contact data in the actor's street or district, newest first, one more than ``limit``."""
    ways = visibility.scoped(shape_of(actor), STREET_ROLES)
    by = (reveal_requests.c.asked_at, reveal_requests.c.id)
    rows = (
        _reveal_requests(actor.tenant.id)
        .where(or_(false(), *ways))
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows, values(actor))).all())


async def lent_between(db: AsyncConnection, actor: Actor, asked: Any) -> bool:
    """Whether the actor, or who asked, acts under a role that the other one lent him."""
    assert actor.acting is not None  # writes have one
    used, own = grants.alias("used"), grants.alias("own")
    rows = (
        select(used.c.id)
        .join(own, and_(own.c.tenant_id == used.c.tenant_id, own.c.id == used.c.delegated_from))
        .where(
            used.c.tenant_id == actor.tenant.id,
            or_(
                and_(used.c.id == actor.acting.id, own.c.account_id == asked.account_id),
                and_(used.c.id == asked.grant_id, own.c.account_id == actor.account_id),
            ),
        )
        .limit(1)
    )
    return await db.scalar(rows) is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """What people are told, in its current words."""

    version: int
    title: str
    text: str
    hash: str
    published_at: datetime | None


async def policy(db: AsyncConnection, tenant_id: int) -> Policy:
    """The current policy; the shipped one, as version 0, where none was published."""
    rows = (
        select(
            privacy_policies.c.version,
            privacy_policies.c.title,
            privacy_policies.c.text,
            privacy_policies.c.hash,
            privacy_policies.c.published_at,
        )
        .where(privacy_policies.c.tenant_id == tenant_id)
        .order_by(privacy_policies.c.version.desc())
        .limit(1)
    )
    row = (await db.execute(rows)).one_or_none()
    if row is None:
        hashed = sha256(f"{DEFAULT_TITLE}\n{DEFAULT_TEXT}".encode()).hexdigest()
        return Policy(0, DEFAULT_TITLE, DEFAULT_TEXT, hashed, None)
    return Policy(*row)


async def standing_consent(db: AsyncConnection, tenant_id: int, account_id: UUID, purpose: Purpose) -> Any:
    """The consent that holds for a purpose, if any."""
    rows = select(consents).where(
        consents.c.tenant_id == tenant_id,
        consents.c.account_id == account_id,
        consents.c.purpose == purpose,
        consents.c.withdrawn_at.is_(None),
    )
    return (await db.execute(rows)).one_or_none()


async def heard_of(db: AsyncConnection, tenant_id: int, account_id: UUID, purpose: Purpose) -> bool:
    """Whether an account ever agreed to a purpose, or refused it."""
    rows = select(consents.c.id).where(
        consents.c.tenant_id == tenant_id, consents.c.account_id == account_id, consents.c.purpose == purpose
    )
    return await db.scalar(rows.limit(1)) is not None


async def taken_back(
    db: AsyncConnection, tenant_id: int, order_id: UUID, purposes: Iterable[Purpose]
) -> list[tuple[UUID, str]]:
    """Who of an order's filer and beneficiary took back which consent, and has not given it anew."""
    again = consents.alias("again")
    rows = (
        select(consents.c.account_id, consents.c.purpose)
        .join(
            orders,
            and_(
                orders.c.tenant_id == consents.c.tenant_id,
                or_(
                    orders.c.filer_id == consents.c.account_id,
                    orders.c.beneficiary_id == consents.c.account_id,
                ),
            ),
        )
        .where(
            consents.c.tenant_id == tenant_id,
            orders.c.id == order_id,
            consents.c.purpose.in_(tuple(purposes)),
            consents.c.withdrawn_at.is_not(None),
            ~exists().where(
                again.c.tenant_id == consents.c.tenant_id,
                again.c.account_id == consents.c.account_id,
                again.c.purpose == consents.c.purpose,
                again.c.withdrawn_at.is_(None),
            ),
        )
        .distinct()
    )
    return [(row.account_id, row.purpose) for row in await db.execute(rows)]


async def consents_of(db: AsyncConnection, tenant_id: int, account_id: UUID) -> Sequence[Any]:
    """Every consent an account gave, oldest first."""
    rows = (
        select(consents, accounts.c.name.label("recorder_name"))
        .outerjoin(
            accounts,
            and_(accounts.c.tenant_id == consents.c.tenant_id, accounts.c.id == consents.c.recorded_by),
        )
        .where(consents.c.tenant_id == tenant_id, consents.c.account_id == account_id)
        .order_by(consents.c.given_at, consents.c.id)
    )
    return (await db.execute(rows)).all()


_ASKED: tuple[Any, ...] = tuple(
    column for column in data_requests.c if column.name not in ("content", "former_name")
)


async def data_request(db: AsyncConnection, tenant_id: int, account_id: UUID, id: UUID) -> Any:
    """One request of an account about its own data, without the file.

    Raises:
        ExportNotFound: unknown, or another's.
    """
    rows = select(*_ASKED).where(
        data_requests.c.tenant_id == tenant_id,
        data_requests.c.account_id == account_id,
        data_requests.c.id == id,
    )
    row = (await db.execute(rows)).one_or_none()
    if row is None:
        raise ExportNotFound()
    return row


async def export_file(db: AsyncConnection, tenant_id: int, account_id: UUID, id: UUID) -> Any:
    """(status, expires_at, content) of an export. Raises: ExportNotFound: unknown, another's or no export."""
    rows = select(data_requests.c.status, data_requests.c.expires_at, data_requests.c.content).where(
        data_requests.c.tenant_id == tenant_id,
        data_requests.c.account_id == account_id,
        data_requests.c.id == id,
        data_requests.c.kind == "export",
    )
    row = (await db.execute(rows)).one_or_none()
    if row is None:
        raise ExportNotFound()
    return row


async def data_request_page(db: AsyncConnection, actor: Actor, *, after: Place, limit: int) -> list[Any]:
    """What the actor asked of his own data, newest first, one more than ``limit``."""
    by = (data_requests.c.asked_at, data_requests.c.id)
    rows = (
        select(*_ASKED)
        .where(data_requests.c.tenant_id == actor.tenant.id, data_requests.c.account_id == actor.account_id)
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())


async def open_request(db: AsyncConnection, tenant_id: int, account_id: UUID, kind: str) -> UUID | None:
    """A request of this kind that is not answered yet."""
    return await db.scalar(
        select(data_requests.c.id).where(
            data_requests.c.tenant_id == tenant_id,
            data_requests.c.account_id == account_id,
            data_requests.c.kind == kind,
            data_requests.c.status != "done",
        )
    )


async def is_member(db: AsyncConnection, tenant_id: int, account_id: UUID) -> bool:
    """Whether an account is checked in as a member, active or suspended."""
    rows = select(members.c.account_id).where(
        members.c.tenant_id == tenant_id, members.c.account_id == account_id, members.c.state != "ended"
    )
    return await db.scalar(rows) is not None


async def known_there(db: AsyncConnection, actor: Actor, account_id: UUID) -> bool:
    """Whether an account lives where the actor serves, or is filer or beneficiary of an order there."""
    assert actor.acting is not None  # writes have one
    above = path_of(actor.acting.path)
    home = (
        select(accounts.c.id)
        .join(
            places, and_(places.c.tenant_id == accounts.c.tenant_id, places.c.id == accounts.c.home_place_id)
        )
        .where(
            accounts.c.tenant_id == actor.tenant.id,
            accounts.c.id == account_id,
            places.c.path >= above,
            places.c.path < above + "~",
        )
    )
    concerned = select(orders.c.id).where(
        orders.c.tenant_id == actor.tenant.id,
        or_(orders.c.filer_id == account_id, orders.c.beneficiary_id == account_id),
        or_(false(), *visibility.scoped(shape_of(actor))),
    )
    for rows in (home, concerned):
        if await db.scalar(rows.limit(1), values(actor)) is not None:
            return True
    return False


async def disclosures(db: AsyncConnection, actor: Actor, *, after: Place, limit: int) -> list[Any]:
    """Bodies that took an order of the actor's, and so were told of the person; newest first, one over ``limit``."""
    by = (takes.c.taken_at, takes.c.id)
    rows = (
        select(
            takes.c.id,
            takes.c.taken_at,
            takes.c.kind,
            bodies.c.name.label("body_name"),
            orders.c.id.label("order_id"),
            orders.c.day,
            orders.c.serial,
        )
        .select_from(
            takes.join(
                orders, and_(orders.c.tenant_id == takes.c.tenant_id, orders.c.id == takes.c.order_id)
            ).join(bodies, and_(bodies.c.tenant_id == takes.c.tenant_id, bodies.c.id == takes.c.taker_id))
        )
        .where(
            takes.c.tenant_id == actor.tenant.id,
            or_(orders.c.filer_id == actor.account_id, orders.c.beneficiary_id == actor.account_id),
        )
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())
