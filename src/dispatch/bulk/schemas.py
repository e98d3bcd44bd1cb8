"""What goes over the wire about acts on many orders."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from dispatch.dispatching.schemas import DispatchIn
from dispatch.domain.order import Move, State
from dispatch.orders.schemas import (
    AcceptIn,
    CloseIn,
    DeliberateIn,
    EscalateIn,
    MaybeReasonIn,
    MaybeTextIn,
    MergeIn,
    ReasonIn,
    RejectIn,
    ResolveIn,
    TextIn,
)
from dispatch.ratings.schemas import RedoIn
from dispatch.web.wire import Body, IdIn, Wire

MOST_ORDERS = 500

BulkMove = Literal[
    Move.ASK,
    Move.ACCEPT,
    Move.REJECT,
    Move.MERGE,
    Move.UNMERGE,
    Move.RESOLVE,
    Move.DISPATCH,
    Move.RECALL,
    Move.PROCEED,
    Move.ESCALATE,
    Move.DELIBERATE,
    Move.RESUME,
    Move.CLOSE,
    Move.REDO,
    Move.CANCEL,
    Move.URGE,
    Move.SUPERVISE,
]


class BulkIn(Body):
    """The same move on many orders; ``body`` is what the move itself would be sent."""

    move: BulkMove
    order_ids: Annotated[list[IdIn], Field(min_length=1, max_length=MOST_ORDERS)]
    body: dict[str, Any] = Field(default_factory=dict)


class BulkLine(Wire):
    """What came of one order: 200 and its state, or the refusal."""

    order_id: UUID
    status: int
    state: State | None = None
    version: int | None = None
    code: str | None = None
    message: str | None = None


class BulkOut(Wire):
    """One line for every order, in the order they were named."""

    items: list[BulkLine]


SHAPES: Mapping[BulkMove, type[Body]] = {
    Move.ASK: TextIn,
    Move.ACCEPT: AcceptIn,
    Move.REJECT: RejectIn,
    Move.MERGE: MergeIn,
    Move.UNMERGE: TextIn,
    Move.RESOLVE: ResolveIn,
    Move.DISPATCH: DispatchIn,
    Move.RECALL: ReasonIn,
    Move.PROCEED: MaybeTextIn,
    Move.ESCALATE: EscalateIn,
    Move.DELIBERATE: DeliberateIn,
    Move.RESUME: MaybeTextIn,
    Move.CLOSE: CloseIn,
    Move.REDO: RedoIn,
    Move.CANCEL: MaybeReasonIn,
    Move.URGE: TextIn,
    Move.SUPERVISE: TextIn,
}
"""What each move is sent."""
