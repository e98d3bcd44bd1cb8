"""What signing in leaves behind, and when it goes."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.tables import login_codes, oidc_attempts, phone_codes, refresh_tokens, tries
from dispatch.db.engine import Database
from dispatch.db.tenants import tenant_ids
from dispatch.domain.keeping import RECORD_DAYS
from dispatch.domain.throttle import PER_ADDRESS, PER_LOGIN, PER_PHONE, PER_SENDER
from dispatch.people.tables import api_keys, sessions
from dispatch.people.tokens import PREFETCH_LIFE
from dispatch.wechat.tables import wechat_pushes

SHORT = timedelta(hours=1)
"""Codes and attempts: they are good for minutes."""
PUSHES_KEPT = timedelta(days=30)
"""After this no repeat of a message comes any more."""
RAW_KEPT = timedelta(days=3)
"""The message itself names an openid; it was acted on long before."""
REVOKED_KEPT = timedelta(days=2)
"""An ended session must be found as long as a token made for it may run (a day and a minute at most)."""
LINKS_KEPT = PREFETCH_LIFE + SHORT
"""How long a link of a chain is kept after its end; with the last one goes the session, and no token for it runs then."""
AT_ONCE = 1000
"""Sessions deleted by one statement."""


async def forget(database: Database, at: datetime) -> None:
    """Drop what has run out. A used refresh token stays until its end: only so is a copy recognised."""
    async with database.writing() as db:
        await db.execute(delete(login_codes).where(login_codes.c.claimed_at < at - SHORT))
        await db.execute(delete(oidc_attempts).where(oidc_attempts.c.created_at < at - SHORT))
        await db.execute(delete(wechat_pushes).where(wechat_pushes.c.received_at < at - PUSHES_KEPT))
        told = wechat_pushes.c.received_at < at - RAW_KEPT, wechat_pushes.c.raw.is_not(None)
        await db.execute(update(wechat_pushes).where(*told).values(raw=None))
        lapsed = await _lapsed(db, at)
        for throttle in (PER_LOGIN, PER_ADDRESS, PER_SENDER, PER_PHONE):
            past = tries.c.number < throttle.number(at)
            await db.execute(delete(tries).where(tries.c.kind == throttle.kind, past))
        for tenant_id in await tenant_ids(db):
            # A key's session stays: the key has no end of its own that would make it harmless.
            stale = phone_codes.c.tenant_id == tenant_id, phone_codes.c.sent_at < at - SHORT
            await db.execute(delete(phone_codes).where(*stale))
            over = sessions.c.revoked_at < at - REVOKED_KEPT, sessions.c.kind != "key"
            await db.execute(delete(sessions).where(sessions.c.tenant_id == tenant_id, *over))
            await _end(db, tenant_id, lapsed.get(tenant_id, []))
        # Who made which key, and who called it back, is on record as long as who looked at what.
        ended = or_(api_keys.c.expires_at < at - RECORD_DAYS, api_keys.c.revoked_at < at - RECORD_DAYS)
        gone = select(api_keys.c.key_id).where(ended)
        await db.execute(delete(api_keys).where(api_keys.c.key_id.in_(gone)))


async def _lapsed(db: AsyncConnection, at: datetime) -> dict[int, list[UUID]]:
    """Drop old links of chains. Returns the sessions, by tenant, whose last link that was: nobody used it in time."""
    links = refresh_tokens.c
    gone = delete(refresh_tokens).where(links.expires_at < at - LINKS_KEPT)
    lapsed: dict[int, list[UUID]] = {}
    for row in await db.execute(gone.returning(links.tenant_id, links.session_id, links.used_at)):
        if row.used_at is None:
            lapsed.setdefault(row.tenant_id, []).append(row.session_id)
    return lapsed


async def _end(db: AsyncConnection, tenant_id: int, ids: list[UUID]) -> None:
    """Delete sessions that lapsed; those that were revoked stay as long as any revoked one."""
    for first in range(0, len(ids), AT_ONCE):
        some = sessions.c.id.in_(ids[first : first + AT_ONCE]), sessions.c.revoked_at.is_(None)
        await db.execute(delete(sessions).where(sessions.c.tenant_id == tenant_id, *some))
