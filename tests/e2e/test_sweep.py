"""Real workers on one database: one is killed in mid-sweep, and every step still happens exactly once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, insert, select

from dispatch import clock
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.places.actions import add_tenant
from dispatch.sla.tables import timers
from tests.conftest import Backends

TIMERS = 10_000
SECONDS = 50


def work(url: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DISPATCH_DATABASE_URL": url, "DISPATCH_LOG_LEVEL": "ERROR"}
    return subprocess.Popen([sys.executable, "-m", "dispatch", "work"], env=environment)


def due_timers(tenant_id: int) -> list[dict[str, Any]]:
    """Warnings of orders that are long gone: what is told of them is nothing, so that only firing takes time."""
    began = clock.now() - timedelta(hours=3)
    rows = []
    for nth in range(TIMERS // 2):
        key = {"tenant_id": tenant_id, "order_id": UUID(int=nth + 1), "clock": "finish", "deadline_no": 1}
        for level, minutes in (("warn_50", 0), ("warn_80", 30)):
            when = began + timedelta(minutes=minutes, milliseconds=nth)
            rows.append(key | {"subject_id": UUID(int=nth + 1), "level": level, "due_at": when, "loud": True})
    return rows


async def fired(database: Database, tenant_id: int) -> int:
    mine = timers.c.tenant_id == tenant_id, timers.c.fired_at.is_not(None)
    async with database.reading() as db:
        return int(await db.scalar(select(func.count()).select_from(timers).where(*mine)) or 0)


async def until(database: Database, tenant_id: int, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while await fired(database, tenant_id) < count:  # noqa: ASYNC110  (another process does the work)
            await asyncio.sleep(0.02)


@pytest.mark.process
@pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
async def test_ten_thousand_steps_happen_once_each_though_a_worker_is_killed_among_them(
    backends: Backends, driver: str
):
    url = backends.fresh(driver, f"sweep_{uuid4().hex[:8]}")
    database = Database(url)
    workers = []
    try:
        async with database.writing() as db:
            tenant_id = await add_tenant(db, f"t{uuid4().hex[:16]}", "试验区")
            await db.execute(insert(timers), due_timers(tenant_id))
        workers = [work(url), work(url)]
        await until(database, tenant_id, TIMERS // 20)
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait(10)
        at_the_kill = await fired(database, tenant_id)
        workers.append(work(url))
        await until(database, tenant_id, TIMERS)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(20)
    async with database.reading() as db:
        facts = (
            await db.execute(
                select(outbox.c.body, outbox.c.created_at).where(
                    outbox.c.tenant_id == tenant_id, outbox.c.fact == "clock.step"
                )
            )
        ).all()
    await database.close()
    assert at_the_kill < TIMERS, "the worker was killed too late to show anything"
    steps = Counter((body["order_id"], body["level"]) for body, _ in facts)
    assert len(steps) == TIMERS
    assert set(steps.values()) == {1}
    assert all(at.isoformat() == body["due_at"] for body, at in facts)  # each bears its true time
