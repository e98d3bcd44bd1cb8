"""What goes by the clock: files are made, deletions carried out once nothing is open, and data leaves in time."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.tables import member_views
from dispatch.db.engine import Database
from dispatch.db.tenants import tenant_ids
from dispatch.domain.keeping import (
    ALL_GONE,
    CONTACT_DAYS,
    CONTACT_GONE,
    CONTENT_DAYS,
    FILE_DAYS,
    RECORD_DAYS,
)
from dispatch.jobs.parts import Parts, parts
from dispatch.orders.actions.attaching import forget
from dispatch.orders.tables import attachments, order_views
from dispatch.privacy import due
from dispatch.privacy.actions import asking, consenting, erasing, exporting, lists
from dispatch.privacy.tables import data_requests, reveal_requests, reveal_tallies
from dispatch.registering.tables import registrations

log = structlog.get_logger(__name__)

BATCH = 200
"""Orders cleared in one transaction; rows of one look."""
BETWEEN_TRIES = timedelta(minutes=2)
"""A file that could not be made is tried again after 2, 6, 14, 30 minutes."""


async def make_exports(database: Database, at: datetime) -> None:
    """Make every file that was asked for. One that cannot be made is tried again, ever later, and then given up."""
    with parts() as run:
        for tenant_id in await _tenants(database):
            with run.apart(tenant=tenant_id):
                async with database.reading() as db:
                    rows = await due.exports_to_make(db, tenant_id, limit=BATCH)
                for row in rows:
                    if at >= row.asked_at + (2**row.tries - 1) * BETWEEN_TRIES:
                        with run.apart(tenant=tenant_id, request=row.id):
                            await exporting.make(database, tenant_id, row, at=at)


async def finish_deletions(database: Database, at: datetime) -> None:
    """Carry out deletions that waited for an order or a take to end; each in a transaction of its own."""
    with parts() as run:
        for tenant_id in await _tenants(database):
            with run.apart(tenant=tenant_id):
                after: due.Next = None
                while True:
                    async with database.reading() as db:
                        rows = await due.deletions_to_finish(db, tenant_id, after=after, limit=BATCH)
                    for row in rows:
                        with run.apart(tenant=tenant_id, request=row.id):
                            async with database.writing() as db:
                                await asking.look_again(db, tenant_id, row.id, row.account_id, at=at)
                    if len(rows) < BATCH:
                        break
                    after = rows[-1].asked_at, rows[-1].id


async def end_memberships(database: Database, at: datetime) -> None:
    """End memberships of those who withdrew while a take of theirs was active, once it is not."""
    with parts() as run:
        for tenant_id in await _tenants(database):
            with run.apart(tenant=tenant_id):
                after: UUID | None = None
                while True:
                    async with database.reading() as db:
                        found = await due.unwilling_members(db, tenant_id, after=after, limit=BATCH)
                    for account_id in found:
                        with run.apart(tenant=tenant_id, account=account_id):
                            async with database.writing() as db:
                                await consenting.leave(db, tenant_id, account_id, at=at)
                    if len(found) < BATCH:
                        break
                    after = found[-1]


async def keep_no_longer(database: Database, at: datetime) -> None:
    """Clear contact data and content of orders, files and records whose time is over. Safe to repeat."""
    with parts() as run:
        for tenant_id in await _tenants(database):
            with run.apart(tenant=tenant_id):
                content = await _cleared(database, run, tenant_id, ALL_GONE, at=at)
                contact = await _cleared(database, run, tenant_id, CONTACT_GONE, at=at)
                async with database.writing() as db:
                    over = attachments.c.order_id.in_(due.files_due(tenant_id, before=at - FILE_DAYS))
                    files = await forget(db, tenant_id, attachments.c.used_at <= at - FILE_DAYS, over)
                if contact or content or files:
                    log.info(
                        "privacy.cleared", tenant=tenant_id, contact=contact, content=content, files=files
                    )
            with run.apart(tenant=tenant_id):
                async with database.writing() as db:
                    await _records(db, tenant_id, at=at)


async def _cleared(database: Database, run: Parts, tenant_id: int, level: int, *, at: datetime) -> int:
    """Clear the orders of a tenant that are due, many in one transaction. Returns how many."""
    count, after = 0, None
    kept = CONTENT_DAYS if level == ALL_GONE else CONTACT_DAYS
    while True:
        async with database.reading() as db:
            rows = await due.due_to_clear(
                db, tenant_id, level=level, before=at - kept, after=after, limit=BATCH
            )
        if not rows:
            return count
        count += await _clear(database, run, tenant_id, level, [row.id for row in rows], at=at)
        if len(rows) < BATCH:
            return count
        after = rows[-1].rested_at, rows[-1].id


async def _clear(
    database: Database, run: Parts, tenant_id: int, level: int, ids: list[UUID], *, at: datetime
) -> int:
    """Clear some orders; where that fails, each by itself, so that only what is wrong stays."""
    clear = erasing.clear_content if level == ALL_GONE else erasing.clear_contact
    try:
        async with database.writing() as db:
            await clear(db, tenant_id, ids, at=at)
        return len(ids)
    except Exception as error:
        log.warning("privacy.one_by_one", tenant=tenant_id, orders=len(ids), error=type(error).__name__)
    before = run.failed
    for id in ids:
        with run.apart(tenant=tenant_id, order=id):
            async with database.writing() as db:
                await clear(db, tenant_id, [id], at=at)
    return len(ids) - (run.failed - before)


async def _records(db: AsyncConnection, tenant_id: int, *, at: datetime) -> None:
    """Files that expired, tallies that nobody counts on, records older than they must be."""
    expired = data_requests.c.expires_at <= at
    await db.execute(
        update(data_requests)
        .where(data_requests.c.tenant_id == tenant_id, expired, data_requests.c.content.is_not(None))
        .values(content=None)
    )
    await db.execute(
        delete(data_requests).where(
            data_requests.c.tenant_id == tenant_id, data_requests.c.ended_at < at - RECORD_DAYS
        )
    )
    await db.execute(
        delete(order_views).where(order_views.c.tenant_id == tenant_id, order_views.c.at < at - RECORD_DAYS)
    )
    await db.execute(
        delete(member_views).where(
            member_views.c.tenant_id == tenant_id, member_views.c.at < at - RECORD_DAYS
        )
    )
    over = registrations.c.state.in_(lists.OVER)
    since = func.coalesce(registrations.c.ended_at, registrations.c.decided_at)
    await db.execute(
        update(registrations)
        .where(registrations.c.tenant_id == tenant_id, over, since < at - CONTACT_DAYS)
        .where(registrations.c.liaisons.is_not(None))
        .values(liaisons=None)
    )
    await lists.keep_no_longer(db, tenant_id, at=at)
    asked = reveal_requests.c
    await db.execute(
        delete(reveal_requests).where(asked.tenant_id == tenant_id, asked.asked_at < at - RECORD_DAYS)
    )
    today = f"{at:%Y%m%d}"
    await db.execute(
        delete(reveal_tallies).where(reveal_tallies.c.tenant_id == tenant_id, reveal_tallies.c.span < today)
    )


async def _tenants(database: Database) -> list[int]:
    async with database.reading() as db:
        return await tenant_ids(db)
