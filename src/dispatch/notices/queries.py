"""Reads of notices."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import Actor
from dispatch.notices.tables import notices
from dispatch.orders.listing import MOST_COUNTED


async def page(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """The actor's notices, newest first, one more than ``limit``."""
    by = (notices.c.created_at, notices.c.id)
    rows = (
        select(notices)
        .where(notices.c.tenant_id == actor.tenant.id, notices.c.account_id == actor.account_id)
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())


async def unread(db: AsyncConnection, actor: Actor) -> int:
    """How many are unread, counted as far as badges count."""
    rows = (
        select(notices.c.id)
        .where(
            notices.c.tenant_id == actor.tenant.id,
            notices.c.account_id == actor.account_id,
            notices.c.read_at.is_(None),
        )
        .limit(MOST_COUNTED)
    )
    return int((await db.execute(select(func.count()).select_from(rows.subquery()))).scalar_one())
