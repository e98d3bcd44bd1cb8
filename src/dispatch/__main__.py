"""The command line; ``dispatch --help`` lists what it can.

It ends with 2 when it was asked or set wrongly, with 1 when the database cannot be used, and says why in one line.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import OperationalError

from dispatch import admin, calendar_files, clock, doctor, log, pages, serving, upkeep
from dispatch.app import create_app, described
from dispatch.db import migrate as migrations
from dispatch.db import sealed
from dispatch.db.engine import open_database, start_over
from dispatch.db.rotation import rotate
from dispatch.db.tenants import tenant_ids, tenants_by_code
from dispatch.demo import cast
from dispatch.demo.seed import seed
from dispatch.domain.calendar_check import CalendarInvalid
from dispatch.domain.calendar_file import Entry, Source
from dispatch.domain.year_view import drawn
from dispatch.jobs.relay import relay
from dispatch.matching import actions as matching
from dispatch.orders.actions.indexing import index_batch
from dispatch.settings import Settings
from dispatch.sla import queries as sla
from dispatch.sla.actions import calendars
from dispatch.wiring import REACTIONS
from dispatch.worker import work as run_jobs

OPENAPI = Path("openapi/dispatch.json")
GRACE_SECONDS = 10
"""How long requests in flight may still run when the server stops."""

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="三单制 dispatch: 点单、派单、接单、评单。",
)
cli.add_typer(admin.tenant, name="tenant")
cli.add_typer(admin.user, name="user")
cli.add_typer(admin.key, name="api-key")
cli.add_typer(admin.roster, name="roster")
cli.add_typer(upkeep.database, name="db")
cli.command(name="audit")(upkeep.audit_logs)
cli.command(name="backup")(upkeep.back_up)
cli.command(name="restore")(upkeep.bring_back)


calendar = typer.Typer(no_args_is_help=True, help="The working calendar of the tenants.")
cli.add_typer(calendar, name="calendar")


@cli.command()
def serve(
    demo: Annotated[
        bool, typer.Option(help="Made-up data, open sign-in, API and worker in one process.")
    ] = False,
) -> None:
    """Serve the API. In demonstration mode the database is migrated and filled first."""
    settings = Settings(demo=True) if demo else Settings()
    log.configure(settings)
    if settings.demo:
        migrations.upgrade(settings.owner_url)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    database = open_database(settings)
    try:
        if settings.demo:
            made = await seed(database, at=clock.now())
            if made:  # what happened in the past is told before anybody looks
                await relay(database, clock.now(), REACTIONS)
            _introduce(settings, made=made)
        meters = serving.meters_of(database)
        app = create_app(settings, database, meters, works=settings.demo)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.forwarded_allow_ips,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        serving.keep_what_is_there()
        with serving.told(meters, settings):
            await serving.Server(config, app, 0 if settings.demo else settings.drain_seconds).serve()
    finally:
        await database.close()


def _introduce(settings: Settings, *, made: bool) -> None:
    """Say where things are; the accounts are listed by the API itself."""
    base = f"http://{settings.host}:{settings.port}"
    lines = [
        "演示数据已生成。" if made else "演示数据已就绪。",
        f"  接口文档    {base}/docs",
        f"  演示账号    {base}/v1/demo/accounts",
        f"  是否就绪    {base}/v1/readyz",
        f'  登录        POST {base}/v1/auth/wechat/login {{"appid":"demo","code":"demo:resident-1"}}',
        f"  账号        {'  '.join(part.login for part in cast.PARTS)}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


@cli.command()
def work() -> None:
    """Run the jobs of the worker until told to stop. Any number of them may run beside any number of servers."""
    settings = Settings()
    log.configure(settings)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows knows no signal handlers here
            loop.add_signal_handler(name, stop.set)
    database = open_database(settings)
    meters = serving.meters_of(database)
    try:
        with serving.told(meters, settings):
            await run_jobs(settings, database, meters, stop)
    finally:
        await database.close()


@cli.command(name="match")
def match_orders(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Code of one tenant; else all of them.")] = None,
) -> None:
    """Match every order that waits to be handed out; one line of JSON for each."""
    settings = Settings()
    log.configure(settings)
    asyncio.run(_match(settings, dry_run=dry_run, tenant=tenant))


async def _match(settings: Settings, *, dry_run: bool, tenant: str | None) -> None:
    database = open_database(settings)
    try:
        services = await matching.services(database, code=tenant)
        if tenant and not services:
            sys.exit(f"no tenant has the code {tenant}")
        for service in services:
            ran = await matching.match(database, service, dry_run=dry_run, at=clock.now())
            for line in matching.told(ran):
                sys.stdout.write(
                    json.dumps({"tenant": service.tenant.code, **line}, ensure_ascii=False) + "\n"
                )
    finally:
        await database.close()


@cli.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="Up to which revision.")] = "head",
) -> None:
    """Bring the database's tables up to date."""
    settings = Settings()
    migrations.upgrade(settings.owner_url, revision)
    sys.stdout.write(f"{migrations.current(settings.owner_url)}\n")


@cli.command(name="doctor")
def examine(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for a monitor.")] = False,
    online: Annotated[bool, typer.Option(help="Ask WeChat for an access token too.")] = False,
) -> None:
    """Say whether this machine can serve. Exit code 1 when something must be mended first."""
    checks = asyncio.run(doctor.examine(clock.now(), online=online))
    if as_json:
        typer.echo(json.dumps(doctor.report(checks), ensure_ascii=False))
    else:
        for check in checks:
            typer.echo(f"{check.health:<5} {check.name:<11} {check.said}")
    if any(check.health is doctor.Health.FAIL for check in checks):
        raise typer.Exit(1)


@cli.command()
def index() -> None:
    """Put the words of all orders into the search index; those that are there stay. May run beside the service."""
    asyncio.run(_index(Settings()))


async def _index(settings: Settings) -> None:
    database = open_database(settings)
    try:
        async with database.reading() as db:
            tenants = await tenant_ids(db)
        for tenant_id in tenants:
            after: UUID | None = None
            while True:
                async with database.writing() as db:
                    after = await index_batch(db, tenant_id, after)
                if after is None:
                    break
    finally:
        await database.close()


@cli.command()
def openapi(
    check: Annotated[bool, typer.Option(help="Only compare with what is committed.")] = False,
) -> None:
    """Write openapi/dispatch.json from the routes."""
    text = json.dumps(described().openapi(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if not check:
        OPENAPI.parent.mkdir(exist_ok=True)
        OPENAPI.write_text(text, encoding="utf-8")
    elif not OPENAPI.exists() or OPENAPI.read_text(encoding="utf-8") != text:
        sys.exit(f"{OPENAPI} is not what the routes say: run make openapi")


@cli.command()
def docs(
    check: Annotated[bool, typer.Option(help="Only compare with what is committed.")] = False,
) -> None:
    """Write the generated pages of docs/."""
    root = Path()
    if not check:
        pages.write(root)
    elif differences := pages.differences(root):
        sys.exit(f"not what the code says: {', '.join(differences)}; run make docs")


keys = typer.Typer(no_args_is_help=True, help="Keys that seal personal data in the database.")
cli.add_typer(keys, name="keys")


@keys.command("new")
def new_data_key() -> None:
    """Print a fresh key for DISPATCH_DATA_KEYS."""
    sys.stdout.write(f"{sealed.new_key()}\n")


@keys.command("rotate")
def rotate_keys(
    everything: Annotated[
        bool, typer.Option(help="Also what is under the current key: after the look-up key was changed.")
    ] = False,
) -> None:
    """Seal with the current key what is under older keys or lies in the open; the service may run."""
    settings = Settings()
    log.configure(settings)
    count = asyncio.run(_rotate(settings, everything=everything))
    sys.stdout.write(f"{count}\n")


async def _rotate(settings: Settings, *, everything: bool) -> int:
    database = open_database(settings)
    try:
        return await rotate(database, everything=everything)
    finally:
        await database.close()


@calendar.command("import")
def import_calendar(
    file: Annotated[Path, typer.Argument(help="CSV (date,kind,name,hours) or a JSON array of the same.")],
    tenant: Annotated[str | None, typer.Option(help="Code of one tenant; without it all of them.")] = None,
    local: Annotated[bool, typer.Option(help="Days of the tenant's own, not the State Council's.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say what would change.")] = False,
) -> None:
    """Take in a year's holidays and make-up days, or days of a tenant's own. Nothing is written if a line is wrong."""
    settings = Settings()
    try:
        told = calendar_files.read(file, Source.LOCAL if local else Source.OFFICIAL)
        lines = asyncio.run(_import(settings, told, tenant, dry=dry_run))
    except CalendarInvalid as error:
        sys.exit("\n".join(f"{file}: {'/'.join(map(str, p.where))}: {p.reason}" for p in error.problems))
    sys.stdout.write("\n".join(lines) + "\n")


async def _import(settings: Settings, told: list[Entry], tenant: str | None, *, dry: bool) -> list[str]:
    database = open_database(settings)
    try:
        async with database.writing() as db:
            found = await tenants_by_code(db)
            if tenant is not None and tenant not in found:
                sys.exit(f"there is no tenant {tenant}")
            lines = []
            for code in [tenant] if tenant else sorted(found):
                changes = await calendars.take_in(db, found[code], told, at=clock.now(), dry=dry)
                lines += [f"{code}: {calendar_files.change_line(change)}" for change in changes]
                lines.append(f"{code}: {len(changes)} {'would change' if dry else 'changed'}")
            if dry:
                await start_over(db)
            return lines
    finally:
        await database.close()


@calendar.command()
def draw(
    year: Annotated[int, typer.Argument(help="Which year.")],
    tenant: Annotated[str, typer.Option(help="Code of the tenant.")],
) -> None:
    """Draw a tenant's year as SVG, to the standard output."""
    sys.stdout.write(asyncio.run(_draw(Settings(), year, tenant)))


async def _draw(settings: Settings, year: int, tenant: str) -> str:
    database = open_database(settings)
    try:
        async with database.reading() as db:
            found = await tenants_by_code(db)
            if tenant not in found:
                sys.exit(f"there is no tenant {tenant}")
            return drawn(await sla.calendar_for(db, found[tenant]), year)
    finally:
        await database.close()


def main() -> None:
    """Entry point of the ``dispatch`` command."""
    try:
        cli()
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        sys.stderr.write("".join(f"{_setting(line)}\n" for line in error.errors()))
        sys.exit(2)
    except SettingsError as error:
        field = str(error).partition('"')[2].partition('"')[0]  # it tells of a value that should be JSON
        sys.stderr.write(f"DISPATCH_{field.upper()}: not a JSON document\n")
        sys.exit(2)
    except (OperationalError, ConnectionError, TimeoutError, socket.gaierror) as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        sys.stderr.write(f"The database cannot be used: {said}\n")
        sys.exit(1)


def _setting(wrong: Any) -> str:
    """One wrong setting in one line. What was set stays out of it: it may be a secret."""
    said = str(wrong["msg"]).removeprefix("Value error, ")
    if said.startswith("DISPATCH_"):
        return said
    field, *within = (str(part) for part in wrong["loc"])
    return f"{'.'.join([f'DISPATCH_{field.upper()}', *within])}: {said}"


if __name__ == "__main__":
    main()
