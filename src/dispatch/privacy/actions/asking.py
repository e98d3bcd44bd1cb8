"""What a person asks of their own data: a copy, a correction, deletion. Each is on record with its answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.ids import new_id
from dispatch.db.sealed import private
from dispatch.domain.keeping import ANSWER_DAYS
from dispatch.domain.people import Actor
from dispatch.domain.refusal import OfficeHeld
from dispatch.people import actions as people
from dispatch.people.queries import hold, prove
from dispatch.privacy import due, queries
from dispatch.privacy.actions import erasing
from dispatch.privacy.tables import data_requests


async def export(db: AsyncConnection, actor: Actor, *, at: datetime) -> UUID:
    """Ask for a file with one's own data; one that is being made already is found. A job makes it."""
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    there = await queries.open_request(db, actor.tenant.id, actor.account_id, "export")
    return there or await _record(db, actor, "export", "pending", at=at)


async def correct(db: AsyncConnection, actor: Actor, data: Mapping[str, Any], *, at: datetime) -> UUID:
    """Correct one's own name, or take one's phone out, at once. ``data``: name, phone (null).

    A phone finds the orders and the membership that are kept under it, so nobody gives himself one unproven.
    """
    tenant_id = actor.tenant.id
    await prove(db, actor)
    if "name" in data:
        await people.rename(db, tenant_id, actor.account_id, data["name"], at=at)
    if "phone" in data:
        await people.set_phone(db, tenant_id, actor.account_id, None)
    return await _record(db, actor, "correction", "done", fields=sorted(data), at=at)


async def delete_account(db: AsyncConnection, actor: Actor, *, at: datetime) -> UUID:
    """Ask that the account and all that names its person go: at once, or when nothing is open any more.

    Raises:
        OfficeHeld: the account holds an office.
    """
    tenant_id, account_id = actor.tenant.id, actor.account_id
    await prove(db, actor)
    await hold(db, tenant_id, account_id)
    reason = await due.why_not_yet(db, tenant_id, account_id, at=at)
    if reason == "office_held":
        raise OfficeHeld()
    there = await queries.open_request(db, tenant_id, account_id, "deletion")
    if there is not None:
        return there
    if reason is not None:
        return await _record(db, actor, "deletion", "waiting", reason=reason, at=at)
    id = await _record(db, actor, "deletion", "done", at=at)
    await finish_deletion(db, tenant_id, id, account_id, at=at)
    return id


async def look_again(
    db: AsyncConnection, tenant_id: int, id: UUID, account_id: UUID, *, at: datetime
) -> None:
    """Carry out a deletion that waited, if nothing keeps it now; an office may have been given meanwhile."""
    if not await due.claim_deletion(db, tenant_id, id):
        return
    await hold(db, tenant_id, account_id)
    reason = await due.why_not_yet(db, tenant_id, account_id, at=at)
    if reason is None:
        await finish_deletion(db, tenant_id, id, account_id, at=at)
        return
    asked = data_requests.c
    stale = asked.tenant_id == tenant_id, asked.id == id, asked.reason.is_distinct_from(reason)
    await db.execute(update(data_requests).where(*stale).values(reason=reason))


async def finish_deletion(
    db: AsyncConnection, tenant_id: int, id: UUID, account_id: UUID, *, at: datetime
) -> None:
    """Carry a deletion out and close its record, which alone keeps who it was: to trace a leak, and nothing else."""
    name = await erasing.anonymise(db, tenant_id, account_id, at=at)
    await db.execute(
        update(data_requests)
        .where(data_requests.c.tenant_id == tenant_id, data_requests.c.account_id == account_id)
        .values(content=None)
    )
    await db.execute(
        update(data_requests)
        .where(data_requests.c.tenant_id == tenant_id, data_requests.c.id == id)
        .values(status="done", reason=None, ended_at=at, former_name=private(tenant_id, name))
    )


async def _record(
    db: AsyncConnection,
    actor: Actor,
    kind: str,
    status: str,
    *,
    reason: str | None = None,
    fields: list[str] | None = None,
    at: datetime,
) -> UUID:
    id = new_id()
    row = {
        "tenant_id": actor.tenant.id,
        "id": id,
        "account_id": actor.account_id,
        "kind": kind,
        "status": status,
        "reason": reason,
        "fields": fields,
        "asked_at": at,
        "due_at": at + ANSWER_DAYS,
        "ended_at": at if status == "done" else None,
    }
    await db.execute(data_requests.insert().values(row))
    return id
