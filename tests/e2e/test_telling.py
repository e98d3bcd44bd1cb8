"""What real processes tell their operators: one id from the request to the worker's log, and figures off the public way."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dispatch.db.engine import POOL_SIZE, Database
from dispatch.settings import Settings
from tests.conftest import Backends
from tests.e2e.test_processes import alive, free_port
from tests.town import Hands, found

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@contextmanager
def running(command: str, log: Path, **settings: object) -> Iterator[None]:
    """A process of the service, which writes its log into a file."""
    named = {f"DISPATCH_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("wb") as out:
        arguments = [sys.executable, "-m", "dispatch", command]
        process = subprocess.Popen(arguments, env={**os.environ, **named}, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line]


async def until(seen: Any, seconds: float = 60) -> Any:
    """What ``seen`` finds, once it finds something."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found_ := await seen():
            return found_
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come")


async def scraped(client: httpx.AsyncClient, port: int) -> dict[str, float]:
    try:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    except httpx.TransportError:  # it has not come up
        return {}
    told = [line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, value in told}


RELAYED = 'dispatch_job_seconds_count{job="outbox.relay"}'


@pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
async def test_one_id_leads_from_a_request_to_the_job_and_the_figures_are_not_for_the_public(
    backends: Backends, driver: str, tmp_path: Path
):
    url = backends.fresh(driver, f"telling_{uuid4().hex[:8]}")
    database = Database(url)
    try:
        town = await found(database, Settings().session_key.get_secret_value(), present=True)
    finally:
        await database.close()
    api, public, private = (free_port() for _ in range(3))
    serve, work = tmp_path / "serve", tmp_path / "work"
    lost = 'dispatch_http_requests_total{method="GET",route="-",status="404"}'
    asked = f"order-by-phone-{uuid4().hex}"
    base = f"http://127.0.0.1:{api}"
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        with running("serve", serve, database_url=url, port=api, metrics_address=f"127.0.0.1:{public}"):
            await alive(client, base, 110)
            hands = Hands(client, town)
            order = await hands.file()
            accepted = await hands.post(
                "dispatcher-1", f"/v1/orders/{order['id']}/accept", X_Request_Id=asked
            )
            assert (accepted.status_code, accepted.headers["X-Request-Id"]) == (200, asked)
            assert (await client.get("/metrics")).status_code == 404
            with running("work", work, database_url=url, metrics_address=f"127.0.0.1:{private}"):

                async def told() -> list[dict[str, Any]]:
                    return [line for line in lines(work) if line.get("request_id") == asked]

                async def counted() -> dict[str, float]:
                    figures = await scraped(client, public)
                    return figures if lost in figures else {}

                async def measured() -> dict[str, float]:
                    figures = await scraped(client, private)
                    return figures if {'dispatch_orders{state="accepted"}', RELAYED} <= figures.keys() else {}

                (line,) = await until(told)
                of_the_api, of_the_worker = await until(counted), await until(measured)
    assert (line["event"], line["fact"], line["job"]) == ("outbox.told", "order.moved", "outbox.relay")
    (done,) = [line for line in lines(serve) if line.get("request_id") == asked]
    assert (done["event"], done["route"]) == ("request.done", "/v1/orders/{order_id}/accept")

    answered = '{method="POST",route="/v1/orders/{order_id}/accept"'
    assert of_the_api[f'dispatch_http_requests_total{answered},status="200"}}'] == 1
    assert of_the_api[f"dispatch_http_request_seconds_count{answered}}}"] == 1
    assert of_the_api[lost] == 1
    assert of_the_api["dispatch_http_requests_in_progress"] == 0
    assert (
        of_the_api['dispatch_database_connections{pool="read",state="most"}']
        == POOL_SIZE[database.url.get_backend_name()]
    )
    assert "dispatch_orders_overdue" not in of_the_api
    assert of_the_worker['dispatch_orders{state="accepted"}'] == 1
    assert of_the_worker[RELAYED] >= 1
    assert not [name for name in (*of_the_api, *of_the_worker) if order["id"] in name]
