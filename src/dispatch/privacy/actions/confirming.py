"""Break-glass: the district has contact data shown once a second person has confirmed it (domain.md §4.1)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import yielding_insert
from dispatch.db.guarding import Rows, guarded
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.domain.facts import Fact
from dispatch.domain.life import standing
from dispatch.domain.people import Actor
from dispatch.domain.privacy import SECOND_OPENS, SECOND_WAITS, confirming_refusal, reveal_refusal
from dispatch.domain.refusal import RequestDecided, RequestPending, RoleForbidden, SecondPersonRequired
from dispatch.orders import queries as order_queries
from dispatch.privacy import queries
from dispatch.privacy.tables import reveal_requests


async def ask(
    db: AsyncConnection, actor: Actor, order_id: UUID, purpose: str, text: str, *, at: datetime
) -> UUID:
    """Ask that an order's contact data be opened. Returns the request's id.

    Raises:
        OrderNotFound: none of the actor's business.
        RoleForbidden: not the district of the order, or somebody who needs no second person.
        RequestPending: the actor's last one waits for an answer.
    """
    whole, _ = await order_queries.whole(db, actor, order_id)
    refusal = reveal_refusal(whole.life, standing(whole.life, actor), at=at)
    if not isinstance(refusal, SecondPersonRequired):
        raise refusal or RoleForbidden()
    assert actor.acting is not None  # writes have one
    asked, id = reveal_requests.c, new_id()
    await db.execute(
        update(reveal_requests)
        .where(
            asked.tenant_id == actor.tenant.id,
            asked.order_id == order_id,
            asked.account_id == actor.account_id,
            asked.status == "pending",
            asked.asked_at <= at - SECOND_WAITS,
        )
        .values(status="lapsed")
    )
    row = {
        "tenant_id": actor.tenant.id,
        "id": id,
        "order_id": order_id,
        "account_id": actor.account_id,
        "grant_id": actor.acting.id,
        "purpose": purpose,
        "text": text,
        "status": "pending",
        "asked_at": at,
    }
    made = yielding_insert(db, reveal_requests).values(row).on_conflict_do_nothing().returning(asked.id)
    fact = _told(Fact.REVEAL_ASKED, actor, order_id, id, at=at, account_id=str(actor.account_id))
    if await guarded(db, made, [fact]) is None:
        raise RequestPending()
    return id


async def decide(
    db: AsyncConnection, actor: Actor, id: UUID, *, approve: bool, text: str | None, at: datetime
) -> None:
    """Confirm or refuse a request as the second person; what is confirmed opens at once, for a short time.

    Raises:
        RequestNotFound: none of the actor's business.
        RoleForbidden: not street or district of the order, or the order may be shown to neither.
        SecondPersonRequired: the actor asked, or one of the two lent the other the role.
        RequestDecided: it was decided, or waited too long.
    """
    row = await queries.reveal_request(db, actor, id)
    whole, _ = await order_queries.whole(db, actor, row.order_id)
    lent = await queries.lent_between(db, actor, row)
    if refusal := confirming_refusal(standing(whole.life, actor), row.account_id, lent=lent):
        raise refusal
    assert actor.acting is not None
    asked = reveal_requests.c
    decided = (
        update(reveal_requests)
        .where(
            asked.tenant_id == actor.tenant.id,
            asked.id == id,
            asked.status == "pending",
            asked.asked_at > at - SECOND_WAITS,
        )
        .values(
            status="approved" if approve else "refused",
            decided_by=actor.account_id,
            decided_role=actor.acting.role,
            decision=text,
            decided_at=at,
            open_until=at + SECOND_OPENS if approve else None,
        )
        .returning(asked.id)
    )
    ended = {"account_id": str(row.account_id), "status": "approved" if approve else "refused"}
    fact = _told(Fact.REVEAL_DECIDED, actor, row.order_id, id, at=at, **ended)
    if await guarded(db, decided, [fact]) is None:
        raise RequestDecided()


def _told(fact: Fact, actor: Actor, order_id: UUID, id: UUID, *, at: datetime, **more: str) -> Rows:
    body = {"order_id": str(order_id), "reveal_request_id": str(id), **more}
    return announce(actor.tenant.id, fact, body, order_id=order_id, at=at)
