"""Keeping the words of orders where a search finds them."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import Dependent, Each, Rows, insert_or_ignore
from dispatch.domain.grams import grams
from dispatch.domain.order import Move
from dispatch.orders.tables import order_grams, order_steps, orders

BATCH = 500


def indexed(tenant_id: int, order_id: UUID, text: str) -> list[Dependent]:
    """What makes an order found by the words of a text; words that it has already stay."""
    found = grams(text)
    if not found:
        return []
    row = {"tenant_id": tenant_id, "gram": Each(sorted(found)), "order_id": order_id}
    return [Rows(order_grams, [row], skip=True)]


async def index_batch(db: AsyncConnection, tenant_id: int, after: UUID | None = None) -> UUID | None:
    """Index the next orders of a tenant, whatever of their words is there already. Safe to repeat.

    Returns:
        The last one's id, to go on after; None when there was none.
    """
    said = select(orders.c.id, orders.c.text).where(orders.c.tenant_id == tenant_id)
    if after:
        said = said.where(orders.c.id > after)
    told = (await db.execute(said.order_by(orders.c.id).limit(BATCH))).all()
    if not told:
        return None
    added = select(order_steps.c.order_id, order_steps.c.text).where(
        order_steps.c.tenant_id == tenant_id,
        order_steps.c.order_id.in_([row.id for row in told]),
        order_steps.c.move == Move.SUPPLEMENT,
    )
    rows: list[dict[str, Any]] = [
        {"tenant_id": tenant_id, "gram": gram, "order_id": order_id}
        for order_id, text in [*told, *(await db.execute(added)).all()]
        for gram in grams(text)
    ]
    await insert_or_ignore(db, order_grams, rows)
    last: UUID = told[-1].id
    return last
