"""API keys of integrations: issued, and called back."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth import queries as auth_queries
from dispatch.auth.actions.opening import open_session
from dispatch.auth.tables import usernames
from dispatch.db.ids import new_id
from dispatch.domain.granting import administers, giving_refusal
from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import AccountNotFound, GrantImpossible, GrantUnknown
from dispatch.grants.queries import where
from dispatch.people import actions as people
from dispatch.people import queries
from dispatch.people.actions import revoke_sessions
from dispatch.people.keys import KEY_ROLES, SCOPES, Minted, mint
from dispatch.people.tables import api_keys, identities


async def issue_key(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    grant_id: UUID,
    name: str,
    scopes: Collection[str],
    *,
    expires_at: datetime | None = None,
    created_by: UUID | None = None,
    at: datetime,
) -> Minted:
    """Make a key that acts under one grant, within its scopes. The key itself is told here and never again.

    Raises:
        AccountNotFound: no such account, or it is disabled.
        GrantUnknown: the grant is another's, or does not stand.
        ValueError: an unknown scope.
    """
    if unknown := set(scopes) - SCOPES:
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    person = await queries.person(db, tenant_id, account_id)
    if person is None:
        raise AccountNotFound()
    if not any(grant.id == grant_id and grant.stands(at) for grant in person.grants):
        raise GrantUnknown()
    session = await open_session(db, person, "key", at=at)
    minted = mint()
    row = {
        "key_id": minted.key_id,
        "secret_hash": minted.secret_hash,
        "tenant_id": tenant_id,
        "account_id": account_id,
        "grant_id": grant_id,
        "session_id": session.id,
        "name": name,
        "scopes": sorted(scopes),
        "created_at": at,
        "created_by": created_by,
        "expires_at": expires_at,
    }
    await db.execute(api_keys.insert().values(row))
    return minted


async def make(db: AsyncConnection, actor: Actor, data: Mapping[str, Any], *, at: datetime) -> Minted:
    """Make a key as an admin: for a new account of its own, or for one that a key was made for before.

    ``data``: name, scopes, expires_at, and role with place_id, or account_id.

    Raises:
        RoleForbidden: no admin there.
        GrantImpossible: ``why`` role, person (people sign in to the account) or period.
        PlaceNotFound, AccountNotFound: no such.
    """
    tenant_id = actor.tenant.id
    await queries.prove(db, actor)
    expires_at = data.get("expires_at")
    if expires_at is not None and expires_at <= at:
        raise GrantImpossible(why="period")
    if data.get("account_id"):
        account_id, grant_id = await _integration(db, actor, data["account_id"], at=at)
    else:
        account_id, grant_id = await _new_integration(db, actor, data, at=at)
    return await issue_key(
        db,
        tenant_id,
        account_id,
        grant_id,
        data["name"],
        data["scopes"],
        expires_at=expires_at,
        created_by=actor.account_id,
        at=at,
    )


async def _new_integration(
    db: AsyncConnection, actor: Actor, data: Mapping[str, Any], *, at: datetime
) -> tuple[UUID, UUID]:
    """An account with one grant, which nobody but its key signs in to."""
    tenant_id, account_id, role = actor.tenant.id, new_id(), Role(data["role"])
    path, place_kind, _ = await where(db, tenant_id, data["place_id"], None)
    if role not in KEY_ROLES:
        raise GrantImpossible(why="role")
    if refusal := giving_refusal(actor, account_id, role, path, body_kind=None, place_kind=place_kind):
        raise refusal
    login, by = f"key-{account_id.hex}", actor.account_id
    await people.add_account(
        db,
        tenant_id,
        login=login,
        name=data["name"],
        home_place_id=data["place_id"],
        account_id=account_id,
        at=at,
    )
    grant_id = await people.grant(
        db, tenant_id, account_id, role, place_id=data["place_id"], given_by=by, at=at
    )
    return account_id, grant_id


async def _integration(
    db: AsyncConnection, actor: Actor, account_id: UUID, *, at: datetime
) -> tuple[UUID, UUID]:
    """An integration's account and its only grant, to follow a key with another."""
    tenant_id = actor.tenant.id
    await queries.hold(db, tenant_id, account_id)
    held = [grant for grant in await queries.grants_of(db, tenant_id, account_id) if grant.stands(at)]
    if len(held) != 1 or not administers(actor, held[0].path):
        raise AccountNotFound()
    for table in (identities, usernames):
        signs_in = select(table.c.account_id).where(
            table.c.tenant_id == tenant_id, table.c.account_id == account_id
        )
        if await db.scalar(signs_in.limit(1).execution_options(fanout=True)) is not None:
            raise GrantImpossible(why="person")
    if held[0].role not in KEY_ROLES:
        raise GrantImpossible(why="role")
    return account_id, held[0].id


async def call_back(db: AsyncConnection, actor: Actor, key_id: str, *, at: datetime) -> None:
    """Call a key back as an admin. Safe to repeat.

    Raises:
        KeyNotFound: none that the actor administers.
    """
    await queries.prove(db, actor)
    await auth_queries.key(db, actor, key_id)
    await revoke_key(db, actor.tenant.id, key_id, by=actor.account_id, at=at)


async def revoke_key(
    db: AsyncConnection, tenant_id: int, key_id: str, *, by: UUID | None = None, at: datetime
) -> bool:
    """Call a key back: it ends with the commit, in every process. False if it is unknown or ended already."""
    ended = (
        update(api_keys)
        .where(
            api_keys.c.key_id == key_id, api_keys.c.tenant_id == tenant_id, api_keys.c.revoked_at.is_(None)
        )
        .values(revoked_at=at, revoked_by=by)
        .returning(api_keys.c.account_id, api_keys.c.session_id)
    )
    row = (await db.execute(ended)).one_or_none()
    if row is None:
        return False
    return await revoke_sessions(db, tenant_id, row.account_id, session_id=row.session_id, at=at) > 0
