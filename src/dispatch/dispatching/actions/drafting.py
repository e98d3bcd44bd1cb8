"""What was sent for a take that had ended by time is kept: read, attached once the order is one's own again, dropped."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import yielding_insert
from dispatch.db.engine import start_over
from dispatch.db.guarding import Dependent
from dispatch.db.ids import new_id
from dispatch.dispatching.tables import drafts
from dispatch.domain.life import party_of
from dispatch.domain.moved import Moved
from dispatch.domain.order import Move, TakeState
from dispatch.domain.people import Actor
from dispatch.domain.refusal import DraftNotFound, LeaseLost, OrderMoved, OrderNotFound, RoleForbidden
from dispatch.orders.actions.performing import Call, Data, Done, perform
from dispatch.orders.tables import orders, takes
from dispatch.orders.whole import Whole


async def served(
    db: AsyncConnection, actor: Actor, order_id: UUID, move: Move, data: Data, call: Call, *, at: datetime
) -> Done:
    """Contact, start, progress, finish, lead: acts of those who took it. Raises: see ``perform``.

    Raises:
        LeaseLost: the take ended by time; the words and pictures are kept as a draft.
    """
    try:
        return await perform(db, actor, order_id, move, data, call, at=at)
    except (OrderNotFound, RoleForbidden, OrderMoved):
        take_id = await _lapsed(db, actor, order_id)
        if take_id is None:
            raise
        await start_over(db)
        raise LeaseLost(draft_id=await _keep(db, actor, order_id, take_id, move, data, at=at)) from None


async def _lapsed(db: AsyncConnection, actor: Actor, order_id: UUID) -> UUID | None:
    """The actor's take of the order, if time ended it and the actor has no other."""
    parties = [party for grant in actor.grants if (party := party_of(grant, actor.account_id))]
    if not parties:
        return None
    mine = (and_(takes.c.kind == str(kind), takes.c.taker_id == id) for kind, id in parties)
    rows = await db.execute(
        select(takes.c.id, takes.c.state)
        .where(takes.c.tenant_id == actor.tenant.id, takes.c.order_id == order_id, or_(*mine))
        .order_by(takes.c.taken_at.desc())
    )
    last = rows.first()
    found: UUID | None = last.id if last and last.state == TakeState.LAPSED else None
    return found


async def _keep(
    db: AsyncConnection,
    actor: Actor,
    order_id: UUID,
    take_id: UUID,
    move: Move,
    data: Data,
    *,
    at: datetime,
) -> str | None:
    """Keep what was sent; sent again it replaces what was kept. None where there is nothing to keep."""
    content = _content(data)
    if content is None:
        return None
    key = {"tenant_id": actor.tenant.id, "take_id": take_id, "account_id": actor.account_id, "move": move}
    fresh = {"content": content, "kept_at": at, "attached_at": None}
    write = yielding_insert(db, drafts).values({**key, "id": new_id(), "order_id": order_id, **fresh})
    write = write.on_conflict_do_update(index_elements=list(drafts.primary_key.columns), set_=fresh)
    return str((await db.execute(write.returning(drafts.c.id))).scalar_one())


def _content(data: Data) -> dict[str, Any] | None:
    text, pictures = data.get("result") or data.get("text"), data.get("attachment_ids") or []
    if not text and not pictures:
        return None
    minutes = [line["minutes"] for line in data.get("minutes") or ()]
    closing = data.get("closing")
    return {
        "text": text,
        "closing": str(closing) if closing else None,
        "minutes": sum(minutes) if minutes else None,
        "attachment_ids": list(pictures),
    }


def _mine(actor: Actor) -> Any:
    return (
        select(drafts, orders.c.day, orders.c.serial)
        .join(orders, and_(orders.c.tenant_id == drafts.c.tenant_id, orders.c.id == drafts.c.order_id))
        .where(drafts.c.tenant_id == actor.tenant.id, drafts.c.account_id == actor.account_id)
    )


async def page(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """The actor's own drafts, newest first; one more than ``limit``."""
    by = (drafts.c.kept_at, drafts.c.id)
    rows = _mine(actor).order_by(*(column.desc() for column in by)).limit(limit + 1)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())


async def drop(db: AsyncConnection, actor: Actor, draft_id: UUID) -> None:
    """Throw a draft of one's own away.

    Raises:
        DraftNotFound: unknown, or another's.
    """
    own = (drafts.c.tenant_id == actor.tenant.id, drafts.c.account_id == actor.account_id)
    if (await db.execute(delete(drafts).where(*own, drafts.c.id == draft_id))).rowcount == 0:
        raise DraftNotFound()


async def attach(db: AsyncConnection, actor: Actor, draft_id: UUID, call: Call, *, at: datetime) -> Done:
    """Report what a draft holds as progress of its order, which must be one's own again.

    Raises:
        DraftNotFound: unknown, or another's.
        Refusal: see ``perform``; RoleForbidden while the actor is not on the order.
    """
    row = (await db.execute(_mine(actor).where(drafts.c.id == draft_id))).one_or_none()
    if row is None:
        raise DraftNotFound()

    def mark(seen: Whole, moved: Moved, data: Data) -> list[Dependent]:
        own = (drafts.c.tenant_id == actor.tenant.id, drafts.c.account_id == actor.account_id)
        return [update(drafts).where(*own, drafts.c.id == draft_id).values(attached_at=at)]

    content: Mapping[str, Any] = row.content
    data = {"text": content["text"] or "补交图片。", "attachment_ids": content["attachment_ids"]}
    return await perform(db, actor, row.order_id, Move.PROGRESS, data, call, at=at, besides=mark)
