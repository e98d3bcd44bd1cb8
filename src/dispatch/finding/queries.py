"""Reads of orders that may ask for the same thing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.db.dialect import among
from dispatch.domain.duplicates import LONGEST, Likeness
from dispatch.domain.life import standing
from dispatch.domain.order import LIVE
from dispatch.domain.people import DISPATCHING_ROLES, Actor
from dispatch.domain.refusal import RoleForbidden
from dispatch.orders import queries
from dispatch.orders.alike import COLUMNS, OVER, SOURCE, ranked, report
from dispatch.orders.tables import orders
from dispatch.orders.visibility import scoped, visible_to, within
from dispatch.orders.whole import Whole
from dispatch.people.queries import PROOF, proven
from dispatch.people.shapes import Shape, shape_of, values

Line = Mapping[str, Any]

MOST_BESIDE = 150
"""Orders before and after one that it is compared with, the nearest in time."""

MOST_GROUPED = 200
"""Open orders, the newest, among which groups are sought."""

_parent = orders.alias("parent")
_TOLD = (
    *COLUMNS,
    items.c.name.label("item_name"),
    orders.c.parent_id,
    _parent.c.day.label("parent_day"),
    _parent.c.serial.label("parent_serial"),
)
_SOURCE = SOURCE.outerjoin(
    _parent, and_(_parent.c.tenant_id == orders.c.tenant_id, _parent.c.id == orders.c.parent_id)
)


async def duplicates(
    db: AsyncConnection, actor: Actor, order_id: UUID, *, limit: int
) -> list[tuple[Line, Likeness]]:
    """Orders in the dispatcher's sight that are likely the same as one, the likeliest first. Two statements.

    Raises:
        OrderNotFound: unknown, or none of the actor's business.
        RoleForbidden: the actor dispatches nothing there.
    """
    whole, _ = await queries.whole(db, actor, order_id)
    if not standing(whole.life, actor).scoped & DISPATCHING_ROLES:
        raise RoleForbidden()
    rows = (await db.execute(_beside(shape_of(actor), whole), values(actor))).all()
    lines = [row._mapping for row in rows]
    this = next(report(line) for line in lines if line["id"] == order_id)
    return ranked(this, lines)[:limit]


def _beside(shape: Shape, whole: Whole) -> Select[Any]:
    """The order itself and those around it in time, of its community."""
    row, at = whole.row, orders.c.created_at
    there = (
        orders.c.community_id == row.community_id if row.community_id else orders.c.place_id == row.place_id
    )
    found = visible_to(shape, orders.c.id).where(there, orders.c.state.notin_(OVER))
    before = found.where(at <= row.created_at, at >= row.created_at - LONGEST).order_by(at.desc())
    after = found.where(at > row.created_at, at <= row.created_at + LONGEST).order_by(at)
    pages = [select(page.limit(MOST_BESIDE).subquery().c.id) for page in (before, after)]
    itself = visible_to(shape, orders.c.id).where(orders.c.id == row.id)
    ids = union(itself, *pages).subquery()
    return visible_to(shape, *_TOLD).select_from(_SOURCE).where(among(orders.c.id, select(ids.c.id)))


async def open_orders(
    db: AsyncConnection, actor: Actor, *, place_id: UUID | None, at: datetime
) -> Sequence[Line]:
    """The newest open orders that the actor dispatches, at a place if one is given. One statement.

    Raises:
        RoleForbidden: the actor dispatches nothing.
    """
    shape = shape_of(actor)
    looked_after = scoped(shape, DISPATCHING_ROLES)
    if not looked_after:
        raise RoleForbidden()
    found = (
        visible_to(shape, *_TOLD, PROOF)
        .select_from(_SOURCE)
        .where(
            or_(*looked_after),
            orders.c.state.in_(tuple(LIVE)),
            orders.c.created_at >= at - LONGEST,
        )
        .order_by(orders.c.created_at.desc(), orders.c.id.desc())
        .limit(MOST_GROUPED)
    )
    if place_id:
        found = found.where(within(place_id))
    rows = (await db.execute(found, values(actor))).all()
    if rows:
        proven(actor, rows[0].proof)
    return [row._mapping for row in rows]
