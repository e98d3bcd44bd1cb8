"""The description against the service: whatever a stranger sends, no crash and no answer that is not described."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import httpx
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from structlog.testing import capture_logs

from dispatch.app import create_app, described
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.conftest import Backends
from tests.e2e.test_processes import free_port
from tests.town import Hands, found

JUDGED = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(described().openapi())


@dataclass(frozen=True)
class Served:
    """A running service, whom to be there, and orders that exist."""

    base: str
    session: requests.Session
    headers: Iterator[dict[str, str]]
    order_ids: Iterator[str]


async def _peopled(url: str, key: str, base: str) -> tuple[list[dict[str, str]], list[str]]:
    """A town with an order in every state that a few moves reach."""
    database = Database(url)
    try:
        town = await found(database, key, present=True)
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            hands = Hands(client, town)
            made = [hands.file, hands.accepted, hands.open_, hands.taken, hands.done]
            orders = [(await make())["id"] for make in made for _ in range(3)]
        return [town[login].headers for login in ("dispatcher-1", "district-1", "member-1")], orders
    finally:
        await database.close()


@pytest.fixture(scope="module")
def served(backends: Backends) -> Iterator[Served]:
    """The application behind a real socket, in a thread of this process; on the stricter database."""
    url, port, told = backends.fresh("asyncpg", "fuzzed"), free_port(), Settings(demo=True)
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        database = Database(url)
        app = create_app(told, database)
        server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", lifespan="off")
        )
        serving = asyncio.create_task(server.serve())
        while not serving.done() and not stop.is_set():
            if server.started:
                started.set()
            await asyncio.sleep(0.02)
        server.should_exit = True
        await serving
        await database.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(20)
    base = f"http://127.0.0.1:{port}"
    headers, order_ids = asyncio.run(_peopled(url, told.session_key.get_secret_value(), base))
    with capture_logs(), requests.Session() as session:
        yield Served(base, session, cycle(headers), cycle(order_ids))
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_described_and_nothing_crashes(case: schemathesis.Case, served: Served) -> None:
    if "order_id" in case.path_parameters:
        case.path_parameters["order_id"] = next(served.order_ids)
    if case.headers:  # a made-up grant is refused before anything else is looked at
        case.headers.pop("X-Acting-Grant", None)
    answer = case.call(base_url=served.base, session=served.session, headers=next(served.headers))
    # Nobody sends short messages for this service, and it says so.
    unset = answer.status_code == 503 and answer.json()["code"] == "SMS_UNAVAILABLE"
    case.validate_response(
        answer, checks=JUDGED, excluded_checks=[checks.not_a_server_error] if unset else []
    )
