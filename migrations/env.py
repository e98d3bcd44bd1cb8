"""How Alembic meets the databases. Called by ``dispatch.db.migrate`` only; there is no alembic.ini.

A revision imports nothing from dispatch: it must still run when the code has moved on. Therefore own
column types are written out as what they are stored as, and ``op.distribute`` is an operation.
"""

import importlib
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations, ops

from dispatch import clock
from dispatch.db.address import own_file, synchronous
from dispatch.db.base import metadata

LEASE_SECONDS = 600
"""A migrator that died is succeeded after this time; one that lives renews the lease with every revision."""
LEASE_WAIT_SECONDS = 120.0

lease_table = sa.Table(
    "migration_lease",
    sa.MetaData(),
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("holder", sa.String(36), nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),  # seconds since 1970, by the clock of the holder
)


def engine_of(url: str) -> sa.Engine:
    """An engine for one connection whose transactions hold DDL and never wait long for a lock."""
    target = synchronous(url)
    if target.get_backend_name() == "sqlite":
        if target.database:
            Path(target.database).parent.mkdir(parents=True, exist_ok=True)
            own_file(target.database)
        engine = sa.create_engine(target, poolclass=sa.NullPool, connect_args={"timeout": 30})

        @sa.event.listens_for(engine, "connect")
        def _own_transactions(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # sqlite3 would commit before DDL

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine
    engine = sa.create_engine(target, poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "begin")
    def _limits(connection: sa.Connection) -> None:
        # LOCAL, so that a transaction pooler may stand in between.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '4s'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = '30s'")
        # Citus demands it of DDL on tables with foreign keys; elsewhere it is a name without a meaning.
        connection.exec_driver_sql("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")

    return engine


# --- one migrator at a time -------------------------------------------------------------------------------


def make_lease_table(connection: sa.Connection) -> None:
    """Make the table of the lease unless it is there; another process may be doing the same."""
    try:
        with connection.begin():
            lease_table.create(connection, checkfirst=True)
    except sa.exc.DBAPIError:
        with connection.begin():
            if not sa.inspect(connection).has_table(lease_table.name):
                raise


def take_lease(connection: sa.Connection, holder: str) -> bool:
    """Write the holder into the row if nobody holds it or the holder's time is over; say whether it did."""
    now = int(clock.now().timestamp())
    statement = sa.text(
        "INSERT INTO migration_lease (name, holder, until) VALUES ('migrate', :holder, :until) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until "
        "WHERE migration_lease.until < :now"
    )
    with connection.begin():
        values = {"holder": holder, "until": now + LEASE_SECONDS, "now": now}
        return connection.execute(statement, values).rowcount == 1


@contextmanager
def lease(connection: sa.Connection) -> Iterator[Callable[..., None]]:
    """Hold the only lease. Yields what renews it, in the transaction of each revision.

    Who lost the lease meanwhile fails there, and what its revision did is rolled back with it.
    """
    holder = str(uuid.uuid4())
    make_lease_table(connection)
    deadline = time.monotonic() + LEASE_WAIT_SECONDS
    while not take_lease(connection, holder):
        if time.monotonic() > deadline:
            raise TimeoutError(
                "another process has held the lease on migrations for too long (migration_lease)"
            )
        time.sleep(0.2)

    def renew(**_: Any) -> None:
        until = int(clock.now().timestamp()) + LEASE_SECONDS
        renewal = lease_table.update().where(lease_table.c.holder == holder).values(until=until)
        if connection.execute(renewal).rowcount != 1:
            raise TimeoutError("the lease on migrations went to another process")

    try:
        yield renew
    finally:
        if connection.in_transaction():
            connection.rollback()
        with connection.begin():
            connection.execute(lease_table.delete().where(lease_table.c.holder == holder))


# --- op.distribute ----------------------------------------------------------------------------------------


@Operations.register_operation("distribute")
class Distribute(MigrateOperation):
    """Tell Citus how a new table is spread: by a column, or whole on every node. A no-op elsewhere."""

    def __init__(self, table: str, column: str | None = None) -> None:
        self.table, self.column = table, column

    @classmethod
    def distribute(cls, operations: Operations, table: str, column: str | None = None) -> None:
        """Distribute ``table`` by ``column``; without a column it becomes a reference table."""
        operations.invoke(cls(table, column))

    def reverse(self) -> MigrateOperation:
        """Dropping the table undoes it."""
        return ops.ExecuteSQLOp("SELECT 1")


@Operations.implementation_for(Distribute)
def distribute(operations: Operations, operation: Distribute) -> None:
    """Run the function of Citus where the extension exists."""
    connection = operations.get_bind()
    if connection.dialect.name != "postgresql":
        return
    if not connection.scalar(sa.text("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")):
        return
    if operation.column is None:
        connection.execute(sa.text("SELECT create_reference_table(:name)"), {"name": operation.table})
    else:
        values = {"name": operation.table, "by": operation.column}
        connection.execute(sa.text("SELECT create_distributed_table(:name, :by)"), values)


@renderers.dispatch_for(Distribute)
def render_distribute(_: Any, operation: Distribute) -> str:
    """The line in a revision."""
    given = [operation.table] if operation.column is None else [operation.table, operation.column]
    return f"op.distribute({', '.join(map(repr, given))})"


def add_distribution(_context: Any, _revision: Any, directives: list[ops.MigrationScript]) -> None:
    """After every table that is made, say how it is spread: ``Table.info["citus"]`` of db/base.py knows."""
    for script in directives:
        upgrades = script.upgrade_ops
        if upgrades is None:
            continue
        written: list[MigrateOperation] = []
        for operation in upgrades.ops:
            written.append(operation)
            if isinstance(operation, ops.CreateTableOp) and (kind := operation.info.pop("citus", None)):
                written.append(Distribute(operation.table_name, *kind[1:]))
        upgrades.ops = written


# --- what autogenerate writes and compares ----------------------------------------------------------------


def render_item(kind: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Write an own column type as the type it is stored as."""
    if kind != "type":
        return False
    if isinstance(item, sa.JSON) and "postgresql" in item._variant_mapping:
        autogenerate.imports.add("from sqlalchemy.dialects import postgresql")
        return "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')"
    if type(item).__module__.startswith("dispatch."):
        stored = item.impl_instance if isinstance(item, sa.types.TypeDecorator) else sa.String(item.length)
        return f"sa.{stored!r}"
    return False


def differs(
    _context: Any, _found: Any, _ours: Any, found_default: str | None, _default: Any, our_default: str | None
) -> bool | None:
    """Whether a server default differs; None leaves it to Alembic.

    Alembic reads an empty string on SQLite back as ``(')`` and sees a difference for ever.
    """
    if our_default == "" and found_default is not None and not found_default.strip("()'"):
        return False
    return None


def is_ours(name: str | None, kind: str, _: Any) -> bool:
    """Leave out the tables of the migrating itself."""
    return kind != "table" or name != lease_table.name


def run() -> None:
    """Open the database, hold the lease if it will be written, and let Alembic work."""
    attributes = context.config.attributes
    if attributes.get("compares"):
        importlib.import_module("dispatch.wiring")  # imports every slice, and with them every table
        warnings.filterwarnings("ignore", "Skipped unsupported reflection", sa.exc.SAWarning)
    options: dict[str, Any] = {
        "target_metadata": metadata,
        "render_as_batch": True,  # SQLite alters by copying; PostgreSQL gets plain ALTERs from the same lines
        "render_item": render_item,
        "include_name": is_ours,
        "compare_type": True,
        "compare_server_default": differs,
        "process_revision_directives": add_distribution,
        "transactional_ddl": True,
        "transaction_per_migration": True,
    }
    with engine_of(attributes["url"]).connect() as connection:
        if not attributes.get("writes"):
            context.configure(connection, **options)
            context.run_migrations()
            return
        with lease(connection) as renew:
            context.configure(connection, on_version_apply=renew, **options)
            context.run_migrations()
            broken = (
                connection.exec_driver_sql("PRAGMA foreign_key_check").all() if is_sqlite(connection) else []
            )
            if broken:
                raise RuntimeError(f"rows without the row they point to: {broken[:5]}")


def is_sqlite(connection: sa.Connection) -> bool:
    """Whether the migration had to copy tables, with foreign keys not enforced meanwhile."""
    return connection.dialect.name == "sqlite"


run()
