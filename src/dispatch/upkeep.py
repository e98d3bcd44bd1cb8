"""What an operator does to the database as a whole: copies it, brings a copy back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dispatch import clock
from dispatch import wiring as _every_slice  # noqa: F401 — metadata knows the tables that were imported
from dispatch.db import backup, migrate, spread
from dispatch.db.backup import Contents, NotDone, Tools
from dispatch.db.base import metadata
from dispatch.db.sealed import Keyring
from dispatch.settings import Settings

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
) -> None:
    """Copy the whole database into a new folder and prove the copy. The service may run meanwhile."""
    settings = Settings()
    try:
        contents = backup.back_up(
            settings.owner_url, folder, at=clock.now(), tools=Tools(tools), proven=not unproven
        )
    except NotDone as error:
        sys.exit(str(error))
    _say(contents)


def bring_back(folder: Folder, tools: Programs = None) -> None:
    """Bring a backup into the empty database of the settings, and compare what came with what was in it."""
    settings = Settings()
    keys = Keyring.read(settings.data_keys.get_secret_value(), settings.lookup_key.get_secret_value())
    try:
        contents = backup.restore(settings.owner_url, folder, tools=Tools(tools))
    except NotDone as error:
        sys.exit(str(error))
    _say(contents)
    if contents.revision != migrate.head():
        sys.stdout.write("older than this version: dispatch migrate\n")
    if closed := backup.unopened(settings.owner_url, keys):
        sys.exit(f"restored, but DISPATCH_DATA_KEYS does not open everything: {'; '.join(closed)}")


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


def _say(contents: Contents) -> None:
    rows = f"{sum(contents.rows.values())} rows in {len(contents.rows)} tables"
    sys.stdout.write(f"{contents.revision}: {rows}, log {contents.log[:16]}\n")
