"""What sharing a commit saves on SQLite: the same filings and takes with and without it, in turns.

In one process and without HTTP, so that what is measured is the database's way and nothing else; every commit is on
disk (synchronous=FULL). ``db/grouping.py``, ADR 0056.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import event

from benchmarks import results
from dispatch import log
from dispatch.app import create_app
from dispatch.db import grouping, migrate
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.town import Town, found

CLIENTS, ORDERS, ROUNDS = 32, 128, 5
SLOW_SECONDS = 0.008
MOST_UNITS = grouping.MOST_UNITS


class Called:
    """An ASGI application, called without a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def post(self, path: str, token: str, body: bytes) -> int:
        sent: list[int] = []
        headers = [
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
            (b"idempotency-key", uuid4().hex.encode()),
            (b"host", b"test"),
        ]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
            "raw_path": path.encode(), "query_string": b"", "headers": headers, "scheme": "http",
            "client": ("127.0.0.1", 1), "server": ("test", 80), "root_path": "", "state": {},
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                sent.append(message["status"])

        await self._app(scope, receive, send)
        return sent[0]


async def _run(jobs: list[Callable[[], Awaitable[int]]], expected: int) -> tuple[float, float]:
    """Do the jobs with so many clients at once. Returns seconds by the clock and of CPU."""
    waiting = iter(jobs)

    async def client() -> None:
        for job in waiting:
            status = await job()
            assert status == expected, status

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - wall, time.process_time() - cpu


class SlowDisk(sqlite3.Connection):
    """As on a disk that takes its time for what must be on it."""

    def commit(self) -> None:
        time.sleep(SLOW_SECONDS)
        super().commit()


async def _measured(folder: Path, slow: bool) -> list[list[float]]:
    """[without, with sharing] of [wall, CPU, commits], medians of all orders of a turn."""
    url = f"sqlite+aiosqlite:///{folder}/{'slow' if slow else 'here'}.db"
    migrate.upgrade(url)
    database, commits = Database(url), []
    writer = database.engines[1].sync_engine
    event.listen(writer, "commit", lambda connection: commits.append(1))
    if slow:
        event.listen(writer, "do_connect", lambda dialect, record, args, more: more.update(factory=SlowDisk))
    settings = Settings(rate_per_address=0, rate_per_account=0, log_level="ERROR")
    log.configure(settings)
    called = Called(create_app(settings, database))
    town = await found(database, settings.session_key.get_secret_value(), present=True)
    spent: dict[bool, list[tuple[float, float, int]]] = {False: [], True: []}
    for turn in range(ROUNDS + 1):
        for shared in (True, False) if turn % 2 else (False, True):
            grouping.MOST_UNITS = MOST_UNITS if shared else 1
            commits.clear()
            wall, cpu = await _run(_filings(called, town), 201)
            if turn:  # the first turn warms
                spent[shared].append((wall, cpu, len(commits)))
    await database.close()
    return [
        [statistics.median(part) for part in zip(*spent[shared], strict=True)] for shared in (False, True)
    ]


def _filings(called: Called, town: Town) -> list[Callable[[], Awaitable[int]]]:
    token = town["resident-1"].token
    body = '{"item_code":"0201","text":"楼道灯不亮"}'.encode()
    return [lambda: called.post("/v1/orders", token, body)] * ORDERS


def run() -> bool:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for disk, slow in (("this one", False), (f"{SLOW_SECONDS * 1000:.0f} ms a commit more", True)):
            turns = asyncio.run(_measured(Path(folder), slow))
            for said, (wall, cpu, count) in zip(("one commit each", "shared"), turns, strict=True):
                each = wall / ORDERS * 1000, cpu / ORDERS * 1000, count / ORDERS
                rows.append((disk, said, f"{ORDERS / wall:.0f}", *(f"{part:.2f}" for part in each)))
    said = (
        f"{ORDERS} orders filed by {CLIENTS} clients at once, in one process without HTTP, every commit on disk; "
        f"medians of {ROUNDS} turns, in turns with and without sharing. The second disk is this one and a pause, "
        "as hard disks and disks behind a network have it."
    )
    head = ("disk", "commits", "orders a second", "ms by the clock", "ms of CPU", "commits an order")
    results.write("grouping", "Shared commits on SQLite", said, head, rows)
    return all(float(rows[nth + 1][2]) >= 0.9 * float(rows[nth][2]) for nth in (0, 2))
