"""A server that is told to go: it is looked away from first, answers whatever it was asked, and then is gone."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from dispatch.db.engine import Database
from dispatch.orders.tables import orders
from dispatch.settings import Settings
from tests.conftest import Backends
from tests.e2e.test_processes import alive, free_port
from tests.town import Town, found

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

CLIENTS = 8
ORDER = json.dumps({"item_code": "0102", "text": "请帮忙陪同复查。"}).encode()


def server(url: str, port: int, log: Path, drain: float) -> subprocess.Popen[bytes]:
    settings = {"DATABASE_URL": url, "PORT": str(port), "DRAIN_SECONDS": str(drain)}
    environment = {**os.environ, **{f"DISPATCH_{name}": value for name, value in settings.items()}}
    with log.open("wb") as out:
        command = [sys.executable, "-m", "dispatch", "serve"]
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out)


@dataclass
class Balancer:
    """Sends orders to one server for as long as it says that it is ready, and notes every answer."""

    base: str
    town: Town
    away: asyncio.Event = field(default_factory=asyncio.Event)
    answers: list[httpx.Response] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)

    async def watch(self) -> None:
        async with httpx.AsyncClient(base_url=self.base, timeout=20) as client:
            while (await client.get("/v1/readyz")).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            # What was asked just before is under way; and now it is asked no more.
            self.answers.append(await self.order(client))
            self.away.set()

    async def send(self) -> None:
        async with httpx.AsyncClient(base_url=self.base, timeout=20) as client:
            while not self.away.is_set():
                try:
                    self.answers.append(await self.order(client))
                except httpx.TransportError as error:
                    self.lost.append(error)

    async def order(self, client: httpx.AsyncClient) -> httpx.Response:
        headers = self.town["resident-1"].headers | {"Idempotency-Key": uuid4().hex}
        headers["Content-Type"] = "application/json"
        return await client.post("/v1/orders", content=ORDER, headers=headers)


async def half_asked(port: int, town: Town) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request of which the server has half."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ORDER)}\r\nIdempotency-Key: slow\r\n"
    head += "Content-Type: application/json\r\n"
    head += f"Authorization: {town['resident-2'].headers['Authorization']}\r\n\r\n"
    writer.write(head.encode() + ORDER[:10])
    await writer.drain()
    return reader, writer


async def gone(port: int) -> None:
    """Wait until nobody listens."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        writer.close()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
async def test_no_request_is_lost_when_a_server_goes_under_load(
    backends: Backends, driver: str, tmp_path: Path
):
    url, port = backends.fresh(driver, f"leaving_{uuid4().hex[:8]}"), free_port()
    database = Database(url)
    process = server(url, port, tmp_path / "log", 2.0)
    try:
        town = await found(database, Settings().session_key.get_secret_value(), present=True)
        balancer = Balancer(f"http://127.0.0.1:{port}", town)
        async with httpx.AsyncClient() as client:
            await alive(client, balancer.base, 110)
        reader, writer = await half_asked(port, town)
        work = [asyncio.create_task(balancer.send()) for _ in range(CLIENTS)]
        while len(balancer.answers) < 2 * CLIENTS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        watching = asyncio.create_task(balancer.watch())
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(watching, *work)
        await gone(port)
        assert process.poll() is None  # it waits for the half that is missing
        writer.write(ORDER[10:])
        slow = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        ended = await asyncio.to_thread(process.wait, 20)
        async with database.reading() as db:
            kept = await db.scalar(select(func.count()).where(orders.c.tenant_id == town.tenant_id))
    finally:
        await database.close()
        if process.poll() is None:
            process.kill()

    assert balancer.lost == []
    assert {answer.status_code for answer in balancer.answers} == {201}
    assert slow.startswith(b"HTTP/1.1 201")
    assert kept == len(balancer.answers) + 1
    last = balancer.answers[-1].headers
    assert last["Connection"] == "close"
    assert ended == 0, (tmp_path / "log").read_text()


async def test_who_stops_it_by_hand_does_not_wait(backends: Backends, tmp_path: Path):
    port = free_port()
    process = server(backends["sqlite"], port, tmp_path / "log", 300)
    try:
        async with httpx.AsyncClient() as client:
            await alive(client, f"http://127.0.0.1:{port}", 110)
        process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while (answer := await client.get("/v1/readyz")).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert answer.json() == {"status": "unready", "reasons": ["leaving"]}
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        if process.poll() is None:
            process.kill()
