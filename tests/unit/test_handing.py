"""Handing an order out and giving it back: who may be named, what ends, where the order goes."""

from datetime import timedelta
from uuid import UUID

import pytest

from dispatch.domain.order import (
    DispatchState,
    Flag,
    Mode,
    Move,
    Relation,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Role
from dispatch.domain.refusal import Refusal
from dispatch.domain.step import step
from dispatch.domain.wording import sentence
from tests.lives import (
    ANN,
    AT,
    BEN,
    SECOND,
    UNIT,
    handed,
    member,
    order,
    staff,
    take,
    target,
    unit,
)

S, M, R = State, Move, Role
WORDS = {"reason_code": "other", "text": "说明"}
LATER = AT + timedelta(hours=3)
TAKER = member(ANN, Relation.TAKER, Relation.LEAD)
DONE = {"result": "已办", "closing": "solved"}


def told(life, move: Move, who, **body) -> Refusal:
    """The refusal of a move."""
    with pytest.raises(Refusal) as caught:
        step(life, move, who, body, at=AT)
    return caught.value


def dispatched(life, **body):
    plain = {"mode": "open", "dispatch_id": UUID(int=60), "ring_id": UUID(int=7)}
    return step(life, M.DISPATCH, staff(), {**plain, **body}, at=AT)


@pytest.mark.parametrize("more", [{"urgency": "U1"}, {"item_flags": frozenset({"staff_only"})}])
def test_an_emergency_and_staff_work_are_never_left_to_whoever_comes(more):
    life = order(S.ACCEPTED, **more)
    assert told(life, M.DISPATCH, staff(), mode="open").code == "MODE_NOT_ALLOWED"
    named = [{"kind": "provider", "id": UNIT}]
    assert dispatched(life, mode="assign", targets=named).after is S.OFFERED
    assert dispatched(order(S.ACCEPTED)).after is S.OPEN


@pytest.mark.parametrize("kind", TakerKind)
def test_members_and_teams_are_asked_and_never_told(kind: TakerKind):
    voluntary = kind in (TakerKind.MEMBER, TakerKind.TEAM)
    named = [{"kind": kind, "id": UNIT}]
    assert dispatched(order(S.ACCEPTED), mode="offer", targets=named).after is S.OFFERED
    if voluntary:
        refusal = told(order(S.ACCEPTED), M.DISPATCH, staff(), mode="assign", targets=named)
        assert (refusal.code, refusal.facts["why"]) == ("TARGET_NOT_ALLOWED", "not_assignable")
    else:
        assert dispatched(order(S.ACCEPTED), mode="assign", targets=named).after is S.OFFERED


def test_nobody_is_named_who_returned_it_or_is_on_it():
    named = [{"kind": "unit", "id": UNIT}]
    barred = order(S.ACCEPTED, barred=frozenset({("unit", UNIT)}))
    assert told(barred, M.DISPATCH, staff(), mode="offer", targets=named).facts["why"] == "returned"
    kept = order(S.ESCALATED, takes=(take(UNIT, TakerKind.UNIT),))
    assert told(kept, M.DISPATCH, staff(), mode="offer", targets=named).facts["why"] == "already_on_order"
    assert told(order(S.ACCEPTED), M.DISPATCH, staff(), mode="offer").facts["why"] == "nobody_named"


TWO = frozenset({"two_people"})
BY_TWO = [{"kind": "member", "id": ANN}, {"kind": "member", "id": BEN}]


def test_fewer_people_than_an_item_needs_stand_in_the_log():
    for_two = order(S.ACCEPTED, item_flags=TWO)
    for body in ({}, {"mode": "offer", "targets": BY_TWO[:1]}, {"slots_max": 4}):
        moved = dispatched(for_two, **body)
        assert moved.opens.slots_min == 1
        assert sentence(M.DISPATCH, moved.after, moved.detail, None).endswith("，按1人办理（应有2人）。")


@pytest.mark.parametrize(
    "body",
    [
        {"slots_min": 2},
        {"kinds": [TakerKind.TEAM, TakerKind.UNIT]},
        {"mode": "offer", "targets": BY_TWO, "slots_min": 2},
        {"mode": "assign", "targets": [{"kind": "provider", "id": UNIT}]},
    ],
)
def test_two_people_or_a_body_are_enough_for_an_item_for_two(body):
    assert "needed" not in dispatched(order(S.ACCEPTED, item_flags=TWO), **body).detail


def test_there_are_never_fewer_slots_than_takes_that_are_kept():
    kept = order(S.ESCALATED, takes=(take(), take(BEN)))
    for least, most in ((1, 1), (2, 2), (3, 2), (1, 501)):
        body = {"mode": "open", "ring_id": UUID(int=7), "slots_min": least, "slots_max": most}
        refusal = told(kept, M.DISPATCH, staff(), **body, dispatch_id=UUID(int=60))
        assert refusal.code == "SLOTS_INVALID", (least, most)
    opened = dispatched(kept, slots_min=3, slots_max=3).opens
    assert (opened.slots_taken, opened.slots_max, opened.state) == (2, 3, DispatchState.RUNNING)


def test_what_is_recalled_ends_and_what_is_kept_is_kept():
    one, other = take(), take(BEN)
    life = handed(
        S.OPEN, (one, other), life={"lead_id": one.id, "flags": frozenset({Flag.URGED, Flag.SHORT_HANDED})}
    )
    moved = step(life, M.RECALL, staff(), {"reason_code": "other"}, at=AT)
    assert moved.after is S.ACCEPTED
    assert {(change.id, change.values["state"]) for change in moved.takes} == {
        (one.id, TakeState.RECALLED),
        (other.id, TakeState.RECALLED),
    }
    assert moved.dispatch == {"state": DispatchState.RECALLED, "slots_taken": 0, "ended_at": AT}
    assert moved.order == {"lead_id": None, "started": False}
    assert moved.flags == {Flag.URGED}


@pytest.mark.parametrize(
    ("state", "stay", "least", "runs", "after", "short"),
    [
        (S.IN_SERVICE, 1, 2, True, S.IN_SERVICE, True),
        (S.IN_SERVICE, 1, 2, False, S.IN_SERVICE, True),
        (S.IN_SERVICE, 1, 1, True, S.IN_SERVICE, False),
        (S.IN_SERVICE, 0, 1, True, S.OPEN, False),
        (S.IN_SERVICE, 0, 1, False, S.ACCEPTED, False),
        (S.TAKEN, 1, 1, True, S.TAKEN, False),
        (S.TAKEN, 1, 2, True, S.OPEN, False),
        (S.TAKEN, 1, 2, False, S.TAKEN, True),
        (S.TAKEN, 0, 1, True, S.OPEN, False),
        (S.TAKEN, 0, 1, False, S.ACCEPTED, False),
        (S.OPEN, 1, 3, True, S.OPEN, False),
        (S.OPEN, 0, 2, True, S.OPEN, False),
        (S.ESCALATED, 0, 1, True, S.ESCALATED, False),
        (S.PAUSED, 1, 2, False, S.PAUSED, False),
    ],
)
def test_where_an_order_goes_when_a_taker_leaves(state, stay, least, runs, after, short):
    takes = (take(), take(BEN))[: stay + 1]
    more = {"slots_min": least, "slots_max": max(least, 2), "expires_at": None if runs else AT - SECOND}
    moved = step(handed(state, takes, **more), M.RELEASE, TAKER, WORDS, at=AT)
    assert moved.after is after
    assert (moved.flags is not None and Flag.SHORT_HANDED in moved.flags) == short
    assert moved.dispatch["slots_taken"] == stay
    ended = moved.dispatch["state"] not in (DispatchState.RUNNING, DispatchState.FILLED)
    assert ended == (after is S.ACCEPTED)


@pytest.mark.parametrize("runs", [True, False])
def test_a_dispatch_with_a_slot_free_is_not_full(runs: bool):
    """Seen by a machine that let time pass before a taker left: the dispatch stayed ``filled``."""
    more = {"state": DispatchState.FILLED, "slots_min": 1, "slots_max": 2}
    life = handed(S.IN_SERVICE, (take(), take(BEN)), expires_at=AT + SECOND if runs else AT - SECOND, **more)
    moved = step(life, M.RELEASE, TAKER, WORDS, at=AT)
    assert (moved.after, moved.dispatch["state"]) == (S.IN_SERVICE, DispatchState.RUNNING)


def test_a_target_that_declines_hands_the_question_on_and_the_last_one_gives_it_back():
    waits = (target(ANN, 1, TargetState.ASKED), target(BEN, 2, TargetState.WAITING))
    life = handed(S.OFFERED, (), Mode.OFFER, targets=waits, lasts_seconds=600)
    moved = step(life, M.DECLINE, member(ANN, Relation.INVITED), {}, at=AT)
    assert moved.after is S.OFFERED
    assert {(t.id, t.state) for t in moved.targets} == {
        (ANN, TargetState.DECLINED),
        (BEN, TargetState.ASKED),
    }
    assert moved.dispatch["expires_at"] == AT + timedelta(seconds=600)
    alone = handed(S.OFFERED, (), Mode.OFFER, targets=waits[:1])
    moved = step(alone, M.DECLINE, member(ANN, Relation.INVITED), {}, at=AT)
    assert (moved.after, moved.dispatch["state"]) == (S.ACCEPTED, DispatchState.DECLINED)
    others = handed(S.OFFERED, (take(BEN),), Mode.OFFER, targets=waits[:1], slots_min=2, slots_max=2)
    moved = step(others, M.DECLINE, member(ANN, Relation.INVITED), {}, at=AT)
    assert (moved.after, moved.flags) == (S.OFFERED, {Flag.SHORT_HANDED})


def test_a_unit_says_who_of_its_people_comes_and_each_once():
    held_by_unit = take(UNIT, TakerKind.UNIT)
    moved = step(
        handed(S.TAKEN, (held_by_unit,)),
        M.STAFF,
        unit(Relation.TAKER),
        {"member_ids": [BEN, ANN, BEN]},
        at=AT,
    )
    assert moved.takes[0].values == {"people": (BEN, ANN)}
    assert (moved.before, moved.after) == (S.TAKEN, S.TAKEN)
