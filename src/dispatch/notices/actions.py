"""Acts on notices."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
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


async def tell(
    db: AsyncConnection,
    tenant_id: int,
    account_ids: Iterable[UUID],
    cause: str,
    event: str,
    text: str,
    *,
    at: datetime,
) -> None:
    """Tell accounts of something that is no order's. Nobody is told twice of one cause."""
    rows = [
        {
            "tenant_id": tenant_id,
            "id": new_id(),
            "account_id": account_id,
            "cause": cause,
            "event": event,
            "text": text,
            "created_at": at,
        }
        for account_id in sorted(set(account_ids))
    ]
    await insert_or_ignore(db, notices, rows)
