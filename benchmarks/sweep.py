"""A sweep touches only what is due: 1,000 due timers among 1,000,000 armed ones beside the same among 1,000."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, text

from benchmarks import results
from dispatch import clock
from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.places.actions import add_tenant
from dispatch.sla.actions import firing
from dispatch.sla.tables import timers
from tests import postgres

FEW, ARMED, DUE, BATCH, ROUNDS = 1_000, 1_000_000, 1_000, 200, 15
MOST = 1.1
"""How much longer the sweep may take among a thousand times as many timers."""

ZONE = ZoneInfo("Asia/Shanghai")
ID = (
    "CAST(lpad(to_hex(CAST(extract(epoch FROM now()) * 1000 AS bigint) - n * 1000), 12, '0') || '7' || "
    "substr(md5(random()\\:\\:text), 1, 3) || '8' || substr(md5(random()\\:\\:text), 1, 15) AS uuid)"
)
"""A UUIDv7 of n seconds ago: as the service makes them, so that the timers of one time lie together."""
FILL = text(
    "INSERT INTO timers (tenant_id, order_id, clock, subject_id, level, deadline_no, due_at, fired_at, loud) "
    "SELECT :tenant, id, 'finish', id, 'breach', 1, now() + interval '1 day' + n * interval '1 second', NULL, false "
    f"FROM (SELECT n, {ID} AS id FROM generate_series(1, :count) AS n) AS made"
)


async def _filled(server: postgres.Server, name: str, armed: int) -> tuple[Database, int]:
    """A database of its own with so many timers armed for later."""
    server.execute(f"CREATE DATABASE {name}")
    migrate.upgrade(server.url("psycopg", name))
    database = Database(server.url("asyncpg", name))
    async with database.writing() as db:
        tenant_id = await add_tenant(db, f"t{uuid4().hex[:16]}", "试验区")
        await db.execute(text("SET LOCAL statement_timeout = 0"))
        await db.execute(FILL, {"tenant": tenant_id, "count": armed})
    async with database.engines[0].execution_options(isolation_level="AUTOCOMMIT").connect() as db:
        await db.execute(text("VACUUM ANALYZE timers"))
    return database, tenant_id


def _due(tenant_id: int, at: datetime) -> list[dict[str, object]]:
    key = {"tenant_id": tenant_id, "clock": "finish", "level": "warn_50", "deadline_no": 1, "loud": True}
    when = [at - timedelta(milliseconds=DUE - nth) for nth in range(DUE)]
    return [key | {"order_id": (id := new_id()), "subject_id": id, "due_at": due_at} for due_at in when]


async def _service(database: Database, tenant_id: int, at: datetime) -> None:
    """What the worker does: lock, fire, announce, commit."""
    fired = BATCH
    while fired == BATCH:
        async with database.writing() as db:
            fired = await firing.fire(db, tenant_id, ZONE, at=at, limit=BATCH)


async def _table(database: Database, tenant_id: int, at: datetime) -> None:
    """The table alone: find what is due."""
    found = select(timers).where(
        timers.c.tenant_id == tenant_id, timers.c.fired_at.is_(None), timers.c.due_at < at
    )
    async with database.reading() as db:
        assert len((await db.execute(found.order_by(timers.c.due_at))).all()) == DUE


async def _timed(
    act: Callable[..., Awaitable[None]], database: Database, tenant_id: int, at: datetime
) -> float:
    began = time.perf_counter()
    await act(database, tenant_id, at)
    return (time.perf_counter() - began) * 1000


async def _measured(server: postgres.Server) -> list[tuple[str, float, float]]:
    places = [await _filled(server, "few", FEW), await _filled(server, "many", ARMED)]
    spent: dict[str, list[list[float]]] = {"table": [[], []], "sweep": [[], []]}
    for turn in range(ROUNDS + 2):
        for which in (0, 1) if turn % 2 else (1, 0):
            database, tenant_id = places[which]
            at = clock.now()
            async with database.writing() as db:
                await db.execute(insert(timers), _due(tenant_id, at))
            for name, act in (("table", _table), ("sweep", _service)):
                took = await _timed(act, database, tenant_id, at)
                if turn >= 2:  # the first turns warm caches and compiled statements
                    spent[name][which].append(took)
    for database, _ in places:
        await database.close()
    return [(name, min(few), min(many)) for name, (few, many) in spent.items()]


def run() -> bool:
    server = postgres.start()
    try:
        found = asyncio.run(_measured(server))
    finally:
        server.stop()
    rows = [(name, f"{few:.1f}", f"{many:.1f}", f"{many / few:.2f}") for name, few, many in found]
    said = (
        f"{DUE:,} due timers, fired in transactions of {BATCH} with their facts, in a database with {FEW:,} others "
        f"armed for later and in one with {ARMED:,}; the best of {ROUNDS} turns, one beside the other, since other "
        f"work on the machine only ever adds time. `table` only selects what is due. "
        f"Promised: no more than {MOST} times."
    )
    results.write(
        "sweep", "Sweep of due timers", said, ("act", "among 1 k, ms", "among 1 M, ms", "ratio"), rows
    )
    return all(many / few <= MOST for _, few, many in found)
