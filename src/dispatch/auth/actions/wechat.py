"""Signing in through WeChat.

A code is good once there, so a lost answer could never be asked for again. Therefore who comes with a code
claims it here first: the claim makes parallel repeats wait, and remembers the session for a minute.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.actions.opening import Session, SignedIn, Signing, hashed, issue, open_session
from dispatch.auth.tables import login_codes
from dispatch.db.dialect import yielding_insert
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.tenants import tenants
from dispatch.domain.people import Role
from dispatch.domain.refusal import (
    LoginCodeInvalid,
    ServiceBusy,
    TenantRequired,
    WechatRequired,
)
from dispatch.domain.sessions import SAME_CODE
from dispatch.people import actions as people
from dispatch.people import queries
from dispatch.people.queries import Person
from dispatch.people.tables import identities, sessions
from dispatch.places.tables import places
from dispatch.settings import WechatApp
from dispatch.wechat.gateway import Gateway, Identified

STRANGER = "居民"
"""What an anonymous resident is called; nobody is asked for a name to sign in."""
LOOK_AGAIN_SECONDS = 0.1
LOOKS = 80
"""How often a repeat looks whether the first one has come to an end: a little longer than WeChat may take."""


async def sign_in(
    database: Database,
    gateway: Gateway,
    appid: str,
    code: str,
    *,
    tenant: str | None,
    device_id: str | None,
    signing: Signing,
    at: datetime,
) -> SignedIn:
    """Sign in with a code of ``wx.login``; a stranger becomes a resident without a name or a phone.

    The same code from the same device within ``SAME_CODE`` finds the same session and the same tokens,
    even if WeChat's answer or ours was lost.

    Args:
        tenant: code of the tenant to sign in to; without it the first that knows the person.

    Raises:
        LoginCodeInvalid: WeChat does not know the code, or not any more, or the account is disabled.
        TenantRequired: a stranger, and nothing says where.
        ServiceBusy: the first call with this code has not come to an end in time.
        LoginBlocked, WechatBusy, WechatUnavailable: see the gateway.
    """
    app = gateway.app(appid)
    device_hash = hashed(device_id)
    code_hash = str(hashed(f"{appid}\n{code}\n{device_hash}"))
    for _ in range(LOOKS):
        async with database.writing() as db:
            claimed = await _claim(db, code_hash, at=at)
            if not claimed:
                found = await _claimed(db, code_hash, tenant, signing, at=at)
                if found is not None:
                    return found
        if claimed:
            async with _given_back(database, code_hash):
                who = await gateway.identity(appid, code)
                return await _enter(database, app, appid, who, code_hash, tenant, device_hash, signing, at=at)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    raise ServiceBusy()


async def _claim(db: AsyncConnection, code_hash: str, *, at: datetime) -> bool:
    """Whether this call is the one that asks WeChat."""
    fresh = {"code_hash": code_hash, "claimed_at": at, "tenant_id": None, "session_id": None}
    write = yielding_insert(db, login_codes).values(fresh)
    claim = write.on_conflict_do_update(
        index_elements=[login_codes.c.code_hash],
        set_=fresh,
        where=login_codes.c.claimed_at <= at - SAME_CODE,
    ).returning(login_codes.c.code_hash)
    return (await db.execute(claim)).one_or_none() is not None


async def _claimed(
    db: AsyncConnection,
    code_hash: str,
    tenant: str | None,
    signing: Signing,
    *,
    at: datetime,
) -> SignedIn | None:
    """The session that the first call opened; None while it is still on its way, or when it has ended."""
    known = select(login_codes).where(login_codes.c.code_hash == code_hash)
    row = (await db.execute(known)).one_or_none()
    if row is None or row.session_id is None:
        return None  # when it was given back the next look claims it
    opened = select(sessions).where(sessions.c.tenant_id == row.tenant_id, sessions.c.id == row.session_id)
    session = (await db.execute(opened)).one()
    person = await queries.person(db, row.tenant_id, session.account_id, row.session_id)
    if person is None:
        await db.execute(delete(login_codes).where(login_codes.c.code_hash == code_hash))
        return None
    if tenant not in (None, person.tenant.code):
        raise LoginCodeInvalid()
    again = Session(session.id, session.created_at, session.device_hash)
    return await issue(db, person, again, signing, at=at)


@asynccontextmanager
async def _given_back(database: Database, code_hash: str) -> AsyncIterator[None]:
    """Give the claim back when it leads nowhere, so that the next call asks for itself."""
    try:
        yield
    except BaseException:
        async with database.writing() as db:
            await db.execute(delete(login_codes).where(login_codes.c.code_hash == code_hash))
        raise


async def _enter(
    database: Database,
    app: WechatApp,
    appid: str,
    who: Identified,
    code_hash: str,
    tenant: str | None,
    device_hash: str | None,
    signing: Signing,
    *,
    at: datetime,
) -> SignedIn:
    async with database.writing() as db:
        person = await _behind(db, app, appid, who, tenant, at=at)
        session = await open_session(db, person, "wechat", appid=appid, device_hash=device_hash, at=at)
        await db.execute(
            update(login_codes)
            .where(login_codes.c.code_hash == code_hash)
            .values(tenant_id=person.tenant.id, session_id=session.id)
        )
        return await issue(db, person, session, signing, at=at)


async def _behind(
    db: AsyncConnection, app: WechatApp, appid: str, who: Identified, tenant: str | None, *, at: datetime
) -> Person:
    """Whose identity it is; a stranger's account is made."""
    known = await _known(db, app, appid, who, tenant)
    if known is None:
        if not app.registers:
            raise LoginCodeInvalid()
        known = await _register(db, app, appid, who, tenant, at=at)
    person = await queries.person(db, *known)
    if person is None:
        raise LoginCodeInvalid()
    return person


async def _known(
    db: AsyncConnection, app: WechatApp, appid: str, who: Identified, tenant: str | None
) -> tuple[int, UUID] | None:
    """The account of an identity, or of the same person at another mini-program of ours (unionid)."""
    mine = (identities.c.appid == appid) & (identities.c.subject == who.openid)
    found = await _first(db, mine, tenant)
    if found is None and who.unionid is not None:
        found = await _first(db, identities.c.unionid == who.unionid, tenant or app.tenant)
        if found is not None:
            await people.know_as(db, *found, appid=appid, subject=who.openid, unionid=who.unionid)
    return found


async def _first(db: AsyncConnection, whose: Any, tenant: str | None) -> tuple[int, UUID] | None:
    statement = (
        select(identities.c.tenant_id, identities.c.account_id)
        .join(tenants, tenants.c.id == identities.c.tenant_id)
        .where(whose)
        .order_by(identities.c.tenant_id)
        .limit(1)
    )
    if tenant is not None:
        statement = statement.where(tenants.c.code == tenant)
    row = (await db.execute(statement)).one_or_none()
    return None if row is None else (row.tenant_id, row.account_id)


async def _register(
    db: AsyncConnection, app: WechatApp, appid: str, who: Identified, tenant: str | None, *, at: datetime
) -> tuple[int, UUID]:
    """Make an anonymous resident. Of two first sign-ins at once the second finds the account of the first."""
    code = tenant or app.tenant
    if code is None:
        raise TenantRequired()
    tenant_id = await db.scalar(select(tenants.c.id).where(tenants.c.code == code))
    if tenant_id is None:
        raise LoginCodeInvalid()
    account_id = new_id()
    row = {
        "appid": appid,
        "subject": who.openid,
        "tenant_id": tenant_id,
        "account_id": account_id,
        "unionid": who.unionid,
    }
    write = yielding_insert(db, identities).values(row).on_conflict_do_nothing()
    if (await db.execute(write.returning(identities.c.account_id))).one_or_none() is None:
        known = await _known(db, app, appid, who, code)
        assert known is not None
        return known
    home = await _home(db, tenant_id, app.place if code == app.tenant else None)
    await people.add_account(
        db,
        tenant_id,
        login=f"wx-{account_id.hex}",
        name=STRANGER,
        home_place_id=home,
        account_id=account_id,
        at=at,
    )
    await people.grant(db, tenant_id, account_id, Role.RESIDENT, place_id=home, at=at)
    return tenant_id, account_id


async def _home(db: AsyncConnection, tenant_id: int, code: str | None) -> UUID | None:
    if code is None:
        return None
    found: UUID | None = await db.scalar(
        select(places.c.id).where(places.c.tenant_id == tenant_id, places.c.code == code)
    )
    return found  # a place that is not there keeps nobody out: dispatch doctor tells of it


async def openid_of(db: AsyncConnection, tenant_id: int, session_id: UUID | None) -> tuple[str, str]:
    """Mini-program and openid that a session was opened with. Raises: WechatRequired: with none."""
    row = (
        await db.execute(
            select(identities.c.appid, identities.c.subject)
            .select_from(
                sessions.join(
                    identities,
                    (identities.c.tenant_id == sessions.c.tenant_id)
                    & (identities.c.account_id == sessions.c.account_id)
                    & (identities.c.appid == sessions.c.appid),
                )
            )
            .where(
                sessions.c.tenant_id == tenant_id,
                sessions.c.id == session_id,
                sessions.c.kind == "wechat",
            )
            .limit(1)
        )
    ).one_or_none()
    if row is None:
        raise WechatRequired()
    return row.appid, row.subject
