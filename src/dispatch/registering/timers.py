"""Agreements by the clock: a reminder ahead of the end, and out of service once the grace is over."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, exists, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.tenants import zones
from dispatch.domain.checkin import grace_ends
from dispatch.domain.people import Role
from dispatch.jobs.parts import parts
from dispatch.notices.actions import tell
from dispatch.people.queries import holders
from dispatch.registering.actions import retire
from dispatch.registering.tables import registrations
from dispatch.sla.queries import calendar_for

NOTICE_DAYS = 30
"""How long before its end an agreement is brought to mind: papers go through two offices. Our own judgement."""
BATCH = 100
_later = registrations.alias("later")
FOLLOWED = exists(
    select(literal(1)).where(
        and_(
            _later.c.tenant_id == registrations.c.tenant_id,
            _later.c.body_id == registrations.c.body_id,
            _later.c.from_on > registrations.c.from_on,
            _later.c.state.in_(("filed", "approved")),
        )
    )
)
"""Whether another agreement of the body comes after, or waits for approval."""


async def agreements(database: Database, at: datetime) -> None:
    """Remind and end in every tenant. Safe to repeat, and beside another worker."""
    async with database.reading() as db:
        tenants = await zones(db)
    with parts() as run:
        for tenant_id, zone in tenants:
            for step in (remind, lapse):
                with run.apart(tenant=tenant_id):
                    async with database.writing() as db:
                        await step(db, tenant_id, zone, at=at)


async def _standing(db: AsyncConnection, tenant_id: int, *more: Any) -> list[Any]:
    rows = (
        select(registrations, FOLLOWED.label("followed"))
        .where(registrations.c.tenant_id == tenant_id, registrations.c.state == "approved", *more)
        .order_by(registrations.c.until_on)
        .limit(BATCH)
        .with_for_update(skip_locked=True, of=registrations)
    )
    return list((await db.execute(rows)).all())


async def _for(db: AsyncConnection, tenant_id: int, row: Any, *, at: datetime) -> set[Any]:
    """Who acts for the body, and who filed."""
    acting = await holders(db, tenant_id, (Role.UNIT_ADMIN, Role.TEAM_LEAD), body_id=row.body_id, at=at)
    return acting | {row.filed_by}


async def remind(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime) -> None:
    """Tell those who act for a body that its agreement ends soon, once."""
    soon = at.astimezone(zone).date() + timedelta(days=NOTICE_DAYS)
    ending = registrations.c.until_on <= soon, registrations.c.reminded_at.is_(None), ~FOLLOWED
    for row in await _standing(db, tenant_id, *ending):
        last = row.until_on - timedelta(days=1)
        said = f"共建协议{last.month}月{last.day}日到期，请续报或办理退出。"
        told = await _for(db, tenant_id, row, at=at)
        await tell(db, tenant_id, told, f"agreement:{row.id}:ends", "registration.renew", said, at=at)
        await db.execute(_of(row).values(reminded_at=at))


async def lapse(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime) -> None:
    """End agreements whose grace is over; a body without another one leaves service."""
    calendar = await calendar_for(db, tenant_id)
    today = at.astimezone(zone).date()
    for row in await _standing(db, tenant_id, registrations.c.until_on <= today):
        if row.followed:
            await db.execute(_of(row).values(state="ended", ended_at=at))
        elif grace_ends(row.until_on - timedelta(days=1), calendar) <= at:
            await retire(db, tenant_id, row.kind, row.body_id, at=at)
            said = "共建协议已过期，暂不再派单；重新报到通过后恢复。"
            told = await _for(db, tenant_id, row, at=at)
            await tell(db, tenant_id, told, f"agreement:{row.id}:over", "registration.over", said, at=at)


def _of(row: Any) -> Any:
    return update(registrations).where(
        registrations.c.tenant_id == row.tenant_id, registrations.c.id == row.id
    )
