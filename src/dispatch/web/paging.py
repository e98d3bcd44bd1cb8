"""Pages by keyset: stable under inserts, equally quick on every page, no totals."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dispatch.domain.refusal import CursorInvalid
from dispatch.web.wire import Wire

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 50
LONGEST_CURSOR = 200

T = TypeVar("T")
Row = TypeVar("Row")


def _whole_number(value: object) -> object:
    """Plain digits only: Pydantic alone would also read ``1_0``, ``1.0`` and `` 7 ``."""
    if isinstance(value, str) and not (value.lstrip("-").isascii() and value.lstrip("-").isdigit()):
        raise PydanticCustomError("int_parsing", "应为整数")
    return value


Limit = Annotated[
    int, Field(ge=1, le=LARGEST_LIMIT), BeforeValidator(_whole_number), Query(description="Items on a page.")
]
"""Query parameter; use as ``limit: Limit = DEFAULT_LIMIT``."""

Cursor = Annotated[
    str | None, Query(max_length=LONGEST_CURSOR, description="``next_cursor`` of the page before, unchanged.")
]
"""Query parameter; use as ``cursor: Cursor = None``, then ``read_cursor``."""


class Page(Wire, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last one.")


@dataclass(frozen=True, slots=True)
class Key:
    """The place in a list: after the row with this instant and this id."""

    at: datetime
    id: UUID


def fingerprint(view: str, /, **filters: Any) -> str:
    """A short name of a query: a cursor of one query is refused by another.

    Args:
        view: list and direction, such as ``orders.queue``.
        filters: every filter that changes which rows the list holds; None counts as absent.
    """
    told = {name: value for name, value in sorted(filters.items()) if value is not None}
    said = json.dumps([view, told], default=_plain, ensure_ascii=False)
    return blake2b(said.encode("utf-8", "replace"), digest_size=6).hexdigest()


def write_cursor(key: Key, query: str) -> str:
    """The cursor that continues a query after a row. Opaque to clients; it gives no right to see anything."""
    millis = round(key.at.timestamp() * 1000)
    packed = json.dumps([millis, key.id.hex, query], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, query: str) -> Key | None:
    """The place that a cursor names; None without a cursor.

    Raises:
        CursorInvalid: damaged, or made for another query.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        millis, hexed, made_for = json.loads(raw)
        if made_for != query or type(millis) is not int or type(hexed) is not str:
            raise CursorInvalid
        at = datetime.fromtimestamp(millis // 1000, UTC).replace(microsecond=millis % 1000 * 1000)
        return Key(at, UUID(hexed))
    except (ValueError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
        raise CursorInvalid from None


def cut(
    rows: Sequence[Row], limit: int, query: str, key: Callable[[Row], Key]
) -> tuple[Sequence[Row], str | None]:
    """A page's rows and the cursor after them.

    Args:
        rows: up to ``limit + 1`` rows in the list's order; the one too many tells that a page follows.
        limit: rows on a page.
        query: the query's fingerprint.
        key: the place of a row in the list.
    """
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], write_cursor(key(rows[limit - 1]), query)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return str(value)
