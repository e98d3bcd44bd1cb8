"""评单 and 重办 over HTTP."""

from fastapi import APIRouter, Response

from dispatch.domain.refusal import NotYourRating, RatingClosed, ReasonUnknown, RequestPending, TooLate
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
from dispatch.ratings import actions
from dispatch.ratings.schemas import RateIn, RedoIn
from dispatch.web.deps import Caller, Now, Writing

router = APIRouter(prefix="/v1/orders/{order_id}", tags=["moves"])


@router.post(
    "/rate",
    summary="评单：由本人评价，或回访后代为记录",
    responses=moving(NotYourRating, RatingClosed, RequestPending, *WITH_FILES),
)
async def rate_order(
    db: Writing,
    caller: Caller,
    now: Now,
    call: CalledUnmatched,
    response: Response,
    order_id: OrderId,
    body: RateIn,
) -> OrderAnswer:
    """评单: by whom it was for, or by staff who asked them (``follow_up``)."""
    done = await actions.rate(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)


@router.post("/redo", summary="重办：再办一轮", responses=moving(ReasonUnknown, RequestPending, TooLate))
async def redo_order(
    db: Writing, caller: Caller, now: Now, call: Called, response: Response, order_id: OrderId, body: RedoIn
) -> OrderAnswer:
    """重办: another round, with the same takers or from the community."""
    done = await actions.redo(db, caller, order_id, given(body), call, at=now)
    return await answered(db, caller, done, response, at=now)
