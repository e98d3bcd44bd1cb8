"""并单: duplicates follow one parent and keep their own filer, notices and rating."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.guarding import Dependent, guarded
from dispatch.db.idempotency import claim
from dispatch.domain.life import THE_SYSTEM, Life, standing
from dispatch.domain.moved import Moved
from dispatch.domain.order import RESTING, AskState, Move, State
from dispatch.domain.people import Actor
from dispatch.domain.refusal import MergeImpossible
from dispatch.domain.rules import moved_away
from dispatch.domain.step import heir_of, step
from dispatch.orders import log, queries
from dispatch.orders.actions.performing import (
    ATTEMPTS,
    Call,
    Data,
    Done,
    looked,
    matched,
    perform,
    reason_checked,
    reason_column,
)
from dispatch.orders.tables import dispatches, order_bodies, orders, requests, take_people, takes
from dispatch.orders.whole import Whole
from dispatch.sla.tables import clocks, deadline_changes, timers

UNANSWERED = "五个工作日内没有收到补充说明，已自动撤单。需要时可以重新点单。"
"""What the filer of an unanswered order reads."""


async def merge(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Let an order follow another one; what was merged into it follows along.

    Raises:
        OrderNotFound: either of the two is none of the actor's business.
        MergeImpossible: into itself, or into an order at rest.
    """
    for _ in range(ATTEMPTS):
        seen, _row, done = await looked(db, actor, order_id, call)
        if done:
            return done
        matched(seen, call)
        moved = step(seen.life, Move.MERGE, standing(seen.life, actor), data, at=at)
        parent = await _parent(db, actor, seen, data["parent_id"])
        if await claim(db, call.key, status=200, order_id=order_id, outcome=None, at=at) and await _join(
            db, actor, seen, moved, parent, at=at
        ):
            return Done(order_id)
        await start_over(db)
    raise moved_away(seen.life)


async def _parent(db: AsyncConnection, actor: Actor, seen: Whole, parent_id: UUID) -> Whole:
    if parent_id == seen.life.id:
        raise MergeImpossible(why="itself")
    parent, _ = await queries.whole(db, actor, parent_id)
    if parent.life.state in RESTING:
        raise MergeImpossible(why=parent.life.state.value)
    return parent


async def _join(
    db: AsyncConnection, actor: Actor, seen: Whole, moved: Moved, parent: Whole, *, at: datetime
) -> bool:
    """Both rows, the one with the smaller id first: two merges across each other wait instead of blocking."""
    tenant_id, who = actor.tenant.id, log.author(actor)
    children = await queries.children(db, tenant_id, seen.life.id) if seen.life.children else []
    followers = _follow(tenant_id, children, parent.life.id, at=at)

    async def child() -> bool:
        return await log.record(db, seen, [(moved, who)], at=at, besides=followers)

    async def grown() -> bool:
        guard = (
            update(orders)
            .where(
                orders.c.tenant_id == tenant_id,
                orders.c.id == parent.life.id,
                orders.c.state.notin_(tuple(RESTING)),
            )
            .values(children_count=orders.c.children_count + 1 + len(children), updated_at=at)
            .returning(orders.c.id)
        )
        return await guarded(db, guard) is not None

    first, second = (child, grown) if seen.life.id < parent.life.id else (grown, child)
    return await first() and await second()


def _follow(tenant_id: int, children: list[Any], parent_id: UUID, *, at: datetime) -> list[Dependent]:
    """Children of a merged order follow its parent; each has a step that says so."""
    dependents: list[Dependent] = []
    for child in children:
        steps, head = log.followed(tenant_id, child, State.MERGED, {"parent_id": str(parent_id)}, at=at)
        row = (
            update(orders)
            .where(orders.c.tenant_id == tenant_id, orders.c.id == child.id)
            .values(parent_id=parent_id, version=orders.c.version + 1, head=head, updated_at=at)
        )
        dependents += [*steps, row]
    return dependents


async def unmerge(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Let a merged order stand alone again. Raises: see ``perform``."""

    def shrunk(seen: Whole, moved: Moved, data: Data) -> list[Dependent]:
        return [
            update(orders)
            .where(orders.c.tenant_id == actor.tenant.id, orders.c.id == seen.life.parent_id)
            .values(children_count=orders.c.children_count - 1, updated_at=at)
        ]

    return await perform(db, actor, order_id, Move.UNMERGE, data, call, at=at, besides=shrunk)


async def cancel(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Withdraw an order.

    If others were merged into it, only its filer leaves: the oldest child takes its place, with its
    state, dispatches and takes, and the other children follow that one.

    Raises:
        HasChildren: a dispatcher would withdraw what others hang on.
    """
    also = reason_column(Move.CANCEL.value, data.get("reason_code"))
    for _ in range(ATTEMPTS):
        seen, row, done = await looked(db, actor, order_id, call, also=also)
        if done:
            return done
        matched(seen, call)
        reason_checked(data.get("reason_code"), row)
        moved = step(seen.life, Move.CANCEL, standing(seen.life, actor), data, at=at)
        if await claim(db, call.key, status=200, order_id=order_id, outcome=None, at=at) and await _leave(
            db, seen, moved, log.author(actor), at=at
        ):
            return Done(order_id)
        await start_over(db)
    raise moved_away(seen.life)


async def withdraw_unanswered(db: AsyncConnection, seen: Whole, *, at: datetime) -> bool:
    """The system withdraws an order whose filer never answered. False if it is no longer as it was seen."""
    words = {"reason_code": "no_answer", "text": UNANSWERED}
    moved = step(seen.life, Move.CANCEL, THE_SYSTEM, words, at=at)
    return await _leave(db, seen, moved, log.system(seen.row.tenant_id), at=at)


async def _leave(db: AsyncConnection, seen: Whole, moved: Moved, who: log.Author, *, at: datetime) -> bool:
    """Write a withdrawal. What others were merged into only loses its filer: the oldest child takes its place."""
    tenant_id, heirs = seen.row.tenant_id, list[Dependent]()
    if seen.life.children:
        children = await queries.children(db, tenant_id, seen.life.id)
        if len(children) != seen.life.children:  # one came or went since the order was read
            return False
        heirs = await _hand_over(db, tenant_id, seen, children, at=at)
        moved = replace(moved, requests=())  # they go to the heir as they are
    return await log.record(db, seen, [(moved, who)], at=at, besides=heirs)


async def _hand_over(
    db: AsyncConnection, tenant_id: int, seen: Whole, children: list[Any], *, at: datetime
) -> list[Dependent]:
    """The oldest child becomes what the withdrawn parent was."""
    row, life = seen.row, seen.life
    heir_id = heir_of((child.created_at, child.id) for child in children)
    heir = next(child for child in children if child.id == heir_id)
    others = [child for child in children if child.id != heir_id]
    detail = {
        "parent_id": None,
        "level": row.level,
        "left": row.left_state,
        "round": row.round,
        "flags": sorted(life.flags),
        "heir_of": str(life.id),
    }
    inherits = {
        name: getattr(row, name)
        for name in (
            "round",
            "flags",
            "level",
            "left_state",
            "started",
            "item_code",
            "urgency",
            "lead_id",
            "review_on",
        )
    }
    # What is left of the heir's own past would stand in the way of what it takes over.
    for table in (take_people, order_bodies):
        await db.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.order_id == heir_id))
    dependents, head = log.followed(tenant_id, heir, life.state, detail, at=at)
    inherits["children_count"] = len(others)
    dependents.append(log.succeeded(tenant_id, heir.id, life.state, head, inherits, at=at))
    dependents += _follow(tenant_id, others, heir_id, at=at)
    for table in (dispatches, takes, take_people, order_bodies, clocks, timers, deadline_changes):
        moved_over = update(table).where(table.c.tenant_id == tenant_id, table.c.order_id == life.id)
        dependents.append(moved_over.values(order_id=heir_id))
    return [*dependents, *await _hand_over_requests(db, tenant_id, life, heir_id, at=at)]


async def _hand_over_requests(
    db: AsyncConnection, tenant_id: int, life: Life, heir_id: UUID, *, at: datetime
) -> list[Dependent]:
    """All go along; what somebody asked on both orders is pending on one of them only."""
    pending = await db.execute(
        select(requests.c.kind, requests.c.asked_by).where(
            requests.c.tenant_id == tenant_id,
            requests.c.order_id == heir_id,
            requests.c.status == AskState.PENDING,
        )
    )
    there = {(row.kind, row.asked_by) for row in pending}
    twice = [ask.id for ask in life.pending if (ask.kind.value, ask.asked_by) in there]
    moved_over = update(requests).where(requests.c.tenant_id == tenant_id, requests.c.order_id == life.id)
    dependents: list[Dependent] = [moved_over.where(requests.c.id.notin_(twice)).values(order_id=heir_id)]
    if twice:
        ended = {"status": AskState.WITHDRAWN, "decided_at": at, "order_id": heir_id}
        dependents.append(moved_over.where(requests.c.id.in_(twice)).values(**ended))
    return dependents
