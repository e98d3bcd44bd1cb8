"""Reads of who looked."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.life import standing
from dispatch.domain.people import Actor
from dispatch.domain.privacy import reads_views
from dispatch.domain.refusal import RoleForbidden
from dispatch.orders.queries import whole
from dispatch.orders.tables import order_views
from dispatch.people.tables import accounts


async def views(
    db: AsyncConnection, actor: Actor, order_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """Who looked at an order's contact data, newest first, one more than ``limit``.

    Raises:
        OrderNotFound: none of the actor's business.
        RoleForbidden: neither filer nor beneficiary nor auditor there.
    """
    seen, _ = await whole(db, actor, order_id)
    if not reads_views(standing(seen.life, actor)):
        raise RoleForbidden()
    by = (order_views.c.at, order_views.c.id)
    rows = (
        select(order_views, accounts.c.name.label("account_name"))
        .join(
            accounts,
            and_(accounts.c.tenant_id == order_views.c.tenant_id, accounts.c.id == order_views.c.account_id),
        )
        .where(order_views.c.tenant_id == actor.tenant.id, order_views.c.order_id == order_id)
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())
