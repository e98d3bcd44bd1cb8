"""Connections are given out in the order in which they were asked for (ADR 0072)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, text

from dispatch.db.engine import Database

MANY = 12


@pytest.fixture
async def narrow(database: Database) -> AsyncIterator[Database]:
    """The same database, with one connection to read from."""
    url = database.url.render_as_string(hide_password=False)
    narrow = Database(url, pool_size=1, pool_wait_seconds=1)
    yield narrow
    await narrow.close()


async def asks(database: Database) -> None:
    async with database.reading() as db:
        await db.execute(text("SELECT 1"))


async def test_whoever_has_waited_longest_is_next_whoever_comes_when_a_connection_is_given_back(
    narrow: Database,
):
    served: list[str] = []
    later: list[asyncio.Task[None]] = []

    async def comes(name: str) -> None:
        await asks(narrow)
        served.append(name)

    def somebody_comes(*_: Any) -> None:
        if len(later) < MANY:
            later.append(asyncio.create_task(comes("later")))

    event.listen(narrow.pools()["read"], "checkin", somebody_comes)
    async with narrow.reading():
        first = asyncio.create_task(comes("first"))
        await asyncio.sleep(0)
    await first
    while any(not task.done() for task in later):
        await asyncio.gather(*later)
    assert served[0] == "first"


async def test_who_waits_too_long_is_sent_away_and_takes_nobodys_turn(narrow: Database):
    async with narrow.reading():
        with pytest.raises(TimeoutError):
            await asks(narrow)
    await asks(narrow)


async def test_who_gives_up_waiting_takes_nobodys_turn(narrow: Database):
    async with narrow.reading():
        waits = asyncio.create_task(asks(narrow))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
    await asks(narrow)
