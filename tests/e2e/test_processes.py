"""Real processes on one database: servers side by side, and the demonstration from nothing."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.town import Hands, Town, found

SERVERS = 4


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(url: str, port: int, *arguments: str, **pipes: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "DISPATCH_DATABASE_URL": url,
        "DISPATCH_PORT": str(port),
        "DISPATCH_LOG_LEVEL": "ERROR",
    }
    return subprocess.Popen([sys.executable, "-m", "dispatch", "serve", *arguments], env=environment, **pipes)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_a_server_that_is_told_to_stop_gives_its_connections_back(
    backend: str, database: Database, told: signal.Signals
):
    town: Town = await found(database, Settings().session_key.get_secret_value(), present=True)
    port = free_port()
    process = serve(backend, port, stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await alive(client, f"http://127.0.0.1:{port}", 60)
            await asyncio.gather(*(Hands(client, town).file() for _ in range(4)))
    finally:
        process.send_signal(told)
        written, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert (process.returncode, written) == (0, b"")


async def alive(client: httpx.AsyncClient, base: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if (await client.get(f"{base}/v1/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    raise AssertionError("not ready in time")


@pytest.fixture
async def servers(backend: str) -> AsyncIterator[list[str]]:
    ports = [free_port() for _ in range(SERVERS)]
    running = [serve(backend, port) for port in ports]
    bases = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        async with httpx.AsyncClient() as client:
            for base in bases:
                await alive(client, base, 60)
        yield bases
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(20)


async def test_across_processes_as_many_win_as_there_are_slots(servers: list[str], database: Database):
    town: Town = await found(database, Settings().session_key.get_secret_value(), present=True)
    crowd = await town.crowd(40)
    async with httpx.AsyncClient(base_url=servers[0], timeout=60) as first:
        order = await Hands(first, town).open_(slots_min=5, slots_max=5)

    async def take(number: int, login: str) -> tuple[int, str]:
        async with httpx.AsyncClient(base_url=servers[number % SERVERS], timeout=60) as client:
            for _ in range(40):
                answer = await Hands(client, town).try_(login, order, "take")
                if answer.status_code != 503:
                    return answer.status_code, answer.json().get("outcome") or answer.json()["code"]
                await asyncio.sleep(0.2)
        raise AssertionError("busy for ever")

    answers = await asyncio.gather(*(take(number, login) for number, login in enumerate(crowd)))

    assert Counter(answers) == {(200, "taken"): 5, (409, "SLOT_TAKEN"): 35}


def act_out(base: str, script: str = "four_acts.sh") -> str:
    """Run an example of the README against a server."""
    acts = Path(__file__).parents[2] / "examples" / script
    environment = {**os.environ, "BASE": base}
    return subprocess.run(
        ["bash", str(acts)], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout


async def test_the_demonstration_starts_from_nothing_serves_the_four_acts(
    tmp_path: Path,
):
    url, port = f"sqlite+aiosqlite:///{tmp_path}/demo.db", free_port()
    process = serve(url, port, "--demo")
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await alive(client, f"http://127.0.0.1:{port}", 110)
            accounts = (await client.get("/v1/demo/accounts")).json()
            logins = {account["login"]: account for account in accounts}
            assert {f"member-{n}" for n in range(1, 26)} <= set(logins)
            told = await asyncio.to_thread(act_out, f"http://127.0.0.1:{port}/v1")
            assert "taken" in told
            assert "已办结" in told
            cases = await asyncio.to_thread(act_out, f"http://127.0.0.1:{port}/v1", "real_cases.sh")
            assert "已办结" in cases
            checked = await asyncio.to_thread(act_out, f"http://127.0.0.1:{port}/v1", "checkin.sh")
            assert re.search(r"^H[0-9]{8}-[0-9]{6}$", checked, re.MULTILINE)
            assert checked.count("'created': 1, 'unchanged': 0, 'problems': []") == 2
            assert checked.count("'created': 0, 'unchanged': 1, 'problems': []") == 1
            assert "2 人" in checked
            booked = await asyncio.to_thread(act_out, f"http://127.0.0.1:{port}/v1", "book_a_venue.sh")
            assert booked == "已确认\n"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
