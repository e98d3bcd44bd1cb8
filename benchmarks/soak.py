"""Half an hour of mixed load on PostgreSQL: memory, connections and the outbox's lag are to stay where they are.

`MINUTES=2` makes it shorter.
"""

import asyncio
import os

from benchmarks import results, svg
from benchmarks.load.machines import start_postgres
from dispatch import log
from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Service
from tests.e2e.soak import Sample, growth, soak
from tests.town import found

MOST_GROWTH, MOST_LAG_SECONDS = 1.1, 5.0


async def _measured(url: str, minutes: float) -> list[Sample]:
    town = await found(Database(url), Settings().session_key.get_secret_value(), present=True)
    service = await asyncio.to_thread(Service(url, servers=2, workers=1).__enter__)
    try:
        async with Caller(service.bases) as caller:
            pressure = Pressure(town, caller, lanes=4)
            samples = await soak(service, town, pressure, minutes * 60)
    finally:
        await asyncio.to_thread(service.__exit__)
    await assert_unharmed(pressure)
    await town.database.close()
    return samples


def run() -> bool:
    log.configure(Settings(log_level="ERROR"))
    minutes = float(os.environ.get("MINUTES", "30"))
    server = start_postgres()
    try:
        server.execute("CREATE DATABASE soak")
        migrate.upgrade(server.url("psycopg", "soak"))
        samples = asyncio.run(_measured(server.url("asyncpg", "soak"), minutes))
    finally:
        server.stop()
    named = {
        "memory of the servers, MB": "server_mb", "memory of the worker, MB": "worker_mb", "open files": "files",
        "lag of the outbox, s": "lag_seconds",
    }  # fmt: skip
    rows, fine = [], True
    for said, part in named.items():
        early, late = growth(samples, part)
        most = max(getattr(sample, part) for sample in samples)
        rows.append((said, f"{early:.1f}", f"{late:.1f}", f"{most:.1f}"))
        fine = fine and (late <= MOST_LAG_SECONDS if part == "lag_seconds" else late <= MOST_GROWTH * early)
    svg.lines(
        results.FOLDER / "soak.svg",
        "Memory under mixed load",
        "minutes",
        "MB",
        {
            "servers": [(sample.at / 60, sample.server_mb) for sample in samples],
            "worker": [(sample.at / 60, sample.worker_mb) for sample in samples],
        },
    )
    said = (
        f"{minutes:g} minutes, two servers and a worker on PostgreSQL, four orders at a time filed, handed out, taken, "
        f"finished and judged, lists read beside it: {samples[-1].closed} lives. Every acknowledged write was there, "
        f"nothing twice, the books added up. Promised: the last quarter's middle no more than {MOST_GROWTH} times the "
        f"second quarter's, the lag at most {MOST_LAG_SECONDS:g} s."
    )
    results.write("soak", "Soak", said, ("what", "second quarter", "last quarter", "most"), rows)
    return fine
