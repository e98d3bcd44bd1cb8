"""Files whose time is over: announced and never sent, sent and never handed in, deleted with an order or a person."""

import asyncio
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Update, delete, exists, or_, select, update

from dispatch.db.engine import Database
from dispatch.db.tenants import tenant_ids
from dispatch.dispatching.tables import drafts
from dispatch.domain.attachments import FileState
from dispatch.files.store import Store
from dispatch.jobs.parts import parts
from dispatch.orders.tables import attachments

log = structlog.get_logger(__name__)

SECONDS = 60.0
BATCH = 200
HALF_WRITTEN = timedelta(hours=1)
"""What still lies where files come in after so long belongs to a process that died."""


class Sweeping:
    """The job that takes files off the disk. The row goes last: whoever stops in between begins again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, database: Database, at: datetime) -> None:
        """One round over all tenants.

        Raises:
            PartsFailed: at the end, if a tenant's failed.
        """
        async with database.reading() as db:
            tenants = await tenant_ids(db)
        there = await asyncio.to_thread(lambda: self._store.there)
        if (
            not there
        ):  # not mounted here, or nobody has uploaded anything: the rows stay until the bytes can go
            log.debug("files.nowhere")
        with parts() as run:
            for tenant_id in tenants:
                with run.apart(tenant=tenant_id):
                    async with database.writing() as db:
                        await db.execute(_over(tenant_id, at))
                    while there and await self._some(database, tenant_id):
                        pass
            if there:
                with run.apart(of="incoming"):
                    await asyncio.to_thread(self._store.clear_incoming, at - HALF_WRITTEN)

    async def _some(self, database: Database, tenant_id: int) -> bool:
        """Take some of a tenant's off the disk. Returns whether there may be more."""
        gone = (attachments.c.tenant_id == tenant_id, attachments.c.state == FileState.GONE)
        async with database.reading() as db:
            ids = list((await db.execute(select(attachments.c.id).where(*gone).limit(BATCH))).scalars())
        if not ids:
            return False
        for id in ids:
            await asyncio.to_thread(self._store.drop, tenant_id, id)
        async with database.writing() as db:
            await db.execute(delete(attachments).where(*gone, attachments.c.id.in_(ids)))
        log.info("files.swept", tenant=tenant_id, count=len(ids))
        return len(ids) == BATCH


def _over(tenant_id: int, at: datetime) -> Update:
    """Files that hang on nothing and have waited long enough. A draft keeps its own for as long as it is there."""
    kept = exists().where(
        drafts.c.tenant_id == attachments.c.tenant_id,
        drafts.c.id == attachments.c.draft_id,
        drafts.c.attached_at.is_(None),
    )
    return (
        update(attachments)
        .where(
            attachments.c.tenant_id == tenant_id,
            attachments.c.state.in_((FileState.PENDING, FileState.READY, FileState.FAILED)),
            attachments.c.expires_at <= at,
            attachments.c.order_id.is_(None),
            or_(attachments.c.draft_id.is_(None), ~kept),
        )
        .values(state=FileState.GONE)
    )
