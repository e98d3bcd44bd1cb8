"""Mixed load for a long time, in a measured stream, and what the processes hold meanwhile."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from dispatch import clock
from dispatch.db.outbox import outbox
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Process, Service
from tests.town import Town

SAMPLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a moment."""

    at: float
    server_mb: float
    worker_mb: float
    files: int
    """Open files of server and worker: connections among them."""
    lag_seconds: float
    """How long the oldest fact that is due has waited."""
    closed: int


async def soak(service: Service, town: Town, pressure: Pressure, seconds: float) -> list[Sample]:
    """Press while looking; readers look at their lists as people do."""
    samples: list[Sample] = []
    began, reading = time.monotonic(), asyncio.create_task(_read(pressure.caller, town))
    try:
        async with pressure.on():
            while (passed := time.monotonic() - began) < seconds:
                await asyncio.sleep(SAMPLE_SECONDS)
                samples.append(await _look(service, town, pressure, passed))
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return samples


async def _read(caller: Caller, town: Town) -> None:
    looks = [("resident-1", "mine"), ("dispatcher-1", "queue"), ("member-1", "pool"), ("district-1", "all")]
    while True:
        for login, view in looks:
            await caller.read(town[login], f"/v1/orders?view={view}")
            await caller.read(town[login], "/v1/home")
            await asyncio.sleep(0.2)


async def _look(service: Service, town: Town, pressure: Pressure, passed: float) -> Sample:
    oldest = select(func.min(outbox.c.due_at)).where(
        outbox.c.tenant_id == town.tenant_id, outbox.c.state == "pending"
    )
    at, waiting = clock.now(), (await town.rows(oldest))[0][0]
    return Sample(
        passed,
        sum(map(_memory_mb, service.servers)),
        sum(map(_memory_mb, service.workers)),
        sum(map(_files, (*service.servers, *service.workers))),
        max(0.0, (at - waiting).total_seconds()) if waiting else 0.0,
        pressure.closed,
    )


def _memory_mb(process: Process) -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _files(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def growth(samples: list[Sample], part: str) -> tuple[float, float]:
    """The middle of a part's values in the second quarter of the time and in the last: flat if they are alike."""
    values = [getattr(sample, part) for sample in samples]
    quarter = len(values) // 4
    early, late = sorted(values[quarter : 2 * quarter]), sorted(values[-quarter:])
    return early[len(early) // 2], late[len(late) // 2]
