"""Sealing again with the current key, in batches, while the service runs."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, Text, and_, not_, or_, select, tuple_, type_coerce, update

from dispatch.db.base import metadata
from dispatch.db.engine import Database
from dispatch.db.sealed import PREFIX, Hashed, Made, Private, Sealed, private
from dispatch.db.tenants import tenant_ids

BATCH = 200
"""Rows sealed in one transaction."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """A table with its sealed columns, the hashes that hang on one of them, and those that are made of one."""

    table: Table
    sealed: tuple[str, ...]
    hashed: tuple[tuple[str, str], ...]
    made: tuple[tuple[str, Made], ...]


def sealings() -> list[Sealing]:
    """Every table that holds sealed columns."""
    found = []
    for table in metadata.sorted_tables:
        sealed = tuple(c.name for c in table.c if isinstance(c.type, Sealed))
        of = {c.type.column: c.name for c in table.c if isinstance(c.type, Sealed)}
        hashed = tuple(
            (c.name, of[c.type.column]) for c in table.c if isinstance(c.type, Hashed) and c.type.column in of
        )
        made = tuple(
            (c.name, c.type.made) for c in table.c if isinstance(c.type, Hashed) and c.type.made is not None
        )
        if sealed:
            found.append(Sealing(table, sealed, hashed, made))
    return found


async def rotate(database: Database, *, everything: bool = False, batch: int = BATCH) -> int:
    """Seal with the current key whatever lies there in the open or under another one. Returns how many rows.

    A row that changes meanwhile is left to whoever changed it: he sealed with the current key. Safe to repeat, to
    interrupt and to run beside the service, once every process of it has the new key.

    Args:
        everything: also what is under the current key; makes look-up hashes again after their key was changed.
    """
    count = 0
    async with database.reading() as db:
        tenants = await tenant_ids(db)
    for tenant_id in tenants:
        for sealing in sealings():
            count += await _table(database, sealing, tenant_id, everything, batch)
    return count


async def _table(database: Database, sealing: Sealing, tenant_id: int, everything: bool, batch: int) -> int:
    count, after = 0, None
    while True:
        async with database.writing() as db:
            rows = (await db.execute(_old(database, sealing, tenant_id, everything, after, batch))).all()
            for row in rows:
                await db.execute(_sealed_again(database, sealing, tenant_id, row))
        count += len(rows)
        if len(rows) < batch:
            return count
        after = tuple(getattr(rows[-1], name) for name in _key(sealing.table))


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns if column.name != "tenant_id"]


def _old(
    database: Database, sealing: Sealing, tenant_id: int, everything: bool, after: Any, batch: int
) -> Any:
    table = sealing.table
    key = [table.c[name] for name in _key(table)]
    stored = {name: type_coerce(table.c[name], Text) for name in sealing.sealed}
    current = f"{PREFIX}{database.keys.current}:"
    stale = [
        and_(raw.is_not(None), not_(raw.startswith(current, autoescape=True))) for raw in stored.values()
    ]
    stale += [and_(stored[of].is_not(None), table.c[name].is_(None)) for name, of in sealing.hashed]
    if everything:
        stale = [raw.is_not(None) for raw in stored.values()]
    beside = {made.beside: table.c[made.beside] for _, made in sealing.made}
    rows = select(*key, *beside.values(), *(raw.label(name) for name, raw in stored.items())).where(
        table.c.tenant_id == tenant_id, or_(*stale)
    )
    if after is not None:
        rows = rows.where(tuple_(*key) > tuple_(*after))
    return rows.order_by(*key).limit(batch)


def _sealed_again(database: Database, sealing: Sealing, tenant_id: int, row: Any) -> Any:
    """The update of one row, if its sealed columns are as they were read."""
    table, seen = sealing.table, []
    values: dict[str, Private] = {}
    for name in sealing.sealed:
        stored = getattr(row, name)
        raw = type_coerce(table.c[name], Text)
        seen.append(raw.is_(None) if stored is None else raw == stored)
        if stored is not None:
            text = database.keys.open(tenant_id, f"{table.name}.{name}", stored)
            values[name] = Private(tenant_id, text)
    hashes: dict[str, Private | None] = {name: values[of] for name, of in sealing.hashed if of in values}
    for name, made in sealing.made:
        if made.of in values:
            hashes[name] = private(tenant_id, made.by(getattr(row, made.beside), values[made.of].text))
    same = [table.c[name] == getattr(row, name) for name in _key(table)]
    return update(table).where(table.c.tenant_id == tenant_id, *same, *seen).values(**values, **hashes)
