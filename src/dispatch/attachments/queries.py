"""Reads of files: one's own, and those on orders that one sees so far."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.attachments import FileState
from dispatch.domain.life import standing
from dispatch.domain.people import Actor
from dispatch.domain.privacy import view
from dispatch.domain.refusal import AttachmentNotFound, OrderNotFound
from dispatch.orders.queries import whole
from dispatch.orders.tables import attachments, orders
from dispatch.orders.whole import Whole
from dispatch.people.queries import prove


async def own(db: AsyncConnection, actor: Actor, id: UUID) -> Any:
    """A file that the actor announced.

    Raises:
        AttachmentNotFound: unknown, another's, or gone.
        TokenRevoked: the actor's grants have changed.
    """
    await prove(db, actor)
    row = await _row(db, actor, id)
    if row is None or row.uploader_id != actor.account_id:
        raise AttachmentNotFound()
    return row


async def seen(db: AsyncConnection, actor: Actor, id: UUID, *, at: datetime) -> tuple[Any, Whole | None]:
    """A file that the actor may look at: one's own until it is handed in; then whoever sees the order so far.

    Returns:
        Its row, and the order that it hangs on.

    Raises:
        AttachmentNotFound: unknown, gone, another's that hangs on nothing, or on an order not seen so far.
        TokenRevoked: the actor's grants have changed.
    """
    await prove(db, actor)
    row = await _row(db, actor, id)
    if row is None:
        raise AttachmentNotFound()
    if row.order_id is None:
        if row.uploader_id != actor.account_id:
            raise AttachmentNotFound()
        return row, None
    try:
        order, _ = await whole(db, actor, row.order_id)
    except OrderNotFound:
        raise AttachmentNotFound() from None
    if not view(order.life, standing(order.life, actor), hide_name=order.row.hide_name, at=at).files:
        raise AttachmentNotFound()
    return row, order


async def _row(db: AsyncConnection, actor: Actor, id: UUID) -> Any:
    rows = select(attachments).where(
        attachments.c.tenant_id == actor.tenant.id,
        attachments.c.id == id,
        attachments.c.state != FileState.GONE,
    )
    return (await db.execute(rows)).one_or_none()


async def unused(db: AsyncConnection, actor: Actor, *, at: datetime) -> int:
    """How many files of an account hang on nothing yet."""
    rows = select(func.count()).where(
        attachments.c.tenant_id == actor.tenant.id,
        attachments.c.uploader_id == actor.account_id,
        attachments.c.order_id.is_(None),
        attachments.c.state.in_((FileState.PENDING, FileState.READY)),
        attachments.c.expires_at > at,
    )
    return int(await db.scalar(rows) or 0)


async def of_person(db: AsyncConnection, tenant_id: int, account_id: UUID) -> list[Any]:
    """Every file that a person sent, or that hangs on an order by or for that person; oldest first."""
    mine = select(orders.c.id).where(
        orders.c.tenant_id == tenant_id,
        or_(orders.c.filer_id == account_id, orders.c.beneficiary_id == account_id),
    )
    rows = (
        select(attachments)
        .where(
            attachments.c.tenant_id == tenant_id,
            attachments.c.state == FileState.READY,
            or_(attachments.c.uploader_id == account_id, attachments.c.order_id.in_(mine)),
        )
        .order_by(attachments.c.created_at, attachments.c.id)
    )
    return list((await db.execute(rows)).all())
