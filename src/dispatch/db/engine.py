"""Connections and transactions. Nothing outside ``db/``, ``jobs/`` and ``__main__`` begins or commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import cast

from sqlalchemy import QueuePool, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dispatch.db import dialect, sealed
from dispatch.db.grouping import Writer, keep_connection
from dispatch.db.replica import PATIENCE_SECONDS, Replica, on_disk
from dispatch.db.sealed import Keyring
from dispatch.domain.refusal import Refusal
from dispatch.settings import DEVELOPMENT_DATA_KEYS, DEVELOPMENT_LOOKUP_KEY, Settings

POOL_SIZE = {"postgresql": 8, "sqlite": 3}
"""Two to four connections per core are enough (performance notes); the threads of SQLite's readers get into each other's
way within one Python process: eight cost a fifth more than three (ADR 0071)."""


class Database:
    """Where the service keeps everything.

    PostgreSQL: one pool. SQLite: readers on deferred connections and **one** writer per process, in whose
    queue units of work wait and share a commit (``grouping``).

    Args:
        url: ``sqlite+aiosqlite:///…``, ``postgresql+asyncpg://…`` or ``postgresql+psycopg://…``.
        pool_size: connections kept; ``POOL_SIZE`` if not said.
        pool_wait_seconds: how long a request waits for a connection before 503.
        lock_wait_seconds: how long it waits for another transaction before 503.
        replica_url: of a streaming replica of it, for ``reading_near``.
        keys: seal and open personal data; the development keys if none are given.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int | None = None,
        pool_wait_seconds: float = 15.0,
        lock_wait_seconds: float = 5.0,
        replica_url: str = "",
        keys: Keyring | None = None,
    ) -> None:
        self.keys = keys or Keyring.read(DEVELOPMENT_DATA_KEYS, DEVELOPMENT_LOOKUP_KEY)
        self.url = make_url(url)
        sqlite = self.url.get_backend_name() == "sqlite"
        if sqlite and self.url.database in (None, "", ":memory:"):
            raise ValueError(
                "SQLite must live in a file: every connection to :memory: is a database of its own"
            )
        pool_size = pool_size or POOL_SIZE[self.url.get_backend_name()]
        self._turns, self._patience = asyncio.Semaphore(pool_size), pool_wait_seconds
        opened = partial(_opened, wait_seconds=pool_wait_seconds, lock_wait_seconds=lock_wait_seconds)
        self._read = opened(self.url, pool_size)
        if sqlite:
            writer = opened(self.url, 1, by_hand=True)
            event.listen(writer.sync_engine, "handle_error", keep_connection)
            self._write: AsyncEngine = writer.execution_options(sqlite_begin="IMMEDIATE")
            self._writer: Writer | None = Writer(self._write, wait_seconds=pool_wait_seconds)
        else:
            self._write, self._writer = self._read, None
            self._read = self._write.execution_options(isolation_level="AUTOCOMMIT")
        self.replica = None
        if replica_url:
            near = opened(make_url(replica_url), pool_size, wait_seconds=PATIENCE_SECONDS, level="AUTOCOMMIT")
            self.replica = Replica(near)
        for engine in self.engines:
            sealed.install(engine.sync_engine, self.keys)

    @property
    def engines(self) -> tuple[AsyncEngine, ...]:
        """The engines behind it, for listeners."""
        found = (self._write,) if self._writer is None else (self._read, self._write)
        return found if self.replica is None else (*found, self.replica.engine)

    def pools(self) -> dict[str, QueuePool]:
        """The pools of connections by name, for the meters."""
        names = (
            "read",
            "replica" if self.replica else "write",
        )  # SQLite has a writer, PostgreSQL perhaps a replica
        named = zip(names, self.engines, strict=False)
        return {name: cast(QueuePool, engine.pool) for name, engine in named}

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that writes nothing, and so begins no transaction: every statement sees what is there by then.

        Raises:
            TimeoutError: none became free in time.
        """
        async with self._turn(), self._read.connect() as db:
            yield db

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a connection in the order of coming.

        The pool itself lets whoever comes just then take what was given back before the one who has waited longest has
        woken up: under load one in a hundred waited ten times as long as the middle one.
        """
        if self._turns.locked():
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        else:
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def reading_near(
        self, first: Callable[[AsyncConnection], Awaitable[None]]
    ) -> AsyncIterator[AsyncConnection]:
        """A connection that writes nothing, of the replica if there is one that knows what the primary knows.

        Args:
            first: what only the primary may say; asked if there is a replica.
        """
        copy = None
        if self.replica is not None:
            async with self.reading() as db:
                await first(db)
                mark = await on_disk(db)
            copy = await self.replica.holding(mark)
        if copy is None:
            async with self.reading() as db:
                yield db
            return
        try:
            yield copy
        finally:
            await copy.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One unit of work: committed at the end, rolled back on any exception but a refusal that keeps what it wrote."""
        kept = None
        async with self._unit() as db:
            try:
                yield db
            except Refusal as refusal:
                if not refusal.keeps:
                    raise
                kept = refusal
        if kept is not None:
            raise kept

    def _unit(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._transaction() if self._writer is None else self._writer.unit()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn(), self._write.connect() as db:
            yield db
            await db.commit()

    async def close(self) -> None:
        """Give every connection back."""
        if self._writer is not None:
            await self._writer.close()
        for engine in self.engines:
            await engine.dispose()


def _opened(
    url: URL,
    size: int,
    *,
    wait_seconds: float,
    lock_wait_seconds: float,
    level: str | None = None,
    by_hand: bool = False,
) -> AsyncEngine:
    """``by_hand``: transactions are begun by a statement, which looks like none at all to the driver."""
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=wait_seconds,
        pool_use_lifo=True,
        isolation_level=level,
        skip_autocommit_rollback=not by_hand,
        hide_parameters=True,
        connect_args=dialect.connecting(url),
    )
    dialect.tune(engine.sync_engine, lock_wait_ms=int(lock_wait_seconds * 1000))
    return engine


def open_database(settings: Settings) -> Database:
    """The database of a process, as its settings say. Whoever has settings opens it here."""
    return Database(
        settings.database_url,
        pool_size=settings.pool_size,
        pool_wait_seconds=settings.pool_wait_seconds,
        lock_wait_seconds=settings.lock_wait_seconds,
        replica_url=settings.replica_url,
        keys=Keyring.read(settings.data_keys.get_secret_value(), settings.lookup_key.get_secret_value()),
    )


async def start_over(db: AsyncConnection) -> None:
    """Forget what this unit of work wrote and begin again: what was seen no longer holds."""
    savepoint = db.get_nested_transaction()  # on SQLite it may share its transaction with others
    if savepoint is None:
        await db.rollback()
    else:
        await savepoint.rollback()
        await db.begin_nested()


@asynccontextmanager
async def apart(db: AsyncConnection) -> AsyncIterator[None]:
    """Part of a transaction that may fail alone (a savepoint)."""
    async with db.begin_nested():
        yield
