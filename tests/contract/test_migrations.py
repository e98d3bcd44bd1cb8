"""The chain of migrations, on every database."""

import asyncio
import os
import sqlite3
import stat
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import bindparam, select, text

from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.types import Id, Instant, Json
from dispatch.people.actions import set_phone
from dispatch.people.tables import accounts
from tests.conftest import DRIVERS, Backends
from tests.town import T0, found


def test_the_migrated_tables_are_those_of_the_code(backend: str) -> None:
    assert migrate.current(backend) == migrate.head()
    assert migrate.check(backend) == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_migration_can_be_taken_back_and_done_again(driver: str, backends: Backends) -> None:
    url = backends.fresh(driver, "there_and_back")

    migrate.downgrade(url, "base")
    assert migrate.current(url) is None

    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head()
    assert migrate.check(url) == []


@pytest.mark.parametrize("driver", ["sqlite", "psycopg"])
async def test_of_two_migrators_one_works_and_both_arrive(driver: str, backends: Backends) -> None:
    url = backends.fresh(driver, "two_migrators")
    migrate.downgrade(url, "base")
    program = "import sys; from dispatch.db import migrate; migrate.upgrade(sys.argv[1])"

    ends = await asyncio.gather(*(_python("-c", program, url) for _ in range(2)))

    assert [(code, errors) for code, errors in ends if code] == []
    assert migrate.current(url) == migrate.head()


def test_a_migrator_that_died_is_succeeded(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/left.db"
    migrate.upgrade(url)
    migrate.downgrade(url, "base")
    with sqlite3.connect(tmp_path / "left.db") as db:
        db.execute("INSERT INTO migration_lease VALUES ('migrate', 'a process that died', ?)", [1])
    db.close()

    migrate.upgrade(url)

    assert migrate.current(url) == migrate.head()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_phone_that_a_correction_wrote_down_is_taken_out_and_a_proven_one_stays(
    driver: str, backends: Backends
) -> None:
    url = backends.fresh(driver, "unproven")
    migrate.downgrade(url, "20261125_0402")
    database = Database(url)
    town = await found(database, "k" * 32)
    asked = text(
        "INSERT INTO data_requests (tenant_id, id, account_id, kind, status, fields, asked_at, due_at, ended_at)"
        " VALUES (:tenant, :id, :who, 'correction', 'done', :fields, :at, :at, :at)"
    ).bindparams(
        bindparam("id", type_=Id),
        bindparam("who", type_=Id),
        bindparam("fields", type_=Json),
        tenant=town.tenant_id,
    )
    asked = asked.bindparams(bindparam("at", T0, type_=Instant))
    async with database.writing() as db:
        for login, fields in (("resident-1", ["phone"]), ("resident-2", ["name"])):
            await set_phone(db, town.tenant_id, town[login].id, "13800001111")
            await db.execute(asked, {"id": new_id(), "who": town[login].id, "fields": fields})
    await database.close()
    migrate.upgrade(url)
    database = Database(url)
    phones = select(accounts.c.login, accounts.c.phone).where(
        accounts.c.tenant_id == town.tenant_id, accounts.c.login.in_(("resident-1", "resident-2"))
    )
    async with database.reading() as db:
        held = {row.login: row.phone for row in await db.execute(phones)}
    await database.close()
    assert held == {"resident-1": None, "resident-2": "13800001111"}


FIRST = "20261123_0126"


def test_postgresql_waits_four_seconds_for_a_lock_and_rolls_back(backends: Backends) -> None:
    url = backends.fresh("psycopg", "locked")
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE tenants IN ACCESS SHARE MODE")
        with pytest.raises(Exception, match="lock timeout"):
            migrate.downgrade(url, "base")

    assert migrate.current(url) is not None  # every revision is a transaction; those above may be gone

    migrate.upgrade(url)  # would fail, or leave a difference, had the failing one left half of its work
    assert migrate.current(url) == migrate.head()
    assert migrate.check(url) == []


async def _python(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


def rights(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.mark.parametrize("first", ["migrated", "opened"])
async def test_a_new_sqlite_file_is_read_by_its_owner_alone(tmp_path: Path, first: str) -> None:
    path = tmp_path / "new.db"
    url = f"sqlite+aiosqlite:///{path}"
    before = os.umask(0o022)
    try:
        if first == "migrated":
            await asyncio.to_thread(migrate.upgrade, url)
        database = Database(url)
        async with database.writing() as db:
            await db.execute(text("CREATE TABLE one (id INTEGER)"))
            found = rights(tmp_path)
        await database.close()
    finally:
        os.umask(before)
    assert found == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}

    path.chmod(0o640)  # who lets a group read it goes on doing so
    database = Database(url)
    async with database.reading() as db:
        await db.execute(text("SELECT 1"))
    await database.close()
    assert rights(tmp_path)["new.db"] == 0o640


async def test_a_connection_more_takes_no_lock_away(tmp_path: Path) -> None:
    """Another process that believes itself alone clears away the log that this one writes to."""
    path = tmp_path / "shared.db"
    url = f"sqlite+aiosqlite:///{path}"
    first, second = Database(url), Database(url)
    alone = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM one'); db.close()"
    )
    async with first.writing() as db:
        await db.execute(text("CREATE TABLE one (id INTEGER)"))
    async with second.reading() as db:
        await db.execute(text("SELECT 1"))
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", alone, str(path))
    assert await other.wait() == 0
    assert (tmp_path / "shared.db-wal").exists()
    await first.close()
    await second.close()
