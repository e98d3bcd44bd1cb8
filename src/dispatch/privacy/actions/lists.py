"""The words of the lists (资源清单, 需求清单), of claims on them and of agreements leave too: an office's record, not for ever."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.keeping import CLEARED, CONTENT_DAYS
from dispatch.domain.listings import ClaimState, ListingState
from dispatch.notices.tables import notices
from dispatch.registering.tables import registrations
from dispatch.resources.tables import claims, listings

SETTLED = (ClaimState.DECLINED, ClaimState.CANCELLED, ClaimState.DELIVERED)
"""Claims of which nothing more becomes."""
OVER = ("returned", "withdrawn", "ended")
"""Registrations by which nobody serves."""


def ended(before: datetime) -> ColumnElement[bool]:
    """Listings that nobody could claim any more at an instant."""
    withdrawn = (listings.c.state == ListingState.WITHDRAWN) & (listings.c.withdrawn_at <= before)
    return or_(withdrawn, listings.c.ends_on < before.date())


async def clear_listings(db: AsyncConnection, tenant_id: int, *which: ColumnElement[bool]) -> None:
    """Forget what listings say, and the notices that quote it."""
    these = listings.c.tenant_id == tenant_id, listings.c.text != CLEARED, *which
    quoted = (
        select(claims.c.id)
        .join(listings, (listings.c.tenant_id == claims.c.tenant_id) & (listings.c.id == claims.c.listing_id))
        .where(*these)
    )
    await db.execute(delete(notices).where(notices.c.tenant_id == tenant_id, notices.c.claim_id.in_(quoted)))
    await db.execute(
        update(listings).where(*these).values(title=CLEARED, text=CLEARED, spot=None, terms=None)
    )


async def words_of(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """Forget what a person wrote; what a body or an office still offers stays, as it is not the person's."""
    await clear_listings(db, tenant_id, listings.c.published_by == account_id, ended(at))
    for by, cleared in (
        (claims.c.claimed_by, {"purpose": CLEARED}),
        (claims.c.moved_by, {"reason": None, "note": None}),
    ):
        await db.execute(
            update(claims).where(claims.c.tenant_id == tenant_id, by == account_id).values(cleared)
        )
    over = registrations.c.state.in_(OVER)
    for which, column in (
        ((registrations.c.decided_by == account_id,), "text"),
        ((registrations.c.filed_by == account_id, over), "text"),
        ((registrations.c.filed_by == account_id, over), "liaisons"),
    ):
        await db.execute(
            update(registrations)
            .where(registrations.c.tenant_id == tenant_id, *which)
            .values({column: null()})
        )


async def keep_no_longer(db: AsyncConnection, tenant_id: int, *, at: datetime) -> None:
    """Forget the words of what has been over for as long as an order's content is kept. Safe to repeat."""
    before = at - CONTENT_DAYS
    await clear_listings(db, tenant_id, ended(before))
    settled = or_(claims.c.state.in_(SETTLED), claims.c.ends_at < before)
    await db.execute(
        update(claims)
        .where(claims.c.tenant_id == tenant_id, settled, claims.c.moved_at < before)
        .where(claims.c.purpose != CLEARED)
        .values(purpose=CLEARED, reason=None, note=None)
    )
    since: Any = func.coalesce(registrations.c.ended_at, registrations.c.decided_at)
    await db.execute(
        update(registrations)
        .where(registrations.c.tenant_id == tenant_id, registrations.c.state.in_(OVER), since < before)
        .where(registrations.c.text.is_not(None))
        .values(text=None)
    )
