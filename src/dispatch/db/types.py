"""Column types that mean the same on PostgreSQL and on SQLite."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import JSON, DateTime, String, Uuid, literal_column
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Id = Uuid
"""A UUIDv7 made by the application (db/ids.py)."""

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""A JSON document; Python None is SQL NULL."""


class Code(String):
    """One of a closed set of codes. One of them that a column is compared with is written out, whoever says it.

    What does not change from run to run is not bound: a database that plans a statement once must know it, to tell how
    many rows have it and whether an index of such rows serves (ADR 0069). What is none of them is bound.
    """

    def __init__(self, length: int, codes: frozenset[str] = frozenset()) -> None:
        super().__init__(length)
        self.codes = codes

    class Comparator(String.Comparator[str]):
        """Writes out what a column is compared with."""

        def operate(self, op: Any, *other: Any, **more: Any) -> Any:
            """As every column does, with constants in place of codes."""
            codes = cast(Code, self.type).codes
            return super().operate(op, *(_written_out(value, codes) for value in other), **more)

    comparator_factory = Comparator


def _written_out(value: Any, codes: frozenset[str]) -> Any:
    if isinstance(value, str):
        return literal_column(f"'{value!s}'") if value in codes else value
    if (
        isinstance(value, Collection)
        and value
        and all(isinstance(one, str) and one in codes for one in value)
    ):
        return [literal_column(f"'{one!s}'") for one in sorted(value)]
    return value


def sorted_by_code_point(length: int) -> Any:
    """Short text that both databases compare sign by sign: equal signs only, prefixes as ranges."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def to_millis(at: datetime) -> datetime:
    """The same instant in UTC, cut to whole milliseconds: what is stored is what is shown."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class Instant(TypeDecorator[datetime]):
    """An aware instant, stored in UTC with milliseconds.

    SQLite keeps no offset and would hand back 08:00+08:00 as a naive 08:00, so the
    conversion is done here on the way in and the zone is put back on the way out.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC and whole milliseconds. Raises: ValueError on a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not an instant")
        return to_millis(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @property
    def python_type(self) -> type[Any]:
        """What Python code holds."""
        return datetime
