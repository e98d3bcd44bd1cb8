"""Giving and lending roles over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response, status
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import ROLE_LABELS, Actor, Role
from dispatch.domain.refusal import AccountNotFound, BodyNotFound, GrantImpossible, PlaceNotFound
from dispatch.grants import actions, queries
from dispatch.grants.schemas import DelegateIn, GivenOut, GrantIn
from dispatch.people.schemas import BodyOut, GrantPlaceOut
from dispatch.web.deps import Caller, Keyed, Now, Reading, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1/grants", tags=["grants"])


@router.get("")
async def list_grants(
    db: Reading,
    caller: Caller,
    now: Now,
    account_id: Annotated[IdIn | None, Query(description="Of this account only.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[GivenOut]:
    """Grants that the caller holds, lent or administers, newest first; ended ones included."""
    query = fingerprint("grants", account=account_id)
    after = read_cursor(cursor, query)
    found = await queries.page(
        db, caller, account_id=account_id, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.valid_from, row.id))
    return Page(items=[_shown(row, caller, at=now) for row in rows], next_cursor=next_cursor)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=responses(AccountNotFound, PlaceNotFound, BodyNotFound, GrantImpossible),
)
async def give_grant(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, body: GrantIn
) -> GivenOut:
    """授权: give an account a role; an admin, in his place, not to himself."""
    done = await actions.give(db, caller, body.model_dump(exclude_none=True), key, at=now)
    return await _answered(db, caller, done, response, at=now)


@router.post("/{grant_id}/revoke")
async def revoke_grant(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, grant_id: IdIn
) -> GivenOut:
    """End a grant and whatever was lent of it; it holds from the next request on."""
    done = await actions.revoke(db, caller, grant_id, key, at=now)
    return await _answered(db, caller, done, response, at=now)


@router.post(
    "/{grant_id}/delegate",
    status_code=status.HTTP_201_CREATED,
    responses=responses(AccountNotFound, GrantImpossible),
)
async def delegate_grant(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, grant_id: IdIn, body: DelegateIn
) -> GivenOut:
    """代班: lend a grant to another account for a time; its holder, or an admin."""
    done = await actions.delegate(db, caller, grant_id, body.model_dump(exclude_none=True), key, at=now)
    return await _answered(db, caller, done, response, at=now)


async def _answered(
    db: AsyncConnection, caller: Actor, done: tuple[UUID, bool], response: Response, *, at: datetime
) -> GivenOut:
    grant_id, replayed = done
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return _shown(await queries.grant(db, caller, grant_id), caller, at=at)


def _shown(row: Any, actor: Actor, *, at: datetime) -> GivenOut:
    zone = actor.tenant.zone
    return GivenOut(
        id=row.id,
        account_id=row.account_id,
        account_name=row.account_name,
        role=Role(row.role),
        role_label=ROLE_LABELS[Role(row.role)],
        place=GrantPlaceOut(id=row.place_id, name=row.place_name, kind=row.place_kind)
        if row.place_id
        else None,
        body=BodyOut(kind=row.body_kind, id=row.body_id, name=row.body_name) if row.body_id else None,
        valid_from=row.valid_from.astimezone(zone),
        valid_to=row.valid_to.astimezone(zone) if row.valid_to else None,
        delegated_from=row.delegated_from,
        given_by=row.given_by,
        stands=row.valid_from <= at and (row.valid_to is None or at < row.valid_to),
    )
