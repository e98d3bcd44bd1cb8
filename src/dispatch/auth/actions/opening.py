"""Sessions: opened once, renewed by a chain of refresh tokens, ended at once.

Refresh tokens are not stored: each is made from the one before it, or from its session, with the key that
signs, and only its hash is kept. So whoever asks again within the grace gets the very same token, ten
parallel calls end with one chain, and a copy that is used later gives itself away.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.tables import refresh_tokens
from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.domain.people import Actor
from dispatch.domain.refusal import TokenExpired, TokenInvalid, TokenRevoked
from dispatch.domain.sessions import GRACE, SAME_CODE, Renewal, renewal, reused
from dispatch.people import queries
from dispatch.people.actions import revoke_sessions
from dispatch.people.queries import Person
from dispatch.people.tables import sessions
from dispatch.people.tokens import PREFETCH, PREFETCH_LIFE, Claims, Keys, write_token

REFRESH_PREFIX = "sdzr_"


@dataclass(frozen=True, slots=True)
class Signing:
    """What tokens are made with: the keys, and the life of an access token in seconds."""

    keys: Keys
    seconds: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session's tokens and whose they are. ``refresh_token`` is None where a session is not renewed."""

    token: str
    expires_in: int
    refresh_token: str | None
    refresh_expires_in: int | None
    person: Person


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its tokens need it."""

    id: UUID
    created_at: datetime
    device_hash: str | None


def hashed(text: str | None) -> str | None:
    """sha256, for what must be found again and not be read."""
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


async def open_session(
    db: AsyncConnection,
    person: Person,
    kind: str,
    *,
    appid: str | None = None,
    device_hash: str | None = None,
    at: datetime,
) -> Session:
    """Open a session. The tokens come from ``issue``."""
    session = Session(new_id(), at, device_hash)
    row = {
        "tenant_id": person.tenant.id,
        "id": session.id,
        "account_id": person.account_id,
        "kind": kind,
        "appid": appid,
        "device_hash": device_hash,
        "created_at": at,
    }
    await db.execute(sessions.insert().values(row))
    return session


def prefetch_token(actor: Actor, signing: Signing, *, at: datetime) -> str:
    """A token that opens the first screen and nothing else; it ends with the session, or after a day."""
    assert actor.session_id is not None  # whoever calls has one
    claims = Claims(
        actor.account_id, actor.tenant.id, actor.session_id, actor.version, at, at + PREFETCH_LIFE
    )
    return write_token(claims, signing.keys.signing, use=PREFETCH)


async def issue(
    db: AsyncConnection, person: Person, session: Session, signing: Signing, *, at: datetime
) -> SignedIn:
    """The first tokens of a session. Asked again within ``SAME_CODE`` it gives the same ones.

    The access token lives that much longer than it says, so the word holds for the last who asked too; but no longer
    than the session.
    """
    refresh = _made(signing, f"first\n{session.id}")
    return await _signed(db, person, session, signing, refresh, begun=session.created_at, at=at)


async def _signed(
    db: AsyncConnection,
    person: Person,
    session: Session,
    signing: Signing,
    refresh: str,
    *,
    begun: datetime,
    at: datetime,
) -> SignedIn:
    lives, rule = timedelta(seconds=signing.seconds), rule_for(person, at=at)
    ends = rule.within(session.created_at, begun + lives + SAME_CODE)
    claims = Claims(person.account_id, person.tenant.id, session.id, person.version, begun, ends)
    token, seconds = write_token(claims, signing.keys.signing), int(min(lives, ends - begun).total_seconds())
    unbound = rule.device_bound and session.device_hash is None
    # A session that is not renewed has a link too, which nobody is told: with it the session goes (timers.py).
    until = ends if unbound else rule.until(session.created_at, begun)
    row = {
        "token_hash": hashed(refresh),
        "tenant_id": person.tenant.id,
        "account_id": person.account_id,
        "session_id": session.id,
        "expires_at": until,
    }
    await insert_or_ignore(db, refresh_tokens, [row])
    if unbound:
        return SignedIn(token, seconds, None, None, person)
    return SignedIn(token, seconds, refresh, int((until - begun).total_seconds()), person)


def rule_for(person: Person, *, at: datetime) -> Renewal:
    """How the person's sessions are renewed, by the grants that stand."""
    return renewal({grant.role for grant in person.grants if grant.stands(at)})


def _made(signing: Signing, source: str) -> str:
    said = hmac.digest(signing.keys.signing.encode(), b"refresh\n" + source.encode(), "sha256")
    return REFRESH_PREFIX + base64.urlsafe_b64encode(said).decode().rstrip("=")


async def renew(
    db: AsyncConnection, token: str, *, device_hash: str | None, signing: Signing, at: datetime
) -> SignedIn | None:
    """Use a refresh token: it is replaced by the next of its chain.

    Returns:
        The new tokens; None when the token was used longer ago than the grace, or from another device: it
        was copied, and the session is ended in this transaction.

    Raises:
        TokenInvalid: none of ours.
        TokenExpired: it has run out.
        TokenRevoked: the session or the account has ended, or may not be renewed any more.
    """
    token_hash = hashed(token)
    table = refresh_tokens.c
    # The row is locked: of many that come at once the second sees what the first has written.
    used = (
        update(refresh_tokens)
        .where(
            table.token_hash == token_hash,
            table.expires_at > at,
            or_(table.used_at.is_(None), table.used_at > at - GRACE),
        )
        .values(used_at=func.coalesce(table.used_at, at))
        .returning(table.tenant_id, table.account_id, table.session_id)
    )
    row = (await db.execute(used)).one_or_none()
    if row is None:
        await _not_good(db, token_hash, at=at)
        return None
    person = await queries.person(db, row.tenant_id, row.account_id, row.session_id)
    session = await _session(db, row.tenant_id, row.session_id)
    if person is None or session is None:
        raise TokenRevoked()
    if session.device_hash is not None and session.device_hash != device_hash:
        await revoke_sessions(db, row.tenant_id, row.account_id, session_id=session.id, at=at)
        return None
    if rule_for(person, at=at).until(session.created_at, at) <= at:
        raise TokenExpired()
    renewed = await _signed(db, person, session, signing, _made(signing, f"next\n{token}"), begun=at, at=at)
    if renewed.refresh_token is None:
        raise TokenRevoked()  # whose work has become a worker's signs in from a device once
    return renewed


async def _not_good(db: AsyncConnection, token_hash: str | None, *, at: datetime) -> None:
    """Why a refresh token did not serve; a used one ends its session."""
    row = (
        await db.execute(select(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash))
    ).one_or_none()
    if row is None:
        raise TokenInvalid()
    if not reused(row.used_at, at=at):
        raise TokenExpired()
    await revoke_sessions(db, row.tenant_id, row.account_id, session_id=row.session_id, at=at)


async def _session(db: AsyncConnection, tenant_id: int, session_id: UUID) -> Session | None:
    rows = select(sessions.c.id, sessions.c.created_at, sessions.c.device_hash).where(
        sessions.c.tenant_id == tenant_id, sessions.c.id == session_id, sessions.c.revoked_at.is_(None)
    )
    row = (await db.execute(rows)).one_or_none()
    return None if row is None else Session(row.id, row.created_at, row.device_hash)
