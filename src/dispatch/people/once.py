"""An act under an idempotency key that answers with an id."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.idempotency import Key, claim, kept
from dispatch.domain.people import Actor
from dispatch.domain.refusal import IdempotencyInProgress
from dispatch.people.queries import prove

ATTEMPTS = 2


async def once(
    db: AsyncConnection, actor: Actor, key: Key | None, act: Callable[[], Awaitable[UUID]], *, at: datetime
) -> tuple[UUID, bool]:
    """Do it under the key, or answer with what it led to. Returns the id and whether it is a replay.

    Raises:
        IdempotencyInProgress: another request under this key has not ended.
    """
    for _ in range(ATTEMPTS):
        await prove(db, actor)
        if done := await kept(db, key):
            return UUID(done.outcome["id"]), True
        id = await act()
        if await claim(db, key, status=200, order_id=None, outcome={"id": str(id)}, at=at):
            return id, False
        await start_over(db)
    raise IdempotencyInProgress()
