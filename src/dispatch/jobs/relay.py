"""The outbox relay: facts become reactions, at least once, in any number of workers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db import outbox
from dispatch.db.engine import Database, apart
from dispatch.domain.facts import Fact

log = structlog.get_logger(__name__)

Reaction = Callable[[AsyncConnection, int, Mapping[str, Any], datetime], Awaitable[None]]
"""(db, tenant, the fact's body, when it is told); writes rows only, never talks to the outside."""

BATCH = 50
"""Facts told in one transaction."""


async def relay(
    database: Database, at: datetime, reactions: Mapping[Fact, Sequence[Reaction]], *, batch: int = BATCH
) -> int:
    """Tell every due fact, one batch of each tenant in turn, so that none waits for another one's thousands.

    Returns:
        How many were told, those that failed included.
    """
    count = 0
    async with database.reading() as db:  # a tenant that has nothing to tell costs no transaction
        waiting = await outbox.tenants_waiting(db, at=at)
    while waiting:
        more = []
        for tenant_id in waiting:
            done = await _some(database, tenant_id, at, reactions, batch)
            count += done
            if done == batch:
                more.append(tenant_id)
        waiting = more
    return count


async def _some(
    database: Database, tenant_id: int, at: datetime, reactions: Mapping[Fact, Sequence[Reaction]], batch: int
) -> int:
    """One transaction: take some facts that no other worker holds, and tell them. One that fails holds back those of
    its order: they stay as they are.
    """
    failed = set()
    async with database.writing() as db:
        rows = await outbox.due(db, tenant_id, at=at, limit=batch)
        for row in rows:
            told = row.order_id in failed or await _tell(db, row, reactions, at=at)
            if not told and row.order_id is not None:
                failed.add(row.order_id)
    return len(rows)


async def _tell(
    db: AsyncConnection, row: Any, reactions: Mapping[Fact, Sequence[Reaction]], *, at: datetime
) -> bool:
    """One fact, in a savepoint of its own: if it fails, the others of the batch do not. Returns whether it was told."""
    name = {"fact": row.fact, "id": str(row.id), "attempts": row.attempts + 1}
    with structlog.contextvars.bound_contextvars(request_id=row.request_id):
        try:
            async with apart(db):
                for react in reactions[Fact(row.fact)]:
                    await react(db, row.tenant_id, row.body, at)
        except Exception as error:
            log.warning("outbox.failed", **name, exc_info=error)
            await outbox.failed(db, row, f"{type(error).__name__}: {error}", at=at)
            return False
        log.info("outbox.told", **name)
        await outbox.told(db, row, at=at)
        return True
