"""Agreements by the clock: a reminder ahead of the end, into service on the first day, out of it once the grace is over."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import exists, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.tenants import zones
from dispatch.domain.checkin import grace_ends
from dispatch.domain.people import Role
from dispatch.jobs.parts import parts
from dispatch.notices.actions import tell
from dispatch.people.queries import holders
from dispatch.people.tables import bodies
from dispatch.registering.actions import begin, rest
from dispatch.registering.tables import registrations
from dispatch.sla.queries import calendar_for

NOTICE_DAYS = 30
"""How long before its end an agreement is brought to mind: papers go through two offices. Our own judgement."""
BATCH = 100
_later = registrations.alias("later")


def _after(*more: Any) -> Any:
    """Whether another agreement of the body comes after, for which this holds."""
    same = _later.c.tenant_id == registrations.c.tenant_id, _later.c.body_id == registrations.c.body_id
    return exists(select(literal(1)).where(*same, _later.c.from_on > registrations.c.from_on, *more))


def _followed(today: date) -> Any:
    """Whether another agreement is in force: one that only waits may be returned, one that begins later leaves a gap."""
    return _after(_later.c.state == "approved", _later.c.from_on <= today)


async def agreements(database: Database, at: datetime) -> None:
    """Remind, begin and end in every tenant. Safe to repeat, and beside another worker."""
    async with database.reading() as db:
        tenants = await zones(db)
    with parts() as run:
        for tenant_id, zone in tenants:
            for step in (remind, start, lapse):
                with run.apart(tenant=tenant_id):
                    async with database.writing() as db:
                        await step(db, tenant_id, zone, at=at)


async def _standing(db: AsyncConnection, tenant_id: int, today: date, *more: Any) -> list[Any]:
    rows = (
        select(registrations, _followed(today).label("followed"))
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
    today = at.astimezone(zone).date()
    soon = today + timedelta(days=NOTICE_DAYS)
    cared_for = _after(_later.c.state.in_(("filed", "approved")))
    ending = registrations.c.until_on <= soon, registrations.c.reminded_at.is_(None), ~cared_for
    for row in await _standing(db, tenant_id, today, *ending):
        last = row.until_on - timedelta(days=1)
        said = f"共建协议{last.month}月{last.day}日到期，请续报或办理退出。"
        told = await _for(db, tenant_id, row, at=at)
        await tell(db, tenant_id, told, f"agreement:{row.id}:ends", "registration.renew", said, at=at)
        await db.execute(_of(row).values(reminded_at=at))


async def start(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime) -> None:
    """Let agreements begin whose first day has come: bodies that are not yet called or placed as theirs says."""
    today = at.astimezone(zone).date()
    other = exists(
        select(literal(1)).where(
            bodies.c.tenant_id == registrations.c.tenant_id,
            bodies.c.id == registrations.c.body_id,
            or_(
                bodies.c.retired_at.is_not(None),
                bodies.c.name != registrations.c.name,
                bodies.c.place_id != registrations.c.place_id,
            ),
        )
    )
    in_force = registrations.c.from_on <= today, registrations.c.until_on > today, ~_followed(today)
    for row in await _standing(db, tenant_id, today, *in_force, other):
        await begin(db, tenant_id, row.body_id, row, at=at)


async def lapse(db: AsyncConnection, tenant_id: int, zone: ZoneInfo, *, at: datetime) -> None:
    """End agreements whose grace is over; a body without another one in force leaves service.

    What is filed stays filed, and what is approved for later begins then: both bring the body back.
    """
    calendar = await calendar_for(db, tenant_id)
    today = at.astimezone(zone).date()
    for row in await _standing(db, tenant_id, today, registrations.c.until_on <= today):
        if not row.followed:
            if grace_ends(row.until_on - timedelta(days=1), calendar) > at:
                continue
            await rest(db, tenant_id, row.kind, row.body_id, at=at)
            said = "共建协议已过期，暂不再派单；重新报到通过后恢复。"
            told = await _for(db, tenant_id, row, at=at)
            await tell(db, tenant_id, told, f"agreement:{row.id}:over", "registration.over", said, at=at)
        await db.execute(_of(row).values(state="ended", ended_at=at))


def _of(row: Any) -> Any:
    return update(registrations).where(
        registrations.c.tenant_id == row.tenant_id, registrations.c.id == row.id
    )
