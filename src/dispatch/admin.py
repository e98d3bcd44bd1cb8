"""What an operator does at the command line: tenants, staff accounts, API keys, rosters. No other way makes the first admin."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch import clock
from dispatch.auth.actions import keys, password
from dispatch.auth.actions.hashing import Hasher
from dispatch.catalog.actions import load_defaults
from dispatch.db.engine import open_database
from dispatch.db.tenants import tenants
from dispatch.domain import publishing
from dispatch.domain.granting import fitting_refusal
from dispatch.domain.people import BODY_ROLES, Actor, Role, Tenant, the_service
from dispatch.domain.refusal import AccountNotFound, BodyNotFound, PlaceNotFound, RosterInvalid
from dispatch.domain.roster import read as read_roster
from dispatch.grants.queries import where
from dispatch.people import actions as people
from dispatch.people import queries
from dispatch.people.keys import SCOPES
from dispatch.people.tables import accounts, bodies
from dispatch.places import actions as places
from dispatch.places.tables import places as place_table
from dispatch.rosters import actions as rosters
from dispatch.rosters import spreadsheets
from dispatch.rosters.planning import Does, Plan
from dispatch.settings import Settings
from dispatch.web.wire import normal_name, normal_phone

T = TypeVar("T")

tenant = typer.Typer(no_args_is_help=True, help="Districts and counties.")
user = typer.Typer(no_args_is_help=True, help="Accounts of staff.")
key = typer.Typer(no_args_is_help=True, help="API keys of integrations.")
roster = typer.Typer(no_args_is_help=True, help="Members out of spreadsheets.")

InTenant = Annotated[str, typer.Option("--tenant", "-t", help="Code of the tenant.")]
Login = Annotated[str, typer.Argument(help="What the account signs in as.")]
Place = Annotated[str | None, typer.Option(help="Code of the place where the role holds.")]
Body = Annotated[str | None, typer.Option(help="Code of the unit, team, provider or department.")]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")]


@dataclass(frozen=True, slots=True)
class Desk:
    """Settings and a transaction: everything that a command needs."""

    settings: Settings
    db: AsyncConnection

    async def tenant(self, code: str) -> int:
        """The number of a tenant."""
        found = await self.db.scalar(select(tenants.c.id).where(tenants.c.code == code))
        return int(found) if found is not None else _stop(f"no such tenant: {code}")

    async def service(self, code: str) -> Actor:
        """The service itself in a tenant."""
        row = (await self.db.execute(select(tenants).where(tenants.c.code == code))).one_or_none()
        if row is None:
            _stop(f"no such tenant: {code}")
        return the_service(Tenant(row.id, row.code, row.name, ZoneInfo(row.zone), dict(row.labels)))

    async def account(self, tenant_id: int, login: str) -> UUID:
        """The id of an account."""
        mine = accounts.c.tenant_id == tenant_id, accounts.c.login == login
        found: UUID | None = await self.db.scalar(select(accounts.c.id).where(*mine))
        return found or _stop(f"no such account: {login}")

    async def coded(self, table: Table, tenant_id: int, code: str | None) -> UUID | None:
        """The id of a place or a body."""
        if code is None:
            return None
        mine = table.c.tenant_id == tenant_id, table.c.code == code
        found: UUID | None = await self.db.scalar(select(table.c.id).where(*mine))
        return found or _stop(f"no such code in {table.name}: {code}")

    async def let_in(
        self, tenant_id: int, account_id: UUID, login: str, hashed: str, *, at: datetime
    ) -> None:
        """Let an account sign in with a password."""
        try:
            await password.set_password(self.db, tenant_id, account_id, login, hashed, at=at)
        except password.UsernameTaken:
            _stop(f"another account signs in as {password.normal_username(login)}")

    async def seat(
        self, tenant_id: int, role: Role, place: str | None, body: str | None
    ) -> tuple[UUID | None, UUID | None]:
        """The ids of the place or the body, by their codes, that a role is to be held for; it must fit there."""
        place_id = await self.coded(place_table, tenant_id, place)
        body_id = await self.coded(bodies, tenant_id, body)
        try:
            path, place_kind, body_kind = await where(self.db, tenant_id, place_id, body_id)
        except (PlaceNotFound, BodyNotFound):
            _stop(f"out of use: {body or place}")
        if fitting_refusal(role, path, body_kind=body_kind, place_kind=place_kind):
            _stop(f"the role {role} is not held at {body or place} ({body_kind or place_kind})")
        return place_id, body_id


@asynccontextmanager
async def _desk() -> AsyncIterator[Desk]:
    settings = Settings()
    database = open_database(settings)
    try:
        async with database.writing() as db:
            yield Desk(settings, db)
    finally:
        await database.close()


def _at_desk(act: Callable[[Desk], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _desk() as desk:
            return await act(desk)

    return asyncio.run(run())


def _stop(message: str) -> NoReturn:
    sys.exit(message)


def _asked(login: str, stdin: bool) -> str:
    """A password that was typed twice, or piped in."""
    typed = sys.stdin.readline() if stdin else _typed()
    said = typed.rstrip("\n")
    if not password.SHORTEST_PASSWORD <= len(said) <= password.LONGEST_PASSWORD:
        _stop(f"a password has {password.SHORTEST_PASSWORD} to {password.LONGEST_PASSWORD} characters")
    if login.casefold() in said.casefold():
        _stop("a password does not contain the login")
    return said


def _typed() -> str:
    said: str = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    return said


@tenant.command("add")
def add_tenant(
    code: Annotated[str, typer.Argument(help="Short name, in addresses and logs.")],
    name: str,
    zone: str = "Asia/Shanghai",
) -> None:
    """Make a tenant with its topmost place (of the same code) and the default catalogue."""

    async def act(desk: Desk) -> None:
        tenant_id = await places.add_tenant(desk.db, code, name, zone=zone)
        await places.add_place(desk.db, tenant_id, None, "district", code, name)
        await load_defaults(desk.db, tenant_id)

    _at_desk(act)


@tenant.command("second-factor")
def require_second_factor(
    code: str, required: Annotated[bool, typer.Option("--required/--optional")] = True
) -> None:
    """Ask everybody who signs in with a password for a second factor, or only those who have one."""

    async def act(desk: Desk) -> None:
        tenant_id = await desk.tenant(code)
        changed = update(tenants).where(tenants.c.id == tenant_id)
        await desk.db.execute(changed.values(totp_required=required))

    _at_desk(act)


@tenant.command("publish")
def publish_numbers(
    code: str,
    because: Annotated[str, typer.Option(help="The written basis for it, such as a decision and its date.")],
    least: Annotated[
        int, typer.Option(min=publishing.LEAST_ALLOWED, max=1000, help="Households that a number needs.")
    ] = publishing.LEAST,
) -> None:
    """Publish numbers of the work, month by month, for everybody to read. The months published stay as they are."""

    async def act(desk: Desk) -> None:
        if not 1 <= len(because.strip()) <= 200:
            _stop("the basis has 1 to 200 characters")
        changed = update(tenants).where(tenants.c.id == await desk.tenant(code))
        await desk.db.execute(changed.values(publishes_from=least, publishes_because=because.strip()))

    _at_desk(act)


@tenant.command("unpublish")
def publish_no_numbers(code: str) -> None:
    """Publish numbers no longer: those that were are shown to nobody."""

    async def act(desk: Desk) -> None:
        changed = update(tenants).where(tenants.c.id == await desk.tenant(code))
        await desk.db.execute(changed.values(publishes_from=None, publishes_because=None))

    _at_desk(act)


@user.command("add")
def add_user(
    login: Login,
    name: str,
    in_tenant: InTenant,
    role: Annotated[Role, typer.Option(help="What the account may do.")],
    place: Place = None,
    body: Body = None,
    stdin: Stdin = False,
) -> None:
    """Make an account of staff with a role and a password."""
    _fits(role, place, body)
    said = _asked(login, stdin)

    async def act(desk: Desk) -> None:
        tenant_id, at = await desk.tenant(in_tenant), clock.now()
        place_id, body_id = await desk.seat(tenant_id, role, place, body)
        account_id = await people.add_account(
            desk.db, tenant_id, login=login, name=name, home_place_id=place_id, at=at
        )
        await people.grant(desk.db, tenant_id, account_id, role, place_id=place_id, body_id=body_id, at=at)
        hashed = await Hasher(desk.settings).hash(said)
        await desk.let_in(tenant_id, account_id, login, hashed, at=at)

    _at_desk(act)


@user.command("password")
def change_password(login: Login, in_tenant: InTenant, stdin: Stdin = False) -> None:
    """Give an account a new password, and end its sessions."""
    said = _asked(login, stdin)

    async def act(desk: Desk) -> None:
        tenant_id, at = await desk.tenant(in_tenant), clock.now()
        account_id = await desk.account(tenant_id, login)
        hashed = await Hasher(desk.settings).hash(said)
        await desk.let_in(tenant_id, account_id, login, hashed, at=at)
        await people.revoke_sessions(desk.db, tenant_id, account_id, at=at)

    _at_desk(act)


@user.command("second-factor")
def set_second_factor(login: Login, in_tenant: InTenant) -> None:
    """Give an account a fresh second factor; prints the address that an authenticator scans."""

    async def act(desk: Desk) -> str:
        tenant_id = await desk.tenant(in_tenant)
        account_id = await desk.account(tenant_id, login)
        return await password.set_second_factor(
            desk.db, tenant_id, account_id, issuer=f"三单制 {in_tenant}", login=login
        )

    typer.echo(_at_desk(act))


@user.command("grant")
def grant_role(
    login: Login,
    in_tenant: InTenant,
    role: Annotated[Role, typer.Option(help="What the account may do besides.")],
    place: Place = None,
    body: Body = None,
) -> None:
    """Give an account one more role; prints the grant's id."""
    _fits(role, place, body)

    async def act(desk: Desk) -> UUID:
        tenant_id = await desk.tenant(in_tenant)
        account_id = await desk.account(tenant_id, login)
        place_id, body_id = await desk.seat(tenant_id, role, place, body)
        return await people.grant(
            desk.db, tenant_id, account_id, role, place_id=place_id, body_id=body_id, at=clock.now()
        )

    typer.echo(str(_at_desk(act)))


def _fits(role: Role, place: str | None, body: str | None) -> None:
    """A role is for a place or for a body, as the rulebook has it."""
    if role is Role.MEMBER:
        _stop("a member checks in, or comes with a roster: dispatch roster import")
    wanted = "--body" if role in BODY_ROLES else "--place"
    if (body if role in BODY_ROLES else place) is None or (place and body):
        _stop(f"the role {role} needs {wanted}, and only that")


@user.command("suspend")
def suspend_member(login: Login, in_tenant: InTenant) -> None:
    """Let a member take nothing more until further notice; what was taken stays taken."""
    _at_member(login, in_tenant, people.suspend_member, "no member now")


@user.command("resume")
def resume_member(login: Login, in_tenant: InTenant) -> None:
    """Let a member serve again who was suspended. A lapse is lifted by the member's own word."""
    _at_member(login, in_tenant, people.resume_member, "not suspended, or by a lapse")


def _at_member(login: str, in_tenant: str, change: Callable[..., Awaitable[None]], otherwise: str) -> None:
    async def act(desk: Desk) -> None:
        tenant_id = await desk.tenant(in_tenant)
        try:
            await change(desk.db, tenant_id, await desk.account(tenant_id, login))
        except AccountNotFound:
            _stop(f"{login}: {otherwise}")

    _at_desk(act)


@user.command("sign-out")
def sign_out(login: Login, in_tenant: InTenant) -> None:
    """End every session of an account at once: a lost phone, a post that was left."""

    async def act(desk: Desk) -> int:
        tenant_id = await desk.tenant(in_tenant)
        account_id = await desk.account(tenant_id, login)
        return await people.revoke_sessions(desk.db, tenant_id, account_id, at=clock.now())

    typer.echo(f"{_at_desk(act)} ended")


@user.command("link")
def link_identity(
    login: Login,
    in_tenant: InTenant,
    provider: Annotated[str, typer.Option(help="Name of the provider in DISPATCH_OIDC_PROVIDERS.")],
    subject: Annotated[str, typer.Option(help="What the provider calls the person (sub).")],
) -> None:
    """Let an account sign in at an OpenID Connect provider."""

    async def act(desk: Desk) -> None:
        if provider not in desk.settings.oidc_providers:
            _stop(f"no such provider: {provider}")
        tenant_id = await desk.tenant(in_tenant)
        account_id = await desk.account(tenant_id, login)
        await people.know_as(desk.db, tenant_id, account_id, appid=f"oidc:{provider}", subject=subject)

    _at_desk(act)


@key.command("issue")
def issue_key(
    login: Login,
    in_tenant: InTenant,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help=f"May repeat: {', '.join(sorted(SCOPES))}.")],
    days: Annotated[
        int | None, typer.Option(min=1, help="Life of the key; without it, until revoked.")
    ] = None,
) -> None:
    """Make an API key for the account's only grant; printed once, and never again."""

    async def act(desk: Desk) -> str:
        tenant_id, at = await desk.tenant(in_tenant), clock.now()
        account_id = await desk.account(tenant_id, login)
        held = [one for one in await queries.grants_of(desk.db, tenant_id, account_id) if one.stands(at)]
        if len(held) != 1:
            _stop("a key is for an account with one grant: make one for the integration")
        if unknown := set(scope) - SCOPES:
            _stop(f"no such scope: {', '.join(sorted(unknown))}")
        expires_at = at + timedelta(days=days) if days else None
        minted = await keys.issue_key(
            desk.db, tenant_id, account_id, held[0].id, name, scope, expires_at=expires_at, at=at
        )
        return minted.key

    typer.echo(_at_desk(act))


@key.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The 12 signs after sdz_.")], in_tenant: InTenant
) -> None:
    """Call a key back; it is refused from the next request on."""

    async def act(desk: Desk) -> bool:
        return await keys.revoke_key(desk.db, await desk.tenant(in_tenant), key_id, at=clock.now())

    if not _at_desk(act):
        _stop("no such key, or it has ended already")


@roster.command("import")
def import_roster(
    file: Annotated[Path, typer.Argument(help="An .xlsx or .csv file, headings in its first row.")],
    in_tenant: InTenant,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Take members in from a file. Nothing is written if a line is wrong; the same file again changes nothing."""
    try:
        rows = spreadsheets.rows_of(file.name, file.read_bytes())
    except (OSError, spreadsheets.CannotRead) as error:
        _stop(f"{file}: {error}")
    lines, problems = read_roster(rows, phone=normal_phone, name=normal_name)

    async def act(desk: Desk) -> Plan:
        service = await desk.service(in_tenant)
        return await rosters.take_in(desk.db, service, lines, problems, dry=dry_run, at=clock.now())

    try:
        made = _at_desk(act)
    except RosterInvalid as refusal:
        _stop("\n".join(line["message"] for line in refusal.facts["errors"]))
    for problem in made.problems:
        typer.echo(rosters.said(problem))
    counts = "，".join(f"{label}{made.count(does)}" for does, label in ROSTER_WORDS.items())
    typer.echo(f"{'试算：' if dry_run else ''}{counts}")
    if made.problems:
        raise typer.Exit(1)


ROSTER_WORDS = {Does.CREATES: "新建", Does.INVITES: "邀请", Does.UPDATES: "更新", Does.UNCHANGED: "不变"}
