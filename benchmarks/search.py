"""A search box over 100,000 orders: the gram index against reading every text (LIKE), on both databases.

``python -m benchmarks search``. Both ask the service's own list (``listing.page``, the queue: visibility, keyset, one
page of 20) and take turns within one run; what is told is the ratio of their medians. It also tells what a filed
order pays for the index.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import psycopg
from sqlalchemy import ColumnElement, insert

from benchmarks import results
from dispatch import clock
from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.domain.grams import grams
from dispatch.domain.people import Actor
from dispatch.jobs import housekeeping
from dispatch.orders import listing
from dispatch.orders.actions import intake
from dispatch.orders.actions.performing import Call
from dispatch.orders.tables import order_grams, orders
from dispatch.people import queries as people
from tests import postgres
from tests.town import Town, found

ORDERS = 100_000
ROUNDS = 15
QUESTIONS: dict[str, str | None] = {
    "no words": None,
    "common, in 1 of 8": "路灯",
    "in 1 of 100": "电梯 困人",
    "in 1 of 10,000": "配电箱",
    "in none": "热气球",
    "one sign": "灯",
    "a sentence": "老人上下楼看不见 路灯不亮",
}
WHAT = ["路灯不亮", "下水道堵了", "垃圾没人清", "水管漏水", "井盖松动", "车乱停", "陪同复查", "代取药品"]
WHERE = ["三楼过道", "小区北门", "单元门口", "地下车库", "幼儿园旁", "菜场后面", "凉亭边上", "东侧围墙"]
MORE = ["老人上下楼看不见", "孩子放学要经过", "已经好几天了", "下雨天更麻烦", "物业说管不了", "晚上特别黑"]


def texts(dice: random.Random) -> Iterator[str]:
    """Made-up demands of some 30 signs, with words of known frequency."""
    for nth in range(ORDERS):
        said = f"{dice.choice(WHERE)}{dice.choice(WHAT)}，{dice.choice(MORE)}，{dice.randint(1, 60)}栋。"
        said += "电梯昨天困人了。" if nth % 100 == 7 else ""
        yield said + ("配电箱开着。" if nth % 10_000 == 77 else "")


async def fill(database: Database, town: Town) -> None:
    """The orders and their words, one every minute."""
    dice = random.Random(7)
    start, person = town.made - timedelta(minutes=ORDERS), town["resident-1"]
    communities = [town.places[f"community-{n}"] for n in (1, 2, 3)]
    batch: list[tuple[UUID, str]] = []
    for nth, said in enumerate(texts(dice)):
        batch.append((new_id(), said))
        if len(batch) < 5000:
            continue
        first = nth + 1 - len(batch)
        rows = [
            _row(town, person, id, said, first + at, start, dice.choice(communities))
            for at, (id, said) in enumerate(batch)
        ]
        words = [
            {"tenant_id": town.tenant_id, "gram": gram, "order_id": id}
            for id, said in batch
            for gram in grams(said)
        ]
        async with database.writing() as db:
            await db.execute(insert(orders), rows)
            for at in range(0, len(words), 50_000):
                await db.execute(insert(order_grams), words[at : at + 50_000])
        batch.clear()


def _row(
    town: Town, person: Any, id: UUID, said: str, nth: int, start: Any, community: UUID
) -> dict[str, Any]:
    at = start + timedelta(minutes=nth)
    return {
        "tenant_id": town.tenant_id,
        "id": id,
        "day": "20260101",
        "serial": nth,
        "state": "submitted",
        "version": 1,
        "item_code": "0904",
        "urgency": "U2",
        "place_id": community,
        "community_id": community,
        "text": said,
        "channel": "api",
        "filer_id": person.id,
        "filer_grant_id": person.grant_id,
        "created_at": at,
        "updated_at": at,
    }


async def actor_of(database: Database, town: Town, login: str) -> Actor:
    async with database.reading() as db:
        found = await people.person(db, town.tenant_id, town[login].id)
    assert found is not None
    return Actor(found.account_id, found.name, found.tenant, found.grants, found.grants[0], found.version)


def like(q: str) -> ColumnElement[bool]:
    """What the index is measured against."""
    condition = orders.c.text.like(f"%{q.split()[0]}%")
    for word in q.split()[1:]:
        condition &= orders.c.text.like(f"%{word}%")
    return condition


async def ask(database: Database, actor: Actor, q: str | None, town: Town) -> tuple[float, list[UUID]]:
    wanted = listing.Wanted(view="queue", q=q)
    begun = time.perf_counter()
    async with database.reading() as db:
        page = await listing.page(db, actor, wanted, after=None, limit=20, at=town.made)
    return (time.perf_counter() - begun) * 1000, [one.row.id for one in page]  # type: ignore[union-attr]


async def searches(name: str, database: Database, town: Town) -> list[tuple[str, ...]]:
    rows = []
    for login in ("dispatcher-1", "district-1"):
        actor = await actor_of(database, town, login)
        for label, q in QUESTIONS.items():
            spent: dict[str, list[float]] = {"grams": [], "like": []}
            for _ in range(ROUNDS):
                took, indexed = await ask(database, actor, q, town)
                spent["grams"].append(took)
                with patch.object(listing, "found_by", like):
                    took, scanned = await ask(database, actor, q, town)
                spent["like"].append(took)
                assert indexed == scanned, (q, len(indexed), len(scanned))
            index, scan = (statistics.median(spent[way][1:]) for way in ("grams", "like"))
            rows.append((name, login, label, f"{index:.2f}", f"{scan:.2f}", f"{scan / index:.1f}"))
    return rows


async def filing(name: str, database: Database, town: Town) -> str:
    """What an order costs that is filed with and without its words, in turns."""
    actor = await actor_of(database, town, "resident-1")
    said = "三楼过道灯不亮，晚上老人上下楼看不见，孩子放学要经过，请帮忙看看。"
    spent: dict[bool, list[float]] = {True: [], False: []}
    for nth in range(300):
        words = nth % 2 == 0
        kept = intake.indexed if words else (lambda *_: [])
        with patch.object(intake, "indexed", kept):
            begun = time.process_time()
            async with database.writing() as db:
                await intake.submit(db, actor, {"item_code": "0904", "text": said}, Call(), at=clock.now())
            spent[words].append((time.process_time() - begun) * 1000)
    with_, without = statistics.median(spent[True]), statistics.median(spent[False])
    return f"{name}: {with_:.2f} ms with {len(grams(said))} grams, {without:.2f} ms without."


def vacuumed(server: postgres.Server) -> None:
    """What autovacuum does within a minute of so many inserts."""
    with psycopg.connect(host=str(server.folder), user="postgres", dbname="search", autocommit=True) as db:
        db.execute("VACUUM ANALYZE")


async def measure(
    name: str, url: str, settle: Callable[[], None] = lambda: None
) -> tuple[list[tuple[str, ...]], str]:
    """The rows of one database, and what filing costs there."""
    await asyncio.to_thread(migrate.upgrade, url)
    database = Database(url)
    try:
        town = await found(database, "k" * 32)
        await fill(database, town)
        settle()
        await housekeeping.refresh_statistics(database, town.made)
        return await searches(name, database, town), await filing(name, database, town)
    finally:
        await database.close()


HEAD = ("on", "who", "words", "grams, ms", "LIKE, ms", "LIKE, of grams")


def run() -> bool:
    """Measure SQLite, then a PostgreSQL of its own; nothing is promised."""
    with tempfile.TemporaryDirectory() as folder:
        rows, filed = asyncio.run(measure("SQLite", f"sqlite+aiosqlite:///{folder}/search.db"))
    server = postgres.start()
    try:
        server.execute("CREATE DATABASE search")
        url = server.url("asyncpg", "search")
        more, filed_there = asyncio.run(measure("PostgreSQL", url, lambda: vacuumed(server)))
    finally:
        server.stop()
    said = (
        f"A search box over the queue of {ORDERS:,} orders in one community: the index of grams beside reading every "
        f"text, in turns, medians of {ROUNDS}. CPU of filing an order: {filed} {filed_there}"
    )
    results.write("search", "Search", said, HEAD, [*rows, *more])
    return True
