"""The disk under SQLite is full: a clear no, nothing half-written, and on it goes when there is space again."""

import asyncio
import resource
import sys
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.orders.tables import orders
from tests.conftest import Backends
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.conftest import KEY
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Process, Service
from tests.town import Town, found

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's own"),
]
UNLIMITED = resource.RLIM_INFINITY


def fill_up(process: Process, database: Path) -> None:
    """No file of the process may grow beyond what the write-ahead log is now."""
    size = Path(f"{database}-wal").stat().st_size
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size + 4096, UNLIMITED))


def make_room(process: Process) -> None:
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))


async def test_on_a_full_disk_writes_are_refused_in_words_reads_go_on_and_so_does_life_afterwards(
    backends: Backends,
):
    url = backends.fresh("sqlite", f"full_{uuid4().hex[:8]}")
    town: Town = await found(Database(url), KEY, present=True)
    with Service(url, servers=1, workers=1) as service:
        everybody = (*service.servers, *service.workers)
        async with Caller(service.bases) as caller, Pressure(town, caller).on() as pressure:
            await pressure.until(closed=4)
            for process in everybody:
                fill_up(process, Path(str(town.database.url.database)))
            text, refused = await refusal(service.bases[0], pressure)
            assert (refused.status_code, refused.json()["code"]) == (503, "STORAGE_FULL"), refused.text
            assert int(refused.headers["Retry-After"]) > 0
            assert refused.json()["message"].startswith("存储空间不足")
            shown = await caller.read(town["resident-1"], f"/v1/orders/{pressure.acked[0].order_id}")
            assert shown.status == 200
            assert (await caller.read(town["resident-1"], "/v1/readyz")).status == 200
            for process in everybody:
                make_room(process)
            await pressure.until(closed=6)
    assert not await town.rows(select(orders.c.id).where(orders.c.text == text))
    await assert_unharmed(pressure, least=10)
    await town.database.close()


async def refusal(base: str, pressure: Pressure) -> tuple[str, httpx.Response]:
    """File until there is no room. What fitted before counts like any other; returns the first that did not."""
    headers = pressure.town["resident-1"].headers
    async with httpx.AsyncClient(base_url=base, timeout=10) as client, asyncio.timeout(15):
        while True:
            text = f"装不下的 {uuid4().hex}"
            body = {"item_code": "0201", "text": text}
            answer = await client.post(
                "/v1/orders", json=body, headers={**headers, "Idempotency-Key": uuid4().hex}
            )
            if answer.status_code != 201:
                return text, answer
            pressure.filed[text] = UUID(answer.json()["id"])
