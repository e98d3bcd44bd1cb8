"""Work that one process does for all: whoever holds the row does it, and the others pass it by."""

from datetime import datetime, timedelta

from sqlalchemy import Column, String, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.base import directory_table
from dispatch.db.dialect import yielding_insert
from dispatch.db.types import Instant

job_leases = directory_table(
    "job_leases",
    Column("name", String(32), primary_key=True),
    Column("holder", String(36), nullable=False),
    Column("until", Instant, nullable=False),
    by="name",
)


async def hold(db: AsyncConnection, name: str, holder: str, *, at: datetime, lasts: timedelta) -> bool:
    """Take the lease or renew one's own; a lease that ran out goes to whoever asks first.

    What is done under it must be harmless when two do it: a clock that is wrong lets two hold it.
    """
    write = yielding_insert(db, job_leases).values(name=name, holder=holder, until=at + lasts)
    write = write.on_conflict_do_update(
        index_elements=[job_leases.c.name],
        set_={"holder": write.excluded.holder, "until": write.excluded.until},
        where=or_(job_leases.c.until < at, job_leases.c.holder == holder),
    )
    return (await db.execute(write.returning(job_leases.c.name))).one_or_none() is not None
