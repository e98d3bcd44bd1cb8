"""A backup is whole or it has no name; what comes back is what went in, to the last step of the log."""

import asyncio
import json
import os
import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner, Result

from dispatch.__main__ import cli
from dispatch.app import create_app
from dispatch.db import backup, migrate
from dispatch.db.backup import NotDone, Tools
from dispatch.db.engine import Database
from dispatch.db.sealed import new_key
from dispatch.settings import Settings
from tests import postgres as pg
from tests.conftest import Backends
from tests.contract.ledger import assert_books
from tests.town import T0, Hands, found

BOTH = pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
PHONE = "13800001111"


def tools() -> Tools:
    return Tools(pg.find_binaries())


async def command(url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("DISPATCH_DATABASE_URL", url)
    given = [*arguments, "--tools", str(pg.find_binaries())]
    return await asyncio.to_thread(CliRunner().invoke, cli, given)


class Place:
    """A database with somebody at work in it."""

    def __init__(self, url: str) -> None:
        self.url, self.database = url, Database(url)
        self.settings = Settings(rate_per_address=0, rate_per_account=0)

    async def __aenter__(self) -> "Place":
        app = create_app(self.settings, self.database)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.database.close()

    async def lives(self) -> tuple[Hands, dict[str, Any]]:
        town = await found(self.database, self.settings.session_key.get_secret_value(), present=True)
        hands = Hands(self.client, town)
        files = [await hands.upload("resident-1")]
        order = await hands.file(contact_phone=PHONE, address="幸福苑3栋", attachment_ids=files)
        await hands.done()
        return hands, order


async def empty(backends: Backends, driver: str, tmp_path: Path) -> str:
    if driver == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/back/again.db"
    server: pg.Server = backends._request.getfixturevalue("postgres")
    name = f"again_{uuid4().hex[:8]}"
    await asyncio.to_thread(server.execute, f"CREATE DATABASE {name}")
    return server.url(driver, name)


@BOTH
async def test_what_is_backed_up_while_the_service_runs_comes_back_whole_and_readable(
    backends: Backends, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy, busy = tmp_path / "copies" / "today", asyncio.Event()
    monkeypatch.setenv("DISPATCH_FILES_DIR", str(tmp_path / "files"))
    async with Place(backends.fresh(driver, f"kept_{uuid4().hex[:8]}")) as place:
        hands, order = await place.lives()
        photo = f"/v1/attachments/{order['attachments'][0]['id']}/content"
        picture = (await hands.get("dispatcher-1", photo)).content

        async def goes_on() -> None:
            while not busy.is_set():
                await hands.done()

        working = asyncio.create_task(goes_on())
        made = await command(place.url, monkeypatch, "backup", str(copy))
        busy.set()
        await working
        before = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert made.exit_code == 0, made.output
    note = json.loads((copy / "backup.json").read_text())
    assert note["proven"]
    assert note["rows"]["orders"] >= 2
    assert {
        path.stat().st_mode & 0o077 for path in (copy, *copy.iterdir()) if path.name != "backup.json"
    } == {0}

    target = await empty(backends, driver, tmp_path)
    onto = await command(target, monkeypatch, "restore", str(copy))
    assert onto.exit_code == 1
    assert "holds files already" in onto.output
    monkeypatch.setenv("DISPATCH_FILES_DIR", str(tmp_path / "files again"))
    back = await command(target, monkeypatch, "restore", str(copy))
    assert (back.exit_code, back.output) == (0, made.output)
    assert ", 2 files" in back.output  # a photo and its preview
    async with Place(target) as place:
        hands.client, hands.town.database = place.client, place.database
        after = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
        assert after == before
        assert (await hands.get("dispatcher-1", photo)).content == picture
        assert after["contact_phone"].endswith("11")
        await hands.done()
        await assert_books(hands.town)


@BOTH
async def test_a_backup_goes_into_an_empty_place_only_and_a_name_is_used_once(
    backends: Backends, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = backends.fresh(driver, f"full_{uuid4().hex[:8]}")
    assert (await command(url, monkeypatch, "backup", str(tmp_path / "one"))).exit_code == 0
    again = await command(url, monkeypatch, "backup", str(tmp_path / "one"))
    onto = await command(url, monkeypatch, "restore", str(tmp_path / "one"))
    none = await command(url, monkeypatch, "restore", str(tmp_path))
    assert [result.exit_code for result in (again, onto, none)] == [1, 1, 1]
    assert "is there already" in again.output
    assert "empty" in onto.output
    assert "is no backup" in none.output
    assert migrate.current(url) == migrate.head()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@BOTH
async def test_other_keys_are_told_at_once_and_not_by_the_first_reader(
    backends: Backends, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DISPATCH_FILES_DIR", str(tmp_path / "files"))
    async with Place(backends.fresh(driver, f"keys_{uuid4().hex[:8]}")) as place:
        await place.lives()
        assert (await command(place.url, monkeypatch, "backup", str(tmp_path / "copy"))).exit_code == 0
    monkeypatch.setenv("DISPATCH_DATA_KEYS", f"other:{new_key()}")
    monkeypatch.setenv("DISPATCH_FILES_DIR", str(tmp_path / "files again"))
    target = await empty(backends, driver, tmp_path)
    result = await command(target, monkeypatch, "restore", str(tmp_path / "copy"))
    assert result.exit_code == 1
    assert "orders.contact_phone: no key dev" in result.output
    assert PHONE not in result.output


@BOTH
async def test_a_copy_that_lost_something_or_was_made_by_newer_code_is_refused(
    backends: Backends, driver: str, tmp_path: Path
):
    url, copy = backends.fresh(driver, f"lost_{uuid4().hex[:8]}"), tmp_path / "copy"
    async with Place(url) as place:
        await place.lives()
    backup.back_up(url, copy, at=T0, tools=tools())
    note = json.loads((copy / "backup.json").read_text())

    async def refused(**changed: Any) -> str:
        (copy / "backup.json").write_text(json.dumps(note | changed))
        target = await empty(backends, driver, tmp_path)
        with pytest.raises(NotDone) as error:
            await asyncio.to_thread(backup.restore, target, copy, tools=tools())
        return str(error.value)

    assert "orders: " in await refused(rows=note["rows"] | {"orders": 77})
    assert "the log reads otherwise" in await refused(log="0" * 64)
    assert "use a newer one" in await refused(revision="29990101_0000")
    data = copy / note["data"]
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    assert await refused()
    data.unlink()
    assert "is missing" in await refused()


def test_a_broken_file_gets_no_backup(backends: Backends, tmp_path: Path):
    url = backends.fresh("sqlite", f"broken_{uuid4().hex[:8]}")
    path = url.partition(":///")[2]
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(
            "INSERT INTO reasons (tenant_id, act, code, label, position) VALUES (99, 'x', 'y', 'z', 1)"
        )
    with pytest.raises(NotDone, match="broken"):
        backup.back_up(url, tmp_path / "copy", at=T0, tools=tools())
    assert list(tmp_path.glob("*copy*")) == []


@pytest.mark.parametrize("driver", ["asyncpg"])
async def test_a_dump_that_does_not_give_back_everything_is_no_backup(
    backends: Backends, driver: str, tmp_path: Path
):
    url = backends.fresh(driver, f"partial_{uuid4().hex[:8]}")
    async with Place(url) as place:
        await place.lives()

    class Forgetful(Tools):
        def run(self, name: str, target: Any, *arguments: Any) -> None:
            more = (
                ("--exclude-table-data=notices", "--exclude-table-data=outbox") if name == "pg_dump" else ()
            )
            super().run(name, target, *arguments, *more)

    with pytest.raises(NotDone, match="outbox: 0 rows, not"):
        await asyncio.to_thread(
            backup.back_up, url, tmp_path / "copy", at=T0, tools=Forgetful(pg.find_binaries())
        )
    assert not (tmp_path / "copy").exists()
