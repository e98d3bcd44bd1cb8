"""Reads of notices."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import Actor
from dispatch.notices.tables import notices
from dispatch.orders.queries import MOST_COUNTED
from dispatch.orders.tables import orders
from dispatch.orders.visibility import kept_from, mine


def told_to(actor: Actor) -> ColumnElement[bool]:
    """The actor's notices, but for those of orders that complain of him: told before anybody knew it, or meanwhile."""
    complains = exists().where(
        orders.c.tenant_id == notices.c.tenant_id,
        orders.c.id == notices.c.order_id,
        orders.c.recused != 0,
        ~or_(*mine(actor)),
        kept_from(actor),
    )
    own = notices.c.tenant_id == actor.tenant.id, notices.c.account_id == actor.account_id
    return and_(*own, ~complains)


async def page(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """The actor's notices, newest first, one more than ``limit``."""
    by = (notices.c.created_at, notices.c.id)
    rows = select(notices).where(told_to(actor)).order_by(*(column.desc() for column in by)).limit(limit + 1)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())


async def unread(db: AsyncConnection, actor: Actor) -> int:
    """How many are unread, counted as far as badges count."""
    rows = select(notices.c.id).where(told_to(actor), notices.c.read_at.is_(None)).limit(MOST_COUNTED)
    return int((await db.execute(select(func.count()).select_from(rows.subquery()))).scalar_one())
