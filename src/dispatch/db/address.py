"""Addresses of databases, as the settings have them and as tools want them."""

import os
from contextlib import suppress

from sqlalchemy import URL, make_url


def synchronous(url: str) -> URL:
    """The same database for a synchronous driver: sqlite3 or psycopg."""
    asked = make_url(url)
    if lies_in_a_file(url):
        return asked.set(drivername="sqlite")
    # asyncpg says ssl= for what libpq calls sslmode=, and knows options that libpq does not.
    query = {("sslmode" if key == "ssl" else key): value for key, value in asked.query.items()}
    return asked.set(
        drivername="postgresql+psycopg",
        query={key: value for key, value in query.items() if not key.startswith("prepared_statement")},
    )


def lies_in_a_file(url: str) -> bool:
    """Whether the database is one file (SQLite) and not a server's (PostgreSQL)."""
    return make_url(url).drivername.startswith("sqlite")


def own_file(path: str) -> None:
    """Make a SQLite file that is not there for its owner alone, before SQLite makes it for everybody to read.

    The files beside it (-wal, -shm) get the rights of the file. One that is there keeps its own, and is not opened:
    a process that closes a file loses every lock that it holds on it, SQLite's too, and others would write at once.
    """
    with suppress(OSError):  # what is wrong with the path SQLite says itself
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
