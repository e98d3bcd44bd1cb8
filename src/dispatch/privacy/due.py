"""What the clock asks for: files to make, deletions that wait no more, memberships to end, orders to clear."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Exists, Select, and_, exists, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.keeping import OFFICES, Purpose
from dispatch.domain.order import RESTING, State, TakeState
from dispatch.orders.tables import orders, requests, take_people, takes
from dispatch.people import queries as people
from dispatch.people.tables import members
from dispatch.privacy.tables import consents, data_requests

Next = tuple[datetime, UUID] | None
"""After which row a job goes on: what cannot be done now does not keep it from what can."""


async def exports_to_make(db: AsyncConnection, tenant_id: int, *, limit: int) -> list[Any]:
    """Files that were asked for, those tried least first: id, account_id, tries, asked_at."""
    asked = data_requests.c
    rows = (
        select(asked.id, asked.account_id, asked.tries, asked.asked_at)
        .where(asked.tenant_id == tenant_id, asked.status == "pending", asked.kind == "export")
        .order_by(asked.tries, asked.asked_at)
        .limit(limit)
    )
    return list((await db.execute(rows)).all())


async def deletions_to_finish(
    db: AsyncConnection, tenant_id: int, *, after: Next = None, limit: int
) -> list[Any]:
    """Deletions that waited and that no order and no take keeps any more, oldest first: id, account_id, asked_at."""
    asked = data_requests.c
    rows = (
        select(asked.id, asked.account_id, asked.asked_at)
        .where(
            asked.tenant_id == tenant_id,
            asked.status == "waiting",
            asked.kind == "deletion",
            *(~keeps for keeps in _order_open(tenant_id, asked.account_id)),
            *(~keeps for keeps in _take_active(tenant_id, asked.account_id)),
        )
        .order_by(asked.asked_at, asked.id)
        .limit(limit)
    )
    if after is not None:
        rows = rows.where(tuple_(asked.asked_at, asked.id) > tuple_(*after))
    return list((await db.execute(rows)).all())


async def claim_deletion(db: AsyncConnection, tenant_id: int, id: UUID) -> bool:
    """Lock a deletion that still waits. False if another worker has it, or has done it."""
    rows = (
        select(data_requests.c.id)
        .where(data_requests.c.tenant_id == tenant_id, data_requests.c.id == id)
        .where(data_requests.c.status == "waiting")
        .with_for_update(skip_locked=True)
    )
    return await db.scalar(rows) is not None


async def why_not_yet(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> str | None:
    """What keeps an account from being deleted now: ``order_open``, ``take_active``, ``office_held``, or nothing."""
    held = [grant for grant in await people.grants_of(db, tenant_id, account_id) if grant.stands(at)]
    if any(grant.role in OFFICES for grant in held):
        return "office_held"
    if await db.scalar(select(or_(*_order_open(tenant_id, account_id)))):
        return "order_open"
    return "take_active" if await take_active(db, tenant_id, account_id) else None


async def take_active(db: AsyncConnection, tenant_id: int, account_id: UUID) -> bool:
    """Whether an account works on an order, for itself or put there by a body."""
    return bool(await db.scalar(select(or_(*_take_active(tenant_id, account_id)))))


def _order_open(tenant_id: int, account: Any) -> list[ColumnElement[bool]]:
    """How an account, a value or a column, may be in an order that has not come to rest: filer, beneficiary."""
    return [
        exists().where(
            orders.c.tenant_id == tenant_id,
            column == account,
            orders.c.state.not_in(tuple(RESTING - {State.MERGED})),
        )
        for column in (orders.c.filer_id, orders.c.beneficiary_id)
    ]


def _take_active(tenant_id: int, account: Any) -> list[ColumnElement[bool]]:
    """How an account, a value or a column, may be at work: it holds an active take, or was put on one."""
    active = takes.c.tenant_id == tenant_id, takes.c.state == TakeState.ACTIVE
    held = exists().where(*active, takes.c.account_id == account)
    staffed = exists().where(
        *active,
        take_people.c.tenant_id == tenant_id,
        take_people.c.take_id == takes.c.id,
        take_people.c.account_id == account,
    )
    return [held, staffed]


async def unwilling_members(
    db: AsyncConnection, tenant_id: int, *, after: UUID | None = None, limit: int
) -> list[UUID]:
    """Members who took back that they agree to be known as such: last heard, and not agreed again since; by id.
    Who holds an active take is left out."""
    party = and_(
        consents.c.tenant_id == members.c.tenant_id,
        consents.c.account_id == members.c.account_id,
        consents.c.purpose == Purpose.PARTY,
    )
    rows = (
        select(members.c.account_id)
        .where(
            members.c.tenant_id == tenant_id,
            members.c.state != "ended",
            exists().where(party, consents.c.withdrawn_at >= members.c.checked_in_at),
            ~exists().where(party, consents.c.withdrawn_at.is_(None)),
            *(~keeps for keeps in _take_active(tenant_id, members.c.account_id)),
        )
        .order_by(members.c.account_id)
        .limit(limit)
    )
    if after is not None:
        rows = rows.where(members.c.account_id > after)
    return list((await db.execute(rows)).scalars())


async def due_to_clear(
    db: AsyncConnection, tenant_id: int, *, level: int, before: datetime, after: Next = None, limit: int
) -> list[Any]:
    """Orders at rest since before an instant that still hold what must go, longest first: id, rested_at; none in
    dispute, no child of a live one."""
    parent = orders.alias("parent")
    live = select(parent.c.id).where(
        parent.c.tenant_id == tenant_id, parent.c.id == orders.c.parent_id, parent.c.cleared < level
    )
    rows = (
        select(orders.c.id, orders.c.rested_at)
        .where(
            orders.c.tenant_id == tenant_id,
            orders.c.cleared < level,
            orders.c.rested_at <= before,
            orders.c.state.in_(tuple(RESTING)),
            ~_disputed(tenant_id),
            or_(orders.c.state != State.MERGED, ~live.exists()),
        )
        .order_by(orders.c.rested_at, orders.c.id)
        .limit(limit)
    )
    if after is not None:
        rows = rows.where(tuple_(orders.c.rested_at, orders.c.id) > tuple_(*after))
    return list((await db.execute(rows)).all())


def _disputed(tenant_id: int) -> Exists:
    return exists().where(
        requests.c.tenant_id == tenant_id,
        requests.c.order_id == orders.c.id,
        requests.c.status == "pending",
    )


def files_due(tenant_id: int, *, before: datetime) -> Select[tuple[UUID]]:
    """The ids of orders at rest since before an instant, not in dispute, no child of one that is not: whose files go."""
    parent = orders.alias("parent")
    live = exists().where(
        parent.c.tenant_id == tenant_id,
        parent.c.id == orders.c.parent_id,
        or_(parent.c.rested_at.is_(None), parent.c.rested_at > before),
    )
    return select(orders.c.id).where(
        orders.c.tenant_id == tenant_id,
        orders.c.rested_at <= before,
        orders.c.state.in_(tuple(RESTING)),
        ~_disputed(tenant_id),
        or_(orders.c.state != State.MERGED, ~live),
    )
