"""派单 and 接单 over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.dispatching import queries
from dispatch.dispatching.actions import (
    drafting,
    drawing,
    handing_out,
    handing_over,
    lining_up,
    ruling,
    taking,
)
from dispatch.dispatching.schemas import (
    ContactIn,
    DispatchIn,
    DraftOut,
    FinishIn,
    HandoverIn,
    HandoverOut,
    HandoverTo,
    LeadIn,
    MemberWorkOut,
    NextIn,
    RuleCode,
    StaffIn,
    TakeIn,
    TakenOut,
    TakingRuleIn,
    TakingRuleOut,
    TakingRulesOut,
    TallyOut,
    WaitOut,
    WorkOut,
)
from dispatch.dispatching.tables import taking_rules
from dispatch.domain.order import Move
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    ChangedMeanwhile,
    CoolingDown,
    DraftNotFound,
    FinishNotAllowed,
    HandoverEnded,
    HandoverNotFound,
    HandoverPending,
    ItemNotFound,
    LeaseLost,
    ModeNotAllowed,
    NoActiveTake,
    NotEligible,
    NothingOpen,
    NotInLine,
    OrderClosed,
    OrderNotFound,
    PlaceNotFound,
    PlacesFree,
    ReasonUnknown,
    ReturnInstead,
    RoleForbidden,
    SlotsInvalid,
    SlotTaken,
    TakeLimitReached,
    TargetNotAllowed,
)
from dispatch.domain.screening import screened
from dispatch.orders.actions.performing import Call, Done
from dispatch.orders.answers import (
    WITH_FILES,
    Called,
    CalledUnmatched,
    OrderAnswer,
    OrderId,
    answered,
    given,
    moving,
)
from dispatch.orders.schemas import (
    ItemRef,
    MaybeReasonIn,
    MaybeTextIn,
    NothingIn,
    OrderOut,
    OrderRef,
    PartyOut,
    ReasonIn,
    ReportIn,
)
from dispatch.orders.whole import number
from dispatch.web.deps import Caller, Match, Now, Reading, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import Body, IdIn

router = APIRouter(prefix="/v1/orders/{order_id}", tags=["moves"])
units = APIRouter(prefix="/v1/units", tags=["orders"])
general = APIRouter(prefix="/v1", tags=["moves"])
"""What is about taking and not about one order; served first, since ``next`` is no order's id."""

TAKING = (SlotTaken, OrderClosed, NotEligible, TakeLimitReached, CoolingDown)


@router.post(
    "/dispatch",
    summary="派单：公开认领、逐个询问或直接指派",
    responses=moving(ModeNotAllowed, SlotsInvalid, TargetNotAllowed, PlaceNotFound),
)
async def dispatch_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: DispatchIn,
) -> OrderAnswer:
    """派单: open to everyone eligible, offered to named candidates, or assigned."""
    done = await handing_out.dispatch(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post("/recall", summary="收回派单", responses=moving(ReasonUnknown))
async def recall_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: ReasonIn
) -> OrderAnswer:
    """Take the order back from those it was handed to."""
    done = await handing_out.recall(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post("/take", summary="接单：名额有几个，就有几人接到", responses=moving(*TAKING))
async def take_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: CalledUnmatched,
    response: Response,
    order_id: OrderId,
    body: TakeIn | None = None,
) -> TakenOut:
    """接单: of many callers exactly as many win as there are slots; a retry by a winner answers ``already_yours``."""
    data = {"as": body.as_.model_dump()} if body and body.as_ else {}
    done = await taking.take(db, caller, order_id, data, call, at=now)
    return await _taken(db, caller, done, response, at=now)


async def _taken(
    db: AsyncConnection, caller: Actor, done: Done, response: Response, *, at: datetime
) -> TakenOut:
    order = await answered(db, caller, done, response, at=at)
    assert done.outcome is not None
    take_id = UUID(done.outcome["take_id"])
    mine = (
        next((take for take in order.takes if take.id == take_id), None)
        if isinstance(order, OrderOut)
        else None
    )
    return TakenOut(outcome=done.outcome["outcome"], take=mine, order=order)


@router.post(
    "/decline", summary="婉拒：不接这次询问，不影响以后", responses=moving(ReasonUnknown, ReturnInstead)
)
async def decline_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: MaybeReasonIn | None = None,
) -> OrderAnswer:
    """Say no to an offer, without penalty."""
    done = await handing_out.decline(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post("/proceed", summary="按现有办：人数不足也先办理", responses=moving(NoActiveTake))
async def proceed_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: MaybeTextIn | None = None,
) -> OrderAnswer:
    """Go on with those who have taken."""
    done = await handing_out.proceed(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post("/release", summary="退出接单：让出自己的名额", responses=moving(ReasonUnknown))
async def release_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: ReasonIn
) -> OrderAnswer:
    """Give one's slot back, with a reason."""
    done = await handing_out.release(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post(
    "/staff", summary="安排人员：单位或队伍指定办理人", responses=moving(TargetNotAllowed, NotEligible)
)
async def staff_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: StaffIn
) -> OrderAnswer:
    """A unit or team says who of its people does the work; it stays answerable itself."""
    done = await handing_out.staff(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


async def _served(
    db: AsyncConnection,
    caller: Actor,
    order_id: UUID,
    move: Move,
    body: Body | None,
    call: Call,
    response: Response,
    at: datetime,
) -> OrderAnswer:
    done = await drafting.served(db, caller, order_id, move, given(body), call, at=at)
    return await answered(db, caller, done, response, at=at)


@router.post("/lead", summary="更换牵头：指定由哪一个接单牵头", responses=moving(LeaseLost))
async def lead_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: LeadIn
) -> OrderAnswer:
    """Put another take in charge."""
    return await _served(db, caller, order_id, Move.LEAD, body, call, response, now)


@router.post("/contact", summary="联系居民：记录是否联系上", responses=moving(LeaseLost))
async def contact_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: ContactIn,
) -> OrderAnswer:
    """Note that the resident was reached, or not."""
    return await _served(db, caller, order_id, Move.CONTACT, body, call, response, now)


@router.post("/start", summary="开始办理", responses=moving(LeaseLost))
async def start_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: Called,
    response: Response,
    order_id: OrderId,
    body: NothingIn | None = None,
) -> OrderAnswer:
    """Begin the work."""
    return await _served(db, caller, order_id, Move.START, body, call, response, now)


@router.post("/progress", summary="报告进展", responses=moving(LeaseLost, *WITH_FILES))
async def progress_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: ReportIn
) -> OrderAnswer:
    """Say how it goes."""
    return await _served(db, caller, order_id, Move.PROGRESS, body, call, response, now)


@router.post(
    "/finish",
    summary="办理完成：填写结果，请居民评价",
    responses=moving(FinishNotAllowed, LeaseLost, *WITH_FILES),
)
async def finish_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: FinishIn
) -> OrderAnswer:
    """Report the work done; the resident is asked for the verdict."""
    return await _served(db, caller, order_id, Move.FINISH, body, call, response, now)


@router.post(
    "/wait",
    summary="候补：名额已满时排队",
    responses=moving(OrderClosed, PlacesFree, NotEligible),
)
async def wait_for_order(
    db: Writing, caller: Caller, now: Now, call: CalledUnmatched, order_id: OrderId
) -> WaitOut:
    """Stand in line for an order that is full; repeated, it tells the place, and until when one is kept."""
    done = await lining_up.join(db, caller, order_id, call, at=now)
    return _waits(done, caller)


@router.post("/wait/leave", summary="退出候补", responses=moving(NotInLine))
async def leave_line(
    db: Writing, caller: Caller, now: Now, call: CalledUnmatched, order_id: OrderId
) -> WaitOut:
    """Leave the line, or give up the place that is kept: the next is asked."""
    return _waits(await lining_up.leave(db, caller, order_id, call, at=now), caller)


def _waits(done: Done, caller: Actor) -> WaitOut:
    told = done.outcome or {}
    until = told.get("until")
    zoned = datetime.fromisoformat(until).astimezone(caller.tenant.zone) if until else None
    return WaitOut(place=told.get("place"), until=zoned)


@router.post(
    "/handover",
    status_code=201,
    summary="移交：请另一位接手自己的接单",
    responses=moving(TargetNotAllowed, ReturnInstead, HandoverPending),
)
async def hand_over_order(
    db: Writing, caller: Caller, now: Now, call: CalledUnmatched, order_id: OrderId, body: HandoverIn
) -> HandoverOut:
    """Ask another to take the caller's place; it passes only with that one's consent."""
    done = await handing_over.ask(db, caller, order_id, given(body), call, at=now)
    assert done.outcome is not None
    return _handover(await handing_over.one(db, caller, UUID(done.outcome["handover_id"])), caller)


@general.get("/handovers", summary="移交：请我接手的，和我请人接手的")
async def list_handovers(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[HandoverOut]:
    """What the caller is asked to take over, or asked others to, newest first."""
    query = fingerprint("handovers")
    after = read_cursor(cursor, query)
    found = await handing_over.page(db, caller, after=(after.at, after.id) if after else None, limit=limit)
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.asked_at, row.id))
    return Page(items=[_handover(row, caller) for row in rows], next_cursor=next_cursor)


def _handover(row: Any, caller: Actor) -> HandoverOut:
    def zoned(at: datetime | None) -> Any:
        return at.astimezone(caller.tenant.zone) if at else None

    own = row.asked_by == caller.account_id
    return HandoverOut(
        id=row.id,
        order=OrderRef(id=row.order_id, number=number(row.day, row.serial)),
        item=ItemRef(code=row.item_code, name=row.item_name),
        where=row.where,
        wanted_from=zoned(row.wanted_from),
        wanted_to=zoned(row.wanted_to),
        giver=PartyOut(kind=row.giver_kind, id=row.giver_id, name=row.body_name or row.person_name),
        taker=HandoverTo(kind=row.kind, id=row.taker_id),
        state=row.state,
        text=row.text if own or row.text is None else screened(row.text),
        asked_at=zoned(row.asked_at),
        ended_at=zoned(row.ended_at),
    )


@general.post(
    "/handovers/{handover_id}/accept",
    summary="同意接手",
    responses=moving(
        HandoverNotFound, HandoverEnded, ReturnInstead, NotEligible, TakeLimitReached, CoolingDown
    ),
)
async def accept_handover(
    db: Writing, caller: Caller, now: Now, call: CalledUnmatched, response: Response, handover_id: IdIn
) -> TakenOut:
    """Take the other's place, by the same rules as any take; the giver's take ends with it."""
    done = await handing_over.accept(db, caller, handover_id, call, at=now)
    return await _taken(db, caller, done, response, at=now)


@general.post(
    "/handovers/{handover_id}/decline",
    summary="不便接手",
    responses=responses(HandoverNotFound, HandoverEnded),
)
async def decline_handover(db: Writing, caller: Caller, now: Now, handover_id: IdIn) -> HandoverOut:
    """Say no, without penalty; the take stays the giver's."""
    await handing_over.decline(db, caller, handover_id, at=now)
    return _handover(await handing_over.one(db, caller, handover_id), caller)


@general.post(
    "/handovers/{handover_id}/withdraw",
    summary="撤回移交",
    responses=responses(HandoverNotFound, HandoverEnded),
)
async def withdraw_handover(db: Writing, caller: Caller, now: Now, handover_id: IdIn) -> HandoverOut:
    """Take back what one asked, as long as it was not answered."""
    await handing_over.withdraw(db, caller, handover_id, at=now)
    return _handover(await handing_over.one(db, caller, handover_id), caller)


@general.post(
    "/orders/next/take",
    summary="接下一单：系统挑一张最合适的",
    responses=responses(NothingOpen, TakeLimitReached, CoolingDown, RoleForbidden),
)
async def take_next_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: CalledUnmatched,
    response: Response,
    body: NextIn | None = None,
) -> TakenOut:
    """The best order that is open to the caller, taken: what was chosen on checking in first, then urgency, then age."""
    done = await drawing.take_next(db, caller, given(body), call, at=now)
    return await _taken(db, caller, done, response, at=now)


@general.get("/taking/rules", summary="接单规则：上限、保留时间、冷却、公平窗口")
async def list_taking_rules(db: Reading, caller: Caller) -> TakingRulesOut:
    """What the tenant has set about taking, the rule of all items first. Whoever takes may know by which rules."""
    return TakingRulesOut(items=[_rule(row, caller) for row in await ruling.rules(db, taking_rules, caller)])


@general.put(
    "/taking/rules/{item_code}",
    summary="设定一个事项（或全部事项）的接单规则",
    responses=responses(ItemNotFound, RoleForbidden, ChangedMeanwhile),
)
async def put_taking_rule(
    db: Writing, caller: Caller, now: Now, match: Match, item_code: RuleCode, body: TakingRuleIn
) -> TakingRuleOut:
    """Replace an item's rule, or with ``*`` the one of all items; ``If-Match`` says which version it is meant for."""
    row = await ruling.set_rule(db, taking_rules, caller, item_code, given(body), match, at=now)
    return _rule(row, caller)


def _rule(row: Any, caller: Actor) -> TakingRuleOut:
    return TakingRuleOut(**{**row._mapping, "updated_at": row.updated_at.astimezone(caller.tenant.zone)})


@general.get("/drafts", summary="草稿：接单到期后提交的内容")
async def list_drafts(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[DraftOut]:
    """What the caller sent for takes that had ended by time, newest first."""
    query = fingerprint("drafts")
    after = read_cursor(cursor, query)
    found = await drafting.page(db, caller, after=(after.at, after.id) if after else None, limit=limit)
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.kept_at, row.id))
    return Page(items=[_draft(row, caller) for row in rows], next_cursor=next_cursor)


def _draft(row: Any, caller: Actor) -> DraftOut:
    zone = caller.tenant.zone
    return DraftOut(
        id=row.id,
        order=OrderRef(id=row.order_id, number=number(row.day, row.serial)),
        move=row.move,
        **row.content,
        kept_at=row.kept_at.astimezone(zone),
        attached_at=row.attached_at.astimezone(zone) if row.attached_at else None,
    )


@general.post(
    "/drafts/{draft_id}/attach",
    summary="补交草稿：重新接到这一单后",
    responses=moving(DraftNotFound, OrderNotFound),
)
async def attach_draft(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, draft_id: IdIn
) -> OrderAnswer:
    """Report what a draft holds as progress of its order, once the caller is on that order again."""
    done = await drafting.attach(db, caller, draft_id, call, at=now)
    return await answered(db, caller, done, response, at=now)


@general.delete("/drafts/{draft_id}", status_code=204, summary="删除草稿", responses=responses(DraftNotFound))
async def drop_draft(db: Writing, caller: Caller, draft_id: IdIn) -> None:
    """Throw a draft of one's own away."""
    await drafting.drop(db, caller, draft_id)


@units.get("/{body_id}/work", summary="本单位在办、办结、超时的单数，按成员分列")
async def get_work(db: Reading, caller: Caller, now: Now, body_id: IdIn) -> WorkOut:
    """How the orders stand that the caller's unit, team or other body has taken; the orders: ``view=unit``."""
    work = await queries.work(db, caller, body_id, at=now)
    return WorkOut(
        total=TallyOut.model_validate(work.total),
        unassigned=TallyOut.model_validate(work.unassigned),
        members=[
            MemberWorkOut(id=id, name=name, **TallyOut.model_validate(tally).model_dump())
            for id, name, tally in work.members
        ],
    )
