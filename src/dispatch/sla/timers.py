"""What happens to calendars by the clock."""

from datetime import datetime

from dispatch.db.engine import Database
from dispatch.db.tenants import tenant_ids
from dispatch.jobs.parts import parts
from dispatch.sla.actions import calendars


async def keep_calendars(database: Database, at: datetime) -> None:
    """Bring every tenant's calendar up to what is known."""
    async with database.reading() as db:
        tenants = await tenant_ids(db)
    with parts() as run:
        for tenant_id in tenants:
            with run.apart(tenant=tenant_id):
                async with database.writing() as db:
                    await calendars.keep(db, tenant_id, at=at)
