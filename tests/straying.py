"""Which statements would leave their tenant, found while they run: with Citus they would go to every node.

Read from the text that goes to the database, so that whatever made it is seen. Every time a tenant's table stands
behind FROM, JOIN or UPDATE, its ``tenant_id`` must be set equal to a value, or to the ``tenant_id`` of a table that
is held so. Statements that go over all tenants say it with ``execution_options(fanout=True)``.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from greenlet import getcurrent

from dispatch.db.base import metadata

_STANDS = re.compile(r"(?:\b(?:FROM|JOIN|UPDATE)|,)\s+([a-z_]+)(?![\w.(]|\s*=)(?: AS ([a-z_0-9]+))?")
_COLUMNS = re.compile(r"INSERT INTO \w+ \([^)]*\)|ON CONFLICT \([^)]*\)|RETURNING [^)]*")
"""Lists of bare columns, some of which are called like a table."""
_EQUAL = re.compile(r"\b([a-z_0-9]+)\.tenant_id = (?:([a-z_0-9]+)\.tenant_id\b|[?$%:\d])")


class Strayed(AssertionError):
    """A statement on tenants' tables that is not held to a tenant."""


def tenants_tables() -> frozenset[str]:
    return frozenset(
        t.name for t in metadata.tables.values() if t.info["citus"] == ("distributed", "tenant_id")
    )


def _directories() -> frozenset[str]:
    """Tables spread by a key of their own: joined to a tenant's table they would be sent around."""
    kinds = {t.name: t.info["citus"] for t in metadata.tables.values()}
    return frozenset(
        name for name, kind in kinds.items() if kind[0] == "distributed" and kind[1] != "tenant_id"
    )


def straying(statement: str, tables: Iterable[str]) -> set[str]:
    """Names under which tables stand in a statement without being held to one tenant."""
    tables, statement = frozenset(tables), _COLUMNS.sub("", statement)
    stands = Counter(found[2] or found[1] for found in _STANDS.finditer(statement) if found[1] in tables)
    pairs = [(found[1], found[2]) for found in _EQUAL.finditer(statement)]
    # What is no table here, a subquery or a reference table, is held within itself or needs not be.
    elsewhere = {*stands, *_directories()}
    held = {left for left, right in pairs if right is None or right not in elsewhere}
    held |= {right for left, right in pairs if right is not None and left not in elsewhere}
    while True:
        more = {one for pair in pairs if held.intersection(pair) for one in pair if one is not None}
        if more <= held:
            break
        held |= more
    said = Counter(one for pair in pairs for one in pair if one is not None)
    return {name for name, times in stands.items() if name not in held or said[name] < times}


_known: dict[str, bool] = {}


def watch(
    _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    """Refuse what strays; a listener of ``before_cursor_execute``. What tests themselves ask is their own affair."""
    if statement not in _known:
        _known[statement] = bool(straying(statement, tenants_tables()))
    fanout = context is not None and context.execution_options.get("fanout")
    if _known[statement] and not fanout and _asked_by_the_service():
        raise Strayed(f"{straying(statement, tenants_tables())}: {statement}")


def _asked_by_the_service() -> bool:
    """Whether the nearest frame that is not a library's belongs to the service."""
    around = getcurrent().parent
    frame = around.gr_frame if around is not None else None
    while frame is not None:
        if "/src/dispatch/" in (path := frame.f_code.co_filename):
            return True
        if "/tests/" in path:
            return False
        frame = frame.f_back
    return False
