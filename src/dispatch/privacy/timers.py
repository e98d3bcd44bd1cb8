"""What goes by the clock: files are made, deletions carried out once nothing is open, and data leaves in time."""

from datetime import datetime

import structlog
from sqlalchemy import delete, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.tables import member_views
from dispatch.db.engine import Database
from dispatch.db.tenants import tenant_ids
from dispatch.domain.keeping import ALL_GONE, CONTACT_DAYS, CONTACT_GONE, CONTENT_DAYS, RECORD_DAYS
from dispatch.orders.tables import order_views
from dispatch.privacy import queries
from dispatch.privacy.actions import asking, consenting, erasing, exporting, lists
from dispatch.privacy.tables import data_requests, reveal_requests, reveal_tallies
from dispatch.registering.tables import registrations

log = structlog.get_logger(__name__)

BATCH = 200
"""Orders cleared in one transaction."""


async def make_exports(database: Database, at: datetime) -> None:
    """Make every file that was asked for; each in a transaction of its own."""
    for tenant_id in await _tenants(database):
        while await _one_export(database, tenant_id, at):
            pass


async def _one_export(database: Database, tenant_id: int, at: datetime) -> bool:
    async with database.writing() as db:
        rows = await queries.unanswered(db, tenant_id, "export", "pending", limit=1)
        for row in rows:
            await exporting.make(db, tenant_id, row.id, row.account_id, at=at)
    return bool(rows)


async def finish_deletions(database: Database, at: datetime) -> None:
    """Carry out deletions that waited for an order or a take to end."""
    for tenant_id in await _tenants(database):
        async with database.writing() as db:
            for row in await queries.unanswered(db, tenant_id, "deletion", "waiting", limit=BATCH):
                if await queries.why_not_yet(db, tenant_id, row.account_id) is None:
                    await asking.finish_deletion(db, tenant_id, row.id, row.account_id, at=at)


async def end_memberships(database: Database, at: datetime) -> None:
    """End memberships of those who withdrew while a take of theirs was active, once it is not."""
    for tenant_id in await _tenants(database):
        async with database.writing() as db:
            for account_id in await queries.unwilling_members(db, tenant_id, limit=BATCH):
                await consenting.leave(db, tenant_id, account_id, at=at)


async def keep_no_longer(database: Database, at: datetime) -> None:
    """Clear contact data and content of orders, files and records whose time is over. Safe to repeat."""
    for tenant_id in await _tenants(database):
        contact = content = 0
        while True:
            async with database.writing() as db:
                ids = await queries.due_to_clear(
                    db, tenant_id, level=ALL_GONE, before=at - CONTENT_DAYS, limit=BATCH
                )
                await erasing.clear_content(db, tenant_id, ids, at=at)
            content += len(ids)
            if len(ids) < BATCH:
                break
        while True:
            async with database.writing() as db:
                ids = await queries.due_to_clear(
                    db, tenant_id, level=CONTACT_GONE, before=at - CONTACT_DAYS, limit=BATCH
                )
                await erasing.clear_contact(db, tenant_id, ids, at=at)
            contact += len(ids)
            if len(ids) < BATCH:
                break
        async with database.writing() as db:
            await _records(db, tenant_id, at=at)
        if contact or content:
            log.info("privacy.cleared", tenant=tenant_id, contact=contact, content=content)


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
