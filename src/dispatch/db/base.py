"""How a table is declared here: the tenant first, in every key.

Three kinds of table (ADR 0012): *tenant* tables, whose ``tenant_id`` leads the primary key,
every unique constraint, foreign key and index; *reference* tables, small and rarely written;
*directory* tables, which find a tenant and carry a key of their own. The kind is written into
``Table.info["citus"]``, where the metadata lint and the migrations read it.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

from dispatch.db.types import Code

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def tenant_table(name: str, *items: SchemaItem, key: Iterable[str] = ("id",)) -> Table:
    """A table whose rows belong to one tenant; primary key ``(tenant_id, *key)``."""
    return Table(
        name,
        metadata,
        Column("tenant_id", Integer, nullable=False, autoincrement=False),
        *items,
        PrimaryKeyConstraint("tenant_id", *key),
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        info={"citus": ("distributed", "tenant_id")},
    )


def derived_table(name: str, *items: SchemaItem, key: Iterable[str]) -> Table:
    """A tenant's rows that are made from other rows and can be made again, many for each.

    Without foreign keys: every one would be looked up at every write. Nothing but the key is read, so
    SQLite keeps the rows in it.
    """
    return Table(
        name,
        metadata,
        Column("tenant_id", Integer, nullable=False, autoincrement=False),
        *items,
        PrimaryKeyConstraint("tenant_id", *key),
        info={"citus": ("distributed", "tenant_id")},
        sqlite_with_rowid=False,
    )


def reference_table(name: str, *items: SchemaItem) -> Table:
    """A small, rarely written table that every node may hold whole."""
    return Table(name, metadata, *items, info={"citus": ("reference",)})


def directory_table(name: str, *items: SchemaItem, by: str) -> Table:
    """A table that is looked up before the tenant is known, distributed by its own key."""
    return Table(name, metadata, *items, info={"citus": ("distributed", by)})


def tenant_fk(column: str, target: str, target_column: str = "id") -> ForeignKeyConstraint:
    """A foreign key that stays inside the tenant."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{target}.tenant_id", f"{target}.{target_column}"])


def tenant_unique(*columns: str) -> UniqueConstraint:
    """A unique constraint inside the tenant."""
    return UniqueConstraint("tenant_id", *columns)


def tenant_index(name: str, *columns: Any, **options: Any) -> Index:
    """An index that begins with the tenant. ``columns`` are names or expressions."""
    return Index(name, "tenant_id", *columns, **options)


def code_column(name: str, codes: Iterable[str], *, nullable: bool = False, **options: Any) -> Column[str]:
    """A closed set of codes as text; the set itself is checked by ``one_of``."""
    known = frozenset(str(code) for code in codes)
    width = max(len(code) for code in known)
    return Column(name, Code(max(width, 16), known), nullable=nullable, **options)


def one_of(column: str, codes: Iterable[str]) -> CheckConstraint:
    """The check that belongs to a ``code_column``."""
    listed = ", ".join(f"'{code}'" for code in sorted(codes))
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def tally(name: str, start: int = 0) -> Column[int]:
    """A small non-negative number that starts at ``start``."""
    return Column(name, SmallInteger, nullable=False, default=start, server_default=str(start))
