"""Work that is found row by row, tenant by tenant, in short transactions, by any number of workers."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from dispatch.db.engine import Database
from dispatch.db.tenants import zones
from dispatch.jobs.parts import parts

Batch = Callable[..., Awaitable[int]]
"""(db, tenant, zone, at=, limit=): do at most ``limit`` rows and say how many there were."""

BATCH = 200
"""Rows of one transaction: some tens of milliseconds, and what a killed worker leaves to the next one."""


async def sweep(database: Database, at: datetime, batch: Batch, *, size: int = BATCH) -> int:
    """Do everything that is due, the oldest first; what fails in one tenant keeps no other waiting.

    Returns:
        How many rows that was.

    Raises:
        PartsFailed: at the end, if a tenant's failed.
    """
    count = 0
    async with database.reading() as db:
        tenants = await zones(db)
    with parts() as run:
        for tenant_id, zone in tenants:
            with run.apart(tenant=tenant_id):
                done = size
                while done >= size:
                    async with database.writing() as db:
                        done = await batch(db, tenant_id, zone, at=at, limit=size)
                    count += done
    return count
