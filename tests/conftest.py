"""The databases every test may use: a SQLite file and a PostgreSQL through both drivers.

Each is migrated once per session and shared by all its tests: a test makes a tenant of its own and
never empties a table. Under xdist every process has its own server and file.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import event

from dispatch.db import migrate
from dispatch.db.engine import Database
from tests import postgres as pg
from tests import straying

FILES = tempfile.TemporaryDirectory(prefix="dispatch-files-")
os.environ["DISPATCH_FILES_DIR"] = FILES.name  # what tests upload goes with them
os.environ.setdefault("DISPATCH_DRAIN_SECONDS", "0")  # servers that tests start have no balancer to wait for

DRIVERS = ("sqlite", "asyncpg", "psycopg")
CITUS = "TEST_CITUS_URL"
"""Address of a coordinator (asyncpg or psycopg) with an empty database, or one that these tests made: contract tests
run against it too."""
EVERYWHERE = (*DRIVERS, *(["citus"] if CITUS in os.environ else []))
TEMPLATE = "dispatch_template"


class Backends(dict[str, str]):
    """The address of a migrated database for each of DRIVERS, made when first asked for."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def __missing__(self, driver: str) -> str:
        if driver == "citus":
            self[driver] = os.environ[CITUS]
            migrate.upgrade(self[driver])
        else:
            self[driver] = self.fresh(driver, "dispatch")
        return self[driver]

    def fresh(self, driver: str, name: str) -> str:
        """Another migrated database, for a test that cannot share one. ``name``: unique in the session."""
        if driver == "sqlite":
            folder = self._request.getfixturevalue("tmp_path_factory").mktemp("sqlite")
            url = f"sqlite+aiosqlite:///{folder}/{name}.db"
            migrate.upgrade(url)
            return url
        server: pg.Server = self._request.getfixturevalue("migrated_postgres")
        server.execute(f"CREATE DATABASE {name}_{driver} TEMPLATE {TEMPLATE}")
        return server.url(driver, f"{name}_{driver}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[pg.Server]:
    """A server of this session, with nothing in it."""
    server = pg.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: pg.Server) -> pg.Server:
    """The server with a migrated database to copy."""
    postgres.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate.upgrade(postgres.url("psycopg", TEMPLATE))
    return postgres


@pytest.fixture(scope="session")
def backends(request: pytest.FixtureRequest) -> Backends:
    """``backends["asyncpg"]`` is the address of the shared database; ``backends.fresh`` makes another."""
    return Backends(request)


@pytest.fixture(scope="session", params=EVERYWHERE)
def backend(request: pytest.FixtureRequest, backends: Backends) -> str:
    """The address of each database in turn."""
    return backends[request.param]


@pytest.fixture(scope="session")
async def database(backend: str) -> AsyncIterator[Database]:
    """The service's own way to each database in turn."""
    database = Database(backend)
    for engine in database.engines:
        event.listen(engine.sync_engine, "before_cursor_execute", straying.watch)
    yield database
    await database.close()
