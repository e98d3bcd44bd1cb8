"""What to measure against: the least a service of this kind could do, on the same server.

`hello` is a FastAPI route that does nothing. The *yardstick* is the bare prototype of the performance notes (§3b): one
statement for one act through SQLAlchemy Core and asyncpg, without people, permissions, moves, clocks or a kept answer.
The *limit* is that statement sent by pgbench, prepared.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

SCHEMA = """
CREATE TABLE yard_orders (id bigserial PRIMARY KEY, community int NOT NULL, status text NOT NULL, version int NOT NULL,
  item text NOT NULL, words text NOT NULL, filer bigint NOT NULL, taker bigint, created_at timestamptz NOT NULL);
CREATE INDEX ON yard_orders (community, status, id) INCLUDE (version, item, words, filer, taker, created_at);
CREATE TABLE yard_steps (order_id bigint, seq int, move text, at timestamptz, PRIMARY KEY (order_id, seq));
CREATE TABLE yard_timers (id bigserial PRIMARY KEY, order_id bigint, due_at timestamptz, done boolean DEFAULT false);
CREATE INDEX ON yard_timers (due_at) WHERE NOT done;
CREATE TABLE yard_outbox (id bigserial PRIMARY KEY, order_id bigint, body jsonb);
"""
FILL = """
INSERT INTO yard_orders (community, status, version, item, words, filer, created_at)
  SELECT n % 150, CASE WHEN n % 20 = 0 THEN 'open' ELSE 'closed' END, 1, '0201', '楼道灯不亮，晚上看不见。', n % 1000, now()
  FROM generate_series(1, {count}) AS n;
ANALYZE yard_orders;
"""
GET = "SELECT * FROM yard_orders WHERE id = :id"
LIST = (
    "SELECT id, version, item, words, filer, taker, created_at FROM yard_orders "
    "WHERE community = :community AND status = 'open' AND id < :before ORDER BY id DESC LIMIT 20"
)
CREATE = """
WITH o AS (INSERT INTO yard_orders (community, status, version, item, words, filer, created_at)
  VALUES (:community, 'open', 1, '0201', '楼道灯不亮，晚上看不见。', 1, now()) RETURNING *),
s AS (INSERT INTO yard_steps SELECT id, 1, 'submit', created_at FROM o),
t AS (INSERT INTO yard_timers (order_id, due_at) SELECT id, created_at + interval '1 day' FROM o),
b AS (INSERT INTO yard_outbox (order_id, body) SELECT id, '{"move": "submit"}' FROM o)
SELECT * FROM o"""
TAKE = """
WITH o AS (UPDATE yard_orders SET status = 'taken', version = version + 1, taker = 1
  WHERE id = :id AND version < 1000000 RETURNING *),
s AS (INSERT INTO yard_steps SELECT id, version, 'take', now() FROM o ON CONFLICT DO NOTHING),
t AS (INSERT INTO yard_timers (order_id, due_at) SELECT id, now() + interval '1 day' FROM o),
b AS (INSERT INTO yard_outbox (order_id, body) SELECT id, '{"move": "take"}' FROM o)
SELECT * FROM o"""
JOBS = {"get": GET, "list": LIST, "create": CREATE, "take": TAKE}


class Hello(BaseModel):
    """An order as far as a yardstick knows it."""

    id: int
    community: int = 0
    status: str = "open"
    version: int = 1
    item: str = "0201"
    words: str = "楼道灯不亮，晚上看不见。"
    filer: int = 1
    taker: int | None = None


class Page(BaseModel):
    items: list[Hello]


class Filed(BaseModel):
    item: str
    words: str


def app() -> FastAPI:
    """Started by ``python -m uvicorn --factory benchmarks.load.yard:app``; the database by YARD_URL."""
    made = FastAPI()
    engine = create_async_engine(
        os.environ["YARD_URL"], pool_size=8, max_overflow=0, isolation_level="AUTOCOMMIT"
    )
    statements = {name: text(said) for name, said in JOBS.items()}

    async def rows(name: str, **bound: Any) -> list[dict[str, Any]]:
        async with engine.connect() as db:
            return [dict(row._mapping) for row in await db.execute(statements[name], bound)]

    @made.get("/hello")
    async def hello() -> Hello:
        return Hello(id=1)

    @made.post("/hello")
    async def hello_post(filed: Filed) -> Hello:
        return Hello(id=1, item=filed.item, words=filed.words)

    @made.get("/orders/{id}")
    async def get(id: int) -> Hello:
        return Hello(**(await rows("get", id=id))[0])

    @made.get("/orders")
    async def page(community: int, before: int) -> Page:
        return Page(items=[Hello(**row) for row in await rows("list", community=community, before=before)])

    @made.post("/orders")
    async def create(filed: Filed) -> Hello:
        return Hello(**(await rows("create", community=7))[0])

    @made.post("/orders/{id}/take")
    async def take(id: int) -> Hello | None:
        found = await rows("take", id=id)
        return Hello(**found[0]) if found else None

    return made


def pgbench(
    binaries: Path,
    socket: Path,
    folder: Path,
    database: str,
    job: str,
    count: int,
    clients: int,
    seconds: float,
) -> float:
    """Transactions a second of the statement alone."""
    variables = {
        "id": f"\\set id random(1, {count})",
        "community": "\\set community random(0, 149)",
        "before": f"\\set before random({count // 2}, {count})",
    }
    needed = [line for name, line in variables.items() if re.search(rf":{name}\b", JOBS[job])]
    script = folder / f"{job}.sql"
    script.write_text("\n".join([*needed, JOBS[job] + ";", ""]))
    made = subprocess.run(
        [
            binaries / "pgbench", "-n", "-M", "prepared", "-h", socket, "-U", "postgres", "-c", str(clients), "-j", "1",
            "-T", str(max(1, round(seconds))), "-f", script, database,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"tps = ([0-9.]+)", made.stdout)
    assert found, made.stdout
    return float(found[1])
