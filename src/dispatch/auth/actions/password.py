"""Staff sign in with a password and, where it is set up or asked for, a second factor."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pyotp
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.actions import throttling
from dispatch.auth.actions.hashing import Hasher, totp_step
from dispatch.auth.actions.opening import SignedIn, Signing, hashed, issue, open_session
from dispatch.auth.tables import credentials, usernames
from dispatch.db.dialect import insert_or_ignore, insert_or_update
from dispatch.db.engine import Database
from dispatch.db.sealed import private
from dispatch.db.tenants import tenants
from dispatch.domain.refusal import CredentialsInvalid, RateLimited, SecondFactorMissing
from dispatch.domain.throttle import PER_ADDRESS, PER_LOGIN, network
from dispatch.people import queries

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 128


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed, and from where."""

    username: str
    password: str
    totp: str | None = None
    tenant: str | None = None
    device_id: str | None = None
    address: str | None = None


class UsernameTaken(ValueError):
    """Anna and anna are one name to whoever types it: they would share a door, and one of them never gets in."""


def normal_username(said: str) -> str:
    """The one form of a user name: NFKC, lower case, no blanks around it."""
    return unicodedata.normalize("NFKC", said).strip().casefold()


async def sign_in(
    database: Database, hasher: Hasher, attempt: Attempt, *, signing: Signing, at: datetime
) -> SignedIn:
    """Sign in with user name and password.

    The answer to an unknown name, a wrong password and a wrong second factor is the same, and takes as long.

    Raises:
        CredentialsInvalid: something is wrong.
        RateLimited: too many tries on this name or from this address.
        SecondFactorMissing: all is right, but the tenant asks for a second factor and there is none yet.
        ServiceBusy: too many passwords wait to be checked.
    """
    username, address = normal_username(attempt.username), attempt.address and network(attempt.address)
    async with database.reading() as db:
        tenant_id, known = await _known(db, username, attempt.tenant)
    name = f"{tenant_id}\n{username}"  # the same whether the tenant was named or found
    async with database.writing() as db:
        wait = await _counted(db, name, address, at=at)
    if wait is not None:
        raise RateLimited(retry_after=wait)
    right, anew = await hasher.verify(attempt.password, known.password_hash if known else None)
    if known is None or not right:
        raise CredentialsInvalid()
    async with database.writing() as db:
        await _second_factor(db, known, attempt.totp, at=at)
        person = await queries.person(db, known.tenant_id, known.account_id)
        if person is None:
            raise CredentialsInvalid()
        if address:  # the address before the name, as when they were counted
            await throttling.take_back(db, PER_ADDRESS, address, at=at)
        await throttling.forgive(db, PER_LOGIN, name)
        if anew is not None:
            await db.execute(_of(known.tenant_id, known.account_id).values(password_hash=anew))
        session = await open_session(db, person, "password", device_hash=hashed(attempt.device_id), at=at)
        return await issue(db, person, session, signing, at=at)


async def _counted(db: AsyncConnection, name: str, address: str | None, *, at: datetime) -> int | None:
    """The address first: always in this order, so that no two of them wait for each other."""
    waits = [await throttling.count(db, PER_ADDRESS, address, at=at)] if address else []
    waits.append(await throttling.count(db, PER_LOGIN, name, at=at))
    return max((wait for wait in waits if wait is not None), default=None)


async def _known(db: AsyncConnection, username: str, tenant: str | None) -> tuple[int, Any]:
    """(the tenant where a name was looked for, password and second factor behind it): of several tenants the first
    that knows the name, unless one is named. A name that nobody knows counts as one of the tenant named, or of the first.
    """
    named = select(tenants.c.id).order_by(tenants.c.id).limit(1)
    found = (
        select(usernames.c.tenant_id, usernames.c.account_id)
        .join(tenants, tenants.c.id == usernames.c.tenant_id)
        .where(usernames.c.username == username)
        .order_by(usernames.c.tenant_id)
        .limit(1)
    )
    if tenant is not None:
        found, named = found.where(tenants.c.code == tenant), named.where(tenants.c.code == tenant)
    asked = await db.scalar(named) or 0
    who = (await db.execute(found)).one_or_none()
    # An unknown name asks the same number of questions.
    tenant_id, account_id = (who.tenant_id, who.account_id) if who else (asked, UUID(int=0))
    kept = (
        select(credentials, tenants.c.totp_required)
        .join(tenants, tenants.c.id == credentials.c.tenant_id)
        .where(credentials.c.tenant_id == tenant_id, credentials.c.account_id == account_id)
    )
    return tenant_id, (await db.execute(kept)).one_or_none()


async def _second_factor(db: AsyncConnection, known: Any, code: str | None, *, at: datetime) -> None:
    if known.totp_secret is None:
        if known.totp_required:
            raise SecondFactorMissing()
        return
    step = totp_step(known.totp_secret, code, int(at.timestamp())) if code else None
    if step is None:
        raise CredentialsInvalid()
    # A code is good once, also when it comes twice at the same time.
    used = (
        _of(known.tenant_id, known.account_id)
        .where(credentials.c.totp_step < step)
        .values(totp_step=step)
        .returning(credentials.c.account_id)
    )
    if (await db.execute(used)).one_or_none() is None:
        raise CredentialsInvalid()


def _of(tenant_id: int, account_id: UUID) -> Any:
    return update(credentials).where(
        credentials.c.tenant_id == tenant_id, credentials.c.account_id == account_id
    )


# What an operator does


async def set_password(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    username: str,
    password_hash: str,
    *,
    at: datetime,
) -> None:
    """Let an account sign in with a password, or change it. ``username``: the account's login.

    Raises:
        UsernameTaken: another account of the tenant signs in with that name, however it is written.
    """
    name = {"username": normal_username(username), "tenant_id": tenant_id, "account_id": account_id}
    await insert_or_ignore(db, usernames, [name])
    mine = usernames.c.username == name["username"], usernames.c.tenant_id == tenant_id
    if await db.scalar(select(usernames.c.account_id).where(*mine)) != account_id:
        raise UsernameTaken()
    row = {
        "tenant_id": tenant_id,
        "account_id": account_id,
        "password_hash": password_hash,
        "changed_at": at,
    }
    await insert_or_update(db, credentials, row)


async def set_second_factor(
    db: AsyncConnection, tenant_id: int, account_id: UUID, *, issuer: str, login: str
) -> str:
    """Give an account a fresh second factor. Returns the address that an authenticator scans.

    Raises:
        CredentialsInvalid: the account has no password.
    """
    secret = pyotp.random_base32()
    changed = (
        _of(tenant_id, account_id)
        .values(totp_secret=private(tenant_id, secret), totp_step=0)
        .returning(credentials.c.account_id)
    )
    if (await db.execute(changed)).one_or_none() is None:
        raise CredentialsInvalid()
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)
