"""Handing files in with a move or a request: one's own, wholly sent, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.attachments import FileState, Use, handing_in
from dispatch.domain.people import Actor
from dispatch.domain.refusal import AttachmentUnusable
from dispatch.orders.tables import attachments


@dataclass(frozen=True, slots=True)
class Place:
    """Where files go: an order, with an entry of its log (``seq``) or with a request."""

    order_id: UUID
    use: Use
    seq: int | None = None
    request_id: UUID | None = None


def wanted(actor: Actor, ids: Any) -> list[UUID]:
    """The files that come with a move. Raises: TooManyAttachments."""
    role = actor.acting.role if actor.acting else None
    return handing_in([UUID(str(id)) for id in ids or ()], role)


async def attach(
    db: AsyncConnection, actor: Actor, ids: Sequence[UUID], place: Place, *, at: datetime
) -> None:
    """Hang files on an order, in the transaction of the move that they come with; without any nothing is asked.

    Raises:
        AttachmentUnusable: some are not the actor's, not wholly sent, or used; nothing of the move may stay.
    """
    if not ids:
        return
    hung = (
        update(attachments)
        .where(*_free(actor, ids))
        .values(
            order_id=place.order_id,
            used_for=place.use,
            seq=place.seq,
            request_id=place.request_id,
            position=case({id: n for n, id in enumerate(ids)}, value=attachments.c.id),
            used_at=at,
        )
        .returning(attachments.c.id)
    )
    found = set((await db.execute(hung)).scalars())
    if missing := [str(id) for id in ids if id not in found]:
        raise AttachmentUnusable(attachment_ids=missing)


async def hold(db: AsyncConnection, actor: Actor, ids: Sequence[UUID], draft_id: UUID) -> list[UUID]:
    """Keep files for a draft. Returns those that could be: whoever names another's finds them left out."""
    if not ids:
        return []
    held = update(attachments).where(*_free(actor, ids)).values(draft_id=draft_id).returning(attachments.c.id)
    found = set((await db.execute(held)).scalars())
    return [id for id in ids if id in found]


async def forget(db: AsyncConnection, tenant_id: int, *which: ColumnElement[bool]) -> int:
    """Show files to nobody any more; their bytes follow (attachments/timers.py). Returns how many."""
    gone = update(attachments).where(
        attachments.c.tenant_id == tenant_id, attachments.c.state != FileState.GONE, *which
    )
    return (await db.execute(gone.values(state=FileState.GONE))).rowcount


def _free(actor: Actor, ids: Sequence[UUID]) -> tuple[Any, ...]:
    return (
        attachments.c.tenant_id == actor.tenant.id,
        attachments.c.id.in_(ids),
        attachments.c.uploader_id == actor.account_id,
        attachments.c.state == FileState.READY,
        attachments.c.order_id.is_(None),
    )
