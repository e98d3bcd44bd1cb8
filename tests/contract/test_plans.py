"""How statements are run: planned once, and never through everything there is (ADR 0069)."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import bindparam, event, literal_column, select, text

from benchmarks.load.filling import fill
from dispatch.app import create_app
from dispatch.db import migrate
from dispatch.db.dialect import STATEMENTS_KEPT
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.settings import Settings

DRIVERS = pytest.mark.parametrize("backend", ["asyncpg", "psycopg"], indirect=True)
PREPARED = text("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE :of")
ORDERS = 1000
LEAST_SENT = 20
OFTEN = 12
"""More often than psycopg runs a statement before it prepares it (5)."""


@DRIVERS
async def test_a_statement_is_planned_once_however_often_it_runs(database: Database):
    statement = select(literal_column("'planned once'")).where(tenants.c.id == bindparam("tenant_id"))
    async with database.reading() as db:
        for tenant_id in range(OFTEN):
            await db.execute(statement, {"tenant_id": tenant_id})
        (plans,) = (await db.execute(PREPARED, {"of": "SELECT 'planned once'%"})).all()
    assert plans.custom_plans == 0
    assert plans.generic_plans >= OFTEN - 6


@DRIVERS
async def test_a_connection_keeps_as_many_statements_as_a_busy_service_sends(database: Database):
    many = [
        select(literal_column(f"'kept {nth}'")).where(tenants.c.id == 1)
        for nth in range(STATEMENTS_KEPT - 56)
    ]
    async with database.reading() as db:
        for _ in range(OFTEN):
            for statement in many:
                await db.execute(statement)
        kept = (await db.execute(PREPARED, {"of": "SELECT 'kept %"})).all()
    assert len(kept) == len(many)


WALK = re.compile(r"SCAN orders|SEARCH orders .*\(tenant_id=\?\)$")
"""A step that goes through the orders of a tenant, or all there are."""


async def test_no_list_walks_through_all_orders_or_is_planned_again(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path}/thousands.db"
    migrate.upgrade(url)
    town = (await fill(url, ORDERS)).town
    database = Database(url)
    app = create_app(Settings(session_key=town.key), database)
    sent: dict[str, Any] = {}

    def told(connection, cursor, statement, parameters, context, many) -> None:
        sent[statement] = parameters

    try:
        event.listen(database.engines[0].sync_engine, "before_cursor_execute", told)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for login in ("member-1", "unit-1", "resident-1", "dispatcher-1"):
                views = ("all", "mine", "queue", "pool", "taken", "unit")
                for path in ("/v1/home", *(f"/v1/orders?view={view}" for view in views)):
                    answer = await client.get(path, headers=town[login].headers)
                    assert answer.status_code == 200, (login, path, answer.text)
        event.remove(database.engines[0].sync_engine, "before_cursor_execute", told)
        assert len(sent) > LEAST_SENT
        async with database.reading() as db:
            for statement, parameters in sent.items():
                assert "LIKE ?" not in statement, "SQLite would prepare it anew at every run"
                steps = (await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
                assert not [step.detail for step in steps if WALK.match(step.detail)], statement
    finally:
        await app.state.door.close()
        await database.close()
