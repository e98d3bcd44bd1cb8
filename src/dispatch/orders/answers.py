"""How a verb is answered: the whole order as the caller now sees it, with its version."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import Actor
from dispatch.domain.refusal import OrderMoved, Refusal
from dispatch.orders import alike, queries
from dispatch.orders.actions.performing import Call, Done
from dispatch.orders.rendering import shown
from dispatch.orders.schemas import FiledOut, GoneOut, OrderOut
from dispatch.web.deps import Keyed, Match
from dispatch.web.etag import order_etag
from dispatch.web.problems import responses
from dispatch.web.wire import Body, IdIn

OrderId = IdIn
OrderAnswer = OrderOut | GoneOut
FiledAnswer = FiledOut | GoneOut


async def _called(key: Keyed, match: Match) -> Call:
    return Call(key=key, match=match)


async def _called_unmatched(key: Keyed) -> Call:
    return Call(key=key)


Called = Annotated[Call, Depends(_called)]
"""How a move was asked for."""

CalledUnmatched = Annotated[Call, Depends(_called_unmatched)]
"""The same for take and rate, which ignore If-Match: whoever is first takes, whoever judges judges what is there."""


def moving(*kinds: type[Refusal]) -> dict[int | str, dict[str, Any]]:
    """What a move may refuse: what any of them may, and by its own rule; the rest is said of every operation."""
    return responses(OrderMoved, *kinds)


def given(body: Body | None) -> dict[str, Any]:
    """What a body says: only the fields that were given. A move that needs nothing may come without a body."""
    return {} if body is None else body.model_dump(exclude_none=True)


def stamp(response: Response, order: OrderAnswer, done: Done | None = None) -> None:
    """Headers of an answer that holds an order."""
    if isinstance(order, OrderOut):
        response.headers["ETag"] = order_etag(order.version)
    if done is not None and done.replayed:
        response.headers["Idempotency-Replayed"] = "true"


async def answered(
    db: AsyncConnection, actor: Actor, done: Done, response: Response, *, at: datetime
) -> OrderAnswer:
    """Render what a verb led to, inside its transaction."""
    order = await seen_now(db, actor, done.order_id, at=at)
    stamp(response, order, done)
    return order


async def filed(
    db: AsyncConnection, actor: Actor, done: Done, response: Response, *, at: datetime
) -> FiledAnswer:
    """Render an order that was filed, with the orders it may repeat, in the same statement."""
    also = [alike.earlier(actor, done.order_id, at=at)]
    whole, row = await queries.whole(db, actor, done.order_id, hidden=True, also=also)
    if not row.visible:
        return GoneOut(id=whole.life.id, number=whole.number, state=whole.life.state)
    order = shown(whole, actor, at=at)
    stamp(response, order, done)
    told = {name: getattr(order, name) for name in OrderOut.model_fields}
    return FiledOut(**told, possible_duplicates=alike.hints(done.order_id, row.alike))


async def seen_now(db: AsyncConnection, actor: Actor, order_id: UUID, *, at: datetime) -> OrderAnswer:
    """The order as the actor now sees it, or that it is gone from the actor's sight."""
    whole, row = await queries.whole(db, actor, order_id, hidden=True)
    if not row.visible:
        return GoneOut(id=whole.life.id, number=whole.number, state=whole.life.state)
    return shown(whole, actor, at=at)
