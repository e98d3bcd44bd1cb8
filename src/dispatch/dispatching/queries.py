"""How a body's work stands."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.order import TakerKind, TakeState
from dispatch.domain.people import BODY_ROLES, Actor
from dispatch.domain.refusal import BodyNotFound
from dispatch.orders.queries import overdue
from dispatch.orders.tables import orders, take_people, takes
from dispatch.orders.visibility import visible_to
from dispatch.people import queries as people
from dispatch.people.tables import body_people


@dataclass(frozen=True, slots=True)
class Tally:
    """How many orders: in hand, done, and of those in hand overdue."""

    open: int = 0
    done: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a body serves: all of it, what nobody was put on, and by person (id, name, tally)."""

    total: Tally
    unassigned: Tally
    members: tuple[tuple[UUID, str, Tally], ...]


async def work(db: AsyncConnection, actor: Actor, body_id: UUID, *, at: datetime) -> Work:
    """How the orders that a body has taken stand, in all and by the people it put on them.

    Its people are told by name, in the order of names: no ranking (国办函〔2026〕12号).

    Raises:
        BodyNotFound: unknown, or none that the actor acts for.
    """
    grant = next((g for g in actor.grants if g.body_id == body_id and g.role in BODY_ROLES), None)
    if grant is None:
        raise BodyNotFound()
    served = _served(actor, BODY_ROLES[grant.role], body_id, at=at)
    total = (await db.execute(select(*_tallied(served)))).one()
    rows = (await db.execute(_by_person(actor.tenant.id, served))).all()
    tallies = {row.account_id: Tally(row.open, row.done, row.overdue) for row in rows}
    unassigned = tallies.pop(None, Tally())
    everybody = tallies.keys() | await _people_of(db, actor.tenant.id, body_id)
    return Work(
        Tally(total.open, total.done, total.overdue), unassigned, await _named(db, actor, everybody, tallies)
    )


def _served(actor: Actor, kind: str, body_id: UUID, *, at: datetime) -> Any:
    """The body's takes: order, take, whether active, whether late."""
    mine = takes.alias("mine")  # the ways to see an order look at takes themselves
    active = mine.c.state == TakeState.ACTIVE
    return (
        visible_to(
            actor,
            orders.c.id.label("order_id"),
            mine.c.id.label("take_id"),
            case((active, 1), else_=0).label("active"),
            case((and_(active, overdue(at)), 1), else_=0).label("late"),
        )
        .join(mine, and_(mine.c.tenant_id == orders.c.tenant_id, mine.c.order_id == orders.c.id))
        .where(
            mine.c.kind == TakerKind(kind),
            mine.c.taker_id == body_id,
            mine.c.state.in_((TakeState.ACTIVE, TakeState.DONE)),
        )
        .subquery()
    )


def _tallied(served: Any) -> list[Any]:
    """An order counts once, however many rounds the body served in it."""
    return [
        func.count(case((served.c.active == 1, served.c.order_id)).distinct()).label("open"),
        func.count(case((served.c.active == 0, served.c.order_id)).distinct()).label("done"),
        func.count(case((served.c.late == 1, served.c.order_id)).distinct()).label("overdue"),
    ]


def _by_person(tenant_id: int, served: Any) -> Any:
    put = and_(take_people.c.tenant_id == tenant_id, take_people.c.take_id == served.c.take_id)
    return (
        select(take_people.c.account_id, *_tallied(served))
        .select_from(served.outerjoin(take_people, put))
        .group_by(take_people.c.account_id)
    )


async def _people_of(db: AsyncConnection, tenant_id: int, body_id: UUID) -> set[UUID]:
    rows = select(body_people.c.account_id).where(
        body_people.c.tenant_id == tenant_id, body_people.c.body_id == body_id
    )
    return set((await db.execute(rows)).scalars())


async def _named(
    db: AsyncConnection, actor: Actor, everybody: Collection[UUID], tallies: dict[UUID, Tally]
) -> tuple[tuple[UUID, str, Tally], ...]:
    names = await people.names(db, actor.tenant.id, [("member", id) for id in everybody])
    told = sorted((name, id) for (_, id), name in names.items())
    return tuple((id, name, tallies.get(id, Tally())) for name, id in told)
