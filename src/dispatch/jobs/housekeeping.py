"""Rows that have been kept long enough, and what the planner knows of the rest."""

from datetime import datetime, timedelta

from dispatch.db import dialect, idempotency, outbox
from dispatch.db.engine import Database
from dispatch.db.tenants import tenant_ids

TOLD_DAYS = 30
"""Days that a told fact stays for inspection."""


async def forget_keys(database: Database, at: datetime) -> None:
    """Drop idempotency keys after the promised days."""
    async with database.writing() as db:
        for tenant_id in await tenant_ids(db):
            await idempotency.forget(db, tenant_id, before=at - timedelta(days=idempotency.KEPT_DAYS))


async def drop_told(database: Database, at: datetime) -> None:
    """Drop facts that were told long ago; dead ones stay until somebody has looked at them."""
    async with database.writing() as db:
        for tenant_id in await tenant_ids(db):
            await outbox.drop_told(db, tenant_id, before=at - timedelta(days=TOLD_DAYS))


async def refresh_statistics(database: Database, at: datetime) -> None:
    """Let SQLite count what is in the tables; PostgreSQL does so by itself."""
    async with database.writing() as db:
        await dialect.refresh_statistics(db)
