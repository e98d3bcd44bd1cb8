"""The walk that every move takes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import reasons
from dispatch.db.bound import TENANT, Brought, Columns
from dispatch.db.engine import start_over
from dispatch.db.guarding import Dependent
from dispatch.db.idempotency import Kept, Key, brought, claim, looked_up
from dispatch.domain.life import standing
from dispatch.domain.moved import Moved
from dispatch.domain.order import Move
from dispatch.domain.people import Actor
from dispatch.domain.refusal import ChangedMeanwhile, OrderNotFound, ReasonUnknown
from dispatch.domain.rules import judge, moved_away
from dispatch.domain.step import step
from dispatch.orders import log, queries
from dispatch.orders.whole import Whole

Data = Mapping[str, Any]

ATTEMPTS = 3
"""How often a verb looks again before it says that the order moved on."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a write was asked for: its idempotency key, the versions it was made against."""

    key: Key | None = None
    match: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb led to; the answer is rendered from the order as it now is."""

    order_id: UUID
    outcome: Mapping[str, Any] | None = None
    replayed: bool = False

    @classmethod
    def replay(cls, kept: Kept) -> "Done":
        """The answer that an earlier request under the same key led to."""
        assert kept.order_id is not None
        return cls(kept.order_id, kept.outcome, replayed=True)


Prepare = Callable[[AsyncConnection, Actor, Whole, Any], Awaitable[Data]]
Besides = Callable[[Whole, Moved, Data], Sequence[Dependent]]
Then = Callable[[Whole, Moved, Data], Moved | None]


_REASON = Columns(
    reason_known=select(literal(1))
    .where(
        reasons.c.tenant_id == TENANT,
        reasons.c.act == bindparam("reason_act", type_=reasons.c.act.type),
        reasons.c.code == bindparam("reason_code", type_=reasons.c.code.type),
        reasons.c.retired_at.is_(None),
    )
    .scalar_subquery()
)


def reason_column(act: str, code: str | None) -> list[Brought]:
    """A column that tells whether a reason code is in use for an act; none without a code."""
    return [] if code is None else [Brought(_REASON, {"reason_act": act, "reason_code": code})]


def reason_checked(code: str | None, row: Any) -> None:
    """Read ``reason_column``.

    Raises:
        ReasonUnknown: not in the tenant's closed set, or retired.
    """
    if code is not None and row.reason_known is None:
        raise ReasonUnknown()


async def looked(
    db: AsyncConnection,
    actor: Actor,
    order_id: UUID,
    call: Call,
    *,
    also: Sequence[Brought] = (),
    hidden: bool = False,
) -> tuple[Whole, Any, Done | None]:
    """An order as it is, and the answer that an earlier request under the same key led to.

    The answer comes first: the act itself may have put the order out of the actor's sight (a decline does),
    and who repeats it must not read that there never was one.

    Raises:
        OrderNotFound: none, or none of the actor's business (unless ``hidden``).
        IdempotencyKeyReused: the key came with another request.
    """
    also = [*also, *looked_up(call.key)]
    seen, row = await queries.whole(db, actor, order_id, hidden=hidden or call.key is not None, also=also)
    if kept := brought(call.key, row):
        return seen, row, Done.replay(kept)
    if not hidden and not row.visible:
        raise OrderNotFound()
    return seen, row, None


async def perform(
    db: AsyncConnection,
    actor: Actor,
    order_id: UUID,
    move: Move,
    data: Data,
    call: Call,
    *,
    at: datetime,
    also: Sequence[Brought] = (),
    prepare: Prepare | None = None,
    besides: Besides | None = None,
    then: Then | None = None,
) -> Done:
    """Make one move. Takes effect iff the transaction commits; safe under any concurrency.

    Args:
        data: the move's body.
        also: columns that ``prepare`` wants from the first statement.
        prepare: resolves ids against the database, before the decision.
        besides: further writes that hang on the move.
        then: a move that the system makes right after it, in the same change.

    Raises:
        OrderNotFound: none, or none of the actor's business.
        ChangedMeanwhile: the caller's version is not the order's.
        Refusal: what the rulebook has against it.
    """
    wanted = [*also, *reason_column(move.value, data.get("reason_code"))]
    for _ in range(ATTEMPTS):
        seen, row, done = await looked(db, actor, order_id, call, also=wanted)
        if done:
            return done
        at = seen.not_before(at)
        matched(seen, call)
        reason_checked(data.get("reason_code"), row)
        who = standing(seen.life, actor)
        ready = data
        if prepare:
            judge(seen.life, move, who, at=at)  # first: nobody learns what exists by a move that is not his
            ready = {**data, **await prepare(db, actor, seen, row)}
        moved = step(seen.life, move, who, ready, at=at)
        follows = then(seen, moved, ready) if then else None
        if not await claim(db, call.key, status=200, order_id=order_id, outcome=None, at=at):
            await start_over(db)
            continue
        written = [(moved, log.author(actor))]
        if follows:
            written.append((follows, log.system(actor.tenant.id)))
        extra = besides(seen, moved, ready) if besides else ()
        if await log.record(db, seen, written, at=at, besides=extra):
            return Done(order_id)
        await start_over(db)
    raise moved_away(seen.life) if call.match is None else ChangedMeanwhile(version=seen.life.version)


def matched(seen: Whole, call: Call) -> None:
    """Check the caller's version.

    Raises:
        ChangedMeanwhile: it is not the order's.
    """
    if call.match is not None and seen.life.version not in call.match:
        raise ChangedMeanwhile(version=seen.life.version)
