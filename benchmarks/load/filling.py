"""A town with so many orders: a few dozen lived through the service itself, and copies of them, table by table.

Of the copies 95 in 100 are at rest, as in a service that has run for years; they lie evenly over three years, and each
was taken by another member. The words index (``order_grams``) and kept answers are not copied: no measurement here asks
for them. Facts are kept for a month, of three years.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any
from uuid import UUID

import httpx
import psycopg
from sqlalchemy import Table, select
from sqlalchemy.engine import make_url

from dispatch.app import create_app
from dispatch.db.base import metadata
from dispatch.db.engine import Database
from dispatch.db.types import Instant
from dispatch.orders.tables import orders
from dispatch.settings import Settings
from tests.town import Hands, Town, found

TABLES = (
    "orders", "order_steps", "dispatches", "takes", "take_people", "clocks", "timers", "ratings", "outbox", "notices",
)  # fmt: skip
THEIRS = {"id", "order_id", "dispatch_id", "take_id", "subject_id", "parent_id", "lead_id"}
"""Columns that hold the id of the order or of something that hangs on it."""
OPEN, POOL = 1500, 100
"""Orders that wait to be taken: in the community whose people take, and in the one whose pool is read."""
PER_MEMBER = 16
LEAST_MEMBERS = 600
"""Members grow with the orders: what one of them has ever taken is a dozen, however many orders there are."""
LIVE_SHARE = 20
MONTHS = 36
MINUTES = 3 * 365 * 1440
WORDS = (
    "楼道灯不亮，晚上看不见。",
    "下水道堵了，厨房返水。",
    "想请人陪老人去医院复查。",
    "门口路灯坏了一周。",
)
MOVED = """
CREATE FUNCTION moved(id uuid, nth int, minutes int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT CAST(lpad(to_hex(('x' || substr(h, 1, 12))::bit(48)::bigint - nth::bigint * minutes * 60000), 12, '0')
    || '7' || substr(m, 1, 3) || 'b' || substr(m, 4, 15) AS uuid)
  FROM (SELECT replace(id::text, '-', '') AS h, md5(id::text || nth) AS m) AS x $$;
CREATE FUNCTION earlier(at timestamptz, nth int, minutes int) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT at - nth * minutes * interval '1 minute' $$;
"""


@dataclass
class Filled:
    """A town with its orders: logins of its members, ids that may be read, and open ones that may be taken."""

    town: Town
    crowd: list[str]
    ids: list[str]
    open: list[str]


async def fill(url: str, size: int) -> Filled:
    """Fill a migrated, empty database. ``size``: orders."""
    database, settings = Database(url), Settings(rate_per_address=0, rate_per_account=0)
    town = await found(database, settings.session_key.get_secret_value(), present=True)
    crowd = await town.crowd(max(LEAST_MEMBERS, size // PER_MEMBER))
    app = create_app(settings, database)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench") as client:
        rest, live, waits, elsewhere = await _lives(Hands(client, town))
    await app.state.door.close()
    at_rest, alive = size * (LIVE_SHARE - 1) // LIVE_SHARE, size // LIVE_SHARE
    takers = [town[login].id for login in crowd]
    _copy(
        url,
        takers,
        [
            (rest, at_rest // len(rest)),
            (live, alive // len(live)),
            ([waits["id"]], OPEN),
            ([elsewhere], POOL),
        ],
    )
    async with database.reading() as db:
        mine = orders.c.tenant_id == town.tenant_id
        some = select(orders.c.id).where(mine).order_by(orders.c.id).limit(20_000)
        ids = [str(id) for id in (await db.execute(some)).scalars()]
        serial = int(waits["number"].rpartition("-")[2])
        waiting = select(orders.c.id).where(mine, orders.c.state == "open", orders.c.serial % 1000 == serial)
        open_ = [str(id) for id in (await db.execute(waiting.limit(OPEN))).scalars()]
    await database.close()
    return Filled(town, crowd, ids, open_)


async def _lives(hands: Hands) -> tuple[list[str], list[str], dict[str, Any], str]:
    """Lives of every sort: ids of those at rest and alive; an order that is open to be taken, and the id of another one."""
    rest: list[str] = []
    live: list[str] = []
    for nth in range(12):
        filer = ("resident-1", "resident-2")[nth % 2]
        text = WORDS[nth % len(WORDS)]
        order = await hands.accepted(filer, item_code="0201", text=text)
        if nth < 2:
            live.append(order["id"])
            continue
        await hands.move("dispatcher-1", order, "dispatch", mode="open")
        taker = hands.town.people[f"crowd-{nth}"].login
        await hands.move(taker, order, "take")
        if nth == 2:
            live.append(order["id"])
            continue
        await hands.move(taker, order, "finish", result="已办。", closing="solved")
        if nth == 3:
            live.append(order["id"])
            continue
        await hands.move(filer, order, "rate", score=5, solved=True, contacted=True)
        rest.append(order["id"])
    gone = await hands.file("resident-1", item_code="0201", text=WORDS[0])
    rest.append((await hands.move("resident-1", gone, "cancel", reason_code="other"))["id"])
    there = await hands.file("resident-3", item_code="0201", text=WORDS[0])
    await hands.move("dispatcher-2", there, "accept")
    await hands.move("dispatcher-2", there, "dispatch", mode="open")
    return rest, live, await hands.open_(), there["id"]


def _copy(url: str, takers: list[UUID], kinds: list[tuple[list[str], int]]) -> None:
    """Copy the lives of some orders so many times, in one connection of the database's own."""
    crowd = "CREATE TEMPORARY TABLE crowd (nth integer PRIMARY KEY, id uuid NOT NULL)"
    lite = url.startswith("sqlite")
    if lite:
        db: Any = sqlite3.connect(str(make_url(url).database), isolation_level=None)
        db.create_function("moved", 3, _moved, deterministic=True)
        db.create_function("earlier", 3, _earlier, deterministic=True)
        db.execute("BEGIN")
        db.execute(crowd)
        db.executemany("INSERT INTO crowd VALUES (?, ?)", [(nth, id.hex) for nth, id in enumerate(takers)])
    else:
        folder = make_url(url).query["host"]
        db = psycopg.connect(
            host=str(folder), user="postgres", dbname=make_url(url).database, autocommit=True
        )
        db.execute(MOVED)
        db.execute(
            "SET session_replication_role = replica"
        )  # every row has its parent: no need to look it up
        db.execute("SET synchronous_commit = off")
        db.execute(crowd)
        with db.cursor().copy("COPY crowd FROM STDIN") as rows:
            for pair in enumerate(takers):
                rows.write_row(pair)
        db.execute("ANALYZE crowd")
    for name in TABLES:
        for ids, copies in kinds:
            minutes = max(1, MINUTES // max(copies, 1))
            kept = max(1, copies // MONTHS) if name == "outbox" else copies
            for statement in _statements(metadata.tables[name], ids, kept, minutes, len(takers), lite):
                db.execute(statement)
    if lite:
        db.execute("COMMIT")
        db.execute("ANALYZE")
    else:
        db.execute("VACUUM ANALYZE")
    db.close()


def _statements(
    table: Table, ids: list[str], copies: int, minutes: int, takers: int, lite: bool
) -> list[str]:
    columns, values = [], []
    for column in table.columns:
        columns.append(f'"{column.name}"')
        values.append(_value(table, column, minutes, takers))
    whose = "id" if table.name == "orders" else "order_id"
    listed = ", ".join(f"'{UUID(id).hex if lite else id}'" for id in ids)
    numbers = (
        f"(WITH RECURSIVE n(nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM n WHERE nth < {copies}) SELECT nth FROM n)"
        if lite
        else f"(SELECT generate_series(1, {copies}) AS nth)"
    )
    return [
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(values)} "
        f"FROM {table.name} AS t CROSS JOIN {numbers} AS c WHERE t.{whose} IN ({listed})"
    ]


def _value(table: Table, column: Any, minutes: int, takers: int) -> str:
    name, shown = column.name, f't."{column.name}"'
    if name in THEIRS:
        return f"moved({shown}, c.nth, {minutes})"
    if isinstance(column.type, Instant):
        return f"earlier({shown}, c.nth, {minutes})"
    if (table.name, name) == ("orders", "serial"):
        return f"{shown} + 100000 + 1000 * c.nth"  # beyond what is filed while it is measured
    if table.name in ("takes", "take_people") and name in ("taker_id", "account_id"):
        return f"(SELECT id FROM crowd WHERE crowd.nth = c.nth % {takers})"
    if (table.name, name) == ("outbox", "state"):
        return "'done'"
    if (table.name, name) in (("dispatches", "number"), ("notices", "cause")):
        return f"{shown} || '-' || c.nth"
    return shown


def _moved(id: str | None, nth: int, minutes: int) -> str | None:
    if id is None:
        return None
    made = md5(f"{id}{nth}".encode(), usedforsecurity=False).hexdigest()
    return f"{int(id[:12], 16) - nth * minutes * 60000:012x}7{made[:3]}b{made[3:18]}"


def _earlier(at: str | None, nth: int, minutes: int) -> str | None:
    if at is None:
        return None
    return (datetime.fromisoformat(at) - timedelta(minutes=nth * minutes)).strftime("%Y-%m-%d %H:%M:%S.%f")
