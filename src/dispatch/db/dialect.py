"""The one file that knows on which database it stands.

What differs: how connections are tuned, whether a guarded write and what hangs on it are one statement, how
rows are folded into one JSON value, how ids are handed over, and how an insert yields to a row that is there already.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    String,
    Table,
    Uuid,
    bindparam,
    event,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import JSON, TypeDecorator

from dispatch.db import lite
from dispatch.db.address import own_file
from dispatch.db.sealed import Sealed, SealedJson, keys_of, opened, with_tenant
from dispatch.db.types import Instant

# --- connections ----------------------------------------------------------------------------


_ON_CITUS = "dispatch_on_citus"
STATEMENTS_KEPT = 256
"""Prepared statements that a connection to PostgreSQL keeps, some 0.2 MB each (drivers keep 100): each is planned once."""


def connecting(url: URL) -> dict[str, Any]:
    """What a driver is told besides its address; what the address says is obeyed."""
    told: dict[str, dict[str, Any]] = {
        "aiosqlite": {"async_creator_fn": lite.connect},
        "asyncpg": {"prepared_statement_cache_size": STATEMENTS_KEPT},
    }
    return {
        name: value for name, value in told.get(url.get_driver_name(), {}).items() if name not in url.query
    }


def tune(engine: Engine, *, lock_wait_ms: int) -> None:
    """Make connections of a new engine behave: see ADR 0007 for what SQLite's defaults would lose."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _make_sqlite)
        event.listen(engine, "connect", partial(_tune_sqlite, lock_wait_ms))
        event.listen(engine, "begin", _begin_sqlite)
        return

    @event.listens_for(engine, "connect")
    def _tune_postgresql(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")
        setattr(engine.dialect, _ON_CITUS, bool(cursor.fetchone()[0]))
        cursor.execute(f"SET lock_timeout = {lock_wait_ms}")
        cursor.execute("SET statement_timeout = 30000")
        cursor.execute("SET jit = off")  # compiling costs more than any of our statements
        if not getattr(engine.dialect, _ON_CITUS):
            # Planning costs several times what running does (ADR 0069). Citus must know the values to find the node.
            cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute("SET idle_in_transaction_session_timeout = 60000")
        cursor.close()
        connection.commit()
        if engine.dialect.driver == "psycopg":
            record.driver_connection.prepared_max = STATEMENTS_KEPT

    event.listen(engine, "checkin", _rests)
    event.listen(engine, "checkout", partial(_tried, engine))


TRUSTED_SECONDS = 1.0
"""How long a connection that was just used is taken for good: trying it costs a round trip."""


def _rests(connection: Any, record: Any) -> None:
    record.info["rests_since"] = monotonic()


def _tried(engine: Engine, connection: Any, record: Any, _proxy: Any) -> None:
    """Try a connection that has rested. Raises: InvalidatePoolError, upon which the pool connects anew."""
    if monotonic() - record.info.get("rests_since", monotonic()) < TRUSTED_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError() from error


def _make_sqlite(dialect: Any, record: Any, arguments: Any, named: Any) -> None:
    own_file(arguments[0])


def _tune_sqlite(lock_wait_ms: int, connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver's own late BEGIN loses updates
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={lock_wait_ms}",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    """A writer takes the write lock at once: upgrading a read later fails without waiting. A reader begins nothing."""
    if begin := connection.get_execution_options().get("sqlite_begin"):
        connection.exec_driver_sql(f"BEGIN {begin}")


ANALYSED_ROWS = 1000
"""Entries of every index that SQLite looks at for its statistics: milliseconds, however large the table."""


async def refresh_statistics(db: AsyncConnection) -> None:
    """Tell the planner what is in the tables. PostgreSQL does so by itself; SQLite guesses until it is told.

    Guessing, it reads a whole community's orders to find the ten that have a rare word.
    """
    if db.dialect.name == "sqlite":
        await db.exec_driver_sql(f"PRAGMA analysis_limit = {ANALYSED_ROWS}")
        await db.exec_driver_sql("ANALYZE")


# --- inserts that yield ---------------------------------------------------------------------


def in_one_statement(db: AsyncConnection) -> bool:
    """Whether this database takes a guard and its dependents in one statement, at no more than it is worth."""
    return db.dialect.name == "postgresql" and not getattr(db.dialect, _ON_CITUS, False)


def insert_for(name: str, table: Table) -> Any:
    """The dialect's own INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if name == "sqlite" else postgresql.insert(table)


def yielding_insert(db: AsyncConnection, table: Table) -> Any:
    """An INSERT for a connection's database; say what it does ``on_conflict_…``."""
    return insert_for(db.dialect.name, table)


async def insert_or_ignore(db: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving alone those whose key is taken."""
    if rows:
        await db.execute(insert_for(db.dialect.name, table).on_conflict_do_nothing(), list(rows))


async def insert_or_update(db: AsyncConnection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or write its values over the one that has its key."""
    key = {column.name for column in table.primary_key.columns}
    write = insert_for(db.dialect.name, table).values(row)
    await db.execute(
        write.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={name: write.excluded[name] for name in row if name not in key},
        )
    )


# --- rows folded into one value -------------------------------------------------------------


class _JsonRows(GenericFunction[Any]):
    """Marker for a scalar subquery that folds its rows into a JSON array."""

    inherit_cache = True
    name = "json_rows"


class Folded(TypeDecorator[list[dict[str, Any]]]):
    """A JSON array of rows, read back into Python values by the types of the columns it was made of."""

    impl = String
    cache_ok = True

    def __init__(self, columns: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
        self.columns = columns
        parted = [(name, *kind.partition(":")) for name, kind in columns]
        self._told = [
            (name, _READ[how], column) for name, how, _, column in parted if column or how != "plain"
        ]

    def process_result_value(self, value: Any, dialect: Any) -> list[dict[str, Any]]:
        """The rows as Python values; none at all is an empty list."""
        if value is None:
            return []
        rows: list[dict[str, Any]] = from_json(value) if isinstance(value, str | bytes) else value
        keys = keys_of(dialect)
        for row in rows:
            for name, read, column in self._told:
                value = row[name]
                if value is not None:
                    row[name] = read(opened(keys, column, value) if column else value)
        return rows


def _instant(value: str) -> datetime:
    at = datetime.fromisoformat(value)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_READ: dict[str, Any] = {
    "id": lru_cache(maxsize=8192)(UUID),  # the rows of a page name the same orders and people over and over
    "instant": _instant,
    "bool": bool,
    "json": lambda value: json.loads(value) if isinstance(value, str) else value,
    "plain": lambda value: value,
}
"""What is made of a value that is not null. A kind followed by ``:`` and a column is opened first."""


def _kind(column: ColumnElement[Any]) -> str:
    kind = column.type
    if isinstance(kind, Sealed):
        return f"{'json' if isinstance(kind, SealedJson) else 'plain'}:{kind.column}"
    if isinstance(kind, Uuid):
        return "id"
    if isinstance(kind, Instant):
        return "instant"
    if isinstance(kind, Boolean):
        return "bool"
    return "json" if isinstance(kind, JSON) else "plain"


def folded(rows: Select[Any], *outer: FromClause) -> ColumnElement[list[dict[str, Any]]]:
    """The rows of a select as one column: a list of dicts, in the select's order.

    So that an order and all that hangs on it cost one round trip.

    Args:
        outer: tables of the enclosing select that ``rows`` refers to. They must be named: a select within
            FROM is not correlated by itself, and would quietly be joined with every row of them.
    """
    rows = _openable(rows)
    inner = rows.correlate(*outer).subquery() if outer else rows.subquery()
    pairs: list[Any] = []
    for column in inner.columns:
        pairs += [literal_column(f"'{column.key}'"), column]
    kinds = tuple((str(column.key), _kind(column)) for column in inner.columns)
    built = func.json_rows(*pairs, type_=Folded(kinds))
    return select(built).select_from(inner).scalar_subquery()


def _openable(rows: Select[Any]) -> Select[Any]:
    """The same rows, sealed columns with the tenant they are sealed for."""
    columns = list(rows.selected_columns)
    if not any(isinstance(column.type, Sealed) for column in columns):
        return rows
    return rows.with_only_columns(
        *(
            type_coerce(with_tenant(column), column.type).label(str(column.key))
            if isinstance(column.type, Sealed)
            else column
            for column in columns
        ),
        maintain_column_froms=True,
    )


@compiles(_JsonRows, "sqlite")
def _fold_on_sqlite(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_group_array(json_object({compiler.process(element.clauses, **kw)}))"


@compiles(_JsonRows, "postgresql")
def _fold_on_postgresql(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST(json_agg(json_build_object({compiler.process(element.clauses, **kw)})) AS text)"


# --- rows by a list of ids ------------------------------------------------------------------


class _Among(GenericFunction[Any]):
    """Marker for a column that is looked up in the ids of a subquery.

    Of no type: to a Boolean SQLAlchemy adds ``= 1`` on SQLite, and SQLite then looks nothing up by the index.
    """

    inherit_cache = True
    name = "among"


def among(column: ColumnElement[Any], ids: Select[Any]) -> ColumnElement[bool]:
    """Whether a column is one of the ids that a select finds, which is run first and once.

    PostgreSQL would take ``IN`` for a join and put it last when the statement joins as many tables as an
    order's row does: it then reads every order there is (measured: 70 ms over 40,000 orders, 1 ms this way).
    """
    return func.among(column, ids.correlate(None).scalar_subquery())


@compiles(_Among, "sqlite")
def _among_on_sqlite(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(part, **kw) for part in element.clauses)
    return f"{column} IN {ids}"


@compiles(_Among, "postgresql")
def _among_on_postgresql(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(part, **kw) for part in element.clauses)
    return f"{column} = ANY (ARRAY{ids})"


class Several(TypeDecorator[list[Any]]):
    """Ids or codes in one parameter: an array on PostgreSQL, a JSON array on SQLite."""

    impl = String
    cache_ok = True

    def __init__(self, ids: bool = True) -> None:
        super().__init__()
        self.ids = ids

    def load_dialect_impl(self, dialect: Any) -> Any:
        """The type that the driver is told."""
        many: Any = postgresql.ARRAY(Uuid() if self.ids else String())
        return dialect.type_descriptor(many if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Any) -> Any:
        """As the database takes them."""
        several = list(value or ())
        if dialect.name == "postgresql":
            return several
        return json.dumps([one.hex if self.ids else one for one in several])


class _Listed(GenericFunction[Any]):
    """Marker for a column that is looked up in the values of one parameter. Of no type: see ``_Among``."""

    inherit_cache = True
    name = "listed"


def listed(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a column is one of the ids or codes that are bound under a name.

    ``column.in_(…)`` is written anew, however many they are, whenever the statement runs.
    """
    return func.listed(column, bindparam(name, type_=Several(ids=isinstance(column.type, Uuid))))


@compiles(_Listed, "sqlite")
def _listed_on_sqlite(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(part, **kw) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 (both parts are compiled)


@compiles(_Listed, "postgresql")
def _listed_on_postgresql(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(part, **kw) for part in element.clauses)
    return f"{column} = ANY ({ids})"


# --- the end of an id -----------------------------------------------------------------------

TAIL_DIGITS = 8
"""Hexadecimal digits at the end of a UUIDv7: all of them drawn at random."""


class _Tail(GenericFunction[str]):
    """Marker for the last digits of an id."""

    type = String()
    inherit_cache = True
    name = "tail"


def tail(column: ColumnElement[Any]) -> ColumnElement[str]:
    """The last digits of an id as text that both databases compare sign by sign."""
    return func.tail(column)


@compiles(_Tail, "sqlite")
def _tail_on_sqlite(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return f"substr({compiler.process(element.clauses, **kw)}, -{TAIL_DIGITS})"


@compiles(_Tail, "postgresql")
def _tail_on_postgresql(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return f'(right(CAST({compiler.process(element.clauses, **kw)} AS text), {TAIL_DIGITS}) COLLATE "C")'
