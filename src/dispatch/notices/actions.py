"""Acts on notices."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import Actor
from dispatch.notices.tables import notices


async def read(db: AsyncConnection, actor: Actor, *, up_to: UUID, at: datetime) -> None:
    """Mark the actor's notices as read, up to and including one (ids are ordered by time). Safe to repeat."""
    await db.execute(
        update(notices)
        .where(
            notices.c.tenant_id == actor.tenant.id,
            notices.c.account_id == actor.account_id,
            notices.c.id <= up_to,
            notices.c.read_at.is_(None),
        )
        .values(read_at=at)
    )
