"""Giving, revoking and lending roles. The next request of whoever is concerned already knows it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.idempotency import Key, claim, kept
from dispatch.domain.granting import delegating_refusal, giving_refusal, revoking_refusal
from dispatch.domain.people import Actor, Grant, Role
from dispatch.domain.refusal import AccountNotFound, GrantImpossible, IdempotencyInProgress
from dispatch.grants import queries
from dispatch.people import actions as people
from dispatch.people.queries import hold, prove
from dispatch.places.queries import ids_of

Data = Mapping[str, Any]
Act = Any
ATTEMPTS = 2


async def _once(
    db: AsyncConnection, actor: Actor, key: Key | None, act: Act, *, at: datetime
) -> tuple[UUID, bool]:
    """Do it under the key, or answer with what it led to. Returns the grant's id and whether it is a replay."""
    for _ in range(ATTEMPTS):
        await prove(db, actor)
        if done := await kept(db, key):
            return UUID(done.outcome["grant_id"]), True
        grant_id = await act()
        outcome = {"grant_id": str(grant_id)}
        if await claim(db, key, status=200, order_id=None, outcome=outcome, at=at):
            return grant_id, False
        await start_over(db)
    raise IdempotencyInProgress()


async def give(
    db: AsyncConnection, actor: Actor, data: Data, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """Give an account a role at a place or for a body. One that it has already is found, not doubled.

    ``data``: account_id, role, place_id or body_id, valid_from, valid_to.

    Raises:
        RoleForbidden: the actor is no admin there.
        GrantImpossible: to oneself, a role that does not fit, or a membership for a time.
        AccountNotFound, PlaceNotFound, BodyNotFound: no such.
    """

    async def act() -> UUID:
        account_id, role = data["account_id"], Role(data["role"])
        place_id, body_id = data.get("place_id"), data.get("body_id")
        path, place_kind, body_kind = await queries.where(db, actor.tenant.id, place_id, body_id)
        refusal = giving_refusal(actor, account_id, role, path, body_kind=body_kind, place_kind=place_kind)
        if refusal:
            raise refusal
        start, end = data.get("valid_from") or at, data.get("valid_to")
        if role is Role.MEMBER and not data.keys().isdisjoint(("valid_from", "valid_to")):
            raise GrantImpossible(why="period")  # a membership begins now, and ends by exit or lapse
        if start < at or (end is not None and end <= start):
            raise GrantImpossible(why="period")
        if not await hold(db, actor.tenant.id, account_id):
            raise AccountNotFound()
        if end is None and start == at:
            there = await queries.same(db, actor.tenant.id, account_id, role, place_id, body_id, at=at)
            if there is not None:
                return there
        if role is Role.MEMBER:
            assert place_id is not None
            return await people.add_member(db, actor.tenant.id, account_id, place_id, at=at)
        return await people.grant(
            db,
            actor.tenant.id,
            account_id,
            role,
            place_id=place_id,
            body_id=body_id,
            valid_from=start,
            valid_to=end,
            given_by=actor.account_id,
            at=at,
        )

    return await _once(db, actor, key, act, at=at)


async def revoke(
    db: AsyncConnection, actor: Actor, grant_id: UUID, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """End a grant and what was lent of it. Safe to repeat.

    Raises:
        GrantNotFound: none of the actor's business.
        RoleForbidden: neither admin there, nor its holder, nor who lent it.
    """

    async def act() -> UUID:
        row = await queries.grant(db, actor, grant_id)
        refusal = revoking_refusal(actor, row.account_id, row.lender_id, ids_of(row.path or ""))
        if refusal:
            raise refusal
        stood = await people.revoke_grant(db, actor.tenant.id, grant_id, at=at)
        if stood and row.role == Role.MEMBER:
            with suppress(AccountNotFound):  # the grant may stand without a membership
                await people.end_membership(db, actor.tenant.id, row.account_id, at=at)
        return grant_id

    return await _once(db, actor, key, act, at=at)


async def delegate(
    db: AsyncConnection, actor: Actor, grant_id: UUID, data: Data, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """Lend a grant to another account for a time. Returns the lent grant.

    ``data``: account_id, valid_from, valid_to.

    Raises:
        GrantNotFound, AccountNotFound: no such.
        RoleForbidden: it is another's.
        GrantImpossible: ``why`` own, role, ended or period.
    """

    async def act() -> UUID:
        row = await queries.grant(db, actor, grant_id)
        start, end = data.get("valid_from") or at, data["valid_to"]
        lent = Grant(row.id, Role(row.role), row.place_id, valid_from=row.valid_from, valid_to=row.valid_to)
        refusal = delegating_refusal(
            actor,
            lent,
            row.account_id,
            data["account_id"],
            ids_of(row.path or ""),
            delegated=row.delegated_from is not None,
            start=start,
            end=end,
            at=at,
        )
        if refusal:
            raise refusal
        if not await hold(db, actor.tenant.id, data["account_id"]):
            raise AccountNotFound()
        return await people.grant(
            db,
            actor.tenant.id,
            data["account_id"],
            lent.role,
            place_id=row.place_id,
            body_id=row.body_id,
            valid_from=start,
            valid_to=end,
            delegated_from=row.id,
            given_by=actor.account_id,
            at=at,
        )

    return await _once(db, actor, key, act, at=at)
