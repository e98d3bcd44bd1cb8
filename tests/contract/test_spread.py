"""The tables could be spread over nodes: what is asked of Citus is in order, and the service then sends what it likes."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import event, text
from typer.testing import CliRunner

from dispatch.__main__ import cli
from dispatch.app import create_app
from dispatch.db import migrate, spread
from dispatch.db.base import metadata
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests import citus_stand_in
from tests import postgres as pg
from tests.conftest import TEMPLATE
from tests.contract.ledger import assert_books
from tests.town import Hands, found


def of(server: pg.Server, statement: str, database: str) -> list[Any]:
    with psycopg.connect(host=str(server.folder), user="postgres", dbname=database) as db:
        return db.execute(statement).fetchall()


PARTS = "SELECT logicalrelid::text, by, beside FROM stand_in.parts ORDER BY nth"
LINKS = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2"


async def lives(hands: Hands) -> None:
    """An order with more takers than slots, and one that is judged."""
    order = await hands.open_(slots_min=2, slots_max=2)
    takers = ("member-1", "member-2", "member-3")
    won = await asyncio.gather(*(hands.try_(login, order, "take") for login in takers))
    assert sorted(answer.status_code for answer in won) == [200, 200, 409]
    done = await hands.done("member-1")
    await hands.move("resident-1", done, "rate", score=5, solved=True, contacted=True)
    await assert_books(hands.town)


async def test_a_database_that_grew_up_on_one_node_is_spread_and_goes_on(
    migrated_postgres: pg.Server, monkeypatch: pytest.MonkeyPatch
):
    server, name = migrated_postgres, f"spread_{uuid4().hex[:8]}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    url = server.url("asyncpg", name)
    monkeypatch.setenv("DISPATCH_DATABASE_URL", "postgresql+asyncpg://nobody@127.0.0.1:1/pooler")
    monkeypatch.setenv("DISPATCH_MIGRATION_URL", url)
    refused = await asyncio.to_thread(CliRunner().invoke, cli, ["db", "distribute", "--execute"])
    assert (refused.exit_code, refused.output) == (1, "this database has no extension citus\n")
    links = of(server, LINKS, name)
    citus_stand_in.install(server, name)
    printed = CliRunner().invoke(cli, ["db", "distribute"]).output
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["db", "distribute", "--execute"])
    assert done.exit_code == 0, done.output
    assert f"BEGIN;\n{done.output}COMMIT;\n" == printed

    parts = {row[0]: row[1:] for row in of(server, PARTS, name)}
    assert set(parts) == {table.name for table in metadata.sorted_tables}
    assert {name_: by for name_, (by, _) in parts.items()} == {
        table.name: spread.distributed_by(table) for table in metadata.sorted_tables
    }
    assert len({beside for by, beside in parts.values() if by == "tenant_id"} - {"none"}) == 1
    assert of(server, LINKS, name) == links
    assert migrate.check(url) == []
    again = await asyncio.to_thread(CliRunner().invoke, cli, ["db", "distribute", "--execute"])
    assert again.output == "SET LOCAL citus.multi_shard_modify_mode TO 'sequential';\n"


async def test_in_another_order_the_stand_in_refuses(migrated_postgres: pg.Server):
    name = f"refuses_{uuid4().hex[:8]}"
    migrated_postgres.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    citus_stand_in.install(migrated_postgres, name)
    for wrong in (
        "SELECT create_reference_table('tenants')",
        "SELECT create_distributed_table('orders', 'tenant_id')",
        "SELECT create_distributed_table('outbox', 'id')",
    ):
        with pytest.raises(Exception, match=r"linked with a local table|a unique key without"):
            migrated_postgres.execute(wrong, name)


async def test_migrations_spread_each_table_as_it_is_made(migrated_postgres: pg.Server):
    name = f"fresh_{uuid4().hex[:8]}"
    migrated_postgres.execute(f"CREATE DATABASE {name}")
    citus_stand_in.install(migrated_postgres, name)
    url = migrated_postgres.url("psycopg", name)
    await asyncio.to_thread(migrate.upgrade, url)
    spread_ = {row[0]: row[1] for row in of(migrated_postgres, PARTS, name)}
    assert spread_ == {table.name: spread.distributed_by(table) for table in metadata.sorted_tables}


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("on_citus", [False, True])
async def test_both_forms_of_a_guarded_write_do_the_same(
    migrated_postgres: pg.Server, driver: str, on_citus: bool
):
    name = f"forms_{uuid4().hex[:8]}"
    migrated_postgres.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    if on_citus:
        citus_stand_in.install(migrated_postgres, name)
    database, written = Database(migrated_postgres.url(driver, name)), list[str]()
    settings = Settings(rate_per_address=0, rate_per_account=0)

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        written.append(statement)

    event.listen(database.engines[0].sync_engine, "before_cursor_execute", note)
    try:
        transport = httpx.ASGITransport(create_app(settings, database))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            town = await found(database, settings.session_key.get_secret_value(), present=True)
            await lives(Hands(client, town))
        async with database.reading() as db:
            planned = await db.scalar(text("SHOW plan_cache_mode"))
    finally:
        await database.close()
    together = [statement for statement in written if statement.startswith("WITH guard")]
    assert planned == ("auto" if on_citus else "force_generic_plan")
    assert (together == []) is on_citus
