"""Reads from a streaming replica, of which nobody notices that it comes second (ADR 0052).

A read goes there only if the replica has replayed what the primary had on disk as the request began. So whoever was
told that something is written reads it, through whichever process; and a right that was called back is gone. Whoever
comes too early waits some milliseconds, then reads from the primary.
"""

import asyncio
from time import monotonic

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

log = structlog.get_logger(__name__)

PAUSES = (0.0, 0.002, 0.004, 0.008, 0.016)
"""Before each look, s: a replica in the same house is a few milliseconds behind."""
PATIENCE_SECONDS = 1.0
"""For a replica that does not answer at all."""
REST_SECONDS = 5.0
"""How long nobody asks a replica that did not answer."""

_ON_DISK = text("SELECT CAST(pg_current_wal_flush_lsn() AS text)")
_HOLDS = text("SELECT pg_last_wal_replay_lsn() >= CAST(CAST(:mark AS text) AS pg_lsn)")
_BEHIND = text(
    "SELECT CASE WHEN pg_is_in_recovery() "
    "THEN EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END"
)


async def on_disk(primary: AsyncConnection) -> str:
    """How far the primary's log is on disk: everything that anybody was told of lies before it."""
    return str(await primary.scalar(_ON_DISK))


async def seconds_behind(db: AsyncConnection) -> float | None:
    """Age of the last transaction that a replica replayed; None if it is no replica."""
    behind = await db.scalar(_BEHIND)
    return None if behind is None else float(behind)


class Replica:
    """A replica, and whether it is worth asking.

    State: until when it is left in peace after it did not answer; written by whoever found out.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._rests_until = 0.0

    async def holding(self, mark: str) -> AsyncConnection | None:
        """A connection to it that sees everything up to a mark, to be closed by the caller; None if none does soon."""
        if monotonic() < self._rests_until:
            return None
        db = self.engine.connect()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await db.start()
                for pause in PAUSES:
                    await asyncio.sleep(pause)
                    if await db.scalar(_HOLDS, {"mark": mark}):
                        return db
                await db.close()
        except (SQLAlchemyError, OSError) as error:
            self._rests_until = monotonic() + REST_SECONDS
            log.warning("replica.unanswered", error=type(error).__name__)
            if db.sync_connection is not None:
                await db.close()
        return None
