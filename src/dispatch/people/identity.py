"""Who stands behind a token or an API key.

A token vouches for one version of an account's grants. What that version meant is remembered in the
process for a while; that it and the session still stand is proven by the request's first statement
(``queries.proof``), so a revocation holds at once in every process although nothing tells them.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.domain.people import Actor
from dispatch.domain.refusal import GrantUnknown, TokenExpired, TokenInvalid, TokenRevoked
from dispatch.people import keys, queries
from dispatch.people.queries import Person
from dispatch.people.tables import api_keys
from dispatch.people.tokens import Claims, Keys, read_token
from dispatch.settings import Settings

REMEMBERED = timedelta(seconds=30)
"""How long names, labels and places behind a version are taken for fresh."""
MOST_REMEMBERED = 10_000
"""Accounts remembered per process (a reference district has 4,833 members, product decision §1); about 2 KB each."""
MOST_READ = 10_000
"""Tokens of which the process knows what they say; about 1 KB each."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Who stands behind a credential, as it was seen at an instant."""

    seen_at: datetime
    person: Person
    session_id: UUID
    grant_id: UUID | None = None
    scopes: frozenset[str] | None = None
    expires_at: datetime | None = None


class Identifier:
    """Turns tokens and API keys into actors.

    State: what the latest versions of up to ``MOST_REMEMBERED`` accounts meant, the longest unused
    forgotten first; and what the last ``MOST_READ`` tokens say, whose signatures hold. Entries are whole
    and replaced whole, so concurrent requests need no lock.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._keys = Keys(settings.session_keys)
        self._remembered: OrderedDict[Hashable, _Known] = OrderedDict()
        self._read: OrderedDict[tuple[str, str | None], Claims] = OrderedDict()

    async def identify(
        self, token: str, grant_id: UUID | None, *, use: str | None = None, at: datetime
    ) -> Actor:
        """The actor of a token or key, under one grant if ``grant_id`` names it or only one stands.

        Raises:
            TokenExpired: the token has run out.
            TokenInvalid: it is not one of ours, or not for this use.
            TokenRevoked: the grants have changed since, or the account or the session is gone.
            GrantUnknown: the named grant is another's, has ended or has not begun.
        """
        a_key = token.startswith(keys.PREFIX) and use is None
        claims = None if a_key else self._claims(token, use, at)
        known = await (self._behind_key(token, at=at) if claims is None else self._behind(claims, at=at))
        person = known.person
        standing = tuple(grant for grant in person.grants if grant.stands(at))
        if known.grant_id is not None:  # a key is made for one grant
            standing = tuple(grant for grant in standing if grant.id == known.grant_id)
        acting = standing[0] if len(standing) == 1 else None
        if grant_id is not None:
            acting = next((grant for grant in standing if grant.id == grant_id), None)
            if acting is None:
                # Perhaps the grant has ended and the token with it: then the token is what is wrong.
                if claims is not None:
                    await self._still(claims)
                raise GrantUnknown()
            standing = (acting,)
        return Actor(
            person.account_id,
            person.name,
            person.tenant,
            standing,
            acting,
            person.version,
            session_id=known.session_id,
            scopes=known.scopes,
        )

    async def prove(self, db: AsyncConnection, actor: Actor) -> None:
        """Check that the actor's grants and session still stand. Raises: TokenRevoked."""
        await queries.prove(db, actor)

    def _claims(self, token: str, use: str | None, at: datetime) -> Claims:
        """What a token says; its signature is checked once. Raises: TokenInvalid, TokenExpired."""
        key = (token, use)
        claims = self._read.get(key)
        if claims is None:
            claims = self._read[key] = read_token(token, self._keys, use=use, at=at)
            if len(self._read) > MOST_READ:
                self._read.popitem(last=False)
        elif claims.expires_at <= at:
            raise TokenExpired()
        return claims

    async def _behind(self, claims: Claims, *, at: datetime) -> _Known:
        key = (claims.tenant_id, claims.account_id, claims.version)
        known = self._recall(key, at)
        if known is None:
            known = self._remember(key, _Known(at, await self._still(claims), claims.session_id))
        # Several sessions share what is remembered of their account; each is proven by itself.
        return _Known(known.seen_at, known.person, claims.session_id)

    async def _still(self, claims: Claims) -> Person:
        async with self._database.reading() as db:
            person = await queries.person(db, claims.tenant_id, claims.account_id, claims.session_id)
        if person is None or person.version != claims.version:
            raise TokenRevoked()
        return person

    async def _behind_key(self, key: str, *, at: datetime) -> _Known:
        key_id, secret_hash = keys.parted(key)
        known = self._recall((key_id, secret_hash), at)
        if known is None:
            found = await self._looked_up(key_id, secret_hash, at=at)
            known = self._remember((key_id, secret_hash), found)
        if known.expires_at is not None and known.expires_at <= at:
            raise TokenExpired()
        return known

    async def _looked_up(self, key_id: str, secret_hash: str, *, at: datetime) -> _Known:
        async with self._database.reading() as db:
            row = (await db.execute(select(api_keys).where(api_keys.c.key_id == key_id))).one_or_none()
            if row is None or not keys.same(row.secret_hash, secret_hash):
                raise TokenInvalid()
            person = await queries.person(db, row.tenant_id, row.account_id, row.session_id)
        if person is None:
            raise TokenRevoked()
        return _Known(at, person, row.session_id, row.grant_id, frozenset(row.scopes), row.expires_at)

    def _recall(self, key: Hashable, at: datetime) -> _Known | None:
        known = self._remembered.get(key)
        if known is None or abs(at - known.seen_at) >= REMEMBERED:
            return None
        self._remembered.move_to_end(key)
        return known

    def _remember(self, key: Hashable, known: _Known) -> _Known:
        self._remembered[key] = known
        self._remembered.move_to_end(key)
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return known
