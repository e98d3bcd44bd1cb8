"""A second, busy district beside every test's own: the same codes, logins, numbers and ids, and it must stay as it was.

Keys begin with the tenant, so another tenant may hold the very same ids. The twin is made once for each database; while
a test runs, ids come again in the order in which the twin was given them, place by place of the code. A statement
that forgets its tenant then finds the twin's row as well as its own, and what a process remembers by id alone meets
the twin's. After the test the twin's rows in every table that the test wrote are compared with what they were.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import bindparam, event, select, update

from dispatch.auth.actions import opening
from dispatch.db.base import metadata
from dispatch.db.engine import Database
from dispatch.db.types import Instant
from tests.straying import tenants_tables
from tests.town import Town

LATER = timedelta(days=36_525)
"""By how much the twin's rows are put off: a job that goes over all tenants finds nothing due in it."""
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_fresh = uuid_utils.compat.uuid7
_SESSIONS = opening.__file__
"""Refresh tokens are made from the ids of sessions and are found without a tenant: no two are ever the same."""


class Ids:
    """Ids by the place of the code that asks: written down once, and then given out again."""

    def __init__(self) -> None:
        self.given: defaultdict[Any, list[UUID]] = defaultdict(list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Fresh ids, each noted under its place."""

        def noted() -> UUID:
            self.given[_place()].append(id := _fresh())
            return id

        with _instead(noted):
            yield

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Ids as they come outside tests."""
        with _instead(_fresh):
            yield

    @contextmanager
    def again(self) -> Iterator[None]:
        """The same ids in the same order; fresh ones where there were no more."""
        ahead = {place: iter(ids) for place, ids in self.given.items()}

        def again() -> UUID:
            place = _place()
            if place[0] == _SESSIONS:
                return _fresh()
            return next(ahead.get(place, iter(())), None) or _fresh()

        with _instead(again):
            yield


def _place() -> Any:
    frame = sys._getframe(3)  # whoever called new_id
    return frame.f_code.co_filename, frame.f_code.co_qualname, frame.f_lineno


@contextmanager
def _instead(make: Any) -> Iterator[None]:
    uuid_utils.compat.uuid7 = make
    try:
        yield
    finally:
        uuid_utils.compat.uuid7 = _fresh


@dataclass
class Twin:
    """The twin of one database, and which tables were written since the last look."""

    town: Town
    ids: Ids
    rows: dict[str, list[str]] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    _known: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        return self.town.database

    async def settle(self) -> None:
        """Put everything off, note how it stands, and look from now on who writes."""
        for table in metadata.sorted_tables:
            if table.name in tenants_tables():
                await self._put_off(table)
        await self.note(tenants_tables())
        for engine in self.database.engines:
            event.listen(engine.sync_engine, "before_cursor_execute", self._watch)

    async def _put_off(self, table: Any) -> None:
        keys = [column for column in table.primary_key if column.name != "tenant_id"]
        times = [c for c in table.c if isinstance(c.type, Instant) and not c.primary_key]
        if not times:
            return
        mine = table.c.tenant_id == self.town.tenant_id
        found = await self.town.rows(select(*keys, *times).where(mine))
        changed = update(table).where(mine, *(key == bindparam(f"key_{key.name}") for key in keys))
        rows = [
            {f"key_{key.name}": getattr(row, key.name) for key in keys}
            | {c.name: (at := getattr(row, c.name)) and at + LATER for c in times}
            for row in found
        ]
        if rows:
            async with self.database.writing() as db:
                await db.execute(changed.values({c.name: bindparam(c.name) for c in times}), rows)

    def _watch(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        tables = self._known.get(statement)
        if tables is None:
            tables = self._known[statement] = frozenset(_WRITES.findall(statement)) & tenants_tables()
        self.written |= tables

    async def note(self, tables: Any) -> dict[str, list[str]]:
        """How the twin's rows stand now; returns how those stood that differ."""
        differ = {}
        async with self.database.reading() as db:
            for name in sorted(tables):
                told = await db.exec_driver_sql(
                    f"SELECT * FROM {name} WHERE tenant_id = {self.town.tenant_id}"
                )
                now = sorted(repr(tuple(row)) for row in told)
                if now != (before := self.rows.get(name)):
                    self.rows[name] = now
                    differ[name] = before or []
        return differ

    async def stands(self) -> None:
        """Look at what was written since the last look. Raises: AssertionError, naming what the twin lost and got."""
        tables, self.written = self.written, set()
        said = [
            f"{name}: {set(before) - set(self.rows[name])} became {set(self.rows[name]) - set(before)}"
            for name, before in (await self.note(tables)).items()
        ]
        if said:
            raise AssertionError("\n".join(["the test touched another tenant", *said]))
