"""How the tables are spread over the nodes of Citus, and what keeps them from being spread.

``Table.info["citus"]`` (db/base.py) says of each table whether it is distributed, and by which column, or whole on
every node. The laws are those of architecture.md 10; they are checked without Citus.
"""

import re
from collections.abc import Iterator

from sqlalchemy import (
    Enum,
    ForeignKeyConstraint,
    MetaData,
    NullPool,
    Table,
    UniqueConstraint,
    create_engine,
    make_url,
    text,
)
from sqlalchemy.schema import AddConstraint, ColumnCollectionConstraint, DropConstraint

from dispatch.db.address import synchronous

CALLS = re.compile(r"\w\(")


class NotCitus(Exception):
    """There is nothing to spread tables over."""


def distributed_by(table: Table) -> str | None:
    """The column that a table is distributed by; None for a reference table. Raises: KeyError if nothing says."""
    kind = table.info["citus"]
    return kind[1] if kind[0] == "distributed" else None


def complaints(metadata: MetaData) -> list[str]:
    """Every law that a table breaks, a line each."""
    found = []
    for table in metadata.sorted_tables:
        if table.info.get("citus", ("?",))[0] not in ("distributed", "reference"):
            found.append(f"{table.name}: neither distributed nor a reference table")
            continue
        found += [
            f"{table.name}: {what}" for what in (*_of_keys(table), *_of_links(table), *_of_columns(table))
        ]
    return found


def _of_keys(table: Table) -> Iterator[str]:
    by = distributed_by(table)
    if by is None:
        return
    uniques: list[tuple[str, ColumnCollectionConstraint]] = [("primary key", table.primary_key)]
    uniques += [(str(c.name), c) for c in table.constraints if isinstance(c, UniqueConstraint)]
    keys = [(name, [column.name for column in key.columns], True) for name, key in uniques]
    keys += [
        (str(index.name), [getattr(column, "name", "") for column in index.expressions], index.unique)
        for index in table.indexes
    ]
    for name, columns, unique in keys:
        if by == "tenant_id" and columns[:1] != [by]:
            yield f"{name} does not begin with {by}"
        elif unique and by not in columns:
            yield f"{name} is unique without {by}"
    if by not in table.c or table.c[by].nullable:
        yield f"{by} may be absent"


def _of_links(table: Table) -> Iterator[str]:
    by = distributed_by(table)
    for link in table.foreign_key_constraints:
        target = link.referred_table
        theirs = distributed_by(target) if "citus" in target.info else None
        if link.ondelete or link.onupdate:
            yield f"{link.name} acts by itself"
        if theirs is None:
            continue
        pair = (link.column_keys[0], link.elements[0].column.name)
        if by is None:
            yield f"{link.name} leads from a reference table to a distributed one"
        elif pair != (by, theirs) or by != theirs:
            yield f"{link.name} leaves the {by}"


def _of_columns(table: Table) -> Iterator[str]:
    if table.autoincrement_column is not None:
        yield f"{table.autoincrement_column.name} counts by a sequence"
    for column in table.columns:
        if isinstance(column.type, Enum):
            yield f"{column.name} is of an enum type"
        if column.identity is not None or (column.default is not None and column.default.is_sequence):
            yield f"{column.name} draws from a sequence"
        if CALLS.search(str(getattr(column.server_default, "arg", ""))):
            yield f"{column.name} is filled in by a function of the server"


def statements(metadata: MetaData, there: frozenset[str] = frozenset()) -> list[str]:
    """What spreads a database that grew up on one node, in order, to be run as one transaction on the coordinator.

    Foreign keys go first and come back last: Citus takes no table that a table of one node points to, and a parent
    must be spread before its child. New databases need none of this: their migrations spread each table as it is made.

    Args:
        there: tables that are spread already.
    """
    dialect = make_url("postgresql+psycopg://").get_dialect()()
    tables = [table for table in metadata.sorted_tables if table.name not in there]
    links = [link for table in tables for link in _links(table)]
    first = next(table.name for table in metadata.sorted_tables if distributed_by(table) == "tenant_id")
    lines = ["SET LOCAL citus.multi_shard_modify_mode TO 'sequential'"]
    lines += [str(DropConstraint(link).compile(dialect=dialect)) for link in links]
    lines += [f"SELECT create_reference_table('{t.name}')" for t in tables if distributed_by(t) is None]
    for table in tables:
        if (by := distributed_by(table)) is not None:
            beside = first if by == "tenant_id" and table.name != first else "none"
            lines.append(
                f"SELECT create_distributed_table('{table.name}', '{by}', colocate_with => '{beside}')"
            )
    lines += [str(AddConstraint(link).compile(dialect=dialect)) for link in links]
    return lines


def spread(url: str, metadata: MetaData) -> list[str]:
    """Spread what is not spread yet, in one transaction. Returns the statements that were run.

    Raises:
        NotCitus: the extension is not in this database.
    """
    engine = create_engine(synchronous(url), poolclass=NullPool)
    with engine.begin() as db:
        if not db.scalar(text("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")):
            raise NotCitus("this database has no extension citus")
        found = db.execute(text("SELECT CAST(CAST(logicalrelid AS regclass) AS text) FROM pg_dist_partition"))
        lines = statements(metadata, frozenset(found.scalars()))
        for line in lines:
            db.exec_driver_sql(line)
    return lines


def _links(table: Table) -> list[ForeignKeyConstraint]:
    return sorted(table.foreign_key_constraints, key=lambda link: str(link.name))
