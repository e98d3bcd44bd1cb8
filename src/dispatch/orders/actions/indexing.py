"""Keeping the words of orders where a search finds them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.guarding import Dependent, Each, Rows
from dispatch.domain.grams import grams
from dispatch.domain.keeping import CLEARED
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
    ids = select(orders.c.id).where(orders.c.tenant_id == tenant_id)
    if after:
        ids = ids.where(orders.c.id > after)
    found = list((await db.execute(ids.order_by(orders.c.id).limit(BATCH))).scalars())
    if not found:
        return None
    await index_orders(db, tenant_id, found)
    last: UUID = found[-1]
    return last


async def index_orders(db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID]) -> None:
    """Index the words that stand in orders now."""
    words = await _words(db, tenant_id, order_ids)
    rows = [{"tenant_id": tenant_id, "gram": gram, "order_id": order_id} for gram, order_id in words]
    await insert_or_ignore(db, order_grams, rows)


async def forget_words(db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID]) -> None:
    """Find orders by their words no more. To be called while the words still stand: by them the rows are found."""
    words = [{"said": gram, "of": order_id} for gram, order_id in await _words(db, tenant_id, order_ids)]
    if words:
        await db.execute(
            delete(order_grams).where(
                order_grams.c.tenant_id == tenant_id,
                order_grams.c.gram == bindparam("said"),
                order_grams.c.order_id == bindparam("of"),
            ),
            words,
        )


async def _words(db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID]) -> set[tuple[str, UUID]]:
    said = select(orders.c.id, orders.c.text).where(
        orders.c.tenant_id == tenant_id, orders.c.id.in_(order_ids), orders.c.text != CLEARED
    )
    added = select(order_steps.c.order_id, order_steps.c.text).where(
        order_steps.c.tenant_id == tenant_id,
        order_steps.c.order_id.in_(order_ids),
        order_steps.c.move == Move.SUPPLEMENT,
        order_steps.c.text.is_not(None),
    )
    found = [*(await db.execute(said)).all(), *(await db.execute(added)).all()]
    return {(gram, order_id) for order_id, text in found for gram in grams(text)}
