"""Half-yearly renewal by the clock: a reminder ahead, and a lapse once the grace is over."""

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.tenants import zones
from dispatch.domain.checkin import GRACE_WORKING_DAYS, REMIND_DAYS, grace_ends
from dispatch.jobs.parts import parts
from dispatch.jobs.sweep import Batch
from dispatch.notices.actions import tell
from dispatch.people.tables import members
from dispatch.sla.queries import calendar_for

SIZE = 200
"""Members of one transaction."""


async def renewals(database: Database, at: datetime) -> None:
    """Remind and lapse in every tenant. Safe to repeat, and beside another worker."""
    async with database.reading() as db:
        tenants = await zones(db)
    with parts() as run:
        for tenant_id, zone in tenants:
            for step in (remind, lapse):
                with run.apart(tenant=tenant_id):
                    await _all(database, tenant_id, zone, step, at)


async def _all(database: Database, tenant_id: int, zone: ZoneInfo, step: Batch, at: datetime) -> None:
    done = SIZE
    while done >= SIZE:
        async with database.writing() as db:
            done = await step(db, tenant_id, zone, at=at, limit=SIZE)


async def remind(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime, limit: int) -> int:
    """Tell members that their check-in ends soon, once of each end."""
    soon = at.astimezone(zone).date() + timedelta(days=REMIND_DAYS)
    rows = await db.execute(
        select(members.c.account_id, members.c.renew_by)
        .where(
            members.c.tenant_id == tenant_id,
            members.c.state == "active",
            members.c.renew_by <= soon,
            or_(members.c.reminded_of.is_(None), members.c.reminded_of < members.c.renew_by),
        )
        .order_by(members.c.renew_by, members.c.account_id)
        .limit(limit)
    )
    found = rows.all()
    for renew_by in sorted({row.renew_by for row in found}):
        ids = [row.account_id for row in found if row.renew_by == renew_by]
        said = f"您的报到到{renew_by.month}月{renew_by.day}日满半年，请点“续报”，内容不变不用重填。"
        await tell(db, tenant_id, ids, f"renew:{renew_by}", "checkin.renew", said, at=at)
        await db.execute(
            update(members)
            .where(members.c.tenant_id == tenant_id, members.c.account_id.in_(ids))
            .values(reminded_of=renew_by)
        )
    return len(found)


async def lapse(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime, limit: int) -> int:
    """Suspend those whose grace is over; they read why, and one word brings them back."""
    today = at.astimezone(zone).date()
    ends = await db.execute(
        select(members.c.renew_by)
        .where(
            members.c.tenant_id == tenant_id,
            members.c.state == "active",
            # As many working days are at least as many days.
            members.c.renew_by < today - timedelta(days=GRACE_WORKING_DAYS),
        )
        .distinct()
        .order_by(members.c.renew_by)
    )
    calendar = await calendar_for(db, tenant_id)
    count = 0
    for renew_by in ends.scalars().all():
        if grace_ends(renew_by, calendar) <= at and count < limit:
            count += len(await _lapsed(db, tenant_id, renew_by, at=at, limit=limit - count))
    return count


async def _lapsed(
    db: AsyncConnection, tenant_id: int, renew_by: date, *, at: datetime, limit: int
) -> list[UUID]:
    theirs = (
        members.c.tenant_id == tenant_id,
        members.c.state == "active",
        members.c.renew_by == renew_by,
    )
    some = select(members.c.account_id).where(*theirs).order_by(members.c.account_id).limit(limit)
    gone = await db.execute(
        update(members)
        .where(*theirs, members.c.account_id.in_(some))
        .values(state="suspended", lapsed_at=at)
        .returning(members.c.account_id)
    )
    ids = list(gone.scalars())
    said = "您的报到已过期，暂不再派单；点“续报”即可恢复。"
    await tell(db, tenant_id, ids, f"lapsed:{renew_by}", "checkin.lapsed", said, at=at)
    return ids
