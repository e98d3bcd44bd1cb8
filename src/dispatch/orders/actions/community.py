"""What the community does with an order besides handing it out, and what its filer adds."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.db.bound import TENANT, Brought, Columns
from dispatch.db.dialect import folded
from dispatch.db.guarding import Dependent, Rows
from dispatch.domain.moved import Moved
from dispatch.domain.order import Move
from dispatch.domain.people import Actor
from dispatch.domain.refusal import BodyNotFound, ItemNotFound, ItemRetired
from dispatch.orders.actions.indexing import indexed
from dispatch.orders.actions.performing import Call, Data, Done, perform
from dispatch.orders.tables import order_bodies
from dispatch.orders.whole import Whole
from dispatch.people.tables import bodies

SIMPLE = frozenset(
    {
        Move.ASK,
        Move.SUPPLEMENT,
        Move.REJECT,
        Move.ESCALATE,
        Move.RESUME,
        Move.CLOSE,
        Move.URGE,
        Move.SUPERVISE,
    }
)
"""Moves that need nothing but the rulebook."""


async def simple(
    db: AsyncConnection, actor: Actor, order_id: UUID, move: Move, data: Data, call: Call, *, at: datetime
) -> Done:
    """A move that needs nothing but the rulebook. Raises: see ``perform``."""

    def found_by(seen: Whole, moved: Moved, data: Data) -> list[Dependent]:
        return indexed(actor.tenant.id, order_id, data["text"])

    besides = found_by if move is Move.SUPPLEMENT else None
    return await perform(db, actor, order_id, move, data, call, at=at, besides=besides)


async def accept(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Take the order in; fixes item and urgency.

    Raises:
        ItemNotFound, ItemRetired: the community's own item code.
    """
    return await perform(
        db,
        actor,
        order_id,
        Move.ACCEPT,
        data,
        call,
        at=at,
        also=_item_column(data),
        prepare=_fix(data),
    )


async def resolve(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Done on the spot, or by a called body's or the committee's work.

    Raises:
        ItemNotFound, ItemRetired: as for ``accept``.
        BodyNotFound: ``by_body`` is unknown.
    """

    async def ready(db: AsyncConnection, actor: Actor, seen: Whole, row: Any) -> Data:
        body = data.get("by_body")
        if body:
            await _known_bodies(db, actor, [body])
        fixed = await _fix(data)(db, actor, seen, row)
        return {**fixed, **({"by_body": {"kind": body["kind"], "id": str(body["id"])}} if body else {})}

    return await perform(
        db, actor, order_id, Move.RESOLVE, data, call, at=at, also=_item_column(data), prepare=ready
    )


_NEW_ITEM = Columns(
    new_item=folded(
        select(*(items.c[name] for name in ("code", "urgency", "flags", "limits", "retired_at"))).where(
            items.c.tenant_id == TENANT, items.c.code == bindparam("new_item_code", type_=items.c.code.type)
        )
    )
)


def _item_column(data: Data) -> list[Brought]:
    code = data.get("item_code")
    return [Brought(_NEW_ITEM, {"new_item_code": code})] if code else []


def _fix(data: Data) -> Any:
    async def ready(db: AsyncConnection, actor: Actor, seen: Whole, row: Any) -> Data:
        """A new item brings its own urgency, unless the community says otherwise."""
        if not data.get("item_code"):
            return {}
        if not row.new_item:
            raise ItemNotFound()
        item = row.new_item[0]
        if item["retired_at"] is not None and data["item_code"] != seen.row.item_code:
            raise ItemRetired()
        urgency = data.get("urgency") or item["urgency"]
        return {"item_flags": item["flags"], "urgency": urgency, "item": item}

    return ready


async def deliberate(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Note what a meeting decided; bodies it called are invited to see and to report.

    Raises:
        BodyNotFound: a called body is unknown.
    """

    async def ready(db: AsyncConnection, actor: Actor, seen: Whole, row: Any) -> Data:
        await _known_bodies(db, actor, data.get("bodies") or [])
        return {}

    def called(seen: Whole, moved: Moved, data: Data) -> list[Dependent]:
        rows = [
            {
                "tenant_id": actor.tenant.id,
                "order_id": order_id,
                "kind": str(body["kind"]),
                "body_id": body["id"],
                "called_at": at,
            }
            for body in data.get("bodies") or []
        ]
        return [Rows(order_bodies, rows, skip=True)]

    return await perform(
        db, actor, order_id, Move.DELIBERATE, data, call, at=at, prepare=ready, besides=called
    )


async def _known_bodies(db: AsyncConnection, actor: Actor, named: list[Any]) -> None:
    wanted = {(str(body["kind"]), body["id"]) for body in named}
    if not wanted:
        return
    rows = await db.execute(
        select(bodies.c.kind, bodies.c.id).where(
            bodies.c.tenant_id == actor.tenant.id,
            bodies.c.id.in_([id for _, id in wanted]),
            bodies.c.retired_at.is_(None),
        )
    )
    if wanted - {(row.kind, row.id) for row in rows}:
        raise BodyNotFound()
