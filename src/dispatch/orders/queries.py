"""Reads of single orders, of their logs and of requests; lists stand in ``listing.py``."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Select,
    and_,
    bindparam,
    or_,
    select,
    tuple_,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import ME, TENANT, Brought, Columns, made_once
from dispatch.db.types import Id
from dispatch.domain.people import Actor
from dispatch.domain.refusal import OrderNotFound, RequestNotFound
from dispatch.orders import visibility
from dispatch.orders.tables import order_recusals, order_steps, orders, requests
from dispatch.orders.visibility import visible_to
from dispatch.orders.whole import LISTS, WHOLE, Whole
from dispatch.people.queries import PROOF, former_names_of, prove, proven
from dispatch.people.shapes import Shape, shape_of, values
from dispatch.people.tables import accounts, body_people, grants
from dispatch.sla.queries import STANDING


async def whole(
    db: AsyncConnection,
    actor: Actor,
    order_id: UUID,
    *,
    hidden: bool = False,
    also: Sequence[Brought] = (),
) -> tuple[Whole, Any]:
    """One order with all that hangs on it, in one statement.

    Args:
        hidden: read it even if the actor may not see it (``take`` judges by the audience; a child's verdict
            needs its parent); the row's ``visible`` then tells.
        also: further columns to bring along.

    Returns:
        The order, and the row with the further columns.

    Raises:
        OrderNotFound: unknown, or none of the actor's business.
        TokenRevoked: the actor's grants have changed.
    """
    statement = _whole(shape_of(actor), hidden, tuple(brought.columns for brought in also))
    bound = values(actor) | {"wanted_id": order_id}
    for brought in also:
        bound |= brought.values
    row = (await db.execute(statement, bound)).one_or_none()
    if row is None:
        await prove(db, actor)  # perhaps it is the token that is wrong
        raise OrderNotFound()
    proven(actor, row.proof)
    return Whole(row, {name: getattr(row, name) for name in LISTS}), row


WANTED: BindParameter[UUID] = bindparam("wanted_id", type_=Id())
"""The order that is asked for."""
_WHOLE_OF = WHOLE.add_columns(*STANDING).where(orders.c.tenant_id == TENANT, orders.c.id == WANTED)


@made_once
def _whole(shape: Shape, hidden: bool, also: tuple[Columns, ...]) -> Select[Any]:
    """An order, as far as the actor may see it."""
    visible = or_(*visibility.branches(shape))
    statement = _WHOLE_OF.add_columns(PROOF, visible.label("visible"))
    statement = statement.add_columns(*(column for columns in also for column in columns.labelled))
    return statement if hidden else statement.where(visible)


async def whole_of(db: AsyncConnection, tenant_id: int, order_id: UUID) -> Whole:
    """One order with all that hangs on it, for the service itself."""
    row = (await db.execute(_WHOLE_OF, {"tenant_id": tenant_id, "wanted_id": order_id})).one()
    return Whole(row, {name: getattr(row, name) for name in LISTS})


async def timeline(db: AsyncConnection, actor: Actor, order_id: UUID) -> list[Any]:
    """The log of an order that the actor may see, oldest first, with the names of who acted, now and before."""
    bound = values(actor) | {"wanted_id": order_id}
    rows = (await db.execute(_timeline(shape_of(actor)), bound)).all()
    if not rows:
        await prove(db, actor)
        raise OrderNotFound()
    proven(actor, rows[0].proof)
    return list(rows)


@made_once
def _timeline(shape: Shape) -> Select[Any]:
    acted = order_steps.alias("acted").c
    who = select(acted.account_id).where(acted.tenant_id == TENANT, acted.order_id == WANTED)
    former = former_names_of(TENANT, who)
    return (
        select(order_steps, accounts.c.name, former.label("former"), PROOF)
        .select_from(
            order_steps.outerjoin(
                accounts,
                and_(
                    accounts.c.tenant_id == order_steps.c.tenant_id,
                    accounts.c.id == order_steps.c.account_id,
                ),
            )
        )
        .where(
            order_steps.c.tenant_id == TENANT,
            order_steps.c.order_id == WANTED,
            order_steps.c.order_id.in_(visible_to(shape, orders.c.id).where(orders.c.id == WANTED)),
        )
        .order_by(order_steps.c.seq)
    )


async def steps(db: AsyncConnection, tenant_id: int, order_id: UUID) -> list[Any]:
    """The log of an order, for the service itself (replay)."""
    rows = select(order_steps).where(order_steps.c.tenant_id == tenant_id, order_steps.c.order_id == order_id)
    return list((await db.execute(rows.order_by(order_steps.c.seq))).all())


def kept(tenant_id: int, order_ids: Collection[UUID]) -> Select[Any]:
    """Who is kept from these orders: (order_id, id) of every party named, and of the people of every body named."""
    these = (order_recusals.c.tenant_id == tenant_id, order_recusals.c.order_id.in_(order_ids))
    named = select(order_recusals.c.order_id, order_recusals.c.party_id.label("id")).where(*these)
    people = [
        select(order_recusals.c.order_id, of.c.account_id.label("id"))
        .join(
            of,
            and_(of.c.tenant_id == order_recusals.c.tenant_id, of.c.body_id == order_recusals.c.party_id),
        )
        .where(*these)
        for of in (body_people, grants)
    ]
    found = union(named, *people).subquery()
    return select(found.c.order_id, found.c.id)


async def recused(db: AsyncConnection, seen: Whole, among: Collection[UUID]) -> set[UUID]:
    """Which of these parties are kept from an order; no statement where nobody is."""
    if not seen.row.recused or not among:
        return set()
    rows = await db.execute(kept(seen.row.tenant_id, [seen.life.id]))
    return {row.id for row in rows} & set(among)


async def children(db: AsyncConnection, tenant_id: int, parent_id: UUID) -> list[Any]:
    """The orders merged into one, oldest first; for verbs and notices, not for viewers."""
    rows = (
        select(orders.c.id, orders.c.version, orders.c.state, orders.c.created_at, orders.c.filer_id)
        .add_columns(orders.c.beneficiary_id, orders.c.round, orders.c.flags, orders.c.head)
        .where(orders.c.tenant_id == tenant_id, orders.c.parent_id == parent_id)
        .order_by(orders.c.created_at, orders.c.id)
    )
    return list((await db.execute(rows)).all())


async def request(db: AsyncConnection, actor: Actor, request_id: UUID) -> Any:
    """A request on an order that the actor may see.

    Raises:
        RequestNotFound: unknown, or on an order that is none of the actor's business.
    """
    row = (
        await db.execute(
            select(requests, PROOF).where(
                requests.c.tenant_id == TENANT,
                requests.c.id == request_id,
                or_(
                    requests.c.asked_by == ME,
                    requests.c.order_id.in_(visible_to(shape_of(actor), orders.c.id)),
                ),
            ),
            values(actor),
        )
    ).one_or_none()
    if row is None:
        await prove(db, actor)
        raise RequestNotFound()
    proven(actor, row.proof)
    return row


_BESIDE_A_REQUEST = (
    *("day", "serial", "place_id", "street_id", "community_id", "grid_id"),
    *("filer_id", "beneficiary_id", "hide_name", "flags"),
)
"""What an order tells a list of requests: its number, where it is, and who must not be named."""


def _listed_requests() -> Select[Any]:
    asker = accounts.alias("asker")
    beside = [orders.c[name] for name in _BESIDE_A_REQUEST]
    return select(requests, *beside, asker.c.name.label("asker_name")).select_from(
        requests.join(
            orders, and_(orders.c.tenant_id == requests.c.tenant_id, orders.c.id == requests.c.order_id)
        ).join(asker, and_(asker.c.tenant_id == requests.c.tenant_id, asker.c.id == requests.c.asked_by))
    )


async def request_of(db: AsyncConnection, actor: Actor, request_id: UUID) -> Any:
    """A request as it now stands, for the answer to a verb that was allowed to act on it."""
    rows = _listed_requests().where(requests.c.tenant_id == actor.tenant.id, requests.c.id == request_id)
    return (await db.execute(rows)).one()


async def request_page(
    db: AsyncConnection,
    actor: Actor,
    *,
    status: str | None,
    kind: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Any]:
    """Requests the actor filed or, as staff, has in scope; newest first, one more than ``limit``."""
    by = (requests.c.asked_at, requests.c.id)
    ways = visibility.scoped(shape_of(actor))
    mine = requests.c.asked_by == ME
    rows = (
        _listed_requests()
        .add_columns(PROOF)
        .where(requests.c.tenant_id == TENANT, or_(mine, *ways))
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if status:
        rows = rows.where(requests.c.status == status)
    if kind:
        rows = rows.where(requests.c.kind == kind)
    if after:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    found = list((await db.execute(rows, values(actor))).all())
    if found:
        proven(actor, found[0].proof)
    return found
