"""Registrations of units and teams over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response, status
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.schemas import NamedOut, ReturnIn
from dispatch.domain.checkin import approves_bodies, receipt
from dispatch.domain.people import BODY_ROLES, Actor
from dispatch.domain.privacy import masked_name, masked_phone
from dispatch.domain.refusal import (
    BodyNotFound,
    CheckinDecided,
    OwnCheckin,
    PeriodsOverlap,
    PlaceNotFound,
    RequestPending,
    TakesInHand,
)
from dispatch.places.queries import ids_of
from dispatch.registering import actions, queries
from dispatch.registering.schemas import BodyLeftOut, Kind, LiaisonOut, RegistrationIn, RegistrationOut, State
from dispatch.web.deps import Caller, Keyed, Now, Reading, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1", tags=["checkin"])

STATE_LABELS = {
    "filed": "待审核",
    "approved": "已通过",
    "returned": "已退回",
    "withdrawn": "已撤回",
    "ended": "已结束",
}


@router.get("/registrations", summary="单位和志愿队报到列表")
async def list_registrations(
    db: Reading,
    caller: Caller,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    kind: Annotated[Kind | None, Query(description="Units or teams only.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RegistrationOut]:
    """Registrations that the caller filed, of the caller's body, or with the caller's places; longest waiting first."""
    query = fingerprint("registrations", state=state, kind=kind)
    after = read_cursor(cursor, query)
    found = await queries.page(
        db, caller, state=state, kind=kind, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.filed_at, row.id))
    return Page(items=[_shown(row, caller) for row in rows], next_cursor=next_cursor)


@router.get("/registrations/{registration_id}", summary="一份单位或志愿队报到")
async def get_registration(db: Reading, caller: Caller, registration_id: IdIn) -> RegistrationOut:
    """One agreement with its liaison, receipt or the reason of its return."""
    return _shown(await queries.registration(db, caller, registration_id), caller)


@router.post(
    "/registrations",
    status_code=status.HTTP_201_CREATED,
    summary="单位或志愿队报到、续报",
    responses=responses(PlaceNotFound, BodyNotFound, RequestPending, PeriodsOverlap),
)
async def file_registration(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, body: RegistrationIn
) -> RegistrationOut:
    """单位报到: with agreement and liaison; with ``body_id`` it renews or moves."""
    done = await actions.file(db, caller, body.model_dump(exclude_none=True), key, at=now)
    return await _answered(db, caller, done, response)


@router.post(
    "/registrations/{registration_id}/approve",
    summary="单位或志愿队报到审核通过",
    responses=responses(OwnCheckin, CheckinDecided, BodyNotFound, PeriodsOverlap),
)
async def approve_registration(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, registration_id: IdIn
) -> RegistrationOut:
    """审核通过: by the party organisation of the community or street; who filed for a new body acts for it."""
    done = await actions.approve(db, caller, registration_id, key, at=now)
    return await _answered(db, caller, done, response)


@router.post(
    "/registrations/{registration_id}/return",
    summary="单位或志愿队报到退回",
    responses=responses(OwnCheckin, CheckinDecided),
)
async def return_registration(
    db: Writing,
    caller: Caller,
    now: Now,
    key: Keyed,
    response: Response,
    registration_id: IdIn,
    body: ReturnIn,
) -> RegistrationOut:
    """退回: with a reason."""
    done = await actions.return_(db, caller, registration_id, body.text, key, at=now)
    return await _answered(db, caller, done, response)


@router.post(
    "/registrations/{registration_id}/withdraw",
    summary="撤回单位或志愿队报到",
    responses=responses(CheckinDecided),
)
async def withdraw_registration(
    db: Writing, caller: Caller, now: Now, registration_id: IdIn
) -> RegistrationOut:
    """撤回: what one filed and nobody has decided; safe to repeat."""
    await actions.withdraw(db, caller, registration_id, at=now)
    return _shown(await queries.registration(db, caller, registration_id), caller)


@router.post("/bodies/{body_id}/leave", summary="单位或志愿队退出", responses=responses(TakesInHand))
async def leave_registration(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, body_id: IdIn
) -> BodyLeftOut:
    """退出: the body serves no more; by its admin or lead, or by those who approve."""
    id, replayed = await actions.leave(db, caller, body_id, key, at=now)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return BodyLeftOut(body_id=id, state="ended")


async def _answered(
    db: AsyncConnection, caller: Actor, done: tuple[UUID, bool], response: Response
) -> RegistrationOut:
    id, replayed = done
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return _shown(await queries.registration(db, caller, id), caller)


def _shown(row: Any, caller: Actor) -> RegistrationOut:
    whole = _sees_liaisons(row, caller)
    return RegistrationOut(
        id=row.id,
        kind=row.kind,
        state=row.state,
        state_label=STATE_LABELS[row.state],
        receipt=receipt(row.day, row.serial) if row.day else None,
        name=row.name,
        place=NamedOut(id=row.place_id, name=row.place_name),
        body_id=row.body_id,
        from_on=row.from_on,
        until_on=row.until_on,
        document=row.document,
        liaisons=[
            LiaisonOut(
                name=line["name"] if whole else masked_name(line["name"]),
                phone=line["phone"] if whole else masked_phone(line["phone"]),
                duty=line.get("duty"),
            )
            for line in queries.liaisons_of(row)
        ],
        filed_at=row.filed_at.astimezone(caller.tenant.zone),
        decided_at=row.decided_at.astimezone(caller.tenant.zone) if row.decided_at else None,
        reason=row.text,
    )


def _sees_liaisons(row: Any, caller: Actor) -> bool:
    """Liaison persons are named to be called: by the body's own people and by those who approve."""
    own = any(grant.role in BODY_ROLES and grant.body_id == row.body_id for grant in caller.grants)
    path = ids_of(row.path)
    approves = any(approves_bodies(caller.narrowed(grant), path) for grant in caller.grants)
    return own or approves or row.filed_by == caller.account_id
