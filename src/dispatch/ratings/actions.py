"""评单: the verdict, what an unhappy one asks for, and another round."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.guarding import Dependent, Rows
from dispatch.db.idempotency import claim
from dispatch.domain.life import THE_SYSTEM, standing
from dispatch.domain.moved import Moved
from dispatch.domain.order import Ask, Exit, Move, State, TakerKind, TakeState
from dispatch.domain.people import STAFF_ROLES, Actor
from dispatch.domain.rules import moved_away
from dispatch.domain.step import closes_itself, step
from dispatch.orders import log, queries
from dispatch.orders.actions.performing import ATTEMPTS, Call, Data, Done, looked, perform
from dispatch.orders.tables import ratings
from dispatch.orders.whole import Whole
from dispatch.people.tables import bodies, grants, members


async def rate(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Judge the work. Happy and nothing pending: the order closes at once. Unhappy: the wish to reopen is filed.

    ``data``: score 1..5, solved, contacted, tags, text, follow_up {channel, at, note}.

    Raises:
        NotYourRating: a taker, the resolver, or one who filed for another.
        RatingClosed: too late, or its review is over.
    """
    for _ in range(ATTEMPTS):
        seen, _row, done = await looked(db, actor, order_id, call)
        if done:
            return done
        parent = await _parent(db, actor, seen)
        life = seen.life
        if parent is not None:  # the parent's takers and wishes count
            life = replace(
                life,
                takes=parent.life.takes,
                resolver_id=parent.life.resolver_id,
                pending=_own(parent, seen, actor),
            )
        moved = step(life, Move.RATE, standing(seen.life, actor), data, at=at)
        if await claim(db, call.key, status=200, order_id=order_id, outcome=None, at=at) and await _write(
            db, actor, seen, parent, moved, data, at=at
        ):
            return Done(order_id)
        await start_over(db)
    raise moved_away(seen.life)


async def _parent(db: AsyncConnection, actor: Actor, seen: Whole) -> Whole | None:
    if seen.life.state is not State.MERGED or seen.life.parent_id is None:
        return None
    return (await queries.whole(db, actor, seen.life.parent_id, hidden=True))[0]


def _own(parent: Whole, seen: Whole, actor: Actor) -> tuple[Any, ...]:
    """What pends for this child at its parent: asked by the actor, or by whoever keyed this child's verdict."""
    voices = {actor.account_id, seen.life.verdict.by if seen.life.verdict else None}
    return tuple(ask for ask in parent.life.pending if ask.asked_by in voices)


async def _write(
    db: AsyncConnection,
    actor: Actor,
    seen: Whole,
    parent: Whole | None,
    moved: Moved,
    data: Data,
    *,
    at: datetime,
) -> bool:
    author = log.author(actor)
    verdict = _verdict(actor, seen, parent, data, at=at)
    if parent is None:
        writes = [(moved, author)]
        if closes_itself(seen.life, moved, data):
            evaluated = replace(seen.life, state=moved.after, pending=())
            closed = step(evaluated, Move.CLOSE, THE_SYSTEM, {"exit": Exit.SOLVED}, at=at)
            writes.append((closed, log.system(actor.tenant.id)))
        return await log.record(db, seen, writes, at=at, besides=[verdict])
    # A child's wish is its parent's: the request goes there, so the step on the child carries none.
    besides: list[Dependent] = [verdict]
    if moved.files:
        again = bool(parent.life.asked.get(Ask.REOPEN))
        besides += log.filed(actor.tenant.id, parent.life.id, moved.files, author, by_street=again, at=at)
    return await log.record(db, seen, [(replace(moved, files=None), author)], at=at, besides=besides)


def _verdict(actor: Actor, seen: Whole, parent: Whole | None, data: Data, *, at: datetime) -> Rows:
    follow_up = data.get("follow_up")
    row = {
        "tenant_id": actor.tenant.id,
        "order_id": seen.life.id,
        "round": (parent or seen).life.round,
        "revision": seen.revisions((parent or seen).life.round) + 1,
        "score": data["score"],
        "solved": data["solved"],
        "contacted": data["contacted"],
        "tags": list(data.get("tags") or ()),
        "text": data.get("text"),
        "follow_up": {**follow_up, "at": follow_up["at"].isoformat()} if follow_up else None,
        "rated_by": actor.account_id,
        "rated_as": actor.acting.id if actor.acting else None,
        "rated_at": at,
    }
    return Rows(ratings, [row])


async def redo(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Another round; with ``same_takers`` it goes back to them if all of them still serve, else to the community.

    Raises:
        TooLate: closed for longer than it may be reopened.
    """

    async def ready(db: AsyncConnection, actor: Actor, seen: Whole, row: Any) -> Data:
        return {"able": bool(data.get("same_takers")) and await _all_serve(db, actor, seen, at=at)}

    return await perform(db, actor, order_id, Move.REDO, data, call, at=at, prepare=ready)


async def _all_serve(db: AsyncConnection, actor: Actor, seen: Whole, *, at: datetime) -> bool:
    """Whether every taker of the round is still there: a body that stands, a member who is active, staff who hold a grant."""
    done = [take for take in seen.life.takes if take.state is TakeState.DONE]
    people = {take.taker_id for take in done if take.kind is TakerKind.MEMBER}
    staff = {take.taker_id for take in done if take.kind is TakerKind.STAFF}
    bodies_ = {take.taker_id for take in done if take.kind not in (TakerKind.MEMBER, TakerKind.STAFF)}
    there: set[UUID] = set()
    if people:
        rows = await db.execute(
            select(members.c.account_id).where(
                members.c.tenant_id == actor.tenant.id,
                members.c.account_id.in_(people),
                members.c.state == "active",
                members.c.community_id.in_(seen.life.place),
            )
        )
        there |= {row.account_id for row in rows}
    if bodies_:
        rows = await db.execute(
            select(bodies.c.id).where(
                bodies.c.tenant_id == actor.tenant.id, bodies.c.id.in_(bodies_), bodies.c.retired_at.is_(None)
            )
        )
        there |= {row.id for row in rows}
    if staff:
        rows = await db.execute(
            select(grants.c.account_id).where(
                grants.c.tenant_id == actor.tenant.id,
                grants.c.account_id.in_(staff),
                grants.c.role.in_(STAFF_ROLES),
                or_(grants.c.valid_to.is_(None), grants.c.valid_to > at),
            )
        )
        there |= {row.account_id for row in rows}
    return people | staff | bodies_ <= there
