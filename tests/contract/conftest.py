"""The application on each database, over HTTP, with a town of its own for every test."""

import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.settings import Settings
from dispatch.web import deps
from tests.described import refused_as_described
from tests.town import Clock, Hands, Town, found


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log lines are kept and not drawn: structlog's own default spends seconds on every traceback."""
    with capture_logs():
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(database: Database, clock: Clock) -> FastAPI:
    # Towns of several databases have the same numbers: each database has a directory of its own.
    files = Settings().files_dir / re.sub(r"\W+", "-", str(database.url))
    settings = Settings(rate_per_address=0, rate_per_account=0, password_memory_kib=32, files_dir=files)
    app = create_app(settings, database)

    async def now() -> object:
        return clock.now

    app.dependency_overrides[deps.now] = now
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    hooks = {"response": [refused_as_described]}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", event_hooks=hooks) as client:
        yield client


@pytest.fixture
async def town(app: FastAPI, database: Database) -> Town:
    return await found(database, app.state.settings.session_key.get_secret_value())


@pytest.fixture
async def hands(client: httpx.AsyncClient, town: Town) -> Hands:
    return Hands(client, town)
