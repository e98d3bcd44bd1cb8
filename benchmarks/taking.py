"""Many takers drain a pool: by id from the head of one list, by id from a list that begins elsewhere for everybody, and
by asking for the next. Through the whole application on PostgreSQL, one way beside the other."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from structlog.testing import capture_logs

from benchmarks import results
from dispatch.app import create_app
from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests import postgres
from tests.town import Hands, found

TAKERS, ORDERS, SHOWN = 32, 128, 20
MOST_WASTED = 0.05
"""Attempts that lead to nothing for every order won, when one asks for the next."""


@dataclass
class Tally:
    """What came of the attempts to take."""

    won: int = 0
    wasted: int = 0
    requests: int = 0


async def _filled(hands: Hands) -> None:
    for _ in range(ORDERS):
        await hands.open_()


def _from(view: str) -> Callable[[Hands, str, Tally], Awaitable[bool]]:
    async def act(hands: Hands, login: str, tally: Tally) -> bool:
        listed = await hands.get(login, "/v1/orders", view=view, state="open", limit=SHOWN)
        tally.requests += 1
        shown = listed.json()["items"]
        if not shown:
            return False
        answer = await hands.try_(login, shown[0], "take")
        tally.requests += 1
        if answer.status_code == 200:
            tally.won += 1
        else:
            tally.wasted += 1
        return True

    return act


async def _next(hands: Hands, login: str, tally: Tally) -> bool:
    answer = await hands.post(login, "/v1/orders/next/take")
    tally.requests += 1
    if answer.json().get("code") == "NOTHING_OPEN":
        return False
    if answer.status_code == 200:
        tally.won += 1
    else:
        tally.wasted += 1
    return True


WAYS = (
    ("by id, one head for all", _from("all")),
    ("by id, a head of one's own", _from("pool")),
    ("next order for me", _next),
)


async def _drained(
    hands: Hands, crowd: list[str], act: Callable[[Hands, str, Tally], Awaitable[bool]]
) -> tuple[Tally, float]:
    tally = Tally()

    async def taker(login: str) -> None:
        while await act(hands, login, tally):
            pass

    began = time.perf_counter()
    await asyncio.gather(*(taker(login) for login in crowd))
    return tally, time.perf_counter() - began


async def _measured(url: str) -> list[tuple[str, Tally, float]]:
    database = Database(url)
    app = create_app(Settings(rate_per_address=0, rate_per_account=0), database)
    town = await found(database, app.state.settings.session_key.get_secret_value(), present=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench") as client:
        hands = Hands(client, town)
        crowd = await town.crowd(TAKERS)
        rows = []
        for name, act in WAYS:
            await _filled(hands)
            rows.append((name, *await _drained(hands, crowd, act)))
    await database.close()
    return rows


def run() -> bool:
    server = postgres.start()
    try:
        server.execute("CREATE DATABASE taking")
        migrate.upgrade(server.url("psycopg", "taking"))
        with capture_logs():
            found_ = asyncio.run(_measured(server.url("asyncpg", "taking")))
    finally:
        server.stop()
    rows = [
        (name, t.won, t.wasted, f"{t.wasted / t.won:.2f}", f"{t.requests / t.won:.1f}", f"{t.won / took:.0f}")
        for name, t, took in found_
    ]
    said = (
        f"{TAKERS} takers at once drain {ORDERS} open orders of one slot, through the whole application on PostgreSQL "
        f"(one process, eight connections), one way after the other in one run. By id: list {SHOWN}, take the first, look "
        f"again. Promised of the last: at most {MOST_WASTED} wasted attempts for every order won."
    )
    head = ("way", "won", "wasted", "wasted per win", "requests per win", "wins a second")
    results.write("taking", "Takers who drain a pool", said, head, rows)
    ways = {name: tally for name, tally, _ in found_}
    return all(tally.won == ORDERS for tally in ways.values()) and (
        ways["next order for me"].wasted <= MOST_WASTED * ORDERS
    )
