"""回避: whom an order complains of must not know of it (peers' law 131)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.guarding import Rows, guarded
from dispatch.domain.life import standing
from dispatch.domain.people import Actor
from dispatch.domain.privacy import KNOWS
from dispatch.domain.refusal import AccountNotFound, BodyNotFound, RecusedAtWork, RoleForbidden
from dispatch.domain.rules import moved_away
from dispatch.orders import queries
from dispatch.orders.actions.performing import ATTEMPTS
from dispatch.orders.tables import order_recusals, orders
from dispatch.orders.whole import Whole
from dispatch.people.queries import names


async def recuse(
    db: AsyncConnection, actor: Actor, order_id: UUID, kind: str, party_id: UUID, *, at: datetime
) -> None:
    """Keep an order from a person, or from a body and all its people. Leaves no step: the log is read by many.
    What they were told of it before is no longer shown either (``notices.queries.TOLD``).

    Raises:
        RoleForbidden: only dispatcher and secretary of the community, who know who complained.
        AccountNotFound, BodyNotFound: no such party.
        RecusedAtWork: the party holds a take; a take that comes between makes it look again.
    """
    for _ in range(ATTEMPTS):
        seen = await _seen(db, actor, order_id)
        party = ("staff" if kind == "person" else kind, party_id)
        if not await names(db, actor.tenant.id, [party]):
            raise AccountNotFound() if kind == "person" else BodyNotFound()
        if any(party_id in (take.taker_id, *take.people) for take in seen.life.active):
            raise RecusedAtWork()
        as_seen = (
            update(orders)
            .where(
                orders.c.tenant_id == actor.tenant.id,
                orders.c.id == order_id,
                orders.c.version == seen.life.version,
            )
            .values(recused=1, updated_at=at)
            .returning(orders.c.id)
        )
        row = {
            "tenant_id": actor.tenant.id,
            "order_id": order_id,
            "party_id": party_id,
            "kind": kind,
            "by": actor.account_id,
            "at": at,
        }
        if await guarded(db, as_seen, [Rows(order_recusals, [row], skip=True)]) is not None:
            return
        await start_over(db)
    raise moved_away(seen.life)


async def end(db: AsyncConnection, actor: Actor, order_id: UUID, party_id: UUID) -> None:
    """Undo a recusal. Raises: RoleForbidden, as ``recuse``."""
    await _seen(db, actor, order_id)
    await db.execute(
        delete(order_recusals).where(
            order_recusals.c.tenant_id == actor.tenant.id,
            order_recusals.c.order_id == order_id,
            order_recusals.c.party_id == party_id,
        )
    )


async def listed(db: AsyncConnection, actor: Actor, order_id: UUID) -> list[tuple[Any, str | None]]:
    """Who is kept from an order, with their names. Raises: RoleForbidden, as ``recuse``."""
    await _seen(db, actor, order_id)
    rows = (
        await db.execute(
            select(order_recusals)
            .where(order_recusals.c.tenant_id == actor.tenant.id, order_recusals.c.order_id == order_id)
            .order_by(order_recusals.c.at)
        )
    ).all()
    parties = {row.party_id: ("staff" if row.kind == "person" else row.kind, row.party_id) for row in rows}
    told = await names(db, actor.tenant.id, parties.values())
    return [(row, told.get(parties[row.party_id])) for row in rows]


async def _seen(db: AsyncConnection, actor: Actor, order_id: UUID) -> Whole:
    seen, _ = await queries.whole(db, actor, order_id)
    if not standing(seen.life, actor).scoped & KNOWS:
        raise RoleForbidden()
    return seen
