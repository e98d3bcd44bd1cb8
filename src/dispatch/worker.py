"""The worker: what runs by the clock, until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from dispatch import wiring
from dispatch.db.engine import Database
from dispatch.jobs.schedule import scheduler
from dispatch.settings import Settings

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10.0
"""How long a job in flight may still run when the worker stops."""


@asynccontextmanager
async def working(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Run the jobs beside something else; on leaving, jobs in flight end first."""
    running: set[asyncio.Task[None]] = set()
    ticking = scheduler(database, wiring.JOBS, tick_seconds=settings.worker_tick_seconds, running=running)
    ticking.start()
    log.info("worker.started", jobs=[job.name for job in wiring.JOBS])
    try:
        yield
    finally:
        ticking.shutdown(wait=False)
        if running:
            await asyncio.wait(running, timeout=GRACE_SECONDS)
        log.info("worker.stopped")


async def work(settings: Settings, database: Database, stop: asyncio.Event) -> None:
    """Run the jobs until ``stop`` is set."""
    async with working(settings, database):
        await stop.wait()
