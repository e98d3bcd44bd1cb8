"""SQLite's one writer: units of work that wait for each other share one transaction and one COMMIT (ADR 0056).

A commit that is on disk costs more than most units do, so those that came while another one was at work go into
the same transaction, each after a savepoint, and all are answered after the commit. One that fails is rolled back to
its savepoint; a commit that fails fails them all. The first of a group needs no savepoint: with it goes all there is.

Whoever is cancelled ends in the middle of a statement, which SQLite's thread finishes all the same. So the connection is
kept, and what undoes a unit or keeps it is said by the task that gives the turns, which nobody cancels: the statement comes
first, and what was meant for it comes after.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MOST_UNITS = 64
LONGEST_SECONDS = 0.05
"""How many units share a transaction, and how long it takes in more: the first one waits for the last one, and other
processes wait for them all."""


def keep_connection(context: ExceptionContext) -> None:
    """Listener of the writer's engine (``handle_error``): who is cancelled takes no connection with him.

    SQLAlchemy would throw it away, with what other units wrote, and leave the file locked while anything refers to it.
    """
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


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
                yield group.db
                unit.whole = True
            finally:
                unit.ended.set()
        except Exception:
            if group is not None:  # it may have failed for what another unit wrote: on disk first
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
                    await group.begin()
                    unit = self._queue.popleft()
                    if not unit.turn.done():  # it may have waited too long
                        unit.turn.set_result(group)
                        await unit.ended.wait()
                        await group.end(whole=unit.whole)
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
        self.whole = False

    def fail(self, error: BaseException) -> None:
        if not self.turn.done():
            self.turn.set_exception(error)


class _Group:
    """The units of one transaction."""

    def __init__(self, db: AsyncConnection) -> None:
        self.db = db
        self.over = asyncio.Event()
        self.error: BaseException | None = None
        self._units, self._goes_on = 0, True
        self._began = time.monotonic()

    @property
    def takes_more(self) -> bool:
        late = time.monotonic() - self._began > LONGEST_SECONDS
        return self._goes_on and self._units < MOST_UNITS and not (late and self._units)

    async def begin(self) -> None:
        """Mark where the next unit's part begins. Raises: DBAPIError."""
        if self._units and self.db.get_nested_transaction() is None:
            await self.db.begin_nested()

    async def end(self, *, whole: bool) -> None:
        """Keep a unit's part, or go back to where it began. If there is no way back (SQLite gives up a transaction by
        itself when the disk is full), all units of the group fail.

        Raises:
            DBAPIError: what failed the group.
            ConnectionAbortedError: nobody knows how far back the unit went.
        """
        if whole:
            if (savepoint := self.db.get_nested_transaction()) is not None:
                await savepoint.commit()
            self._units += 1
        elif not self._units:  # all there is goes with it, even a BEGIN whose answer nobody waited for
            self._goes_on = False
        elif self.db.invalidated or self.db.get_nested_transaction() is None:
            raise ConnectionAbortedError("a unit of work ended in the middle of starting over")
        else:
            while (savepoint := self.db.get_nested_transaction()) is not None:
                await savepoint.rollback()

    async def commit(self) -> None:
        """On disk, or gone. Raises: DBAPIError."""
        await (self.db.commit() if self._units else self.db.rollback())

    async def settled(self) -> None:
        """Wait for the commit. Raises: what failed it."""
        await self.over.wait()
        if self.error is not None:
            raise self.error from None
