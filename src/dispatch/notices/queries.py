"""Reads of notices."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import ME, TENANT
from dispatch.domain.people import Actor
from dispatch.notices.tables import notices
from dispatch.orders.listing import MOST_COUNTED
from dispatch.orders.tables import orders
from dispatch.orders.visibility import KEPT_FROM, mine
from dispatch.people.shapes import values

_COMPLAINS = exists().where(
    orders.c.tenant_id == notices.c.tenant_id,
    orders.c.id == notices.c.order_id,
    orders.c.recused != 0,
    ~or_(*mine()),
    KEPT_FROM,
)
TOLD = and_(notices.c.tenant_id == TENANT, notices.c.account_id == ME, ~_COMPLAINS)
"""The actor's notices, but for those of orders that complain of him: told before anybody knew it, or meanwhile. It runs
with ``shapes.values`` of the actor."""


async def page(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """The actor's notices, newest first, one more than ``limit``."""
    by = (notices.c.created_at, notices.c.id)
    rows = select(notices).where(TOLD).order_by(*(column.desc() for column in by)).limit(limit + 1)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows, values(actor))).all())


async def unread(db: AsyncConnection, actor: Actor) -> int:
    """How many are unread, counted as far as badges count."""
    rows = select(notices.c.id).where(TOLD, notices.c.read_at.is_(None)).limit(MOST_COUNTED)
    return int(
        (await db.execute(select(func.count()).select_from(rows.subquery()), values(actor))).scalar_one()
    )
