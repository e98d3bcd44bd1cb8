"""SQLite's one writer: units of work that wait for each other share one transaction and one COMMIT (ADR 0056).

A commit that is on disk costs more than most units do, so those that came while another one was at work go into
the same transaction, each after a savepoint, and all are answered after the commit. One that fails is rolled back to
its savepoint; a commit that fails fails them all. The first of a group needs no savepoint: with it goes all there is.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MOST_UNITS = 64
LONGEST_SECONDS = 0.05
"""How many units share a transaction, and how long it takes in more: the first one waits for the last one, and other
processes wait for them all."""


class Writer:
    """Units of work take turns on one connection, in the order in which they came.

    State: who waits, and the task that gives the turns while anybody does.

    Args:
        wait_seconds: how long a unit waits for its turn.
    """

    def __init__(self, engine: AsyncEngine, *, wait_seconds: float) -> None:
        self._engine, self._wait = engine, wait_seconds
        self._queue: deque[_Unit] = deque()
        self._giving: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[AsyncConnection]:
        """A unit of work: on disk when this ends, gone when it raises.

        Raises:
            TimeoutError: its turn did not come in time.
        """
        unit, group = _Unit(), None
        self._queue.append(unit)
        if self._giving is None:
            self._giving = asyncio.create_task(self._give())
        try:
            try:
                async with asyncio.timeout(self._wait):
                    group = await unit.turn
                async with group.part():
                    yield group.db
            finally:
                unit.ended.set()
        except Exception:
            if (
                group is not None
            ):  # it may have failed for what another unit wrote: that must be on disk first
                await group.settled()
            raise
        await group.settled()

    async def close(self) -> None:
        """Wait until the last group is over and its connection given back."""
        if self._giving is not None:
            await asyncio.wait((self._giving,))

    async def _give(self) -> None:
        """Give turns, group by group, until nobody waits."""
        try:
            while self._queue:
                await self._give_to_a_group()
        finally:
            self._giving = None

    async def _give_to_a_group(self) -> None:
        group = None
        try:
            async with self._engine.connect() as db:
                group = _Group(db)
                while self._queue and group.takes_more:
                    unit = self._queue.popleft()
                    if not unit.turn.done():  # it may have waited too long
                        unit.turn.set_result(group)
                        await unit.ended.wait()
                await group.commit()
        except BaseException as error:
            if group is None:  # no connection: told to whoever is first
                self._queue.popleft().fail(error)
            else:
                group.error = error
            if not isinstance(error, Exception):  # the loop ends: nobody may believe that it was kept
                raise
        finally:
            if group is not None:
                group.over.set()


class _Unit:
    """One that waits for its turn."""

    def __init__(self) -> None:
        self.turn: asyncio.Future[_Group] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    def fail(self, error: BaseException) -> None:
        if not self.turn.done():
            self.turn.set_exception(error)


class _Group:
    """The units of one transaction."""

    def __init__(self, db: AsyncConnection) -> None:
        self.db = db
        self.over = asyncio.Event()
        self.error: BaseException | None = None
        self._units = 0
        self._began = time.monotonic()

    @property
    def takes_more(self) -> bool:
        late = time.monotonic() - self._began > LONGEST_SECONDS
        return self.error is None and self._units < MOST_UNITS and not (late and self._units)

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """One unit's part of the transaction."""
        try:
            if self._units:
                await self.db.begin_nested()
            yield
            if (savepoint := self.db.get_nested_transaction()) is not None:
                await savepoint.commit()
        except BaseException as error:
            await self._undo(error)
            raise
        self._units += 1

    async def _undo(self, failed: BaseException) -> None:
        """Back to where the unit began. If there is no way back (SQLite gives up a transaction by itself when the
        disk is full), all units of the group fail.
        """
        savepoint = self.db.get_nested_transaction()
        try:
            if savepoint is not None:
                await savepoint.rollback()
            elif self._units:
                raise failed
            else:
                await self.db.rollback()
        except Exception as error:
            self.error = error

    async def commit(self) -> None:
        """On disk, or gone. Raises: DBAPIError."""
        await (self.db.rollback() if self.error else self.db.commit())

    async def settled(self) -> None:
        """Wait for the commit. Raises: what failed it."""
        await self.over.wait()
        if self.error is not None:
            raise self.error from None
