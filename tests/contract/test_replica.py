"""Two real servers, one following the other: reads go to the second, and nobody can tell."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import event, update

from dispatch import clock, doctor
from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.people.tables import accounts
from dispatch.settings import Settings
from tests import postgres as pg
from tests.conftest import TEMPLATE
from tests.standby import asked, standby_of
from tests.town import Hands, found

DRIVERS = ("asyncpg", "psycopg")


@pytest.fixture(scope="module")
def pair(migrated_postgres: pg.Server) -> Iterator[tuple[pg.Server, pg.Server, str]]:
    """The primary, its standby, and the name of a database that both have."""
    name = f"copied_{uuid4().hex[:8]}"
    migrated_postgres.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    migrated_postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    with standby_of(migrated_postgres) as standby:
        yield migrated_postgres, standby, name


@pytest.fixture(params=DRIVERS)
async def hands(
    request: pytest.FixtureRequest, pair: tuple[pg.Server, pg.Server, str]
) -> AsyncIterator[Hands]:
    primary, standby, name = pair
    url, copy = primary.url(request.param, name), standby.url(request.param, name)
    settings = Settings(rate_per_address=0, rate_per_account=0, database_url=url, replica_url=copy)
    database = Database(url, replica_url=copy)
    transport = httpx.ASGITransport(create_app(settings, database))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        town = await found(database, settings.session_key.get_secret_value(), present=True)
        yield Hands(client, town)
    await database.close()


@pytest.fixture
def read(hands: Hands) -> Iterator[list[str]]:
    """What is asked of the replica beyond how far it is."""
    noted: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "pg_last_wal_replay_lsn" not in statement:
            noted.append(statement)

    assert hands.town.database.replica is not None
    engine = hands.town.database.replica.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield noted
    event.remove(engine, "before_cursor_execute", note)


async def followed(hands: Hands, login: str, path: str, read: list[str]) -> httpx.Response:
    """A read that the replica answered; it may have been a moment too late at first."""
    for _ in range(100):
        read.clear()
        answer = await hands.get(login, path)
        if read:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("the replica is never read")


async def test_a_request_that_only_reads_is_answered_by_the_replica(hands: Hands, read: list[str]):
    order = await hands.file()
    steps = await followed(hands, "dispatcher-1", f"/v1/orders/{order['id']}/timeline", read)
    assert [step["move"] for step in steps.json()["items"]] == ["submit"]
    assert any("FROM orders" in statement for statement in read)
    listed = await followed(hands, "dispatcher-1", "/v1/orders", read)
    assert [item["id"] for item in listed.json()["items"]] == [order["id"]]
    read.clear()
    await hands.move("dispatcher-1", order, "accept")
    assert read == []  # writing is the primary's from its first statement


async def test_everybody_reads_what_anybody_was_told_is_written(
    hands: Hands, read: list[str], pair: tuple[pg.Server, pg.Server, str]
):
    order = await hands.file()
    told = f"/v1/orders/{order['id']}/timeline"
    await followed(hands, "dispatcher-1", told, read)
    asked(pair[1], "SELECT pg_wal_replay_pause()::text")
    try:
        read.clear()
        await hands.move("dispatcher-1", order, "accept")
        for login in ("dispatcher-1", "resident-1", "street-1"):
            assert len((await hands.get(login, told)).json()["items"]) == 2
        assert read == []
    finally:
        asked(pair[1], "SELECT pg_wal_replay_resume()::text")
    assert len((await followed(hands, "resident-1", told, read)).json()["items"]) == 2


async def test_twenty_writes_in_a_row_are_each_read_back_at_once(hands: Hands):
    for nth in range(1, 21):
        order = await hands.file()
        moved = await hands.move("dispatcher-1", order, "accept")
        steps = await hands.get("resident-1", f"/v1/orders/{order['id']}/timeline")
        listed = await hands.get("dispatcher-1", "/v1/orders", limit=50)
        assert len(steps.json()["items"]) == moved["version"]
        assert len(listed.json()["items"]) == nth


async def test_a_right_that_was_called_back_is_gone_though_the_replica_has_not_heard(
    hands: Hands, read: list[str], pair: tuple[pg.Server, pg.Server, str]
):
    town = hands.town
    await followed(hands, "street-1", "/v1/orders", read)
    asked(pair[1], "SELECT pg_wal_replay_pause()::text")
    try:
        async with town.database.writing() as db:
            mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == town["street-1"].id
            await db.execute(update(accounts).where(*mine).values(grants_version=2))
        assert (await hands.get("street-1", "/v1/orders")).json()["code"] == "AUTH_TOKEN_REVOKED"
    finally:
        asked(pair[1], "SELECT pg_wal_replay_resume()::text")


async def test_a_primary_is_no_replica_and_a_replica_that_is_gone_is_left_in_peace(
    hands: Hands, pair: tuple[pg.Server, pg.Server, str]
):
    primary, _, name = pair
    order = await hands.file()
    for address in (primary.url("asyncpg", name), f"postgresql+asyncpg://x@127.0.0.1:1/{name}"):
        database = Database(primary.url("asyncpg", name), replica_url=address)
        try:
            app = create_app(Settings(rate_per_address=0, rate_per_account=0), database)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                for _ in range(2):
                    seen = await Hands(client, hands.town).get("resident-1", "/v1/orders")
                    assert [item["id"] for item in seen.json()["items"]] == [order["id"]]
            assert database.replica is not None
            asked_at = database.replica._rests_until
        finally:
            await database.close()
    assert asked_at > 0


async def test_the_doctor_tells_a_replica_from_what_is_none(
    pair: tuple[pg.Server, pg.Server, str], monkeypatch: pytest.MonkeyPatch
):
    primary, standby, name = pair
    monkeypatch.setenv("DISPATCH_DATABASE_URL", primary.url("psycopg", name))
    primary.execute("SELECT txid_current()", name)  # something to replay
    told = []
    for address in (
        standby.url("psycopg", name),
        primary.url("psycopg", name),
        "postgresql+psycopg://x@127.0.0.1:1/x",
    ):
        monkeypatch.setenv("DISPATCH_REPLICA_URL", address)
        (check,) = [each for each in await doctor.examine(clock.now()) if each.name == "replica"]
        told.append((check.health.value, check.said.split(",")[0][:17]))
    assert told == [("ok", "last replayed wha"), ("warn", "is no replica (or"), ("warn", "cannot be reached")]
