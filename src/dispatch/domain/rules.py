"""May this actor make this move now? The table judges; guards add what a table cannot say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.domain.conflict import UNTOLD
from dispatch.domain.life import Life, Standing, Verdict, asked_of, own_take, served
from dispatch.domain.order import (
    ASKS,
    EDGES,
    EDGES_IN_ORDER,
    LEVELS,
    PEOPLE,
    REOPEN_DAYS,
    STATE_LABELS,
    SYSTEM_MOVES,
    Ask,
    DispatchState,
    Edge,
    Level,
    Mode,
    Move,
    Relation,
    State,
)
from dispatch.domain.people import STREET_ROLES, Role
from dispatch.domain.queue import full
from dispatch.domain.refusal import (
    HasChildren,
    NoActiveTake,
    NotEligible,
    NotYourRating,
    OrderClosed,
    OrderMoved,
    OwnWork,
    RatingClosed,
    Refusal,
    RequestPending,
    ReturnInstead,
    RoleForbidden,
    SlotTaken,
    TooLate,
)

RATING_OPEN = timedelta(hours=24)
"""How long a verdict may be changed, unless its review starts before (product decision §6)."""

_RANK = {Role.STREET: 1, Role.DISTRICT: 2}


def moved_away(life: Life) -> OrderMoved:
    """The refusal that says where the order stands instead."""
    return OrderMoved(state=life.state.value, state_label=STATE_LABELS[life.state])


def reach(who: Standing) -> int:
    """The highest level an actor rules at here: 0 community, 1 street, 2 district."""
    return max((_RANK.get(role, 0) for role in who.scoped), default=0)


def rank(level: Level | None) -> int:
    """A level as a number, community = 0."""
    return LEVELS.index(level) if level else 0


def permitted(life: Life, move: Move, who: Standing) -> Edge:
    """The table's answer.

    Raises:
        OrderMoved: the order's state knows no such move.
        RoleForbidden: it does, for others.
    """
    edge = EDGES.get((life.state, move))
    if edge is None:
        raise moved_away(life)
    if not may(edge, who):
        raise RoleForbidden()
    return edge


def may(edge: Edge, who: Standing) -> bool:
    """Whether the table has the move for this actor."""
    return any(who.holds(right) for right in edge.rights)


def _at_its_level(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """An escalated order is ruled by the level it stands at, or above."""
    if life.state is State.ESCALATED and reach(who) < rank(life.level):
        return RoleForbidden()
    return None


def _childless(life: Life, who: Standing, at: datetime) -> Refusal | None:
    return HasChildren() if life.children else None


def _cancel(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """A dispatcher may not withdraw an order that others hang on; its filer only withdraws himself."""
    if (
        life.children
        and not who.relations & {Relation.FILER, Relation.BENEFICIARY}
        and Role.SYSTEM not in who.roles
    ):
        return HasChildren()
    return None


def take_refusal(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """Why an actor in the audience cannot take now; None if he can. An own active take is no refusal here."""
    if who.parties & life.barred:
        return NotEligible(why="returned")
    if (life.state, Move.TAKE) not in EDGES:
        return OrderClosed(state=life.state.value)
    held = life.held
    if held is None or not held.unexpired(at):
        return OrderClosed(state=life.state.value)
    if held.state is DispatchState.FILLED or held.slots_taken >= held.slots_max:
        return SlotTaken()
    if held.slots_held and full(held) and not any(asked_of(held, party) for party in who.parties):
        return SlotTaken()  # what is free is kept for who waited
    return None


def _take(life: Life, who: Standing, at: datetime) -> Refusal | None:
    if own_take(life, who, staffed=True):
        return NotEligible(why="already_on_order")
    if who.account_id == life.beneficiary_id and all(kind in PEOPLE for kind, _ in who.parties):
        return NotEligible(why=UNTOLD)
    return take_refusal(life, who, at)


def _decline(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """Only an offer may be declined; who is assigned asks a return instead."""
    if life.held is None:
        return moved_away(life)
    if life.held.mode is Mode.ASSIGN:
        return ReturnInstead()
    return None if any(asked_of(life.held, party) for party in who.parties) else RoleForbidden()


def _holder(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """The holder releases; someone whom a body put on the order asks that body."""
    if Role.SYSTEM in who.roles:
        return None
    return None if own_take(life, who) else RoleForbidden()


def _proceed(life: Life, who: Standing, at: datetime) -> Refusal | None:
    return None if life.active else NoActiveTake()


def _resume(life: Life, who: Standing, at: datetime) -> Refusal | None:
    if life.state is State.ESCALATED:
        return _at_its_level(life, who, at) or (None if life.active else NoActiveTake())
    return None


def _rate(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """Never a taker, never the resolver, never one who filed for another; in time; not over another's word."""
    personal = who.relations & {Relation.FILER, Relation.BENEFICIARY}
    if served(life, who, ever=True) or who.account_id == life.resolver_id:
        return NotYourRating()
    if life.on_behalf and who.account_id == life.filer_id:
        return NotYourRating()
    if life.state is State.MERGED and life.parent_state not in (State.DONE, State.EVALUATED, State.CLOSED):
        return moved_away(life)
    return _verdict_open(life, life.verdict, personal=bool(personal), at=at)


def _verdict_open(life: Life, verdict: Verdict | None, *, personal: bool, at: datetime) -> Refusal | None:
    if verdict is None:
        silent_since = life.rested_at if life.effective_state is State.CLOSED else None
        return RatingClosed() if silent_since and at > silent_since + RATING_OPEN else None
    if at > verdict.at + RATING_OPEN:
        return RatingClosed()
    if not verdict.happy and not any(ask.kind is Ask.REOPEN for ask in life.pending):
        return RatingClosed()  # its review is over
    return None if personal or verdict.follow_up else NotYourRating()


def _close(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """Closing decides a pending wish to reopen, so who closes must be able to decide it; nobody accepts own work."""
    if served(life, who):
        return OwnWork()
    for ask in life.pending:
        if ask.kind is Ask.REOPEN and (
            Role.SYSTEM in who.roles or (ask.by_street and not who.scoped & STREET_ROLES)
        ):
            return RequestPending()
    return None


def _redo(life: Life, who: Standing, at: datetime) -> Refusal | None:
    """In time, unless an approved wish brings it: that one was in time. It decides a pending wish, as closing does."""
    if Role.SYSTEM in who.roles:
        return None
    if (
        any(ask.kind is Ask.REOPEN and ask.by_street for ask in life.pending)
        and not who.scoped & STREET_ROLES
    ):
        return RequestPending()
    if life.state is State.CLOSED and life.rested_at and at > life.rested_at + timedelta(days=REOPEN_DAYS):
        return TooLate()
    return None


Guard = Callable[[Life, Standing, datetime], Refusal | None]

GUARDS: dict[Move, Guard] = {
    Move.REJECT: _childless,
    Move.CANCEL: _cancel,
    Move.RESOLVE: _at_its_level,
    Move.DISPATCH: _at_its_level,
    Move.ESCALATE: _at_its_level,
    Move.DELIBERATE: _at_its_level,
    Move.RESUME: _resume,
    Move.TAKE: _take,
    Move.DECLINE: _decline,
    Move.PROCEED: _proceed,
    Move.RELEASE: _holder,
    Move.STAFF: _holder,
    Move.RATE: _rate,
    Move.CLOSE: _close,
    Move.REDO: _redo,
}


def judge(life: Life, move: Move, who: Standing, *, at: datetime) -> Edge:
    """Whether the move may be made now: first the table, then its guard.

    Raises:
        Refusal: whatever stands against it.
    """
    edge = permitted(life, move, who)
    if refusal := _guarded(life, move, who, at):
        raise refusal
    return edge


def _guarded(life: Life, move: Move, who: Standing, at: datetime) -> Refusal | None:
    guard = GUARDS.get(move)
    return guard(life, who, at) if guard else None


@dataclass(frozen=True, slots=True)
class Offered:
    """A button: a move, and the fields it needs."""

    move: Move
    needs: tuple[str, ...]


_FROM: Mapping[State, tuple[Edge, ...]] = {
    state: tuple(edge for edge in EDGES_IN_ORDER if edge.source is state and edge.move not in SYSTEM_MOVES)
    for state in State
}


def moves_for(life: Life, who: Standing, *, at: datetime) -> tuple[Offered, ...]:
    """The moves an actor may make now, in the table's order, by the same judgement that meets the call."""
    offered = []
    for edge in _FROM[life.state]:
        if not may(edge, who) or _guarded(life, edge.move, who, at):
            continue
        needs = edge.needs
        if edge.move is Move.RATE and not who.relations & {Relation.FILER, Relation.BENEFICIARY}:
            needs = (*needs, "follow_up")
        offered.append(Offered(edge.move, needs))
    return tuple(offered)


def ask_refusal(life: Life, kind: Ask, who: Standing, *, at: datetime) -> Refusal | None:
    """Why this request cannot be filed now; None if it can."""
    rule = ASKS[kind]
    if life.state not in rule.states:
        return moved_away(life)
    if not any(who.holds(right) for right in rule.rights):
        return RoleForbidden()
    if kind is Ask.RETURN and not _may_return(life, who):
        return RoleForbidden()
    if any(ask.kind is kind and ask.asked_by == who.account_id for ask in life.pending):
        return RequestPending()
    if at_most(life, kind):
        return TooLate()
    since = life.rested_at or life.done_at
    if rule.days is not None and since and at > since + timedelta(days=rule.days):
        return TooLate()
    return None


def at_most(life: Life, kind: Ask) -> bool:
    """Whether as many requests of a kind were approved as an order may have."""
    most = ASKS[kind].most
    return most is not None and life.asked.get(kind, 0) >= most


def _may_return(life: Life, who: Standing) -> bool:
    """A taker may ask it, and an assignee before taking."""
    if own_take(life, who):
        return True
    if life.held is None or life.held.mode is not Mode.ASSIGN:
        return False
    return any(asked_of(life.held, party) for party in who.parties)


def by_street(life: Life, kind: Ask) -> bool:
    """Whether the street decides: it always does for some kinds, for others from the second on."""
    rule = ASKS[kind]
    earlier = life.asked.get(kind, 0)
    return ((rule.later if earlier else rule.decider).roles) == STREET_ROLES
