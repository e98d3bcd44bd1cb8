"""API keys of integrations: issued, and called back."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.actions.opening import open_session
from dispatch.domain.refusal import AccountNotFound, GrantUnknown
from dispatch.people import queries
from dispatch.people.actions import revoke_sessions
from dispatch.people.keys import SCOPES, Minted, mint
from dispatch.people.tables import api_keys


async def issue_key(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    grant_id: UUID,
    name: str,
    scopes: Collection[str],
    *,
    expires_at: datetime | None = None,
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
        "expires_at": expires_at,
    }
    await db.execute(api_keys.insert().values(row))
    return minted


async def revoke_key(db: AsyncConnection, tenant_id: int, key_id: str, *, at: datetime) -> bool:
    """Call a key back: it ends with the commit, in every process. False if it is unknown or ended already."""
    found = select(api_keys.c.account_id, api_keys.c.session_id).where(
        api_keys.c.key_id == key_id, api_keys.c.tenant_id == tenant_id
    )
    row = (await db.execute(found)).one_or_none()
    if row is None:
        return False
    return await revoke_sessions(db, tenant_id, row.account_id, session_id=row.session_id, at=at) > 0
