"""派单 and 接单 over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.dispatching import queries
from dispatch.dispatching.actions import handing_out, taking
from dispatch.dispatching.schemas import (
    ContactIn,
    DispatchIn,
    FinishIn,
    LeadIn,
    MemberWorkOut,
    StaffIn,
    TakeIn,
    TakenOut,
    TallyOut,
    WorkOut,
)
from dispatch.domain.order import Move
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    FinishNotAllowed,
    ModeNotAllowed,
    NoActiveTake,
    NotEligible,
    OrderClosed,
    PlaceNotFound,
    ReasonUnknown,
    ReturnInstead,
    SlotsInvalid,
    SlotTaken,
    TargetNotAllowed,
)
from dispatch.orders.actions.performing import Call
from dispatch.orders.answers import (
    Called,
    CalledUnmatched,
    OrderAnswer,
    OrderId,
    answered,
    given,
    moving,
)
from dispatch.orders.schemas import (
    MaybeReasonIn,
    MaybeTextIn,
    NothingIn,
    OrderOut,
    ReasonIn,
    TextIn,
)
from dispatch.web.deps import Caller, Now, Reading, Writing
from dispatch.web.wire import Body, IdIn

router = APIRouter(prefix="/v1/orders/{order_id}", tags=["moves"])
units = APIRouter(prefix="/v1/units", tags=["orders"])


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


@router.post(
    "/take", summary="接单：名额有几个，就有几人接到", responses=moving(SlotTaken, OrderClosed, NotEligible)
)
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
    order = await answered(db, caller, done, response, at=now)
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
    done = await handing_out.served(db, caller, order_id, move, given(body), call, at=at)
    return await answered(db, caller, done, response, at=at)


@router.post("/lead", summary="更换牵头：指定由哪一个接单牵头", responses=moving())
async def lead_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: LeadIn
) -> OrderAnswer:
    """Put another take in charge."""
    return await _served(db, caller, order_id, Move.LEAD, body, call, response, now)


@router.post("/contact", summary="联系居民：记录是否联系上", responses=moving())
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


@router.post("/start", summary="开始办理", responses=moving())
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


@router.post("/progress", summary="报告进展", responses=moving())
async def progress_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: TextIn
) -> OrderAnswer:
    """Say how it goes."""
    return await _served(db, caller, order_id, Move.PROGRESS, body, call, response, now)


@router.post("/finish", summary="办理完成：填写结果，请居民评价", responses=moving(FinishNotAllowed))
async def finish_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: FinishIn
) -> OrderAnswer:
    """Report the work done; the resident is asked for the verdict."""
    return await _served(db, caller, order_id, Move.FINISH, body, call, response, now)


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
