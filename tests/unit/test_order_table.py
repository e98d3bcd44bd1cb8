"""The rulebook's table, by every state, move and role."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from dispatch.domain.life import Dispatch, Life, Standing, Take
from dispatch.domain.order import (
    EDGES,
    RESTING,
    SYSTEM_MOVES,
    DispatchState,
    Mode,
    Move,
    Relation,
    State,
    TakerKind,
    TakeState,
)
from dispatch.domain.people import FILING_ROLES, Role
from dispatch.domain.refusal import OrderMoved, Refusal, RoleForbidden
from dispatch.domain.rules import judge, moves_for, permitted

AT = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
ME = uuid4()
S, M, R = State, Move, Role

# The table once more, by hand and by move: sources, and who may. An edit of EDGES must be made here too.
STAFF = {R.DISPATCHER, R.COMMUNITY_SECRETARY, R.STREET, R.DISTRICT}
UP = {R.STREET, R.DISTRICT}
ALL_STAFF = STAFF | {R.GRID_WORKER, R.GRID_SECRETARY}
UNDERWAY = "open offered taken in_service"
LIVE = "submitted need_info accepted open offered taken in_service paused escalated done redo evaluated"
BY_HAND: dict[str, tuple[str, set[Role], str]] = {
    # move: (sources, roles in scope, relations)
    "ask": ("submitted", STAFF, ""),
    "supplement": ("need_info submitted accepted open offered taken in_service", set(), "filer beneficiary"),
    "accept": ("submitted", STAFF, ""),
    "reject": ("submitted need_info", STAFF, ""),
    "admit": ("rejected", set(), ""),
    "merge": ("submitted need_info accepted", STAFF, ""),
    "unmerge": ("merged", STAFF, ""),
    "follow": ("merged", set(), ""),
    "dispatch": ("accepted redo escalated", STAFF, ""),
    "recall": ("open offered", STAFF, ""),
    "take": (UNDERWAY, set(), "audience invited"),
    "decline": ("offered", set(), "invited"),
    "lapse": ("open offered", set(), ""),
    "proceed": ("open offered", STAFF, ""),
    "release": (f"{UNDERWAY} escalated paused", set(), "taker"),
    "lead": ("taken in_service", STAFF, "lead"),
    "contact": (UNDERWAY, set(), "taker"),
    "start": ("taken", set(), "taker"),
    "progress": ("taken in_service escalated", ALL_STAFF, "taker invited"),
    "finish": ("taken in_service", set(), "lead"),
    "escalate": (f"accepted {UNDERWAY} redo escalated", STAFF, ""),
    "deliberate": ("escalated", STAFF, ""),
    "resume": ("paused escalated", STAFF, ""),
    "park": ("accepted taken in_service escalated redo", set(), ""),
    "rate": ("done evaluated closed merged", ALL_STAFF, "filer beneficiary"),
    "redo": ("done evaluated closed", STAFF, ""),
    "cancel": (f"submitted need_info accepted {UNDERWAY} paused escalated", STAFF, "filer beneficiary"),
    "urge": (LIVE, STAFF, ""),
    "supervise": (LIVE, UP, ""),
}


def life(state: State) -> Life:
    """An order of which nothing but its state is remarkable: one taker, one running dispatch, room for one more."""
    take = Take(uuid4(), uuid4(), TakerKind.MEMBER, uuid4(), TakeState.ACTIVE, AT, uuid4())
    held = Dispatch(uuid4(), Mode.OPEN, DispatchState.RUNNING, 1, 3, 1, kinds=frozenset({"member"}))
    active = state in (S.OPEN, S.OFFERED, S.TAKEN, S.IN_SERVICE, S.ESCALATED, S.PAUSED)
    return Life(
        id=uuid4(),
        state=state,
        version=3,
        round=1,
        place=frozenset({uuid4()}),
        filer_id=uuid4(),
        takes=(take,) if active else (),
        held=held if active else None,
        parent_state=S.DONE if state is S.MERGED else None,
    )


def standings(role: Role) -> list[Standing]:
    """A role in no relation, in scope, and in each single other relation."""
    found = [Standing(ME, frozenset({role}), frozenset(), frozenset())]
    for relation in Relation:
        scoped = frozenset({role}) if relation is Relation.IN_SCOPE else frozenset()
        found.append(Standing(ME, frozenset({role}), scoped, frozenset({relation})))
    return found


def by_hand(state: State, move: Move, who: Standing) -> bool:
    if move is M.RESOLVE:
        allowed = STAFF if state is S.ESCALATED else STAFF | {R.GRID_WORKER}
        return state in (S.SUBMITTED, S.ACCEPTED, S.ESCALATED) and bool(who.scoped & allowed)
    if move is M.CLOSE:
        system = Role.SYSTEM in who.roles and state in (S.EVALUATED, S.DONE)
        return system or (state in (S.EVALUATED, S.REDO) and bool(who.scoped & STAFF))
    if move is M.STAFF:
        taker = Relation.TAKER in who.relations and bool(who.roles & {R.UNIT_ADMIN, R.TEAM_LEAD})
        return state in UNDERWAY.split() and taker
    sources, roles, relations = BY_HAND[move.value]
    if state not in sources.split():
        return False
    system_too = {"release", "redo", "cancel", "resume", "urge", "supervise"}
    by_system = Role.SYSTEM in who.roles and (
        move in SYSTEM_MOVES or (move.value in system_too and not (move is M.RESUME and state is S.ESCALATED))
    )
    return by_system or bool(who.scoped & roles) or any(r in relations.split() for r in who.relations)


@pytest.mark.parametrize("move", [move for move in Move if move is not M.SUBMIT])
def test_whatever_is_outside_the_table_refuses_with_its_code(move: Move):
    for state in State:
        for role in Role:
            for who in standings(role):
                expected = by_hand(state, move, who)
                try:
                    permitted(life(state), move, who)
                except OrderMoved:
                    assert (state, move) not in EDGES
                    assert not expected, (state, move, role, who.relations)
                except RoleForbidden:
                    assert (state, move) in EDGES
                    assert not expected, (state, move, role, who.relations)
                else:
                    assert expected, (state, move, role, who.relations)


def test_filing_is_for_those_who_may_file():
    assert EDGES[None, M.SUBMIT].rights[0].roles == FILING_ROLES
    assert Role.ADMIN not in FILING_ROLES


def test_what_is_offered_is_what_is_accepted():
    for state in State:
        for role in Role:
            for who in standings(role):
                order = life(state)
                offered = {offer.move for offer in moves_for(order, who, at=AT)}
                for move in set(Move) - SYSTEM_MOVES - {M.SUBMIT}:
                    try:
                        judge(order, move, who, at=AT)
                    except Refusal:
                        assert move not in offered
                    else:
                        assert move in offered


def test_no_order_is_stuck_and_every_state_is_reached():
    ahead: dict[State | None, set[State]] = {}
    for (source, _), edge in EDGES.items():
        ahead.setdefault(source, set()).update(edge.targets)

    def reached(start: State | None) -> set[State]:
        seen: set[State] = set()
        todo = set(ahead.get(start, set()))
        while todo:
            state = todo.pop()
            seen.add(state)
            todo |= ahead.get(state, set()) - seen
        return seen

    assert reached(None) == set(State)
    for state in set(State) - RESTING:
        assert reached(state) & RESTING, state


def test_an_escalated_order_is_ruled_by_the_level_it_stands_at():
    order = replace(life(S.ESCALATED), level="street")
    dispatcher = Standing(
        ME, frozenset({R.DISPATCHER}), frozenset({R.DISPATCHER}), frozenset({Relation.IN_SCOPE})
    )
    street = Standing(ME, frozenset({R.STREET}), frozenset({R.STREET}), frozenset({Relation.IN_SCOPE}))
    for move in (M.RESOLVE, M.DISPATCH, M.DELIBERATE, M.ESCALATE, M.RESUME):
        with pytest.raises(RoleForbidden):
            judge(order, move, dispatcher, at=AT)
        judge(order, move, street, at=AT)


def test_the_positive_control_a_wrong_table_is_noticed(monkeypatch: pytest.MonkeyPatch):
    broken = dict(EDGES)
    broken[S.CLOSED, M.CANCEL] = EDGES[S.SUBMITTED, M.CANCEL]
    monkeypatch.setattr("dispatch.domain.rules.EDGES", broken)
    with pytest.raises(AssertionError):
        test_whatever_is_outside_the_table_refuses_with_its_code(M.CANCEL)
