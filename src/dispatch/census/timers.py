"""The job that measures: any number of workers run it, and one of them does."""

from datetime import datetime, timedelta
from uuid import uuid4

from dispatch.census import queries
from dispatch.db import leases
from dispatch.db.engine import Database
from dispatch.meters import Meters

SECONDS = 15.0
LEASE = "census"
LASTS = timedelta(seconds=3 * SECONDS)
"""How long nobody measures after the worker that did has died."""


class Measuring:
    """Measures while it holds the lease; else it tells nothing, so that every number has one source."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._holder = str(uuid4())

    async def __call__(self, database: Database, at: datetime) -> None:
        """Measure once, if it is this worker's part."""
        async with database.writing() as db:
            mine = await leases.hold(db, LEASE, self._holder, at=at, lasts=LASTS)
        if not mine:
            self._meters.show(())
            return
        async with database.reading() as db:
            self._meters.show(await queries.measure(db, at=at))
