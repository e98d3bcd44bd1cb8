"""Units of work share a commit on SQLite: each is whole or gone, and what is told is on disk (ADR 0056)."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import QueuePool

from dispatch.db import grouping
from dispatch.db.engine import Database, apart, start_over
from dispatch.db.tenants import tenants
from tests.conftest import Backends

Work = Callable[[AsyncConnection], Awaitable[Any]]


class Lite:
    """A database of its own, and how its transactions ended."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, pool_wait_seconds=5)
        self.commits = 0
        event.listen(self.database.engines[1].sync_engine, "commit", self._count)

    def _count(self, connection: Any) -> None:
        self.commits += 1

    async def together(self, *work: Work) -> list[Any]:
        """Do pieces of work so that they share a transaction: all wait while the first one is at it."""
        waiting = asyncio.Event()

        async def first() -> None:
            async with self.database.writing() as db:
                await write(1)(db)
                await waiting.wait()

        tasks = [asyncio.create_task(first())]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(self.unit(each)) for each in work]
        await asyncio.sleep(0.02)
        waiting.set()
        return (await asyncio.gather(*tasks, return_exceptions=True))[1:]

    async def unit(self, work: Work) -> Any:
        async with self.database.writing() as db:
            told = await work(db)
        return told, self.on_disk()

    def on_disk(self) -> set[int]:
        with sqlite3.connect(str(self.database.url.database)) as other:
            return {id for (id,) in other.execute("SELECT id FROM tenants")}


def write(id: int, then: Exception | None = None) -> Work:
    async def work(db: AsyncConnection) -> None:
        await db.execute(insert(tenants).values(id=id, code=f"t{id}", name="区"))
        if then:
            raise then

    return work


@pytest.fixture
async def lite(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lite]:
    monkeypatch.setattr(grouping, "LONGEST_SECONDS", 30)
    lite = Lite(backends.fresh("sqlite", "grouping"))
    yield lite
    await lite.database.close()


async def test_many_units_share_a_commit_and_each_is_on_disk_when_it_ends(lite: Lite):
    told = await lite.together(*(write(id) for id in range(2, 12)))
    assert all(set(range(1, 12)) <= found for _, found in told), told
    assert lite.commits == 1


async def test_a_unit_that_fails_is_gone_and_the_others_are_there(lite: Lite):
    told = await lite.together(write(2), write(3, ValueError("no")), write(4))
    assert isinstance(told[1], ValueError)
    assert lite.on_disk() == {1, 2, 4}


async def test_the_first_one_that_fails_takes_nobody_with_it(lite: Lite):
    async def fail(db: AsyncConnection) -> None:
        await write(9)(db)
        await asyncio.sleep(0.02)
        raise ValueError("no")

    told = await asyncio.gather(lite.unit(fail), lite.unit(write(2)), return_exceptions=True)
    assert isinstance(told[0], ValueError)
    assert lite.on_disk() == {2}


async def test_closing_waits_for_who_is_at_work(lite: Lite):
    pool = lite.database.engines[1].sync_engine.pool
    assert isinstance(pool, QueuePool)
    work = asyncio.create_task(lite.unit(write(2)))
    await asyncio.sleep(0)
    await lite.database.close()
    assert pool.checkedout() == 0
    await work
    assert lite.on_disk() == {2}


async def test_starting_over_forgets_the_own_part_only(lite: Lite):
    async def again(db: AsyncConnection) -> None:
        await write(3)(db)
        await start_over(db)
        await write(4)(db)

    await lite.together(write(2), again, write(5))
    assert lite.on_disk() == {1, 2, 4, 5}
    async with lite.database.writing() as db:  # alone, the same
        await write(6)(db)
        await start_over(db)
        await write(7)(db)
    assert lite.on_disk() == {1, 2, 4, 5, 7}


async def test_a_part_that_may_fail_alone_still_may(lite: Lite):
    async def some(db: AsyncConnection) -> None:
        await write(3)(db)
        with pytest.raises(ValueError, match="no"):
            async with apart(db):
                await write(4, ValueError("no"))(db)

    await lite.together(write(2), some)
    assert lite.on_disk() == {1, 2, 3}


async def test_a_commit_that_fails_fails_everybody_even_whom_was_refused(
    lite: Lite, monkeypatch: pytest.MonkeyPatch
):
    """A refusal may rest on what another unit of the group wrote: told before the commit it could be a lie."""

    async def broken(group: Any) -> None:
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("disk full"))

    monkeypatch.setattr(grouping._Group, "commit", broken)
    told = await lite.together(write(2), write(3, ValueError("refused")))
    assert [type(each) for each in told] == [OperationalError, OperationalError]
    assert lite.on_disk() == set()


async def test_when_sqlite_gives_the_transaction_up_nobody_is_told_that_it_was_kept(lite: Lite):
    async def gives_up(db: AsyncConnection) -> None:
        await db.execute(text("ROLLBACK"))  # as SQLite does by itself when the disk is full
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("disk full"))

    told = await lite.together(write(2), gives_up, write(3))
    assert [type(each) for each in told[:2]] == [OperationalError, OperationalError]
    assert lite.on_disk() == {3}  # it came into the next group


async def test_who_is_cancelled_gives_the_turn_on(lite: Lite):
    begun = asyncio.Event()

    async def stays(db: AsyncConnection) -> None:
        await write(2)(db)
        begun.set()
        await asyncio.sleep(60)

    at_it, waits = asyncio.create_task(lite.unit(stays)), asyncio.create_task(lite.unit(write(3)))
    behind = asyncio.create_task(lite.unit(write(4)))
    await begun.wait()
    waits.cancel()
    at_it.cancel()
    await behind
    assert lite.on_disk() == {4}
    assert (await asyncio.gather(at_it, waits, return_exceptions=True)) != [None, None]


SLOW = text(
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 600000) SELECT count(*) FROM c"
)
"""Some tenths of a second in SQLite's thread, which no cancelling stops."""


def myself() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def cancelled_in_a_statement(lite: Lite, *work: Work, times: int = 1) -> list[Any]:
    """Like ``together``, but the first of the pieces is cancelled while a statement of its own runs."""
    begun = asyncio.Event()

    async def slow(db: AsyncConnection) -> None:
        await write(2)(db)
        begun.set()
        await db.execute(SLOW)
        raise AssertionError("it was cancelled before")

    async def cancel() -> None:
        await begun.wait()
        await asyncio.sleep(0.02)
        for _ in range(times):
            tasks[0].cancel()
            await asyncio.sleep(0)

    tasks: list[asyncio.Task[Any]] = []

    async def remembered(db: AsyncConnection) -> None:
        tasks.append(myself())
        await slow(db)

    cancelling = asyncio.create_task(cancel())
    told = await lite.together(remembered, *work)
    await cancelling
    return told  # what was cancelled is still referred to, as by whoever logs it


@pytest.mark.parametrize("times", [1, 3])
async def test_who_is_cancelled_in_the_middle_of_a_statement_takes_nobody_with_it(lite: Lite, times: int):
    told = await cancelled_in_a_statement(lite, write(3), write(4), times=times)
    assert isinstance(told[0], asyncio.CancelledError)
    assert told[1:] == [(None, {1, 3, 4}), (None, {1, 3, 4})]
    assert lite.commits == 1
    assert await lite.unit(write(5)) == (None, {1, 3, 4, 5})


@pytest.mark.parametrize("begun", [True, False])
async def test_the_file_is_not_locked_by_one_who_was_cancelled_alone(lite: Lite, begun: bool):
    async def alone(db: AsyncConnection) -> None:
        if begun:
            await write(9)(db)
        asyncio.get_running_loop().call_later(0.02 if begun else 0, task.cancel)
        await db.execute(SLOW)

    task = asyncio.create_task(lite.unit(alone))
    (failed,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(failed, asyncio.CancelledError)  # kept alive here, with every frame it went through
    assert await lite.unit(write(2)) == (None, {2})
    with sqlite3.connect(str(lite.database.url.database), timeout=0) as other:
        other.execute("BEGIN IMMEDIATE")


async def test_who_is_cancelled_before_his_last_words_are_kept_leaves_the_rest_whole(lite: Lite):
    """Cancelled between the last statement and the end of the unit, and while a part of its own is undone."""

    async def at_the_end(db: AsyncConnection) -> None:
        await write(2)(db)
        myself().cancel()

    async def in_a_part(db: AsyncConnection) -> None:
        async with apart(db):
            await write(3)(db)
            for later in (0.02, 0.021):
                asyncio.get_running_loop().call_later(later, myself().cancel)
            await db.execute(SLOW)

    told = await lite.together(at_the_end, in_a_part, write(4))
    assert [type(each) for each in told[:2]] == [asyncio.CancelledError] * 2
    assert told[2][1] >= {1, 4}
    assert 3 not in lite.on_disk()


async def test_who_waits_too_long_is_sent_away(backends: Backends):
    database = Database(backends.fresh("sqlite", "impatient"), pool_wait_seconds=0.05)
    async with database.writing() as db:
        await write(1)(db)
        with pytest.raises(TimeoutError):
            async with database.writing():
                raise AssertionError("it had no turn")
    async with database.writing() as db:
        assert (await db.execute(select(tenants.c.id))).scalars().all() == [1]
    await database.close()


class Closed:
    """An engine that gives no connection."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        raise OperationalError("", {}, sqlite3.OperationalError("unable to open database file"))
        yield


async def test_a_database_that_cannot_be_opened_is_told_to_everybody_who_asks():
    writer = grouping.Writer(Closed(), wait_seconds=5)  # type: ignore[arg-type]

    async def ask() -> None:
        async with writer.unit():
            raise AssertionError("there is none")

    told = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [OperationalError] * 3
