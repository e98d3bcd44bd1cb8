"""Tries to sign in, counted in rows: every process sees them, and a restart forgets none."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.actions.opening import hashed
from dispatch.auth.tables import tries
from dispatch.db.guarding import Count, counted
from dispatch.domain.throttle import Throttle


async def count(db: AsyncConnection, throttle: Throttle, subject: str, *, at: datetime) -> int | None:
    """Count a try before it is looked at, so that many at once get no more than their share.

    Returns:
        Seconds to wait when it is one too many, else None.
    """
    key = {"kind": throttle.kind, "subject": hashed(subject), "number": throttle.number(at)}
    row = await counted(db, Count(tries, key, "tried"))
    return throttle.wait(at) if row.tried > throttle.most else None


async def take_back(db: AsyncConnection, throttle: Throttle, subject: str, *, at: datetime) -> None:
    """Count this try no more: it was right. Others from there still count."""
    key = {"kind": throttle.kind, "subject": hashed(subject), "number": throttle.number(at)}
    await counted(db, Count(tries, key, "tried", by=-1))


async def forgive(db: AsyncConnection, throttle: Throttle, subject: str) -> None:
    """Forget the tries: this one was right."""
    await db.execute(delete(tries).where(tries.c.kind == throttle.kind, tries.c.subject == hashed(subject)))
