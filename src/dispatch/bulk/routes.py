"""One act on many orders over HTTP."""

from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from dispatch.bulk.actions import Line, move_all
from dispatch.bulk.schemas import SHAPES, BulkIn, BulkLine, BulkOut
from dispatch.orders.answers import given
from dispatch.web.deps import Caller, Keyed, Now, Store
from dispatch.web.problems import status_of

router = APIRouter(prefix="/v1", tags=["orders"])


@router.post("/orders/bulk")
async def bulk_orders(
    database: Store, caller: Caller, now: Now, key: Keyed, response: Response, body: BulkIn
) -> BulkOut:
    """The same move on up to 500 orders; one line for each, the valid ones are done."""
    try:
        data = given(SHAPES[body.move].model_validate(body.body))
    except ValidationError as error:
        wrong = [{**line, "loc": ("body", "body", *line["loc"])} for line in error.errors()]
        raise RequestValidationError(wrong) from None
    lines = await move_all(database, caller, body.move, body.order_ids, data, key, at=now)
    if all(line.replayed for line in lines):
        response.headers["Idempotency-Replayed"] = "true"
    return BulkOut(items=[_line(line) for line in lines])


def _line(line: Line) -> BulkLine:
    if refusal := line.refusal:
        return BulkLine(
            order_id=line.order_id, status=status_of(refusal), code=refusal.code, message=refusal.text
        )
    assert line.life is not None  # one of the two
    return BulkLine(order_id=line.order_id, status=200, state=line.life.state, version=line.life.version)
