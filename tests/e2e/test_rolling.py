"""The release before this one serves on, on the tables of this one, while its servers come up beside it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.conftest import Backends
from tests.e2e.test_processes import free_port
from tests.town import Hands, found

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BEFORE = os.environ.get("PREVIOUS", "HEAD~1")
"""What is taken for the release before this one; any name that git knows."""


def git(*arguments: str) -> bytes:
    program = shutil.which("git") or pytest.skip("there is no git here")
    done = subprocess.run([program, "-C", str(ROOT), *arguments], capture_output=True)
    if done.returncode:
        pytest.skip(
            f"no earlier commit here (a shallow clone, or no clone at all?): {done.stderr.decode()[:200]}"
        )
    return done.stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and the migrations of the commit before."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(git("archive", BEFORE, "src", "migrations"))) as tree:
        tree.extractall(folder, filter="data")
    return folder


def dispatch(code: Path, url: str, *arguments: str, **settings: object) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(code / "src"),
        "DISPATCH_DATABASE_URL": url,
        "DISPATCH_LOG_LEVEL": "ERROR",
        **{f"DISPATCH_{name}": str(value) for name, value in settings.items()},
    }
    return subprocess.Popen([sys.executable, "-m", "dispatch", *arguments], env=environment, cwd=code)


@contextmanager
def serving(code: Path, url: str, port: int) -> Iterator[None]:
    process = dispatch(code, url, "serve", PORT=port)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def answers(client: httpx.AsyncClient, path: str = "/v1/healthz") -> int:
    """Once it answers at all."""
    for _ in range(600):
        try:
            return (await client.get(path)).status_code
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    raise AssertionError("it did not come up")


@pytest.fixture(params=["sqlite", "psycopg"])
async def url(request: pytest.FixtureRequest, backends: Backends, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/rolling.db"
        return
    server = request.getfixturevalue("postgres")
    name = f"rolling_{uuid4().hex[:8]}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.url("psycopg", name)


async def test_both_releases_serve_the_same_orders_on_the_tables_of_the_newer(url: str, before: Path):
    assert await asyncio.to_thread(dispatch(before, url, "migrate").wait, 120) == 0
    old_port, new_port = free_port(), free_port()
    database = Database(url)
    old_client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{old_port}", timeout=30)
    new_client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{new_port}", timeout=30)
    try:
        async with old_client, new_client:
            with serving(before, url, old_port):
                assert await answers(old_client) == 200
                await asyncio.to_thread(migrate.upgrade, url)  # under the old one's feet
                town = await found(database, Settings().session_key.get_secret_value(), present=True)
                with serving(ROOT, url, new_port):
                    assert await answers(new_client) == 200
                    assert await answers(new_client, "/v1/readyz") == 200
                    await _work_together(Hands(old_client, town), Hands(new_client, town))
    finally:
        await database.close()


async def _work_together(old: Hands, new: Hands) -> None:
    """Whole lives whose every move is made at the other server."""
    for first, second in ((old, new), (new, old)):
        order = await first.file(contact_phone="13800001111", address="幸福苑3栋")
        assert (await second.get("dispatcher-1", f"/v1/orders/{order['id']}")).status_code == 200
        await second.move("dispatcher-1", order, "accept")
        await first.move("dispatcher-1", order, "dispatch", mode="open")
        key = uuid4().hex
        path, login = f"/v1/orders/{order['id']}/take", "member-1"
        taken = await second.post(login, path, Idempotency_Key=key)
        again = await first.post(login, path, Idempotency_Key=key)
        assert (taken.json()["outcome"], again.status_code) == ("taken", 200)
        assert again.headers["Idempotency-Replayed"] == "true"
        await first.move(login, order, "finish", result="已陪同复查。", closing="solved")
        rated = await second.move("resident-1", order, "rate", score=5, solved=True, contacted=True)
        assert rated["state"] == "closed"
        for hands in (first, second):
            seen = (await hands.get("resident-1", f"/v1/orders/{order['id']}")).json()
            listed = (await hands.get("resident-1", "/v1/orders", view="mine")).json()["items"]
            steps = (await hands.get("resident-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
            assert (seen["state"], seen["version"]) == ("closed", rated["version"])
            assert order["id"] in [item["id"] for item in listed]
            assert len(steps) == rated["version"]


async def test_a_database_that_moved_on_is_served_and_one_that_did_not_is_not(backends: Backends):
    """A server of the release before must not call itself unready because the next one has migrated."""
    assert migrate.serves(migrate.head())
    assert migrate.serves("29990101_0000")
    assert not migrate.serves(None)
    assert not [known for known in migrate.known() - {migrate.head()} if migrate.serves(known)]
