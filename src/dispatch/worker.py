"""The worker: what runs by the clock, until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from dispatch import wiring
from dispatch.db.engine import Database
from dispatch.jobs.schedule import scheduler
from dispatch.meters import Meters
from dispatch.settings import Settings

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10.0
"""How long a job in flight may still run when the worker stops."""


@asynccontextmanager
async def working(settings: Settings, database: Database, meters: Meters) -> AsyncIterator[None]:
    """Run the jobs beside something else; on leaving, jobs in flight end first."""
    running: set[asyncio.Task[None]] = set()
    jobs = (*wiring.JOBS, wiring.measuring(meters), wiring.sweeping(settings))
    ticking = scheduler(database, jobs, meters, tick_seconds=settings.worker_tick_seconds, running=running)
    ticking.start()
    log.info("worker.started", jobs=[job.name for job in jobs])
    try:
        yield
    finally:
        ticking.shutdown(wait=False)
        if running:
            await asyncio.wait(running, timeout=GRACE_SECONDS)
        log.info("worker.stopped")


async def work(settings: Settings, database: Database, meters: Meters, stop: asyncio.Event) -> None:
    """Run the jobs until ``stop`` is set."""
    async with working(settings, database, meters):
        await stop.wait()
