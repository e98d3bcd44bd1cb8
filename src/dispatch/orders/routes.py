"""Orders over HTTP: filing, reading, the community's moves, requests."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response, status
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.order import Ask, AskState, Move, State
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    BodyNotFound,
    HasChildren,
    IdempotencyKeyRequired,
    ItemNotFound,
    ItemRetired,
    MergeImpossible,
    NoActiveTake,
    OwnWork,
    PlaceNotFound,
    PlaceRequired,
    ReasonUnknown,
    RequestDecided,
    RequestPending,
    TooLate,
    ValidationFailed,
)
from dispatch.orders import listing, queries
from dispatch.orders.actions import asking, community, intake, merging, viewing
from dispatch.orders.actions.performing import Call, Done
from dispatch.orders.answers import (
    Called,
    FiledAnswer,
    OrderAnswer,
    OrderId,
    answered,
    filed,
    given,
    moving,
    stamp,
)
from dispatch.orders.listing import Gone, Wanted
from dispatch.orders.rendering import explained, listed, shown, summed_up, told
from dispatch.orders.schemas import (
    AcceptIn,
    CloseIn,
    DeadlinesOut,
    DecisionIn,
    DeliberateIn,
    EscalateIn,
    MaybeReasonIn,
    MaybeTextIn,
    MergeIn,
    OrderIn,
    OrderOut,
    RejectIn,
    RequestIn,
    RequestOut,
    ResolveIn,
    SummaryOut,
    TextIn,
    TimelineOut,
    TombstoneOut,
    Words,
)
from dispatch.sla.queries import calendar_at
from dispatch.web.deps import Caller, KeyedAlways, Now, Reading, Store, Writing
from dispatch.web.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Key,
    Limit,
    Page,
    cut,
    fingerprint,
    read_cursor,
)
from dispatch.web.problems import responses
from dispatch.web.wire import Body, Code, IdIn, InstantIn

router = APIRouter(prefix="/v1")


@router.post(
    "/orders",
    tags=["orders"],
    status_code=status.HTTP_201_CREATED,
    summary="点单：为自己，或代他人提交一张需求单",
    responses=responses(ItemNotFound, PlaceNotFound, ItemRetired, PlaceRequired, IdempotencyKeyRequired),
)
async def create_order(
    db: Writing, caller: Caller, now: Now, key: KeyedAlways, response: Response, body: OrderIn
) -> FiledAnswer:
    """点单: file an order, for oneself or on behalf of another. Says which orders it may repeat."""
    done = await intake.submit(db, caller, given(body), Call(key=key), at=now)
    return await filed(db, caller, done, response, at=now)


@router.get("/orders", tags=["orders"], summary="需求单列表：我的、待办、可接、已接、本单位或全部")
async def list_orders(
    db: Reading,
    caller: Caller,
    now: Now,
    view: Literal["all", "mine", "queue", "pool", "taken", "unit"] = "all",
    state: Annotated[list[State] | None, Query(description="May repeat.", max_length=16)] = None,
    place_id: Annotated[IdIn | None, Query(description="This place and everything under it.")] = None,
    item_code: Annotated[Code | None, Query()] = None,
    overdue: Annotated[bool | None, Query(description="Only those overdue; false: none of them.")] = None,
    created_from: Annotated[InstantIn | None, Query(description="Included.")] = None,
    created_to: Annotated[InstantIn | None, Query(description="Excluded.")] = None,
    q: Annotated[Words | None, Query(description="Words of its text, all of them; or its number.")] = None,
    member_id: Annotated[
        IdIn | None, Query(description="In ``view=unit``: only what this member was put on.")
    ] = None,
    updated_since: Annotated[
        InstantIn | None, Query(description="Harvest: by change, 2 s behind, with tombstones.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SummaryOut | TombstoneOut]:
    """Orders the caller may see; ``queue`` oldest first, ``pool`` from another place on for everybody, ``updated_since``
    by change, all else newest first.

    ``unit``: what the unit, team or other body that the caller acts for has taken, with whom it put on each.
    """
    if member_id and view != "unit":
        told = {"loc": ["query", "member_id"], "code": "INVALID", "message": "只用于本单位的列表"}
        raise ValidationFailed(errors=[told])
    wanted = Wanted(
        view=view,
        states=tuple(state or ()),
        place_id=place_id,
        item_code=item_code,
        created_from=created_from,
        created_to=created_to,
        updated_since=updated_since,
        overdue=overdue,
        q=q,
        member_id=member_id,
    )
    query = fingerprint(
        f"orders.{view}",
        state=sorted(wanted.states) or None,
        place=place_id,
        item=item_code,
        first=created_from,
        last=created_to,
        words=q,
        member=member_id,
        since=updated_since,
        overdue=overdue,
    )
    after = read_cursor(cursor, query)
    place = (after.at, after.id) if after else None
    rows, next_cursor = cut(
        await listing.page(db, caller, wanted, after=place, limit=limit, at=now),
        limit,
        query,
        _key_of(wanted),
    )
    return Page(
        items=[TombstoneOut(id=r.id) if isinstance(r, Gone) else summed_up(r, caller, at=now) for r in rows],
        next_cursor=next_cursor,
    )


def _key_of(wanted: Wanted) -> Any:
    def key(row: Any) -> Key:
        if isinstance(row, Gone):
            return Key(row.updated_at, row.id)
        return Key(row.row.updated_at if wanted.updated_since else row.row.created_at, row.row.id)

    return key


@router.get("/orders/{order_id}", tags=["orders"], summary="需求单详情，附当前可以办理的步骤")
async def get_order(
    database: Store, caller: Caller, now: Now, response: Response, order_id: OrderId
) -> OrderOut:
    """One order, with the moves that the caller may make. To whom contact data stands open is recorded."""
    async with database.reading() as db:
        whole, _ = await queries.whole(db, caller, order_id)
    # Its own transaction, after the connection went back: with both held at once a full pool would wait for itself.
    await viewing.looked(database, whole, caller, at=now)
    order = shown(whole, caller, at=now)
    stamp(response, order)
    return order


@router.get("/orders/{order_id}/timeline", tags=["orders"], summary="办理经过，按时间顺序")
async def get_timeline(db: Reading, caller: Caller, now: Now, order_id: OrderId) -> TimelineOut:
    """What happened, oldest first, in plain Chinese."""
    whole, _ = await queries.whole(db, caller, order_id)
    return told(await queries.timeline(db, caller, order_id), whole, caller, at=now)


@router.get("/orders/{order_id}/deadlines", tags=["orders"], summary="时限：每个环节到何时、谁负责、怎么算")
async def get_deadlines(db: Reading, caller: Caller, now: Now, order_id: OrderId) -> DeadlinesOut:
    """Every clock of the order: until when, whose, and which seconds count."""
    whole, _ = await queries.whole(db, caller, order_id)
    versions = {line["calendar"] for line in whole.lists["clocks"]}
    calendars = {version: await calendar_at(db, caller.tenant.id, version) for version in versions}
    return explained(whole, caller, calendars, at=now)


async def _simply(
    db: AsyncConnection,
    caller: Actor,
    order_id: UUID,
    move: Move,
    body: Body | None,
    call: Call,
    response: Response,
    at: datetime,
) -> OrderAnswer:
    done = await community.simple(db, caller, order_id, move, given(body), call, at=at)
    return await answered(db, caller, done, response, at=at)


@router.post(
    "/orders/{order_id}/ask", tags=["moves"], summary="要求补充：请点单人补充说明", responses=moving()
)
async def ask_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: TextIn
) -> OrderAnswer:
    """Ask the filer for more; the clocks stand still until the answer."""
    return await _simply(db, caller, order_id, Move.ASK, body, call, response, now)


@router.post(
    "/orders/{order_id}/supplement", tags=["moves"], summary="补充说明：点单人补充内容", responses=moving()
)
async def supplement_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: TextIn
) -> OrderAnswer:
    """Add to one's order; answers a question if one was asked."""
    return await _simply(db, caller, order_id, Move.SUPPLEMENT, body, call, response, now)


@router.post(
    "/orders/{order_id}/accept",
    tags=["moves"],
    summary="受理：确认服务事项和紧急程度",
    responses=moving(ItemNotFound, ItemRetired),
)
async def accept_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: AcceptIn | None = None,
) -> OrderAnswer:
    """受理: take the order in; fixes item and urgency."""
    done = await community.accept(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post(
    "/orders/{order_id}/reject",
    tags=["moves"],
    summary="不予受理：说明原因和去处",
    responses=moving(ReasonUnknown, HasChildren),
)
async def reject_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: RejectIn
) -> OrderAnswer:
    """Not for this service; the filer may object within 15 days."""
    return await _simply(db, caller, order_id, Move.REJECT, body, call, response, now)


@router.post(
    "/orders/{order_id}/merge",
    tags=["moves"],
    summary="并单：并入另一张需求单",
    responses=moving(MergeImpossible),
)
async def merge_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: MergeIn
) -> OrderAnswer:
    """并单: let the order follow another one; its filer keeps notices and rating."""
    done = await merging.merge(db, caller, order_id, body.model_dump(), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post(
    "/orders/{order_id}/unmerge", tags=["moves"], summary="取消并单：恢复为单独的需求单", responses=moving()
)
async def unmerge_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: TextIn
) -> OrderAnswer:
    """Let a merged order stand alone again."""
    done = await merging.unmerge(db, caller, order_id, body.model_dump(), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post(
    "/orders/{order_id}/resolve",
    tags=["moves"],
    summary="直接办结：现场解决，或由被召集的单位办完",
    responses=moving(ItemNotFound, ItemRetired, BodyNotFound),
)
async def resolve_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: ResolveIn,
) -> OrderAnswer:
    """Done on the spot, or by the called body's or the committee's work."""
    done = await community.resolve(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post(
    "/orders/{order_id}/escalate", tags=["moves"], summary="上报：提交社区党委、街道或区", responses=moving()
)
async def escalate_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: EscalateIn,
) -> OrderAnswer:
    """上报: to the community's party committee, the street or the district."""
    return await _simply(db, caller, order_id, Move.ESCALATE, body, call, response, now)


@router.post(
    "/orders/{order_id}/deliberate",
    tags=["moves"],
    summary="研究决定：记录会商结果和召集的单位",
    responses=moving(BodyNotFound),
)
async def deliberate_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: DeliberateIn,
) -> OrderAnswer:
    """研究: note what the meeting decided and whom it called."""
    done = await community.deliberate(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post(
    "/orders/{order_id}/resume",
    tags=["moves"],
    summary="恢复办理：挂账或上报之后继续",
    responses=moving(NoActiveTake),
)
async def resume_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: MaybeTextIn | None = None,
) -> OrderAnswer:
    """Go on after a pause or an escalation."""
    return await _simply(db, caller, order_id, Move.RESUME, body, call, response, now)


@router.post(
    "/orders/{order_id}/close",
    tags=["moves"],
    summary="归档：复核之后结束",
    responses=moving(RequestPending, OwnWork),
)
async def close_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: CloseIn
) -> OrderAnswer:
    """归档: after review, by one of the exits."""
    return await _simply(db, caller, order_id, Move.CLOSE, body, call, response, now)


@router.post(
    "/orders/{order_id}/cancel",
    tags=["moves"],
    summary="撤单：接单之前可直接撤，之后须说明原因",
    responses=moving(ReasonUnknown, HasChildren),
)
async def cancel_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: MaybeReasonIn | None = None,
) -> OrderAnswer:
    """撤单: freely before it is taken, with a reason after."""
    done = await merging.cancel(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post("/orders/{order_id}/urge", tags=["moves"], summary="催办：催促正在办理的人", responses=moving())
async def urge_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: TextIn
) -> OrderAnswer:
    """催办: press, with words."""
    return await _simply(db, caller, order_id, Move.URGE, body, call, response, now)


@router.post(
    "/orders/{order_id}/supervise", tags=["moves"], summary="督办：由街道或区督促", responses=moving()
)
async def supervise_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: TextIn
) -> OrderAnswer:
    """督办: press from above."""
    return await _simply(db, caller, order_id, Move.SUPERVISE, body, call, response, now)


# --- requests -------------------------------------------------------------------------------


@router.post(
    "/orders/{order_id}/requests",
    tags=["requests"],
    status_code=status.HTTP_201_CREATED,
    summary="提出申请：退单、延期、挂账、提级、剔除、异议、重办",
    responses=moving(ReasonUnknown, RequestPending, TooLate),
)
async def create_request(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: RequestIn,
) -> RequestOut:
    """Ask for a return, an extension, a pause, a higher level, an exclusion, an objection or another round."""
    done = await asking.ask(db, caller, order_id, given(body), call, at=now)
    return await _request(db, caller, done, response)


@router.get("/requests", tags=["requests"], summary="申请列表")
async def list_requests(
    db: Reading,
    caller: Caller,
    status: AskState | None = None,
    kind: Ask | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RequestOut]:
    """Requests that the caller filed or has in scope, newest first."""
    query = fingerprint("requests", status=status, kind=kind)
    after = read_cursor(cursor, query)
    found = await queries.request_page(
        db, caller, status=status, kind=kind, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.asked_at, row.id))
    return Page(items=[listed(row, caller) for row in rows], next_cursor=next_cursor)


@router.post(
    "/requests/{request_id}/approve",
    tags=["requests"],
    summary="同意申请，并按申请办理",
    responses=moving(RequestDecided, OwnWork, TooLate),
)
async def approve_request(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    request_id: IdIn,
    body: DecisionIn | None = None,
) -> RequestOut:
    """Decide for a request; what it asks happens with it."""
    done = await asking.approve(db, caller, request_id, given(body), call, at=now)
    return await _request(db, caller, done, response)


@router.post(
    "/requests/{request_id}/refuse",
    tags=["requests"],
    summary="不同意申请",
    responses=moving(RequestDecided, OwnWork),
)
async def refuse_request(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    request_id: IdIn,
    body: DecisionIn | None = None,
) -> RequestOut:
    """Decide against a request."""
    done = await asking.refuse(db, caller, request_id, given(body), call, at=now)
    return await _request(db, caller, done, response)


@router.post(
    "/requests/{request_id}/withdraw",
    tags=["requests"],
    summary="撤回自己的申请",
    responses=moving(RequestDecided),
)
async def withdraw_request(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    request_id: IdIn,
    body: DecisionIn | None = None,
) -> RequestOut:
    """Take one's own request back."""
    done = await asking.withdraw(db, caller, request_id, given(body), call, at=now)
    return await _request(db, caller, done, response)


async def _request(db: AsyncConnection, caller: Actor, done: Done, response: Response) -> RequestOut:
    assert done.outcome is not None
    row = await queries.request_of(db, caller, UUID(done.outcome["request_id"]))
    if done.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return listed(row, caller)
