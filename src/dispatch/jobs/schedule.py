"""What runs again and again. APScheduler only ticks; the truth is in tables, so any number of workers may run."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dispatch import clock
from dispatch.db.engine import Database
from dispatch.meters import Meters

log = structlog.get_logger(__name__)

Job = Callable[[Database, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Every:
    """A job and its period in seconds."""

    name: str
    seconds: float
    run: Job


def scheduler(
    database: Database,
    jobs: Sequence[Every],
    meters: Meters,
    *,
    tick_seconds: float,
    running: set[asyncio.Task[None]],
) -> AsyncIOScheduler:
    """A scheduler that ticks the jobs, each one at a time; not started.

    Args:
        tick_seconds: the shortest period; jobs that want to run more often run this often.
        running: runs in flight, kept here so that a stopping worker can wait for them.
    """
    ticking = AsyncIOScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 60}
    )
    for job in jobs:
        ticking.add_job(
            _guarded(database, job, meters, running),
            "interval",
            seconds=max(job.seconds, tick_seconds),
            id=job.name,
            next_run_time=clock.now(),
        )
    return ticking


def _guarded(
    database: Database, job: Every, meters: Meters, running: set[asyncio.Task[None]]
) -> Callable[[], Awaitable[None]]:
    async def once() -> None:
        began, failed = perf_counter(), False
        with structlog.contextvars.bound_contextvars(job=job.name):
            try:
                await job.run(database, clock.now())
            except Exception as error:
                # The next tick tries again; a job that fails must not end the worker.
                failed = True
                log.error("job.failed", error=type(error).__name__, exc_info=error)
        meters.ran(job.name, perf_counter() - began, failed=failed)

    async def run() -> None:
        # A task of its own: the scheduler cancels what it awaits when it shuts down.
        task = asyncio.create_task(once())
        running.add(task)
        task.add_done_callback(running.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)

    return run
