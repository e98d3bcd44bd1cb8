"""Tokens: what they say, and who stands behind them.

A token vouches for one version of an account's grants. What that version meant is remembered in the
process for a while; that it still stands is proven by the request's first statement (``queries.proof``),
so a revocation holds at once in every process although nothing tells them.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.domain.people import Actor
from dispatch.domain.refusal import GrantUnknown, TokenExpired, TokenInvalid, TokenRevoked
from dispatch.people import queries
from dispatch.people.queries import Person
from dispatch.settings import Settings

ALGORITHM = "HS256"
REMEMBERED = timedelta(seconds=30)
"""How long names, labels and places behind a version are taken for fresh."""
MOST_REMEMBERED = 10_000
"""Accounts remembered per process (a reference district has 4,833 members, product decision §1); about 2 KB each."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    account_id: UUID
    tenant_id: int
    session_id: UUID
    version: int
    issued_at: datetime
    expires_at: datetime


def write_token(claims: Claims, key: str) -> str:
    """A signed token. The same claims give the same token. Instants are cut to whole seconds."""
    said = {
        "sub": str(claims.account_id),
        "tid": claims.tenant_id,
        "sid": str(claims.session_id),
        "gv": claims.version,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
    }
    return jwt.encode(said, key, algorithm=ALGORITHM)


def read_token(token: str, key: str, *, at: datetime) -> Claims:
    """What a token says, if it is ours and has not run out.

    Raises:
        TokenInvalid: damaged, or signed by somebody else.
        TokenExpired: it has run out.
    """
    try:
        # The time is the request's: PyJWT would read the clock itself.
        said = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            options={"verify_exp": False, "verify_iat": False, "require": ["exp"]},
        )
        claims = _claims(said, at)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise TokenInvalid() from None
    if claims.expires_at <= at:
        raise TokenExpired()
    return claims


def _claims(said: dict[str, Any], at: datetime) -> Claims:
    tenant_id, version = said["tid"], said["gv"]
    if type(tenant_id) is not int or type(version) is not int:
        raise ValueError("no numbers")
    return Claims(
        account_id=UUID(said["sub"]),
        tenant_id=tenant_id,
        session_id=UUID(said["sid"]),
        version=version,
        issued_at=datetime.fromtimestamp(said["iat"], at.tzinfo),
        expires_at=datetime.fromtimestamp(said["exp"], at.tzinfo),
    )


class Identifier:
    """Turns tokens into actors.

    State: what the latest versions of up to ``MOST_REMEMBERED`` accounts meant, the longest unused
    forgotten first. Entries are whole and replaced whole, so concurrent requests need no lock.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._key = settings.session_key.get_secret_value()
        self._known: OrderedDict[tuple[int, UUID, int], tuple[datetime, Person]] = OrderedDict()

    async def identify(self, token: str, grant_id: UUID | None, *, at: datetime) -> Actor:
        """The actor of a token, under one grant if ``grant_id`` names it or only one stands.

        Raises:
            TokenExpired: the token has run out.
            TokenInvalid: it is not one of ours.
            TokenRevoked: the grants have changed since, or the account is gone.
            GrantUnknown: the named grant is another's, has ended or has not begun.
        """
        claims = read_token(token, self._key, at=at)
        person = await self._person(claims, at=at)
        standing = tuple(grant for grant in person.grants if grant.stands(at))
        acting = standing[0] if len(standing) == 1 else None
        if grant_id is not None:
            acting = next((grant for grant in standing if grant.id == grant_id), None)
            if acting is None:
                # Perhaps the grant has ended and the token with it: then the token is what is wrong.
                await self._still(claims)
                raise GrantUnknown()
            standing = (acting,)
        return Actor(person.account_id, person.name, person.tenant, standing, acting, claims.version)

    async def prove(self, db: AsyncConnection, actor: Actor) -> None:
        """Check that the actor's grants still stand. Raises: TokenRevoked."""
        await queries.prove(db, actor)

    async def _person(self, claims: Claims, *, at: datetime) -> Person:
        key = (claims.tenant_id, claims.account_id, claims.version)
        known = self._known.get(key)
        if known is not None and abs(at - known[0]) < REMEMBERED:
            self._known.move_to_end(key)
            return known[1]
        person = await self._still(claims)
        self._known[key] = (at, person)
        self._known.move_to_end(key)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return person

    async def _still(self, claims: Claims) -> Person:
        async with self._database.reading() as db:
            person = await queries.person(db, claims.tenant_id, claims.account_id)
        if person is None or person.version != claims.version:
            raise TokenRevoked()
        return person
