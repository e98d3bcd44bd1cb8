"""A town to press upon, and databases that can be broken."""

from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs

from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.conftest import Backends
from tests.e2e.faults import cluster
from tests.town import Town, found

KEY = Settings().session_key.get_secret_value()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture(params=["sqlite", "asyncpg"])
async def broken(request: pytest.FixtureRequest, backends: Backends) -> AsyncIterator[tuple[str, Town]]:
    """The address of a database of its own, and a town on it."""
    url = backends.fresh(request.param, f"faults_{abs(hash(request.node.name)) % 10**9}")
    database = Database(url)
    yield url, await found(database, KEY, present=True)
    await database.close()


@pytest.fixture
def machines() -> Iterator[cluster.Cluster]:
    """A PostgreSQL server that may be killed, with a migrated database."""
    with cluster.cluster() as made:
        made.primary.execute("CREATE DATABASE dispatch")
        migrate.upgrade(made.url("psycopg"))
        yield made


@pytest.fixture(params=["asyncpg", "psycopg"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
