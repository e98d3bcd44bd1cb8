"""派单: open, offer, assign; recall, decline, proceed; a unit staffs what it took."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.guarding import Dependent, Rows
from dispatch.db.ids import new_id
from dispatch.domain.conflict import UNTOLD
from dispatch.domain.life import own_take, standing
from dispatch.domain.moved import Moved
from dispatch.domain.order import PEOPLE, Move, TakerKind
from dispatch.domain.people import STAFF_ROLES, Actor
from dispatch.domain.refusal import TargetNotAllowed
from dispatch.orders.actions.performing import Call, Data, Done, perform
from dispatch.orders.concerned import conflict, homes_column
from dispatch.orders.queries import recused
from dispatch.orders.tables import take_people
from dispatch.orders.whole import Whole
from dispatch.people.tables import accounts, bodies, body_people, grants, members


async def dispatch(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Hand an order out.

    Raises:
        TargetNotAllowed: a named target is unknown, not of its kind, no longer there or too close to the order, or
            the ring lies elsewhere.
        ModeNotAllowed: an emergency is never left to whoever comes.
        SlotsInvalid: least and most do not fit each other or the takes that are kept.
    """

    people = [line["id"] for line in data.get("targets") or () if line["kind"] in PEOPLE]

    async def ready(db: AsyncConnection, actor: Actor, seen: Whole, row: Any) -> Data:
        targets = data.get("targets") or ()
        await known_targets(db, actor, targets, at=at)
        if kept := await recused(db, seen, {line["id"] for line in targets}):
            raise TargetNotAllowed(why="recused", target=str(min(kept)))
        not_too_close(seen, row, people)
        ring = data.get("ring_place_id") or seen.row.community_id or seen.row.street_id or seen.row.place_id
        return {"dispatch_id": new_id(), "ring_id": ring}

    also = [homes_column(people)] if people else []
    return await perform(db, actor, order_id, Move.DISPATCH, data, call, at=at, also=also, prepare=ready)


def not_too_close(seen: Whole, row: Any, people: Iterable[UUID]) -> None:
    """Nobody is sent to the own household (peers.md §5.3, 77)."""
    for account_id in people:
        if conflict(seen, row.homes, account_id):
            raise TargetNotAllowed(why=UNTOLD, target=str(account_id))


async def known_targets(db: AsyncConnection, actor: Actor, named: Any, *, at: datetime) -> None:
    """Every target exists in this tenant, is of the kind it is called, and still serves."""
    wanted = {(TakerKind(line["kind"]), line["id"]) for line in named}
    if not wanted:
        return
    tenant_id, ids = actor.tenant.id, [id for _, id in wanted]
    stands = or_(grants.c.valid_to.is_(None), grants.c.valid_to > at)
    staffed = exists().where(
        grants.c.tenant_id == tenant_id,
        grants.c.account_id == accounts.c.id,
        grants.c.role.in_(STAFF_ROLES),
        stands,
    )
    people = await db.execute(
        select(accounts.c.id, members.c.state, staffed.label("staff"))
        .select_from(
            accounts.outerjoin(
                members,
                and_(members.c.tenant_id == accounts.c.tenant_id, members.c.account_id == accounts.c.id),
            )
        )
        .where(accounts.c.tenant_id == tenant_id, accounts.c.id.in_(ids), accounts.c.disabled_at.is_(None))
    )
    found: set[tuple[str, UUID]] = set()
    for row in people:
        if row.state == "active":
            found.add((TakerKind.MEMBER, row.id))
        if row.staff:
            found.add((TakerKind.STAFF, row.id))
    there = await db.execute(
        select(bodies.c.kind, bodies.c.id).where(
            bodies.c.tenant_id == tenant_id, bodies.c.id.in_(ids), bodies.c.retired_at.is_(None)
        )
    )
    found |= {(row.kind, row.id) for row in there}
    for kind, id in wanted:
        if (kind, id) not in found:
            raise TargetNotAllowed(why="unknown", target=str(id))


async def recall(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Take the order back from those it was handed to. Raises: see ``perform``."""
    return await perform(db, actor, order_id, Move.RECALL, data, call, at=at)


async def decline(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Say no to an offer, without penalty.

    Raises:
        ReturnInstead: it was assigned, not offered.
    """
    return await perform(db, actor, order_id, Move.DECLINE, data, call, at=at)


async def proceed(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Go on with those who have taken. Raises: see ``perform``."""
    return await perform(db, actor, order_id, Move.PROCEED, data, call, at=at)


async def release(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Give one's slot back. Raises: see ``perform``."""
    return await perform(db, actor, order_id, Move.RELEASE, data, call, at=at)


async def staff(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """A unit or team says who of its people does the work; it stays answerable itself.

    Raises:
        TargetNotAllowed: one named is not of this body, or too close to the order.
    """
    people = data["member_ids"]

    async def ready(db: AsyncConnection, actor: Actor, seen: Whole, row: Any) -> Data:
        take = own_take(seen.life, standing(seen.life, actor))
        wanted = set(data["member_ids"])
        if take is None or not wanted:
            return {}
        rows = await db.execute(
            select(body_people.c.account_id).where(
                body_people.c.tenant_id == actor.tenant.id,
                body_people.c.body_id == take.taker_id,
                body_people.c.account_id.in_(wanted),
            )
        )
        # Of whom is complained is to the body like one who is not its own: it must not learn of it.
        strangers = (wanted - {row.account_id for row in rows}) | await recused(db, seen, wanted)
        if strangers:
            raise TargetNotAllowed(why="not_of_this_body", target=str(min(strangers)))
        not_too_close(seen, row, people)
        elsewhere = {person for other in seen.life.active if other.id != take.id for person in other.people}
        if twice := wanted & elsewhere:
            raise TargetNotAllowed(why="already_on_order", target=str(min(twice)))
        return {}

    def put_on(seen: Whole, moved: Moved, data: Data) -> list[Dependent]:
        """Only what differs is written: no row may be written twice in one change."""
        change = moved.takes[0]
        before = next(take.people for take in seen.life.active if take.id == change.id)
        now = change.values["people"]
        gone = [id for id in before if id not in now]
        rows = [
            {
                "tenant_id": actor.tenant.id,
                "order_id": order_id,
                "account_id": id,
                "take_id": change.id,
                "position": position,
            }
            for position, id in enumerate(now)
        ]
        mine = take_people.c.tenant_id == actor.tenant.id, take_people.c.take_id == change.id
        dependents: list[Dependent] = [Rows(take_people, rows, update=("position",))]
        if gone:
            dependents.append(delete(take_people).where(*mine, take_people.c.account_id.in_(gone)))
        return dependents

    also = [homes_column(people)]
    return await perform(
        db, actor, order_id, Move.STAFF, data, call, at=at, also=also, prepare=ready, besides=put_on
    )
