"""What a database error means to the asker: come back in a second, or a refusal behind a constraint."""

import re
import sqlite3
from collections.abc import Mapping

from sqlalchemy import PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dispatch.db.base import metadata
from dispatch.domain.refusal import Refusal, ServiceBusy, StorageFull

Constraints = Mapping[str, type[Refusal]]
"""Constraint or unique index, by its name, to the refusal that it stands for."""

BUSY_STATES = frozenset(
    {
        "25006",  # read-only transaction: a failover is under way
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock not available
        "57014",  # statement timeout
        "57P01",  # the server shuts down
        "57P02",
        "57P03",  # the server starts
    }
)
BUSY_CLASSES = ("08", "53")  # connection lost; out of connections, memory or disk
DISK_FULL = "53100"
SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_FULL = 5, 6, 10, 13  # primary result codes


def refusal_for(error: Exception, constraints: Constraints) -> Refusal | None:
    """The refusal that a database error amounts to; None when it is a defect of ours.

    ``OSError`` counts as busy: asyncpg lets refused and broken connections through as such.
    """
    if isinstance(error, IntegrityError):
        kind = next((constraints[name] for name in _violated(error) if name in constraints), None)
        return kind() if kind else None
    if isinstance(error, DBAPIError) and _is_full(error):
        return StorageFull()
    return ServiceBusy() if _is_busy(error) else None


def _is_full(error: DBAPIError) -> bool:
    """No room, or the disk fails: a quota and a file-size limit are told by SQLite as I/O errors."""
    return sqlstate(error) == DISK_FULL or _sqlite_code(error) in (SQLITE_FULL, SQLITE_IOERR)


def _is_busy(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout | ConnectionError | TimeoutError)
    if error.connection_invalidated:
        return True
    if (state := sqlstate(error)) is not None:
        return state in BUSY_STATES or state.startswith(BUSY_CLASSES)
    if (origin := _sqlite_error(error)) is not None:
        locked = re.search(r"\b(locked|busy)\b", str(origin)) is not None
        return locked or _sqlite_code(error) in (SQLITE_BUSY, SQLITE_LOCKED)
    return isinstance(error, OperationalError)  # psycopg could not connect, or lost the server: no SQLSTATE


def sqlstate(error: DBAPIError) -> str | None:
    """The SQLSTATE, five characters, whichever driver raised; None on SQLite."""
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _sqlite_error(error: DBAPIError) -> sqlite3.Error | None:
    origin: BaseException | None = error.orig
    while origin is not None and not isinstance(origin, sqlite3.Error):
        origin = origin.__cause__
    return origin


def _sqlite_code(error: DBAPIError) -> int | None:
    """SQLite's primary result code; None of another database."""
    code = getattr(_sqlite_error(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _violated(error: IntegrityError) -> list[str]:
    """Names that the violated constraint may have.

    PostgreSQL tells the name. SQLite tells it for CHECKs; of a unique constraint or index only the columns, by
    which it is looked up.
    """
    names: list[str] = []
    origin: BaseException | None = error.orig
    while origin is not None:
        told = getattr(getattr(origin, "diag", None), "constraint_name", None)
        names += [name for name in (told, getattr(origin, "constraint_name", None)) if isinstance(name, str)]
        origin = origin.__cause__
    text = str(error.orig)
    if match := re.search(r"CHECK constraint failed: (\w+)", text):
        names.append(match[1])
    if match := re.search(r"UNIQUE constraint failed: index '(\w+)'", text):
        names.append(match[1])
    elif match := re.search(r"UNIQUE constraint failed: (\w+\.\w+(?:, \w+\.\w+)*)", text):
        told_columns = [column.split(".") for column in match[1].split(", ")]
        names += _unique_over(metadata.tables.get(told_columns[0][0]), [column for _, column in told_columns])
    return names


def _unique_over(table: Table | None, columns: list[str]) -> list[str]:
    """Names of the keys, constraints and indexes of a table that are unique over just these columns."""
    if table is None:
        return []
    keys = [each for each in table.constraints if isinstance(each, PrimaryKeyConstraint | UniqueConstraint)]
    unique = [*keys, *(index for index in table.indexes if index.unique)]
    return [str(each.name) for each in unique if each.columns.keys() == columns]
