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
from tests.rulebook import by_hand

AT = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
ME = uuid4()
S, M, R = State, Move, Role


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
