"""SQLite behind asyncio, with one turn of its thread for a statement.

aiosqlite hands its thread every call of a cursor: to make it, to run the statement, to fetch its rows, to close it. Each
is a wake-up of two threads, and together they cost more than most statements do (ADR 0071). Here a cursor is nothing
until it runs, and then brings its rows along.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import aiosqlite

CHUNK = 64
"""Rows that aiosqlite would fetch at once; nothing here is fetched in parts."""


class Connection(aiosqlite.Connection):
    """A connection whose cursors are ``Cursor``."""

    def cursor(self) -> "Cursor":  # type: ignore[override]  # aiosqlite's must be waited for
        """A cursor; nothing happens yet."""
        return Cursor(self)


class Cursor:
    """What SQLAlchemy's adapter needs of a cursor of aiosqlite."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> "Cursor":
        """Run a statement and fetch all its rows."""
        return await self._run("execute", statement, parameters)

    async def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> "Cursor":
        """Run a statement with each of these parameters."""
        return await self._run("executemany", statement, parameters)

    async def fetchall(self) -> list[Any]:
        """The rows of the statement that has run."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Forget the rows."""
        self._rows = []

    async def _run(self, how: str, *said: Any) -> "Cursor":
        await self._connection._execute(self._ran, how, *said)  # type: ignore[no-untyped-call]  # aiosqlite has no types here
        return self

    def _ran(self, how: str, *said: Any) -> None:
        """In the connection's thread, which remembers what it is given back until its next turn: nothing."""
        cursor = self._connection._conn.cursor()
        getattr(cursor, how)(*said)
        self._rows = cursor.fetchall() if cursor.description else []
        self.description, self.rowcount, self.lastrowid = (
            cursor.description,
            cursor.rowcount,
            cursor.lastrowid,
        )


def connect(path: str, **options: Any) -> Connection:
    """Open a file, as ``aiosqlite.connect`` does."""
    connection = Connection(partial(sqlite3.connect, path, **options), CHUNK)
    connection._thread.daemon = True  # who forgets to close one can still end
    return connection
