"""Rushes: 500 on one order, 2,000 on 200 slots, 64 on 1,000 orders, over two servers, on both databases.

`PEOPLE=100` makes everything so many hundredths of that. The next-order verb is measured where the service has it.
"""

import asyncio
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from benchmarks import results
from benchmarks.generator import Plan, press, request
from benchmarks.load.machines import start_postgres
from dispatch import log
from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.e2e import contention
from tests.e2e.contention import Tally
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.service import Service
from tests.town import Person, found

SERVERS = 2
MOST_SECONDS = 180.0
"""How long a client asks before it gives up."""


async def _on(url: str, share: float) -> list[tuple[str, Tally, int]]:
    """(what, how it ended, winners there should be)"""
    few, many, slots, takers, orders = (max(4, round(n * share)) for n in (500, 2000, 200, 64, 1000))
    database, told = Database(url), []
    town = await found(database, Settings().session_key.get_secret_value(), present=True)
    people = [town[login] for login in await town.crowd(many)]
    service = await asyncio.to_thread(Service(url, servers=SERVERS, workers=0).__enter__)
    try:
        async with Caller(
            service.bases, attempt_seconds=60, patience_seconds=MOST_SECONDS, connections=many
        ) as caller:
            for what, who, places in (
                (f"{few} on 1 order", people[:few], 1),
                (f"{many} on {slots} slots", people, slots),
            ):
                order_id = await contention.opened(caller, town, places)
                told.append((f"{what}, bare clients", await _bare(service, order_id, who), places))
                tally = await contention.rush(caller, who, await contention.opened(caller, town, places))
                told.append((what, tally, places))
            for next_ in (False, True) if contention.serves_next() else (False,):
                ids = [await contention.opened(caller, town) for _ in range(orders)]
                tally = await contention.drain(caller, people[-takers:], ids, next_=next_)
                how = "by the next-order verb" if next_ else "by id"
                told.append((f"{takers} on {orders} orders, {how}", tally, orders))
        assert await contention.most_per_slot(town) == 1, "a slot was given away twice"
    finally:
        await asyncio.to_thread(service.__exit__)
        await database.close()
    return told


async def _bare(service: Service, order_id: str, people: list[Person]) -> Tally:
    """All on one order of one server, by clients that do nothing but send and wait: what the servers take of a rush."""
    port, path = int(service.bases[0].rpartition(":")[2]), f"/v1/orders/{order_id}/take"
    sent = [request("POST", path, one.token, b"{}", uuid4().hex) for one in people]
    outcome = await asyncio.to_thread(press, Plan(port, sent, len(sent), MOST_SECONDS, once=True))
    won = Counter(taken=outcome.statuses[200])
    return Tally(won, [outcome.p99_ms / 1000] * outcome.count, outcome.seconds, outcome.count)


def run() -> bool:
    log.configure(Settings(log_level="ERROR"))
    share, rows, fine = float(os.environ.get("PEOPLE", "100")) / 100, [], True
    server, folder = start_postgres(), TemporaryDirectory()
    try:
        server.execute("CREATE DATABASE rush")
        for name, url in (
            ("PostgreSQL", server.url("asyncpg", "rush")),
            ("SQLite", f"sqlite+aiosqlite:///{Path(folder.name)}/rush.db"),
        ):
            migrate.upgrade(url)
            for what, tally, winners in asyncio.run(_on(url, share)):
                fine = fine and tally.won == winners
                answers = f"{len(tally.waited) / tally.seconds:.0f}"
                lost = f"{tally.lost_per_win:.2f}"
                rows.append(
                    (what, name, tally.won, f"{tally.seconds:.2f}", answers, f"{tally.p99_ms:.0f}", lost)
                )
    finally:
        server.stop()
        folder.cleanup()
    said = (
        f"{SERVERS} server processes. One winner for each slot, checked in the tables; `lost` counts every try that won "
        "nothing, those that were sent away as busy and came again included. By id a taker picks from the first twenty "
        "of what it believes is open, and finishes what it took. The clients are coroutines of one Python process on the "
        "same cores, whose own work is in the seconds; bare ones only send and wait, in a process of their own, to one of "
        "the servers."
    )
    head = (
        "rush",
        "on",
        "won",
        "seconds until all were answered",
        "answers a second",
        "p99 ms",
        "lost tries per win",
    )
    results.write("contention", "Rushes", said, head, rows)
    return fine
