"""What an operator does to the database as a whole: copies it, brings a copy back, checks its logs."""

import asyncio
import contextlib
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dispatch import audit, clock
from dispatch import wiring as _every_slice  # noqa: F401 — metadata knows the tables that were imported
from dispatch.db import backup, migrate, spread
from dispatch.db.backup import Contents, NotDone, Tools
from dispatch.db.base import metadata
from dispatch.db.engine import open_database
from dispatch.db.sealed import Keyring
from dispatch.files import copies
from dispatch.files.copies import CopyBroken
from dispatch.files.store import Store
from dispatch.settings import Settings

FILES = "files"

database = typer.Typer(no_args_is_help=True, help="How the tables are spread: docs/scale.md.")

Folder = Annotated[Path, typer.Argument(help="Folder of the backup.")]
Programs = Annotated[
    Path | None, typer.Option("--tools", help="Where pg_dump and pg_restore are; else on the path.")
]


def back_up(
    folder: Folder,
    tools: Programs = None,
    unproven: Annotated[
        bool, typer.Option("--unproven", help="Do not restore the dump beside the database to compare it.")
    ] = False,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Leave out what people sent (DISPATCH_FILES_DIR).")
    ] = False,
) -> None:
    """Copy the database and the files into a new folder and prove the copy. The service may run meanwhile."""
    settings = Settings()
    count = 0

    def files(half: Path) -> None:
        nonlocal count
        count = copies.copy(Store(settings.files_dir), half / FILES)

    try:
        contents = backup.back_up(
            settings.owner_url,
            folder,
            at=clock.now(),
            tools=Tools(tools),
            proven=not unproven,
            beside=None if no_files else files,
        )
    except (NotDone, CopyBroken) as error:
        sys.exit(str(error))
    _say(contents, count)


def bring_back(folder: Folder, tools: Programs = None) -> None:
    """Bring a backup into the empty database and directory of the settings, and compare what came with what was in it."""
    settings = Settings()
    keys = Keyring.read(settings.data_keys.get_secret_value(), settings.lookup_key.get_secret_value())
    try:
        files, store = folder / FILES, Store(settings.files_dir)
        if files.is_dir():
            copies.must_be_empty(store)
        contents = backup.restore(settings.owner_url, folder, tools=Tools(tools))
        count = copies.bring_back(files, store) if files.is_dir() else 0
    except (NotDone, CopyBroken) as error:
        sys.exit(str(error))
    _say(contents, count)
    if contents.revision != migrate.head():
        sys.stdout.write("older than this version: dispatch migrate\n")
    if closed := backup.unopened(settings.owner_url, keys):
        sys.exit(f"restored, but DISPATCH_DATA_KEYS does not open everything: {'; '.join(closed)}")


def audit_logs(
    tenant: Annotated[str | None, typer.Option(help="Code of one tenant; else all of them.")] = None,
    heads: Annotated[
        Path | None, typer.Option(help="Write every order's newest hash here, to be kept elsewhere.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Heads written before: what they name must be there still.")
    ] = None,
    chained_since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Orders filed before this day may be without hashes; else none may."
        ),
    ] = None,
) -> None:
    """Check that no log of an order was changed; one line of JSON for each that was, then the count. Ends with 1 if any."""
    report = asyncio.run(_audit(Settings(), tenant, heads, against, chained_since))
    for line in report.broken:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    counted = {
        name: getattr(report, name) for name in ("orders", "entries", "erased", "erased_since", "unchained")
    }
    sys.stdout.write(json.dumps({**counted, "broken": len(report.broken)}) + "\n")
    if report.broken:
        raise typer.Exit(1)


async def _audit(
    settings: Settings,
    tenant: str | None,
    heads: Path | None,
    against: Path | None,
    chained_since: datetime | None,
) -> audit.Report:
    database = open_database(settings)
    try:
        with contextlib.ExitStack() as files:
            written = files.enter_context(heads.open("w", encoding="utf-8")) if heads else None
            read = files.enter_context(against.open(encoding="utf-8")) if against else None
            return await audit.examine(
                database,
                tenant=tenant,
                heads=written,
                against=read,
                chained_since=chained_since.date() if chained_since else None,
                at=clock.now(),
            )
    except KeyError:
        sys.exit(f"there is no tenant {tenant}")
    except (OSError, ValueError) as error:
        sys.exit(f"{against or heads}: {error}")
    finally:
        await database.close()


@database.command()
def lint() -> None:
    """Say which tables could not be spread over several nodes, and why. Needs no database."""
    if found := spread.complaints(metadata):
        sys.exit("\n".join(found))


@database.command()
def distribute(
    execute: Annotated[bool, typer.Option("--execute", help="Run them, on the coordinator.")] = False,
) -> None:
    """Print the statements that spread a database which grew up on one node over Citus."""
    lint()
    if execute:
        try:
            lines = spread.spread(Settings().owner_url, metadata)
        except spread.NotCitus as error:
            sys.exit(str(error))
    else:
        lines = ["BEGIN", *spread.statements(metadata), "COMMIT"]
    sys.stdout.write("".join(f"{line};\n" for line in lines))


def _say(contents: Contents, files: int) -> None:
    rows = f"{sum(contents.rows.values())} rows in {len(contents.rows)} tables"
    sys.stdout.write(f"{contents.revision}: {rows}, log {contents.log[:16]}, {files} files\n")
