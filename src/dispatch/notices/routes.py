"""Notices over HTTP."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, status

from dispatch.domain.people import Actor
from dispatch.notices import actions, queries
from dispatch.notices.schemas import NoticeOut, ReadIn
from dispatch.web.deps import Caller, Now, Reading, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor

router = APIRouter(prefix="/v1/me/notices", tags=["me"])


@router.get("", summary="我的通知")
async def list_notices(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[NoticeOut]:
    """What the caller was told, newest first."""
    query = fingerprint("notices")
    after = read_cursor(cursor, query)
    found = await queries.page(db, caller, after=(after.at, after.id) if after else None, limit=limit)
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.created_at, row.id))
    return Page(items=[_shown(row, caller) for row in rows], next_cursor=next_cursor)


@router.post("/read", status_code=status.HTTP_204_NO_CONTENT, summary="把通知标为已读")
async def read_notices(db: Writing, caller: Caller, now: Now, body: ReadIn) -> None:
    """Mark all up to one as read; safe to repeat."""
    await actions.read(db, caller, up_to=body.up_to, at=now)


def _shown(row: Any, actor: Actor) -> NoticeOut:
    def zoned(at: datetime | None) -> Any:
        return None if at is None else at.astimezone(actor.tenant.zone)

    return NoticeOut(
        id=row.id,
        order_id=row.order_id,
        claim_id=row.claim_id,
        event=row.event,
        text=row.text,
        created_at=zoned(row.created_at),
        read_at=zoned(row.read_at),
    )
