"""Publishing by the clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

from dispatch.db.engine import Database
from dispatch.domain.publishing import due
from dispatch.jobs.parts import parts
from dispatch.reports import actions, queries


async def publish(database: Database, at: datetime) -> None:
    """Publish what is due in every tenant that publishes. Safe to repeat, and beside another worker.

    Raises:
        PartsFailed: at the end, if a tenant's failed.
    """
    async with database.reading() as db:
        publishers = await queries.publishers(db)
    with parts() as run:
        for tenant in publishers:
            with run.apart(tenant=tenant.id):
                zone = ZoneInfo(tenant.zone)
                async with database.reading() as db:
                    done = set(await queries.months_published(db, tenant.id))
                for month in due(at, zone):
                    if month not in done:
                        await actions.publish(database, tenant.id, month, zone, tenant.publishes_from, at=at)
