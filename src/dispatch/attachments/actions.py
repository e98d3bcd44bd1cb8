"""Announcing a file, and taking it in: streamed to the disk, looked through, kept."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.attachments import queries
from dispatch.db.dialect import yielding_insert
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.domain.attachments import (
    AROUND,
    MOST_UNUSED,
    UNUSED_WAITS,
    UPLOAD_WAITS,
    FileKind,
    FileState,
    announcing_refusal,
)
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    AttachmentNotFound,
    BodyTooLarge,
    IdempotencyKeyReused,
    Invalid,
    ServiceBusy,
    TooManyUnused,
    UploadClosed,
    UploadIncomplete,
)
from dispatch.files import films, pictures, sniffing
from dispatch.files.incoming import received
from dispatch.files.store import Kept, Store
from dispatch.orders.tables import attachments

MOST_COMING_IN = 32
"""Files that a process takes in at a time: each may lie on the disk twice while it is looked through."""
DRAWN_AT_A_TIME = 1
"""Photos: the largest take some 200 MB while they are drawn, a usual one 0.3 s of a core (libraries.md §19)."""


async def announce(db: AsyncConnection, actor: Actor, data: Mapping[str, Any], *, at: datetime) -> Any:
    """Note that a file will be sent; the same ``client_id`` finds the same file. Returns its row.

    ``data``: client_id, kind, size, mime, sha256.

    Raises:
        AttachmentTypeUnknown, HeicUnsupported, AttachmentTooLarge: it would not be taken.
        IdempotencyKeyReused: the ``client_id`` came with another file.
        UploadClosed: that file has failed, or is gone.
        TooManyUnused: too many of the actor's hang on nothing.
    """
    kind = FileKind(data["kind"])
    if refusal := announcing_refusal(kind, data["mime"], data["size"]):
        raise refusal
    said = {
        "kind": kind,
        "said_mime": data["mime"],
        "said_size": data["size"],
        "said_sha256": data.get("sha256"),
    }
    key = {
        "tenant_id": actor.tenant.id,
        "uploader_id": actor.account_id,
        "client_id": data["client_id"],
    }
    fresh = {"id": new_id(), "state": FileState.PENDING, "created_at": at, "expires_at": at + UPLOAD_WAITS}
    write = yielding_insert(db, attachments).values({**key, **said, **fresh})
    made = (await db.execute(write.on_conflict_do_nothing().returning(attachments))).one_or_none()
    if made is not None:
        if await queries.unused(db, actor, at=at) > MOST_UNUSED:
            raise TooManyUnused()
        return made
    # Announced before. Who asks again, sends it again: the time to do so begins anew.
    mine = [attachments.c[name] == value for name, value in key.items()]
    again = (
        update(attachments)
        .where(*mine, attachments.c.state == FileState.PENDING)
        .values(expires_at=at + UPLOAD_WAITS)
    )
    await db.execute(again)
    found = (await db.execute(attachments.select().where(*mine))).one()
    if any(getattr(found, name) != value for name, value in said.items()):
        raise IdempotencyKeyReused()
    if found.state in (FileState.FAILED, FileState.GONE):
        raise UploadClosed()
    return found


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that brings a file. ``length``: what it says of its own size, bytes."""

    body: AsyncIterator[bytes]
    content_type: str
    length: int | None


class Uploads:
    """Where files come in: a store, and how many at a time. One for each process."""

    def __init__(self, database: Database, store: Store) -> None:
        self.store = store
        self._database = database
        self._drawing = asyncio.Semaphore(DRAWN_AT_A_TIME)
        self._coming_in = 0

    async def take_in(self, actor: Actor, id: UUID, sent: Sent, *, at: datetime) -> Any:
        """Take a file in. No transaction is open while it comes. Returns its row, once the bytes are on the disk.

        A file that is ready already is not read again.

        Raises:
            AttachmentNotFound: unknown, or another's.
            UploadClosed: it has failed, or its time is over.
            BodyTooLarge: more than was announced, said or sent; at once.
            UploadIncomplete: less than was announced, or something else; it may be sent again.
            ValidationFailed: no form with a file.
            AttachmentTypeUnknown, HeicUnsupported, AttachmentBroken: not what it was said to be; it has failed.
            ServiceBusy, StorageFull: not now.
        """
        async with self._database.reading() as db:
            row = await queries.own(db, actor, id)
        if row.state == FileState.READY:
            return row
        if row.state != FileState.PENDING or row.expires_at <= at:
            raise UploadClosed()
        most = row.said_size + AROUND
        if sent.length is not None and sent.length > most:
            raise BodyTooLarge(limit_bytes=most)
        async with self._place(row.said_size) as file:
            too_large = BodyTooLarge(limit_bytes=most)
            sha256 = await received(
                sent.body, sent.content_type, file, size=row.said_size, too_large=too_large
            )
            if row.said_sha256 not in (None, sha256):
                raise UploadIncomplete()
            try:
                made = await self._made(row, file)
            except Invalid:
                async with self._database.writing() as db:
                    failed = {"state": FileState.FAILED, "expires_at": at + UPLOAD_WAITS}
                    await db.execute(_while_pending(row).values(failed))
                raise
        return await self._keep(actor, row, made, at=at)

    @asynccontextmanager
    async def _place(self, size: int) -> AsyncIterator[BinaryIO]:
        if self._coming_in >= MOST_COMING_IN:
            raise ServiceBusy(retry_after=5)
        self._coming_in += 1
        try:
            file = await asyncio.to_thread(self.store.receive, size)
            try:
                yield file
            finally:
                file.close()
        finally:
            self._coming_in -= 1

    async def _made(self, row: Any, file: BinaryIO) -> dict[str, Any]:
        """Look a file through and put it where it stays. Returns the columns that tell of it."""
        kind = FileKind(row.kind)
        if kind is not FileKind.PHOTO:
            return await asyncio.to_thread(self._kept, row, file, kind)
        async with self._drawing:
            return await asyncio.to_thread(self._drawn, row, file)

    def _kept(self, row: Any, file: BinaryIO, kind: FileKind) -> dict[str, Any]:
        mime = sniffing.mime_of(file, kind)
        if mime.endswith("/mp4"):
            films.blank(file)
        return _told(mime, self.store.put(row.tenant_id, row.id, file))

    def _drawn(self, row: Any, file: BinaryIO) -> dict[str, Any]:
        photo = pictures.drawn(file)
        whole = self.store.put(row.tenant_id, row.id, photo.picture)
        small = self.store.put(row.tenant_id, row.id, photo.preview)
        size = {"width": photo.width, "height": photo.height, "preview_sha256": small.sha256}
        return _told("image/jpeg", whole) | size

    async def _keep(self, actor: Actor, row: Any, made: dict[str, Any], *, at: datetime) -> Any:
        ready = {"state": FileState.READY, "expires_at": at + UNUSED_WAITS, **made}
        async with self._database.writing() as db:
            landed = await db.execute(_while_pending(row).values(ready).returning(attachments))
            kept = landed.one_or_none()
        if kept is not None:
            return kept
        # The same file came twice at once, or its time ran out meanwhile. What the other one kept stays.
        with suppress(AttachmentNotFound):
            async with self._database.reading() as db:
                kept = await queries.own(db, actor, row.id)
        if kept is None or kept.state != FileState.READY:
            await asyncio.to_thread(self.store.drop, row.tenant_id, row.id)
            raise UploadClosed()
        stays = {kept.sha256, kept.preview_sha256}
        for sha256 in {made["sha256"], made.get("preview_sha256")} - stays - {None}:
            path = self.store.path(row.tenant_id, row.id, sha256)
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return kept


def _told(mime: str, kept: Kept) -> dict[str, Any]:
    return {"mime": mime, "size": kept.size, "sha256": kept.sha256}


def _while_pending(row: Any) -> Any:
    return update(attachments).where(
        attachments.c.tenant_id == row.tenant_id,
        attachments.c.id == row.id,
        attachments.c.state == FileState.PENDING,
    )
