"""A guarded write: one row is written if it is as it was seen, and what depends on it only then.

What is to be written is said as data, so that its statement is made once for each *shape*: tables, columns, what is
null, how many rows. The values are bound when it runs (ADR 0064).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Delete,
    Insert,
    Row,
    Select,
    Table,
    Update,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.visitors import replacement_traverse

from dispatch.db.bound import made_once
from dispatch.db.dialect import Several, in_one_statement, insert_for, listed

Made = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """Stands for a column that the guard returned, inside a dependent row."""

    column: str


@dataclass(frozen=True, slots=True)
class Each:
    """Stands for a column that takes each of these values, one row for each; one parameter on PostgreSQL."""

    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to insert if the guard hit. Values may be ``Seen``, one of them ``Each``; all rows name the same columns.

    ``skip`` yields to a row that is there already; ``update`` writes these columns over it.
    """

    table: Table
    rows: Sequence[Mapping[str, Any]]
    skip: bool = False
    update: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Rows to update. ``values`` may be SQL that was made once.

    Args:
        where: what the columns are equal to; None is null, a list any of its ids.
        holds: further conditions, made once.
        bound: what is bound in ``holds`` and in SQL among ``values``.
        returning: columns, for a guard.
    """

    table: Table
    where: Mapping[str, Any]
    values: Mapping[str, Any]
    holds: tuple[ColumnElement[bool], ...] = ()
    bound: Mapping[str, Any] = field(default_factory=dict)
    returning: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows to delete; ``where``, ``holds`` and ``bound`` as in ``Change``."""

    table: Table
    where: Mapping[str, Any]
    holds: tuple[ColumnElement[bool], ...] = ()
    bound: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Count:
    """A counter row to make or to raise: ``INSERT … ON CONFLICT DO UPDATE``. As a guard it returns its row.

    It locks the row until the transaction ends, so whoever comes second sees what the first did.
    """

    table: Table
    key: Mapping[str, Any]
    column: str
    by: int = 1


Guard = Change | Count | Update | Insert
Dependent = Rows | Change | Removal | Update | Delete


async def guarded(db: AsyncConnection, guard: Guard, then: Iterable[Dependent] = ()) -> Row[Any] | None:
    """Write ``guard``, and what depends on it only if it hit a row.

    On PostgreSQL all goes out as one data-modifying CTE, one round trip. SQLite (and Citus, where
    such a CTE costs 28 times as much) get the statements one after the other. The effect is the same:
    ``then`` happens iff the guard returned a row. No row may be written twice in one call.

    Args:
        guard: an UPDATE or INSERT with RETURNING that hits one row or none.

    Returns:
        The guard's row, or None if what was seen no longer holds; then nothing was written.
    """
    then = [dependent for dependent in then if not isinstance(dependent, Rows) or dependent.rows]
    if in_one_statement(db) and then:
        parts = [_told(guard, "guard_"), *(_told(part, f"then{nth}_") for nth, part in enumerate(then))]
        shapes = tuple(shape for shape, _ in parts)
        raw = any(isinstance(part, Update | Insert | Delete) for part in (guard, *then))
        statement = (_as_one if raw else _as_one_kept)(shapes)  # a statement of its own is not met again
        bound = {name: value for _, values in parts for name, value in values.items()}
        hit: Row[Any] | None = (await db.execute(statement, bound)).one_or_none()
        return hit
    row: Row[Any] | None = (await _alone(db, guard)).one_or_none()
    if row is not None:
        for dependent in then:
            if isinstance(dependent, Rows):
                await db.execute(*_filled(dependent, row, db))
            else:
                await _alone(db, dependent)
    return row


async def counted(db: AsyncConnection, count: Count) -> Row[Any]:
    """Raise a counter and see its row."""
    row: Row[Any] = (await _alone(db, count)).one()
    return row


async def _alone(db: AsyncConnection, part: Guard | Change | Removal | Delete) -> Any:
    if isinstance(part, Update | Insert | Delete):
        return await db.execute(part)
    shape, bound = _told(part, "")
    return await db.execute(_statement(shape, "", db.dialect.name), bound)


# --- shapes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a part its statement depends on. ``is_`` tells whether a condition is to be null, many or equal."""

    of: type
    table: Table
    where: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, Made | None], ...] = ()
    holds: tuple[ColumnElement[bool], ...] = ()
    returning: tuple[str, ...] = ()
    lines: tuple[tuple[tuple[str, Any], ...], ...] = ()
    skip: bool = False
    update: tuple[str, ...] = ()


Told = tuple[_Shape | Update | Insert | Delete, dict[str, Any]]


def _told(part: Guard | Dependent, mark: str) -> Told:
    """The shape of a part and its values, by names that begin with ``mark`` and are no column's."""
    if isinstance(part, Update | Insert | Delete):
        return part, {}
    if isinstance(part, Rows):
        return _lines(part, mark)
    if isinstance(part, Count):
        bound = {f"{mark}v_{name}": value for name, value in part.key.items()} | {f"{mark}by": part.by}
        return _Shape(
            Count, part.table, tuple((name, "") for name in part.key), returning=(part.column,)
        ), bound
    where = tuple((name, _sort(value)) for name, value in part.where.items())
    bound = {f"{mark}w_{name}": part.where[name] for name, sort in where if sort != "null"}
    bound |= {f"{mark}{name}": value for name, value in part.bound.items()}
    if isinstance(part, Removal):
        return _Shape(Removal, part.table, where, holds=part.holds), bound
    values = tuple(
        (name, value if isinstance(value, ColumnElement) else None) for name, value in part.values.items()
    )
    bound |= {f"{mark}v_{name}": part.values[name] for name, made in values if made is None}
    return _Shape(Change, part.table, where, values, part.holds, part.returning), bound


def _sort(value: Any) -> str:
    return "null" if value is None else "many" if isinstance(value, list) else "equal"


def _lines(part: Rows, mark: str) -> Told:
    bound: dict[str, Any] = {}
    lines = []
    for nth, line in enumerate(part.rows):
        said: list[tuple[str, Any]] = []
        for name, value in line.items():
            if isinstance(value, Seen):
                said.append((name, value))
                continue
            said.append((name, Each if isinstance(value, Each) else None))
            bound[f"{mark}{nth}_{name}"] = list(value.values) if isinstance(value, Each) else value
        lines.append(tuple(said))
    return _Shape(Rows, part.table, lines=tuple(lines), skip=part.skip, update=part.update), bound


# --- statements of shapes -------------------------------------------------------------------


@made_once
def _statement(shape: Any, mark: str, dialect: str) -> Any:
    """The statement of a ``Change``, a ``Removal`` or a ``Count``."""
    table: Table = shape.table
    if shape.of is Count:
        return _count(shape, mark, dialect)
    conditions = [_condition(table.c[name], sort, f"{mark}w_{name}") for name, sort in shape.where]
    conditions += [_marked(condition, mark) for condition in shape.holds]
    if shape.of is Removal:
        return delete(table).where(*conditions)
    values = {
        name: bindparam(f"{mark}v_{name}", type_=table.c[name].type) if made is None else _marked(made, mark)
        for name, made in shape.values
    }
    write = update(table).where(*conditions).values(values)
    return write.returning(*(table.c[name] for name in shape.returning)) if shape.returning else write


def _count(shape: _Shape, mark: str, dialect: str) -> Insert:
    table, (column,), by = shape.table, shape.returning, f"{mark}by"
    key = {name: bindparam(f"{mark}v_{name}", type_=table.c[name].type) for name, _ in shape.where}
    raised = bindparam(by, type_=table.c[column].type)
    write = insert_for(dialect, table).values({**key, column: raised})
    made: Insert = write.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={column: table.c[column] + raised}
    ).returning(*table.c)
    return made


def _condition(column: Column[Any], sort: str, name: str) -> ColumnElement[bool]:
    if sort == "null":
        return column.is_(None)
    return listed(column, name) if sort == "many" else column == bindparam(name, type_=column.type)


def _marked(made: Any, mark: str) -> Any:
    """The same SQL, its bound values by the names of this part of the statement."""

    def renamed(element: Any, **_: Any) -> Any:
        if (
            isinstance(element, BindParameter)
            and not element.unique
            and not isinstance(element.type, Several)
        ):
            return bindparam(f"{mark}{element.key}", type_=element.type)
        return None

    return replacement_traverse(made, {}, renamed) if mark else made


def _as_one(shapes: tuple[Any, ...]) -> Select[Any]:
    guard, *then = shapes
    write = guard if isinstance(guard, Update | Insert) else _statement(guard, "guard_", "postgresql")
    seen = write.cte("guard")
    parts = []
    for nth, shape in enumerate(then):
        mark, name = f"then{nth}_", f"then_{nth}"
        if isinstance(shape, _Shape) and shape.of is Rows:
            parts.append(_rows(shape, mark, seen).cte(name))
            continue
        made = shape if isinstance(shape, Update | Delete) else _statement(shape, mark, "postgresql")
        parts.append(made.where(exists(select(literal_column("1")).select_from(seen))).cte(name))
    return select(seen).add_cte(*parts)


_as_one_kept = made_once(_as_one)


def _rows(shape: _Shape, mark: str, seen: Any) -> Any:
    names = [name for name, _ in shape.lines[0]]
    lines = [
        select(
            *(_typed(shape.table.c[name], how, f"{mark}{nth}_{name}", seen) for name, how in line)
        ).select_from(seen)
        for nth, line in enumerate(shape.lines)
    ]
    source = lines[0] if len(lines) == 1 else lines[0].union_all(*lines[1:])
    write = insert_for("postgresql", shape.table).from_select(names, source, include_defaults=False)
    return _yielding(shape.table, shape.skip, shape.update, write)


def _typed(column: Column[Any], how: Any, name: str, seen: Any) -> ColumnElement[Any]:
    if isinstance(how, Seen):
        told: ColumnElement[Any] = seen.c[how.column]
        return told
    if how is Each:
        return func.unnest(bindparam(name, type_=postgresql.ARRAY(column.type)), type_=column.type)
    return cast(bindparam(name, type_=column.type), column.type)


# --- rows after the guard ------------------------------------------------------------------


def _filled(rows: Rows, hit: Row[Any], db: AsyncConnection) -> tuple[Insert, list[dict[str, Any]]]:
    """The insert and its parameters."""
    lines = [
        {
            name: getattr(hit, value.column) if isinstance(value, Seen) else value
            for name, value in line.items()
        }
        for told in rows.rows
        for line in _each(told)
    ]
    return _insert(db.dialect.name, rows.table, rows.skip, rows.update), lines


def _each(line: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    spread = next((name for name, value in line.items() if isinstance(value, Each)), None)
    return [line] if spread is None else ({**line, spread: value} for value in line[spread].values)


@made_once
def _insert(dialect: str, table: Table, skip: bool, update: tuple[str, ...]) -> Any:
    return _yielding(table, skip, update, insert_for(dialect, table) if skip or update else insert(table))


def _yielding(table: Table, skip: bool, update: tuple[str, ...], write: Any) -> Any:
    if skip:
        return write.on_conflict_do_nothing()
    if update:
        return write.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={column: write.excluded[column] for column in update},
        )
    return write
