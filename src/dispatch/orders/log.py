"""The only writer of an order's state.

Every change is one step in an append-only log, written together with the row it changes, the fact
that tells of it and whatever hangs on it; all of it only where what was seen still holds.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.guarding import Change, Dependent, Removal, Rows, guarded
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.domain.chain import link, words_hash
from dispatch.domain.facts import Fact
from dispatch.domain.life import Dispatch, Life, Take
from dispatch.domain.moved import Moved, NewAsk, TakeChange
from dispatch.domain.order import GIVEN_BACK, HANDOVER, Ask, AskState, Level, Move, State, TakeState
from dispatch.domain.people import BODY_ROLES, DISPATCHING_ROLES, Actor, Role
from dispatch.domain.planning import plan
from dispatch.domain.running import View, view
from dispatch.domain.sla import Owner
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    give_backs,
    handovers,
    order_steps,
    orders,
    requests,
    take_people,
    takes,
)
from dispatch.orders.whole import Whole, dispatch_number, terms_of
from dispatch.sla.actions import timing
from dispatch.sla.queries import basis_for


@dataclass(frozen=True, slots=True)
class Author:
    """Who stands in the log: an account under a grant, or the system."""

    tenant_id: int
    account_id: UUID | None
    grant_id: UUID | None
    role: Role


def author(actor: Actor) -> Author:
    """The actor of a write, under the grant it acts with."""
    if actor.is_service:
        return system(actor.tenant.id)
    grant = actor.acting
    return Author(
        actor.tenant.id, actor.account_id, grant.id if grant else None, grant.role if grant else Role.SYSTEM
    )


def system(tenant_id: int) -> Author:
    """Nobody: time, or a rule."""
    return Author(tenant_id, None, None, Role.SYSTEM)


async def record(
    db: AsyncConnection,
    whole: Whole,
    moves: Sequence[tuple[Moved, Author]],
    *,
    at: datetime,
    besides: Iterable[Dependent] = (),
    made: Take | None = None,
) -> bool:
    """Write decided moves of one order, in their order, as one change. ``made``: a take that comes with them.

    The dispatch's row goes first, then the order's: every verb takes them in this order, so that two
    of them wait for each other instead of blocking each other for good.

    Returns:
        False if the order (or its dispatch) is no longer as it was seen; the transaction must then
        start over, for a part may be written.
    """
    life, tenant_id, at = whole.life, whole.row.tenant_id, whole.not_before(at)
    loose: list[Dependent] = []
    for moved, _ in moves:
        loose += _given_back(tenant_id, life, moved, at=at)
        hanging = [*_take_changes(tenant_id, moved.takes, at=at), *_target_changes(tenant_id, moved)]
        if moved.dispatch is None:
            loose += hanging
        elif await guarded(db, _dispatch_guard(tenant_id, life, moved), hanging) is None:
            return False
    dependents = [*loose, *besides, *await _timed(db, whole, moves, made, at=at)]
    head: str | None = whole.row.head
    for nth, (moved, who) in enumerate(moves, start=1):
        logged, head = _logged(whole, moved, who, seq=life.version + nth, head=head, at=at)
        dependents += logged
    guard = _order_guard(tenant_id, life, [moved for moved, _ in moves], head, at=at)
    return await guarded(db, guard, dependents) is not None


async def rejoin(
    db: AsyncConnection,
    whole: Whole,
    moved: Moved,
    who: Author,
    made: Take,
    *,
    at: datetime,
    besides: Iterable[Dependent],
    holds: tuple[ColumnElement[bool], ...] = (),
    bound: Mapping[str, Any] | None = None,
) -> bool:
    """Write a take whose slot is won, against the order as seen under the dispatch's lock.

    Args:
        made: the take that was won.
        besides: further writes that hang on it.
        holds, bound: what must hold besides, as in ``Change``.
    """
    tenant_id, life, at = whole.row.tenant_id, whole.life, whole.not_before(at)
    logged, head = _logged(whole, moved, who, seq=life.version + 1, head=whole.row.head, at=at)
    guard = Change(
        orders,
        {"tenant_id": tenant_id, "id": life.id, "state": life.state, "version": life.version},
        {
            "state": moved.after,
            "version": life.version + 1,
            "head": head,
            "updated_at": at,
            **_flag_values(moved),
        },
        holds=holds,
        bound=bound or {},
        returning=("version",),
    )
    dependents = [*besides, *logged]
    dependents += await _timed(db, whole, [(moved, who)], made, at=at)
    return await guarded(db, guard, dependents) is not None


async def _timed(
    db: AsyncConnection,
    whole: Whole,
    moves: Sequence[tuple[Moved, Author]],
    made: Take | None = None,
    *,
    at: datetime,
) -> list[Dependent]:
    """What the moves do to the order's clocks. Those of a withdrawn parent go on with its heir."""
    life, done = whole.life, [moved for moved, _ in moves]
    if done[-1].move is Move.CANCEL and life.children:
        return []
    after = view(life, done, whole.places, made)
    terms = terms_of(whole, done)
    basis = await basis_for(db, whole.row.tenant_id, terms, whole.row)
    heard = {owner for moved, who in moves for owner in _spoken_for(life, after, moved.move, who)}
    changes = plan(after, whole.runs, basis, [moved.move for moved in done], at=at, heard=heard)
    cause = done[-1].move.value
    return timing.written(whole.row.tenant_id, life.id, changes, terms, basis, cause=cause, at=at)


def _spoken_for(life: Life, after: View, move: Move, who: Author) -> set[Owner]:
    """The owners for whom the author of a move speaks. Pressing is no sign of life."""
    if move in (Move.URGE, Move.SUPERVISE):
        return set()
    found = {
        Owner(*take.party)
        for take in life.active
        if who.account_id in (take.account_id, *take.people) or BODY_ROLES.get(who.role) == take.kind
    }
    if who.role in DISPATCHING_ROLES:
        found |= {after.community, *(Owner(level, after.places.get(level)) for level in Level)}
    return found


def first_step(
    tenant_id: int,
    order_id: UUID,
    flags: Iterable[str],
    who: Author,
    *,
    files: Sequence[UUID] = (),
    at: datetime,
) -> tuple[list[Dependent], str]:
    """The step and the fact that an order begins with, and the step's hash; its row is written by intake."""
    listed = sorted(flags)
    detail: dict[str, Any] = {"flags": listed} if listed else {}
    if files:
        detail["attachment_ids"] = [str(id) for id in files]
    moved = Moved(Move.SUBMIT, None, State.SUBMITTED, detail=detail)
    step, fact, head = _step(tenant_id, order_id, moved, who, seq=1, head=None, at=at)
    return [step, fact], head


def followed(
    tenant_id: int, child: Any, after: State, detail: Mapping[str, Any], *, at: datetime
) -> tuple[list[Dependent], str]:
    """A child's step when its parent was merged or withdrawn, and its hash; its row is written beside it."""
    moved = Moved(Move.FOLLOW, State(child.state), after, detail=detail)
    step, fact, head = _step(
        tenant_id, child.id, moved, system(tenant_id), seq=child.version + 1, head=child.head, at=at
    )
    return [step, fact], head


_ONE_ON = orders.c.version + 1


def succeeded(
    tenant_id: int, heir_id: UUID, state: State, head: str, inherits: Mapping[str, Any], *, at: datetime
) -> Change:
    """The oldest child's row when it takes its parent's place."""
    values = {"state": state, "parent_id": None, "version": _ONE_ON, "head": head, "updated_at": at}
    return Change(orders, {"tenant_id": tenant_id, "id": heir_id}, {**values, "rested_at": None, **inherits})


def _order_guard(
    tenant_id: int, life: Life, moves: Sequence[Moved], head: str | None, *, at: datetime
) -> Change:
    seen = {"state": life.state, "version": life.version, "children_count": life.children}
    values: dict[str, Any] = {
        "state": moves[-1].after,
        "version": life.version + len(moves),
        "head": head,
        "updated_at": at,
    }
    for moved in moves:
        values |= dict(moved.order) | _flag_values(moved)
    return Change(orders, {"tenant_id": tenant_id, "id": life.id, **seen}, values, returning=("version",))


def _flag_values(moved: Moved) -> dict[str, Any]:
    return {} if moved.flags is None else {"flags": sorted(moved.flags)}


def _dispatch_guard(tenant_id: int, life: Life, moved: Moved) -> Change:
    seen = life.held if life.held and life.held.id == moved.dispatch_id else life.last
    assert seen is not None
    assert moved.dispatch is not None
    where = {"tenant_id": tenant_id, "id": seen.id, "state": seen.state, "slots_taken": seen.slots_taken}
    where |= {"takes_made": seen.takes_made, "slots_held": seen.slots_held, "waiters": seen.waiters}
    return Change(dispatches, where, moved.dispatch, returning=("id",))


def _logged(
    whole: Whole, moved: Moved, who: Author, *, seq: int, head: str | None, at: datetime
) -> tuple[list[Dependent], str]:
    """The step that follows the one whose hash is ``head``, with what hangs on it; and its own hash."""
    tenant_id, life = whole.row.tenant_id, whole.life
    step, fact, head = _step(tenant_id, life.id, moved, who, seq=seq, head=head, at=at)
    dependents: list[Dependent] = [step, fact]
    if moved.opens:
        dependents += _opened(whole, moved.opens, moved, who, at=at)
    if moved.files and who.account_id:
        dependents += filed(
            tenant_id, life.id, moved.files, who, by_street=bool(life.asked.get(Ask.REOPEN)), at=at
        )
    dependents += [
        Change(
            requests,
            {"tenant_id": tenant_id, "id": id, "status": AskState.PENDING},
            {"status": status, "decided_at": at, "decided_by": who.account_id},
        )
        for id, status in moved.requests
    ]
    return dependents, head


def _step(
    tenant_id: int, order_id: UUID, moved: Moved, who: Author, *, seq: int, head: str | None, at: datetime
) -> tuple[Rows, Rows, str]:
    salt = None if moved.text is None else secrets.token_hex(16)
    step: dict[str, Any] = {
        "tenant_id": tenant_id,
        "order_id": order_id,
        "seq": seq,
        "move": moved.move,
        "state_from": moved.before,
        "state_to": moved.after,
        "at": at,
        "account_id": who.account_id,
        "grant_id": who.grant_id,
        "role": who.role,
        "text": moved.text,
        "detail": _plain(moved.detail),
        "salt": salt,
        "text_hash": None if salt is None or moved.text is None else words_hash(salt, moved.text),
    }
    step["hash"] = link(head, order_id, step)
    body = {"order_id": str(order_id), "seq": seq, "move": moved.move.value, "state": moved.after.value}
    if who.account_id:
        body["by"] = str(who.account_id)
    told = announce(tenant_id, Fact.ORDER_MOVED, body, order_id=order_id, at=at)
    return Rows(order_steps, [step]), told, step["hash"]


def _plain(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, str | UUID) else value for name, value in detail.items()}


def filed(
    tenant_id: int, order_id: UUID, ask: NewAsk, who: Author, *, by_street: bool, at: datetime
) -> list[Dependent]:
    """A request that a move files by itself, and the fact that tells those who decide."""
    row = {
        "tenant_id": tenant_id,
        "id": new_id(),
        "order_id": order_id,
        "kind": ask.kind,
        "status": AskState.PENDING,
        "reason_code": ask.reason_code,
        "text": ask.text,
        "asked_by": who.account_id,
        "asked_grant_id": who.grant_id,
        "by_street": by_street,
        "asked_at": at,
    }
    body = {"order_id": str(order_id), "request_id": str(row["id"]), "kind": ask.kind.value}
    return [
        Rows(requests, [row], skip=True),
        announce(tenant_id, Fact.REQUEST_ASKED, body, order_id=order_id, at=at),
    ]


def _opened(whole: Whole, opened: Dispatch, moved: Moved, who: Author, *, at: datetime) -> list[Dependent]:
    tenant_id, life = whole.row.tenant_id, whole.life
    row = {
        "tenant_id": tenant_id,
        "id": opened.id,
        "order_id": life.id,
        "number": dispatch_number(whole.row.day, whole.row.serial, life.dispatches_made + 1),
        "round": life.round,
        "mode": opened.mode,
        "state": opened.state,
        "kinds": f" {' '.join(sorted(opened.kinds))} " if opened.kinds else "",
        "ring_id": opened.ring_id,
        "slots_min": opened.slots_min,
        "slots_max": opened.slots_max,
        "slots_taken": opened.slots_taken,
        "takes_made": 0,
        "slots_held": 0,
        "waiters": 0,
        "expires_at": opened.expires_at,
        "lasts_seconds": opened.lasts_seconds,
        "extended": False,
        "parallel": opened.parallel,
        "note": moved.text,
        "created_by": who.account_id,
        "created_at": at,
    }
    targets = [
        {
            "tenant_id": tenant_id,
            "dispatch_id": opened.id,
            "kind": target.kind,
            "target_id": target.id,
            "seq": target.seq,
            "state": target.state,
            "match": target.match,
        }
        for target in opened.targets
    ]
    return [Rows(dispatches, [row]), Rows(dispatch_targets, targets)]


_ASKED = (handovers.c.state == "asked",)


def _take_changes(tenant_id: int, changes: Iterable[TakeChange], *, at: datetime) -> list[Dependent]:
    """Takes that change alike change in one statement; whoever left is no longer on the order, and what one asked another
    to take over ends with the take."""
    alike: dict[tuple[tuple[str, Any], ...], list[UUID]] = {}
    ended: list[UUID] = []
    left: list[UUID] = []
    for change in changes:
        values = {name: value for name, value in change.values.items() if name != "people"}
        if values:
            alike.setdefault(tuple(sorted(values.items())), []).append(change.id)
        if values.get("state") not in (None, TakeState.ACTIVE):
            ended.append(change.id)
        if values.get("state") not in (None, TakeState.ACTIVE, TakeState.DONE):
            left.append(change.id)
    dependents: list[Dependent] = [
        Change(takes, {"tenant_id": tenant_id, "id": ids}, dict(values)) for values, ids in alike.items()
    ]
    if ended:
        their = {"tenant_id": tenant_id, "take_id": ended}
        dependents.append(Change(handovers, their, {"state": "withdrawn", "ended_at": at}, holds=_ASKED))
    if left:
        dependents.append(Removal(take_people, {"tenant_id": tenant_id, "take_id": left}))
    return dependents


def _given_back(tenant_id: int, life: Life, moved: Moved, *, at: datetime) -> list[Dependent]:
    """Takes that their takers gave up, for the cool-down: what was handed over or returned by leave is none."""
    parties = {take.id: take.party for take in life.active}
    states = {change.id: change.values.get("state") for change in moved.takes}
    rows = [
        {
            "tenant_id": tenant_id,
            "kind": parties[id][0],
            "taker_id": parties[id][1],
            "at": at,
            "order_id": life.id,
            "state": state,
        }
        for id, state in states.items()
        if state in GIVEN_BACK and moved.detail.get("reason_code") != HANDOVER
    ]
    return [Rows(give_backs, rows, skip=True)] if rows else []


def _target_changes(tenant_id: int, moved: Moved) -> list[Dependent]:
    of_dispatch = {"tenant_id": tenant_id, "dispatch_id": moved.dispatch_id}
    return [
        Change(
            dispatch_targets,
            {**of_dispatch, "kind": target.kind, "target_id": target.id},
            {"state": target.state, "until": target.until},
        )
        for target in moved.targets
    ]
