"""移交: a taker asks another to take the place; with that one's consent both happen in one change."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.db.dialect import yielding_insert
from dispatch.db.engine import start_over
from dispatch.db.guarding import Rows, guarded
from dispatch.db.idempotency import claim
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.dispatching.actions.handing_out import known_targets, not_too_close
from dispatch.dispatching.actions.taking import (
    ALREADY_YOURS,
    acting_as,
    held_by,
    of_taker,
    still_refused,
    unfit,
)
from dispatch.dispatching.actions.winning import TAKEN, against, alone, former, lease, take_rows
from dispatch.domain.conflict import UNTOLD
from dispatch.domain.facts import Fact
from dispatch.domain.handover import handed_over
from dispatch.domain.life import Life, Party, Take, own_take, party_of, standing
from dispatch.domain.order import EDGES, OPEN_KINDS, PEOPLE, Mode, Move, TakerKind, TakeState
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    HandoverEnded,
    HandoverNotFound,
    HandoverPending,
    ReturnInstead,
    RoleForbidden,
    TargetNotAllowed,
)
from dispatch.domain.rules import moved_away
from dispatch.orders import log
from dispatch.orders.actions.performing import ATTEMPTS, Call, Data, Done, looked
from dispatch.orders.concerned import homes_column
from dispatch.orders.queries import recused
from dispatch.orders.tables import handovers, orders, takes
from dispatch.orders.whole import Whole
from dispatch.people.tables import accounts, bodies
from dispatch.places.tables import places


async def ask(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Ask another to take one's place. ``data``: taker {kind, id}, text. ``outcome`` names the handover.

    Raises:
        RoleForbidden: the actor holds no take of the order.
        ReturnInstead: what was assigned is returned, not passed on.
        TargetNotAllowed: unknown, not of a kind that is asked, kept from the order or on it already.
        HandoverPending: somebody is asked already.
    """
    to: Party = (TakerKind(data["taker"]["kind"]), data["taker"]["id"])
    people = [to[1]] if to[0] in PEOPLE else []
    seen, row, done = await looked(db, actor, order_id, call, also=[homes_column(people)])
    if done:
        return done
    take = own_take(seen.life, standing(seen.life, actor))
    if take is None:
        raise RoleForbidden()
    _passable(seen.life)
    if to[0] not in OPEN_KINDS:
        raise TargetNotAllowed(why="not_assignable", target=str(to[1]))
    await known_targets(db, actor, [data["taker"]], at=at)
    if await recused(db, seen, {to[1]}):
        raise TargetNotAllowed(why=UNTOLD, target=str(to[1]))
    not_too_close(seen, row, people)
    if why := unfit(seen.life, to):
        raise TargetNotAllowed(why=why, target=str(to[1]))
    asked = {
        "tenant_id": actor.tenant.id,
        "id": new_id(),
        "order_id": order_id,
        "take_id": take.id,
        "kind": to[0],
        "taker_id": to[1],
        "state": "asked",
        "text": data.get("text"),
        "asked_by": actor.account_id,
        "asked_at": at,
    }
    outcome = {"handover_id": str(asked["id"])}
    if not await claim(db, call.key, status=201, order_id=order_id, outcome=outcome, at=at):
        await start_over(db)
        return await ask(db, actor, order_id, data, call, at=at)
    write = yielding_insert(db, handovers).values(asked).on_conflict_do_nothing().returning(handovers.c.id)
    if await guarded(db, write, [_told(actor, asked, at)]) is None:
        raise HandoverPending()
    return Done(order_id, outcome)


def _told(actor: Actor, row: Any, at: datetime) -> Rows:
    id, order_id = row["id"], row["order_id"]
    body = {"order_id": str(order_id), "handover_id": str(id)}
    return announce(actor.tenant.id, Fact.HANDOVER_CHANGED, body, order_id=order_id, at=at)


def _passable(life: Life) -> None:
    """Check that a take of this order can pass to another.

    Raises:
        OrderMoved: not from where it stands.
        ReturnInstead: it was assigned.
    """
    if life.held is None or (life.state, Move.TAKE) not in EDGES:
        raise moved_away(life)
    if life.held.mode is Mode.ASSIGN:
        raise ReturnInstead()


async def accept(db: AsyncConnection, actor: Actor, handover_id: UUID, call: Call, *, at: datetime) -> Done:
    """Take the other's place. The same guards hold as for any take, and the giver's take ends with it.

    Raises:
        HandoverNotFound: the actor was not asked.
        HandoverEnded: it was answered or withdrawn, or the take is no longer the giver's.
        NotEligible, TakeLimitReached, CoolingDown: as for a take.
    """
    party, _ = acting_as(actor)
    for _ in range(ATTEMPTS):
        asked = await one(db, actor, handover_id)
        if party is None or (asked.kind, asked.taker_id) != party:
            raise HandoverNotFound()
        done = await _accepted(db, actor, asked, party, call, at=at)
        if done is not None:
            return done
        await start_over(db)
    raise HandoverEnded()


async def _accepted(
    db: AsyncConnection, actor: Actor, asked: Any, party: Party, call: Call, *, at: datetime
) -> Done | None:
    also = of_taker(actor, party, at=at)
    seen, row, done = await looked(db, actor, asked.order_id, call, also=also, hidden=True)
    if done:
        return done
    at = seen.not_before(at)
    if row.kept_from:
        raise HandoverNotFound()
    mine = held_by(seen.life, party)
    if mine is not None and asked.state == "accepted":
        return Done(asked.order_id, {"outcome": ALREADY_YOURS, "take_id": str(mine)})
    given = next((take for take in seen.life.active if take.id == asked.take_id), None)
    if given is None or asked.state != "asked":
        raise HandoverEnded()
    _passable(seen.life)
    refusal = still_refused(actor, seen, row, party, at=at) or against(seen, row, party, at=at)
    if refusal:
        raise refusal
    return await _passed(db, actor, asked, seen, row, given, party, call, at=at)


async def _passed(
    db: AsyncConnection,
    actor: Actor,
    asked: Any,
    seen: Whole,
    row: Any,
    given: Take,
    party: Party,
    call: Call,
    *,
    at: datetime,
) -> Done | None:
    """Both steps in one change. The handover's row goes first: of two answers one counts."""
    held = seen.life.held
    assert held is not None  # judged
    take_id, nth = former(seen, held, party) or (new_id(), held.takes_made + 1)
    outcome = {"outcome": TAKEN, "take_id": str(take_id)}
    if not await claim(db, call.key, status=200, order_id=seen.life.id, outcome=outcome, at=at):
        return None
    if await guarded(db, _ended(actor, asked.id, "accepted", at)) is None:
        return None
    await alone(db, actor, seen, row, party, at=at)
    at = seen.life.later(at)
    made = Take(take_id, held.id, TakerKind(party[0]), party[1], TakeState.ACTIVE, at, actor.account_id)
    made = replace(made, nth=nth, lease_until=await lease(db, seen, row, held, at=at))
    gives, taken = handed_over(seen.life, given, party, take_id, at)
    written = await log.record(
        db,
        seen,
        [(gives, log.system(actor.tenant.id)), (taken, log.author(actor))],
        at=at,
        besides=take_rows(actor, seen, made, nth=nth, at=at),
        made=made,
    )
    return Done(seen.life.id, outcome) if written else None


def _ended(actor: Actor, id: UUID, state: str, at: datetime) -> Any:
    return (
        update(handovers)
        .where(handovers.c.tenant_id == actor.tenant.id, handovers.c.id == id, handovers.c.state == "asked")
        .values(state=state, ended_at=at)
        .returning(handovers.c.id)
    )


async def decline(db: AsyncConnection, actor: Actor, handover_id: UUID, *, at: datetime) -> None:
    """Say no, without penalty. Raises: HandoverNotFound, HandoverEnded."""
    asked = await one(db, actor, handover_id)
    if (asked.kind, asked.taker_id) not in _parties(actor):
        raise HandoverNotFound()
    told = {"id": asked.id, "order_id": asked.order_id}
    if await guarded(db, _ended(actor, asked.id, "declined", at), [_told(actor, told, at)]) is None:
        raise HandoverEnded()


async def withdraw(db: AsyncConnection, actor: Actor, handover_id: UUID, *, at: datetime) -> None:
    """Take back what one asked. Raises: HandoverNotFound, HandoverEnded."""
    asked = await one(db, actor, handover_id)
    if asked.asked_by != actor.account_id:
        raise HandoverNotFound()
    if await guarded(db, _ended(actor, asked.id, "withdrawn", at)) is None:
        raise HandoverEnded()


def _parties(actor: Actor) -> list[Party]:
    return [party for grant in actor.grants if (party := party_of(grant, actor.account_id))]


def _mine(actor: Actor) -> Any:
    """Handovers that the actor asked for or is asked for: with no more of the order than one may know before a take."""
    giver, giving, there = accounts.alias("giver"), bodies.alias("giving"), places.alias("there")
    of_me = (and_(handovers.c.kind == str(kind), handovers.c.taker_id == id) for kind, id in _parties(actor))
    return (
        select(
            handovers,
            orders.c.day,
            orders.c.serial,
            orders.c.item_code,
            orders.c.wanted_from,
            orders.c.wanted_to,
            items.c.name.label("item_name"),
            there.c.name.label("where"),
            takes.c.kind.label("giver_kind"),
            takes.c.taker_id.label("giver_id"),
            giver.c.name.label("person_name"),
            giving.c.name.label("body_name"),
        )
        .select_from(
            handovers.join(
                orders, and_(orders.c.tenant_id == handovers.c.tenant_id, orders.c.id == handovers.c.order_id)
            )
            .join(takes, and_(takes.c.tenant_id == handovers.c.tenant_id, takes.c.id == handovers.c.take_id))
            .join(items, and_(items.c.tenant_id == orders.c.tenant_id, items.c.code == orders.c.item_code))
            .outerjoin(
                there, and_(there.c.tenant_id == orders.c.tenant_id, there.c.id == orders.c.community_id)
            )
            .outerjoin(giver, and_(giver.c.tenant_id == takes.c.tenant_id, giver.c.id == takes.c.taker_id))
            .outerjoin(giving, and_(giving.c.tenant_id == takes.c.tenant_id, giving.c.id == takes.c.taker_id))
        )
        .where(
            handovers.c.tenant_id == actor.tenant.id,
            or_(handovers.c.asked_by == actor.account_id, *of_me),
        )
    )


async def one(db: AsyncConnection, actor: Actor, handover_id: UUID) -> Any:
    """A handover of the actor's, as it now stands. Raises: HandoverNotFound."""
    row = (await db.execute(_mine(actor).where(handovers.c.id == handover_id))).one_or_none()
    if row is None:
        raise HandoverNotFound()
    return row


async def page(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """Handovers that the actor asked for or is asked for, newest first; one more than ``limit``."""
    by = (handovers.c.asked_at, handovers.c.id)
    rows = _mine(actor).order_by(*(column.desc() for column in by)).limit(limit + 1)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())
