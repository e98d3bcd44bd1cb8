"""Copies of the whole database that are proven before they are called one.

A backup is a folder: the data and ``backup.json`` with what is in it, rows by table and a digest of the whole log.
It is written under another name and renamed when it is proven, so a folder that has its name is whole. The keys that
open personal data are never in it.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dispatch.db import migrate
from dispatch.db.address import lies_in_a_file, synchronous
from dispatch.db.rotation import sealings
from dispatch.db.sealed import CannotOpen, Keyring

NOTE = "backup.json"
FILE = "dispatch.db"
DUMP = "dispatch.dump"
LOG = "order_steps"
LOG_COLUMNS = (
    "tenant_id",
    "order_id",
    "seq",
    "move",
    "state_from",
    "state_to",
    "at",
    "account_id",
    "grant_id",
)
"""What nobody may change; words and details go when somebody is forgotten."""
ROWS_AT_A_TIME = 5000


class NotDone(Exception):
    """A backup or a restoration that was refused, or did not prove to be whole."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a database: enough to tell a whole copy from a broken one."""

    revision: str
    rows: dict[str, int]
    log: str


@dataclass(frozen=True, slots=True)
class Tools:
    """PostgreSQL's own programs, at least as new as the server."""

    folder: Path | None = None

    def run(self, name: str, target: sa.URL, *arguments: str | Path) -> None:
        """Run one of them on a database. Raises: NotDone."""
        program = self.folder / name if self.folder else shutil.which(name)
        if program is None or not Path(program).exists():
            raise NotDone(f"{name} is not here: install PostgreSQL's client programs, or say --tools FOLDER")
        known = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        asked = _parameters(target)
        # By the environment: arguments are seen by everybody on the machine.
        told = {known.get(key, f"PG{key.upper()}"): str(value) for key, value in asked.items()}
        name_of = told.pop("PGDBNAME")
        command = [str(program), f"--dbname={name_of}", *map(str, arguments)]
        done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True)  # noqa: S603 — no shell
        if done.returncode:
            raise NotDone(
                f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}"
            )


def back_up(
    url: str,
    folder: Path,
    *,
    at: datetime,
    tools: Tools,
    proven: bool = True,
    beside: Callable[[Path], None] | None = None,
) -> Contents:
    """Write a backup; the service may run meanwhile.

    Args:
        folder: made by this, and not there yet.
        proven: restore the dump into a database of its own first, and compare (PostgreSQL; a file is always looked
            at whole).
        beside: copies what belongs to the database and lies elsewhere, once the database is copied.

    Raises:
        NotDone: there is something already, the database is not migrated, or the copy is not what was copied.
    """
    if folder.exists():
        raise NotDone(f"{folder} is there already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = folder.with_name(f".{folder.name}.{uuid4().hex}")
    half.mkdir(mode=0o700)
    try:
        copy = _copy_file if lies_in_a_file(url) else _dump
        contents = copy(url, half, tools, proven)
        if beside is not None:
            beside(half)
        kind = FILE if lies_in_a_file(url) else DUMP
        note = {"made_at": at.isoformat(), "data": kind, "proven": proven or kind == FILE, **asdict(contents)}
        (half / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        for path in (half / kind, half / NOTE, half):
            _to_disk(path)
        half.rename(folder)
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return contents


def restore(url: str, folder: Path, *, tools: Tools) -> Contents:
    """Bring a backup into an empty database, and compare.

    Raises:
        NotDone: it is no backup, it is of another kind of database or of newer code, the database holds something, or
            what came out is not what went in.
    """
    wanted, data = _read_note(folder)
    if (data.name == FILE) is not lies_in_a_file(url):
        raise NotDone(f"{data.name} does not go into a database of this kind")
    if wanted.revision not in migrate.known():
        raise NotDone(
            f"made at revision {wanted.revision}, which this version does not know: use a newer one"
        )
    came = _place_file(url, data, wanted) if data.name == FILE else _load(url, data, tools)
    _same(wanted, came, "what was restored")
    return came


def unopened(url: str, keys: Keyring) -> list[str]:
    """What these keys do not open: of every sealed column one value under each key found in it."""
    wrong = []
    with _reading(url) as db:
        for sealing in sealings():
            for name in sealing.sealed:
                for tenant_id, stored in _one_under_each_key(db, sealing.table.name, name):
                    try:
                        keys.open(tenant_id, f"{sealing.table.name}.{name}", stored)
                    except CannotOpen as error:
                        wrong.append(str(error))
    return wrong


def _one_under_each_key(db: sa.Connection, table: str, name: str) -> Iterator[tuple[int, str]]:
    column = sa.column(name, sa.Text)
    rows = sa.select(sa.column("tenant_id", sa.Integer), column).where(column.is_not(None))
    rows = rows.select_from(sa.table(table))
    while found := db.execute(rows.limit(1)).one_or_none():
        tenant_id, stored = found
        yield tenant_id, stored
        under = ":".join(stored.split(":")[:2]) + ":"
        rows = rows.where(sa.not_(column.startswith(under, autoescape=True)))


# --- what is in it ----------------------------------------------------------------------------------------


def contents_of(db: sa.Connection) -> Contents:
    """Count every table and read the whole log, within one snapshot. Raises: NotDone if it is not migrated."""
    tables = sorted(sa.inspect(db).get_table_names())
    if "alembic_version" not in tables or LOG not in tables:
        raise NotDone("this database is not migrated")
    revision = db.scalar(sa.text("SELECT version_num FROM alembic_version"))
    counts = {
        name: int(db.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0) for name in tables
    }
    return Contents(str(revision), counts, _log_digest(db))


def _log_digest(db: sa.Connection) -> str:
    digest = hashlib.sha256()
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in LOG_COLUMNS]
    steps = sa.select(*columns).select_from(sa.table(LOG)).order_by(*columns[:3])
    for row in db.execution_options(yield_per=ROWS_AT_A_TIME).execute(steps):
        digest.update("\x1f".join(map(_text, row)).encode() + b"\n")
    return digest.hexdigest()


def _text(value: Any) -> str:
    """The same on every server, whichever its time zone."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _same(wanted: Contents, found: Contents, what: str) -> None:
    """Raises: NotDone, naming what differs."""
    names = sorted({*wanted.rows, *found.rows})
    wrong = [
        f"{n}: {found.rows.get(n)} rows, not {wanted.rows.get(n)}"
        for n in names
        if _differs(wanted, found, n)
    ]
    wrong += ["the log reads otherwise"] if wanted.log != found.log else []
    wrong += (
        [f"revision {found.revision}, not {wanted.revision}"] if wanted.revision != found.revision else []
    )
    if wrong:
        raise NotDone(f"{what} is not what was backed up: {'; '.join(wrong)}")


def _differs(wanted: Contents, found: Contents, name: str) -> bool:
    return wanted.rows.get(name) != found.rows.get(name)


def _read_note(folder: Path) -> tuple[Contents, Path]:
    try:
        note: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        data = folder / {FILE: FILE, DUMP: DUMP}[note["data"]]
        contents = Contents(note["revision"], note["rows"], note["log"])
    except (OSError, ValueError, KeyError) as error:
        raise NotDone(f"{folder} is no backup: {type(error).__name__}") from error
    if not data.exists():
        raise NotDone(f"{data} is missing")
    return contents, data


# --- SQLite -----------------------------------------------------------------------------------------------


def _copy_file(url: str, into: Path, tools: Tools, proven: bool) -> Contents:
    """SQLite writes one snapshot into a new file; it is looked at there, where nobody changes it."""
    source, target = _file(url), into / FILE
    if not source.exists():
        raise NotDone(f"{source} is not there")
    with _sqlite(source) as db:
        db.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)
    return _looked_at(target)


def _place_file(url: str, data: Path, wanted: Contents) -> Contents:
    """Beside the place first, and renamed into it when it is proven. No half of an old database may stay there."""
    target = _file(url)
    for part in (target, *(target.with_name(target.name + end) for end in ("-wal", "-shm", "-journal"))):
        if part.exists():
            raise NotDone(f"{part} is there already: a backup goes into an empty place")
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        shutil.copyfile(data, half)
        half.chmod(0o600)
        found = _looked_at(half)
        _same(wanted, found, str(data))
        _to_disk(half)
        half.rename(target)
        _to_disk(target.parent)
    finally:
        half.unlink(missing_ok=True)
    return found


def _looked_at(path: Path) -> Contents:
    """Raises: NotDone if SQLite finds it broken."""
    try:
        with _sqlite(path) as db:
            said = [row[0] for row in db.execute("PRAGMA integrity_check")]
            lost = db.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        raise NotDone(f"{path} is broken: {error}") from error
    if said != ["ok"] or lost:
        raise NotDone(f"{path} is broken: {said[0]}, {len(lost)} rows without the row they point to")
    with _reading(f"sqlite:///{path}") as db_:
        return contents_of(db_)


def _file(url: str) -> Path:
    return Path(str(sa.make_url(url).database))


@contextmanager
def _sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=30)
    try:
        yield db
    finally:
        db.close()


# --- PostgreSQL -------------------------------------------------------------------------------------------


def _dump(url: str, into: Path, tools: Tools, proven: bool) -> Contents:
    """Counted and dumped in one snapshot, restored beside, and compared."""
    target = into / DUMP
    with _reading(url) as db:
        if db.scalar(sa.text("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")):
            raise NotDone("Citus is backed up node by node: docs/scale.md")
        contents = contents_of(db)
        snapshot = db.scalar(sa.text("SELECT pg_export_snapshot()"))
        tools.run("pg_dump", db.engine.url, "--format=custom", f"--snapshot={snapshot}", "--file", target)
    target.chmod(0o600)
    if proven:
        with _beside(url) as scratch:
            _same(contents, _loaded(scratch, target, tools), "the dump")
    return contents


@contextmanager
def _beside(url: str) -> Iterator[str]:
    """A database of its own on the same server, for as long as it is needed."""
    target = synchronous(url)
    name = f"dispatch_proof_{uuid4().hex[:12]}"
    engine = sa.create_engine(target, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as db:
            db.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    except DBAPIError as error:
        raise NotDone(
            f"no database to prove the dump in ({error.orig}): grant CREATEDB, or --unproven"
        ) from error
    try:
        yield target.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as db:
            db.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def _load(url: str, data: Path, tools: Tools) -> Contents:
    with _reading(url) as db:
        if there := sa.inspect(db).get_table_names():
            raise NotDone(f"the database holds {len(there)} tables: a backup goes into an empty one")
    return _loaded(url, data, tools)


def _loaded(url: str, data: Path, tools: Tools) -> Contents:
    whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    tools.run("pg_restore", synchronous(url), *whole, data)
    with _reading(url) as db:
        return contents_of(db)


# --- both -------------------------------------------------------------------------------------------------


@contextmanager
def _reading(url: str) -> Iterator[sa.Connection]:
    """One snapshot, however long it is read."""
    engine = sa.create_engine(synchronous(url), poolclass=sa.NullPool)
    options = {} if lies_in_a_file(url) else {"isolation_level": "REPEATABLE READ"}
    with engine.connect() as db:
        yield db.execution_options(**options)


def _parameters(target: sa.URL) -> dict[str, Any]:
    _, told = target.get_dialect()().create_connect_args(target)
    return dict(told)


def _to_disk(path: Path) -> None:
    at = os.open(path, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)
