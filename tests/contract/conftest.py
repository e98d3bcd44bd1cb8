"""The application on each database, over HTTP, with a town of its own for every test."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from structlog.testing import capture_logs

from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.jobs.relay import relay
from dispatch.settings import Settings
from dispatch.web import deps
from dispatch.wiring import REACTIONS
from tests.contract.test_tenants import _ids as ids_of_every_kind
from tests.described import refused_as_described
from tests.town import Clock, Hands, Town, found
from tests.twin import Ids, Twin


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log lines are kept and not drawn: structlog's own default spends seconds on every traceback."""
    with capture_logs():
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
async def everybodys(database: Database) -> AsyncIterator[FastAPI]:
    """One application for all towns of a database: a new one works out all its routes anew."""
    # Towns of several databases have the same numbers: each database has a directory of its own.
    files = Settings().files_dir / re.sub(r"\W+", "-", str(database.url))
    settings = Settings(rate_per_address=0, rate_per_account=0, password_memory_kib=32, files_dir=files)
    app = create_app(settings, database)
    yield app
    await app.state.door.close()


@pytest.fixture
def app(everybodys: FastAPI, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    async def now() -> object:
        return clock.now

    monkeypatch.setitem(everybodys.dependency_overrides, deps.now, now)
    return everybodys


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    hooks = {"response": [refused_as_described]}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", event_hooks=hooks) as client:
        yield client


@pytest.fixture
async def town(
    app: FastAPI, database: Database, twin: Twin, request: pytest.FixtureRequest
) -> AsyncIterator[Town]:
    """The test's own district; beside it the twin, which must stand afterwards as it stood."""
    everywhere = request.node.get_closest_marker("over_all_tenants")
    # What writes to every tenant needs ids that are new in each.
    with twin.ids.fresh() if everywhere else twin.ids.again():
        town = await found(database, app.state.settings.session_key.get_secret_value())
        twin.written.clear()
        yield town
    if everywhere:
        await twin.note(twin.written)
    await twin.stands()


@pytest.fixture(scope="session")
async def twin(database: Database) -> Twin:
    """One for each database: a district with something of every kind in it."""
    clock, ids = Clock(), Ids()
    app = create_app(Settings(rate_per_address=0, rate_per_account=0), database)

    async def now() -> object:
        return clock.now

    app.dependency_overrides[deps.now] = now
    transport = httpx.ASGITransport(app)
    with ids.noted(), capture_logs():
        town = await found(database, app.state.settings.session_key.get_secret_value())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            hands = Hands(client, town)
            # The first orders of a test meet one that waits for the same move.
            await hands.file()
            await hands.accepted()
            await hands.open_()
            await ids_of_every_kind(hands)
            done = await hands.done()
            await hands.move("resident-1", done, "rate", score=5, solved=True, contacted=True)
            offered = await hands.accepted()
            target = {"kind": "member", "id": str(town["member-2"].id)}
            await hands.move("dispatcher-1", offered, "dispatch", mode="offer", targets=[target])
            kept = {"kind": "person", "id": str(town["member-3"].id)}
            await hands.post("dispatcher-1", f"/v1/orders/{offered['id']}/recusals", kept)
            await hands.post("resident-1", "/v1/me/consents/phone", {})
            await relay(database, clock.now, REACTIONS)
    twin = Twin(town, ids)
    await twin.settle()
    return twin


@pytest.fixture
async def hands(client: httpx.AsyncClient, town: Town) -> Hands:
    return Hands(client, town)


@pytest.fixture
def counted(database: Database) -> Iterator[list[str]]:
    """Statements as the database gets them, but for BEGIN; a test clears the list where it begins to count."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    for engine in database.engines:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    for engine in database.engines:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
