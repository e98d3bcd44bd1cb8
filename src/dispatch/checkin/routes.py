"""Check-ins over HTTP: the member's own, the community's desk, and who belonged where."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin import queries
from dispatch.checkin.actions import deciding, filing
from dispatch.checkin.schemas import (
    ApproveIn,
    BelongedOut,
    BelongingOut,
    CheckinIn,
    CheckinOut,
    EndedOut,
    FormOut,
    HoursIn,
    LeaveIn,
    LeaveOut,
    MemberOut,
    MemberViewOut,
    MyCheckinOut,
    NamedOut,
    PartyOut,
    ReturnIn,
)
from dispatch.domain.checkin import receipt
from dispatch.domain.people import ROLE_LABELS, SCOPED_ROLES, Actor, Role
from dispatch.domain.privacy import KNOWS, masked_name, masked_phone
from dispatch.domain.refusal import (
    BodyNotFound,
    ChangedMeanwhile,
    CheckinDecided,
    CheckinNotFound,
    NotCheckedIn,
    OwnCheckin,
    PeriodsOverlap,
    PlaceNotFound,
    RoleForbidden,
    TakesInHand,
)
from dispatch.people.tables import FOREVER
from dispatch.places.queries import below, ids_of, path_of
from dispatch.web.deps import Caller, Keyed, Known, Match, Now, Reading, Writing, WritingOwn
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import DateIn, IdIn

router = APIRouter(prefix="/v1", tags=["checkin"])

STATE_LABELS = {"filed": "待审核", "approved": "已通过", "returned": "已退回", "withdrawn": "已撤回"}
MEMBER_LABELS = {"active": "在册", "lapsed": "未续报", "suspended": "已暂停", "ended": "已退出"}


# The member's own


@router.get("/me/checkin", summary="我的报到")
async def get_checkin(db: Reading, caller: Caller) -> MyCheckinOut:
    """我的报到: what stands, the newest filing with its receipt or the reason of its return, and the past."""
    return await _mine(db, caller)


@router.put("/me/checkin", summary="填写报到单", responses=responses(PlaceNotFound, BodyNotFound))
async def put_checkin(db: WritingOwn, caller: Known, now: Now, match: Match, body: CheckinIn) -> MyCheckinOut:
    """《在职报到单》: file the form, over the one that waits; what stands holds until the community approves.

    With another community it is a transfer. ``If-Match`` holds against the version of the newest filing.
    """
    await filing.file(db, caller, body.told(), match, at=now)
    return await _mine(db, caller)


@router.post(
    "/me/checkin/withdraw", summary="撤回报到单", responses=responses(CheckinNotFound, CheckinDecided)
)
async def withdraw_checkin(db: WritingOwn, caller: Known, now: Now) -> MyCheckinOut:
    """撤回: take the form back that waits; safe to repeat."""
    await filing.withdraw(db, caller, at=now)
    return await _mine(db, caller)


@router.post("/me/checkin/renew", summary="续报", responses=responses(NotCheckedIn))
async def renew_checkin(db: WritingOwn, caller: Known, now: Now) -> MyCheckinOut:
    """续报: all stands as it was told, for another half-year; lifts a lapse; safe to repeat."""
    await filing.renew(db, caller, at=now)
    return await _mine(db, caller)


@router.put("/me/checkin/hours", summary="更新空闲时间和上限", responses=responses(NotCheckedIn))
async def put_hours(db: WritingOwn, caller: Known, body: HoursIn) -> MyCheckinOut:
    """When one is free, which languages one speaks, how much one wants at most; it holds at once."""
    await filing.change_hours(db, caller, body.told())
    return await _mine(db, caller)


@router.post("/me/checkin/leave", summary="退出报到", responses=responses(NotCheckedIn, TakesInHand))
async def leave_community(db: WritingOwn, caller: Known, now: Now) -> MyCheckinOut:
    """退出: belong nowhere any more; what was done stays."""
    await filing.leave(db, caller, at=now)
    return await _mine(db, caller)


@router.post("/me/leaves", summary="请假", responses=responses(NotCheckedIn))
async def take_leave(db: WritingOwn, caller: Known, now: Now, body: LeaveIn) -> MyCheckinOut:
    """请假: neither offered nor matched on these days."""
    await filing.take_leave(db, caller, body.first_day, body.last_day, at=now)
    return await _mine(db, caller)


@router.delete("/me/leaves/{first_day}", summary="销假", responses=responses(NotCheckedIn))
async def end_leave(db: WritingOwn, caller: Known, now: Now, first_day: DateIn) -> MyCheckinOut:
    """销假: give a leave up, from today on or altogether; safe to repeat."""
    await filing.end_leave(db, caller, first_day, at=now)
    return await _mine(db, caller)


@router.get("/me/checkin/views", summary="谁看过我的报到电话")
async def list_member_views(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[MemberViewOut]:
    """谁看过: who had the caller's phone out of a roster, for what; newest first."""
    query = fingerprint("member-views")
    after = read_cursor(cursor, query)
    found = await queries.views(db, caller, after=(after.at, after.id) if after else None, limit=limit)
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.at, row.id))
    return Page(items=[_view(row, caller) for row in rows], next_cursor=next_cursor)


# The community's desk


@router.get("/checkins", summary="报到审核列表", responses=responses(PlaceNotFound))
async def list_checkins(
    db: Reading,
    caller: Caller,
    state: Annotated[
        Literal["filed", "approved", "returned", "withdrawn"] | None, Query(description="Only in this state.")
    ] = None,
    place_id: Annotated[IdIn | None, Query(description="At this place and below.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[CheckinOut]:
    """报到审核: check-ins with the caller's communities, the longest waiting first."""
    query = fingerprint("checkins", state=state, place=place_id)
    after = read_cursor(cursor, query)
    found = await queries.page(
        db,
        caller,
        state=state,
        place_id=place_id,
        after=(after.at, after.id) if after else None,
        limit=limit,
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.filed_at, row.id))
    return Page(items=[_shown(row, caller) for row in rows], next_cursor=next_cursor)


@router.get("/checkins/{checkin_id}", summary="一份报到单")
async def get_one_checkin(db: Reading, caller: Caller, checkin_id: IdIn) -> CheckinOut:
    """One filing with its form: one's own, or one with the caller's communities."""
    return _shown(await queries.checkin(db, caller, checkin_id), caller, whole=True)


DECIDING = (OwnCheckin, CheckinDecided, ChangedMeanwhile)


@router.post(
    "/checkins/{checkin_id}/approve",
    summary="报到审核通过",
    responses=responses(*DECIDING, PlaceNotFound, BodyNotFound, TakesInHand, PeriodsOverlap),
)
async def approve_checkin(
    db: Writing,
    caller: Caller,
    now: Now,
    key: Keyed,
    match: Match,
    response: Response,
    checkin_id: IdIn,
    body: ApproveIn,
) -> CheckinOut:
    """审核通过: the member is active there, with a receipt and a grant that reaches the pool of grid and community.

    ``If-Match`` holds against the version of the form: a member may file another over the one that was seen.
    """
    done = await deciding.approve(db, caller, checkin_id, body.grid_place_id, key, match, at=now)
    return await _answered(db, caller, done, response)


@router.post("/checkins/{checkin_id}/return", summary="报到退回", responses=responses(*DECIDING))
async def return_checkin(
    db: Writing,
    caller: Caller,
    now: Now,
    key: Keyed,
    match: Match,
    response: Response,
    checkin_id: IdIn,
    body: ReturnIn,
) -> CheckinOut:
    """退回: with a reason, and the member may file again. ``If-Match`` as for the approval."""
    done = await deciding.return_(db, caller, checkin_id, body.text, key, match, at=now)
    return await _answered(db, caller, done, response)


@router.post("/members/{account_id}/end", summary="社区办理退出", responses=responses(TakesInHand))
async def end_member(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, account_id: IdIn
) -> EndedOut:
    """除名: end a membership with one of the caller's communities."""
    id, replayed = await deciding.end_member(db, caller, account_id, key, at=now)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return EndedOut(account_id=id, state="ended")


@router.get("/belongings", summary="某日的归属名单", responses=responses(PlaceNotFound))
async def list_belongings(
    db: Reading,
    caller: Caller,
    now: Now,
    place_id: Annotated[IdIn, Query(description="The community, or a place above it.")],
    on: Annotated[DateIn | None, Query(description="As this day ended; today when absent.")] = None,
    kind: Annotated[
        Literal["checkin", "work", "registration"], Query(description="In which way they belonged.")
    ] = "checkin",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[BelongedOut]:
    """Who belonged to a community on a day, in the order they came; for those who look after it."""
    query = fingerprint("belongings", place=place_id, on=on, kind=kind)
    after = read_cursor(cursor, query)
    there = await queries.spot(db, caller.tenant.id, place_id)
    if not queries.covers(caller, there.path, SCOPED_ROLES):
        raise RoleForbidden()
    found = await queries.belonged(
        db,
        caller.tenant.id,
        below(caller.tenant.id, path_of(there.path)),
        (kind,),
        day_ends=_day_ends(on or now.astimezone(caller.tenant.zone).date(), caller),
        after=(after.at, after.id) if after else None,
        limit=limit,
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.from_at, row.party_id))
    named = queries.covers(caller, there.path, KNOWS)
    return Page(items=[_belonged(row, caller, named=named) for row in rows], next_cursor=next_cursor)


def _day_ends(day: date, caller: Actor) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), caller.tenant.zone)


# Shapes


async def _mine(db: AsyncConnection, caller: Actor) -> MyCheckinOut:
    tenant_id, account_id = caller.tenant.id, caller.account_id
    row = await queries.member(db, tenant_id, account_id)
    last = await queries.latest(db, tenant_id, account_id)
    past = await queries.history(db, tenant_id, account_id)
    return MyCheckinOut(
        member=_member(row, caller) if row else None,
        checkin=_shown(last, caller, whole=True) if last else None,
        history=[
            BelongingOut(
                kind=line.kind,
                of=NamedOut(id=line.of_id, name=line.place_name or line.body_name or ""),
                from_at=_zoned(line.from_at, caller),
                until_at=_until(line.until_at, caller),
            )
            for line in past
        ],
    )


async def _answered(
    db: AsyncConnection, caller: Actor, done: tuple[UUID, bool], response: Response
) -> CheckinOut:
    id, replayed = done
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return _shown(await queries.checkin(db, caller, id), caller, whole=True)


def _member(row: Any, caller: Actor) -> MemberOut:
    state: Any = "lapsed" if row.state == "suspended" and row.lapsed_at else row.state
    names = (
        "community_id",
        "grid_id",
        "unit_id",
        "work_community_id",
        "languages",
        "most_a_day",
        "most_a_week",
    )
    return MemberOut(
        state=state,
        state_label=MEMBER_LABELS[state],
        **{name: getattr(row, name) for name in names},
        items=row._mapping["items"],
        skills=row.skills,
        free_times=_times(row.free_times),
        leaves=[
            LeaveOut(
                first_day=date.fromisoformat(line["from"]),
                last_day=date.fromisoformat(line["until"]) - timedelta(days=1),
            )
            for line in row.leaves
        ],
        checked_in_at=_zoned(row.checked_in_at, caller),
        renew_by=row.renew_by,
    )


def _times(lines: list[dict[str, Any]]) -> Any:
    return [{"weekday": line["weekday"], "from_": line["from"], "to": line["to"]} for line in lines]


def _shown(row: Any, caller: Actor, *, whole: bool = False) -> CheckinOut:
    form = queries.form_of(row) if whole else {}
    if form:
        form["free_times"] = _times(form["free_times"])
        form["address"] = form["address"] if row.account_id == caller.account_id else None
    own = row.account_id == caller.account_id
    named = own or queries.covers(caller, ids_of(row.path), KNOWS)
    return CheckinOut(
        id=row.id,
        kind=row.kind,
        state=row.state,
        state_label=STATE_LABELS[row.state],
        version=row.version,
        receipt=receipt(row.day, row.serial) if row.day else None,
        account_id=row.account_id,
        name=row.name if named else masked_name(row.name),
        phone=masked_phone(row.phone) if row.phone else None,
        community=NamedOut(id=row.community_id, name=row.community_name),
        filed_at=_zoned(row.filed_at, caller),
        decided_at=_zoned(row.decided_at, caller) if row.decided_at else None,
        reason=row.text,
        form=FormOut(**{name: form.get(name) for name in FormOut.model_fields}) if form else None,
    )


def _belonged(row: Any, caller: Actor, *, named: bool) -> BelongedOut:
    name = row.account_name or row.body_name or ""
    shown = name if named or row.party_kind != "member" else masked_name(name)
    return BelongedOut(
        party=PartyOut(kind=row.party_kind, id=row.party_id, name=shown),
        kind=row.kind,
        of=NamedOut(id=row.of_id, name=row.place_name or ""),
        from_at=_zoned(row.from_at, caller),
        until_at=_until(row.until_at, caller),
    )


def _view(row: Any, caller: Actor) -> MemberViewOut:
    role = Role(row.role) if row.role else None
    return MemberViewOut(
        id=row.id,
        at=_zoned(row.at, caller),
        role=role,
        role_label=ROLE_LABELS[role] if role else None,
        name=row.viewer_name,
        purpose=row.purpose,
        fields=row.fields,
    )


def _until(at: datetime, caller: Actor) -> datetime | None:
    return None if at == FOREVER else _zoned(at, caller)


def _zoned(at: datetime, caller: Actor) -> datetime:
    return at.astimezone(caller.tenant.zone)
