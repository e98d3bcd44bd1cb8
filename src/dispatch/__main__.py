"""The command line: serve, work, migrate, doctor, tenant, user, api-key, openapi, docs."""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from dispatch import admin, clock, doctor, log, pages
from dispatch.app import create_app, described
from dispatch.db import migrate as migrations
from dispatch.db.engine import open_database
from dispatch.demo import cast
from dispatch.demo.seed import seed
from dispatch.jobs.relay import relay
from dispatch.matching import actions as matching
from dispatch.settings import Settings
from dispatch.wiring import REACTIONS
from dispatch.worker import work as run_jobs

OPENAPI = Path("openapi/dispatch.json")
GRACE_SECONDS = 10
"""How long requests in flight may still run when the server stops."""

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="三单制 dispatch: 点单、派单、接单、评单。"
)
cli.add_typer(admin.tenant, name="tenant")
cli.add_typer(admin.user, name="user")
cli.add_typer(admin.key, name="api-key")


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
        migrations.upgrade(settings.database_url)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    database = open_database(settings)
    try:
        if settings.demo:
            made = await seed(database, at=clock.now())
            if made:  # what happened in the past is told before anybody looks
                await relay(database, clock.now(), REACTIONS)
            _introduce(settings, made=made)
        app = create_app(settings, database, works=settings.demo)
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
        await uvicorn.Server(config).serve()
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
    try:
        await run_jobs(settings, database, stop)
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
    migrations.upgrade(settings.database_url, revision)
    sys.stdout.write(f"{migrations.current(settings.database_url)}\n")


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


def main() -> None:
    """Entry point of the ``dispatch`` command."""
    cli()


if __name__ == "__main__":
    main()
