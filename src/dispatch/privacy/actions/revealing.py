"""Showing contact data for a purpose."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.guarding import Count, counted
from dispatch.domain.life import standing
from dispatch.domain.people import Actor
from dispatch.domain.privacy import REVEALS_A_DAY, REVEALS_AN_HOUR, reveal_refusal, view
from dispatch.domain.refusal import RateLimited, SecondPersonRequired
from dispatch.orders import queries
from dispatch.orders.actions import viewing
from dispatch.orders.whole import Whole
from dispatch.privacy.queries import confirmed
from dispatch.privacy.tables import reveal_tallies


@dataclass(frozen=True, slots=True)
class Revealed:
    """What was shown, and under which record."""

    id: UUID
    whole: Whole
    names_filer: bool


async def reveal(
    db: AsyncConnection, actor: Actor, order_id: UUID, purpose: str, *, at: datetime
) -> Revealed:
    """Show an order's contact data for a purpose, on record.

    Raises:
        OrderNotFound: none of the actor's business.
        RoleForbidden, TooLate: not for this role, or no longer.
        SecondPersonRequired: the district, and nobody has confirmed it, or the time is over.
        RateLimited: more than anybody needs in an hour or a day.
    """
    whole, _ = await queries.whole(db, actor, order_id)
    who = standing(whole.life, actor)
    second = None
    if refusal := reveal_refusal(whole.life, who, at=at):
        if isinstance(refusal, SecondPersonRequired):
            second = await confirmed(db, actor, order_id, at=at)
        if second is None:
            raise refusal
    await _count(db, actor, at=at)
    fields = [name for name in viewing.CONTACT if getattr(whole.row, name) is not None]
    seen = view(whole.life, who, hide_name=whole.row.hide_name, at=at)
    id = await viewing.asked(db, whole, actor, purpose, fields, second=second, at=at)
    return Revealed(id, whole, seen.filer)


async def _count(db: AsyncConnection, actor: Actor, *, at: datetime) -> None:
    """Count one look in the hour and the day. A refused one rolls back and counts for nothing."""
    moment = at.astimezone(UTC)
    hour = moment.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    for span, most, ends in (
        (f"{moment:%Y%m%d%H}", REVEALS_AN_HOUR, hour + timedelta(hours=1)),
        (f"{moment:%Y%m%d}", REVEALS_A_DAY, day + timedelta(days=1)),
    ):
        key: dict[str, Any] = {"tenant_id": actor.tenant.id, "account_id": actor.account_id, "span": span}
        shown = (await counted(db, Count(reveal_tallies, key, "shown"))).shown
        if shown > most:
            raise RateLimited(retry_after=int((ends - moment).total_seconds()) + 1)
