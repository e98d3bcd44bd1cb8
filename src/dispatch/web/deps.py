"""What routes ask for: who calls, a transaction, the time, how the write was asked for."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch import clock
from dispatch.db.engine import Database
from dispatch.db.idempotency import Key
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    AuthRequired,
    GrantRequired,
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    RoleForbidden,
    ScopeMissing,
    TokenInvalid,
)
from dispatch.settings import Settings
from dispatch.web.etag import PERSONAL_CACHE_CONTROL, parse_if_match
from dispatch.web.openapi import BEARER
from dispatch.web.rates import Rates

LONGEST_KEY = 128
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Identity(Protocol):
    """How a token becomes an actor; built by the people slice, installed by ``app.py``."""

    async def identify(
        self, token: str, grant_id: UUID | None, *, use: str | None = None, at: datetime
    ) -> Actor:
        """The actor of a token that is good for this use. Raises: TokenExpired, TokenInvalid, TokenRevoked, GrantUnknown."""

    async def prove(self, db: AsyncConnection, actor: Actor) -> None:
        """Check that the actor's grants still stand. Raises: TokenRevoked."""


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def now() -> datetime:
    """The instant of the request. Tests override this dependency."""
    return clock.now()


Set = Annotated[Settings, Depends(_settings)]
Store = Annotated[Database, Depends(_database)]
Now = Annotated[datetime, Depends(now)]


async def _known(
    request: Request,
    response: Response,
    at: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    x_acting_grant: Annotated[
        UUID | None, Header(description="Id of the grant to act under; needed for writes with several.")
    ] = None,
) -> Actor:
    if bearer is None:
        raise TokenInvalid() if "authorization" in request.headers else AuthRequired()
    response.headers["Cache-Control"] = PERSONAL_CACHE_CONTROL
    identity: Identity = request.app.state.identity
    actor = await identity.identify(bearer.credentials.strip(), x_acting_grant, at=at)
    if actor.scopes is not None and (scope := _scope(request)) not in actor.scopes:
        raise ScopeMissing(scope=scope)
    rates: Rates = request.app.state.rates
    rates.account(actor.tenant.id, actor.account_id, _route(request))
    return actor


def _scope(request: Request) -> str:
    """What an API key needs for the route: its chapter, and whether it reads or writes."""
    route: Any = request.scope["route"]
    return f"{route.tags[0]}:{'read' if request.method in SAFE else 'write'}"


Known = Annotated[Actor, Depends(_known)]
"""Who calls, whichever the grant: for what concerns the account itself."""


async def _prefetching(
    request: Request, response: Response, at: Now, token: Annotated[str, Query(max_length=1024)] = ""
) -> Actor:
    if not token:
        raise AuthRequired()
    response.headers["Cache-Control"] = PERSONAL_CACHE_CONTROL
    identity: Identity = request.app.state.identity
    actor = await identity.identify(token, None, use="prefetch", at=at)
    rates: Rates = request.app.state.rates
    rates.account(actor.tenant.id, actor.account_id, _route(request))
    return actor


Prefetching = Annotated[Actor, Depends(_prefetching)]
"""For whom WeChat's servers fetch the first screen: by a token in the address that is good for nothing else."""


async def _caller(request: Request, actor: Known) -> Actor:
    if request.method not in SAFE and actor.acting is None:
        raise GrantRequired() if actor.grants else RoleForbidden()  # with none left there is none to name
    return actor


Caller = Annotated[Actor, Depends(_caller)]
"""Who calls. Writes act under one grant; reads use the union of those that stand."""


async def _reading(request: Request, actor: Caller, database: Store) -> AsyncIterator[AsyncConnection]:
    async def first(primary: AsyncConnection) -> None:
        await _proven(request, primary, actor)

    async with database.reading_near(first) as db:
        yield db
        await _proven(request, db, actor)


async def _writing(request: Request, actor: Caller, database: Store) -> AsyncIterator[AsyncConnection]:
    async with database.writing() as db:
        yield db
        await _proven(request, db, actor)


async def _writing_own(request: Request, actor: Known, database: Store) -> AsyncIterator[AsyncConnection]:
    async with database.writing() as db:
        yield db
        await _proven(request, db, actor)


async def _proven(request: Request, db: AsyncConnection, actor: Actor) -> None:
    """Hot verbs prove the grants within their first statement; for all others it is done here."""
    if not actor.proven:
        identity: Identity = request.app.state.identity
        await identity.prove(db, actor)


# What Reading reads may come from a replica; what it was told before is in it (Database.reading_near).
Reading = Annotated[AsyncConnection, Depends(_reading, scope="function")]
Writing = Annotated[AsyncConnection, Depends(_writing, scope="function")]
"""One transaction, committed before the first byte of the answer (``scope="function"``: ADR 0002)."""
WritingOwn = Annotated[AsyncConnection, Depends(_writing_own, scope="function")]
"""The same for what concerns the account itself: it needs no grant, and none that is named."""


async def _key(
    request: Request,
    actor: Caller,
    idempotency_key: Annotated[
        str | None, Header(description="Made once per intent, sent again with every retry; kept 8 days.")
    ] = None,
) -> Key | None:
    """The Idempotency-Key in its scope. Accepted bare or as a quoted string (RFC 8941)."""
    if idempotency_key is None:
        return None
    text = idempotency_key.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 1 <= len(text) <= LONGEST_KEY or not text.isascii() or not text.isprintable():
        raise IdempotencyKeyInvalid()
    assert actor.acting is not None  # writes have one
    asked = hashlib.sha256(f"{request.url.path}?{request.url.query}\n".encode() + await request.body())
    return Key(
        tenant_id=actor.tenant.id,
        account_id=actor.account_id,
        grant_id=actor.acting.id,
        route=_route(request),
        key=text,
        body_hash=asked.hexdigest(),
    )


def _route(request: Request) -> str:
    route: Any = request.scope["route"]
    name: str = route.name
    return name[:64]


Keyed = Annotated[Key | None, Depends(_key)]


async def _must_have_key(key: Keyed) -> Key:
    if key is None:
        raise IdempotencyKeyRequired()
    return key


KeyedAlways = Annotated[Key, Depends(_must_have_key)]


async def _match(
    if_match: Annotated[
        str | None, Header(description='The version that the act was meant for, e.g. "7".')
    ] = None,
) -> frozenset[int] | None:
    return parse_if_match(if_match)


Match = Annotated[frozenset[int] | None, Depends(_match)]
