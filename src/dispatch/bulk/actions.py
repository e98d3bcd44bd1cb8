"""One move on many orders: each in a transaction of its own, so that one refusal stops no other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.bulk.schemas import BulkMove
from dispatch.db.engine import Database
from dispatch.db.idempotency import Key, claim, kept
from dispatch.dispatching.actions import handing_out
from dispatch.domain.life import Life
from dispatch.domain.order import Move
from dispatch.domain.people import Actor
from dispatch.domain.refusal import Refusal, Unauthorised
from dispatch.orders import queries
from dispatch.orders.actions import community, merging
from dispatch.orders.actions.performing import Call, Data, Done
from dispatch.ratings import actions as ratings

Verb = Callable[..., Awaitable[Done]]


def _simply(move: Move) -> Verb:
    async def verb(
        db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
    ) -> Done:
        return await community.simple(db, actor, order_id, move, data, call, at=at)

    return verb


VERBS: Mapping[BulkMove, Verb] = {
    Move.ASK: _simply(Move.ASK),
    Move.ACCEPT: community.accept,
    Move.REJECT: _simply(Move.REJECT),
    Move.MERGE: merging.merge,
    Move.UNMERGE: merging.unmerge,
    Move.RESOLVE: community.resolve,
    Move.DISPATCH: handing_out.dispatch,
    Move.RECALL: handing_out.recall,
    Move.PROCEED: handing_out.proceed,
    Move.ESCALATE: _simply(Move.ESCALATE),
    Move.DELIBERATE: community.deliberate,
    Move.RESUME: _simply(Move.RESUME),
    Move.CLOSE: _simply(Move.CLOSE),
    Move.REDO: ratings.redo,
    Move.CANCEL: merging.cancel,
    Move.URGE: _simply(Move.URGE),
    Move.SUPERVISE: _simply(Move.SUPERVISE),
}
"""Who does each move."""


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one order: why not, or how it now stands (and whether that was known under the key)."""

    order_id: UUID
    refusal: Refusal | None = None
    life: Life | None = None
    replayed: bool = False


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

    Raises:
        IdempotencyKeyReused: the key came with another request.
        Unauthorised: the caller's grants have changed meanwhile.
    """
    verb = VERBS[move]
    if key:
        async with database.writing() as db:
            if not await claim(db, key, status=200, order_id=None, outcome=None, at=at):
                await kept(db, key)
    lines: list[Line] = []
    for order_id in dict.fromkeys(order_ids):
        own = Call(key=replace(key, route=f"bulk:{order_id}") if key else None)
        try:
            async with database.writing() as db:
                done = await verb(db, actor, order_id, data, own, at=at)
                seen, _ = await queries.whole(db, actor, order_id, hidden=True)
        except Unauthorised:
            raise
        except Refusal as refusal:
            lines.append(Line(order_id, refusal))
        else:
            lines.append(Line(order_id, life=seen.life, replayed=done.replayed))
    return lines
