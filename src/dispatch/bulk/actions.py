"""One move on many orders: each in a transaction of its own, so that one refusal stops no other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.bulk.schemas import BulkMove
from dispatch.db.engine import Database
from dispatch.db.idempotency import Key
from dispatch.dispatching.actions import handing_out
from dispatch.dispatching.schemas import DispatchIn
from dispatch.domain.order import Move
from dispatch.domain.people import Actor
from dispatch.domain.refusal import Refusal
from dispatch.orders import queries
from dispatch.orders.actions import community, merging
from dispatch.orders.actions.performing import Call, Data, Done
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
from dispatch.ratings import actions as ratings
from dispatch.ratings.schemas import RedoIn
from dispatch.web.wire import Body

Verb = Callable[..., Awaitable[Done]]


def _simply(move: Move) -> Verb:
    async def verb(
        db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
    ) -> Done:
        return await community.simple(db, actor, order_id, move, data, call, at=at)

    return verb


VERBS: Mapping[BulkMove, tuple[type[Body], Verb]] = {
    Move.ASK: (TextIn, _simply(Move.ASK)),
    Move.ACCEPT: (AcceptIn, community.accept),
    Move.REJECT: (RejectIn, _simply(Move.REJECT)),
    Move.MERGE: (MergeIn, merging.merge),
    Move.RESOLVE: (ResolveIn, community.resolve),
    Move.DISPATCH: (DispatchIn, handing_out.dispatch),
    Move.RECALL: (ReasonIn, handing_out.recall),
    Move.PROCEED: (MaybeTextIn, handing_out.proceed),
    Move.ESCALATE: (EscalateIn, _simply(Move.ESCALATE)),
    Move.DELIBERATE: (DeliberateIn, community.deliberate),
    Move.RESUME: (MaybeTextIn, _simply(Move.RESUME)),
    Move.CLOSE: (CloseIn, _simply(Move.CLOSE)),
    Move.REDO: (RedoIn, ratings.redo),
    Move.CANCEL: (MaybeReasonIn, merging.cancel),
    Move.URGE: (TextIn, _simply(Move.URGE)),
    Move.SUPERVISE: (TextIn, _simply(Move.SUPERVISE)),
}
"""What each move is sent, and who does it."""

Line = tuple[UUID, Refusal | None, Any]
"""(order, refusal or None, the order's life or None)"""


async def move_all(
    database: Database,
    actor: Actor,
    move: BulkMove,
    order_ids: Sequence[UUID],
    data: Data,
    key: Key | None,
    *,
    at: datetime,
) -> list[Line]:
    """Make one move on many orders.

    Under a key each order has a key of its own, so a repeat after a crash goes on where it broke off and
    answers what was done before.
    """
    _, verb = VERBS[move]
    lines: list[Line] = []
    for order_id in dict.fromkeys(order_ids):
        own = Call(key=replace(key, route=f"bulk:{order_id}") if key else None)
        try:
            async with database.writing() as db:
                await verb(db, actor, order_id, data, own, at=at)
                seen, _ = await queries.whole(db, actor, order_id, hidden=True)
        except Refusal as refusal:
            lines.append((order_id, refusal, None))
        else:
            lines.append((order_id, None, seen.life))
    return lines
