"""What each move changes, and what it leaves alone."""

from datetime import timedelta
from uuid import UUID

import pytest

from dispatch.domain.life import THE_SYSTEM
from dispatch.domain.order import (
    RESTING,
    Ask,
    AskState,
    DispatchState,
    Flag,
    Level,
    Move,
    Relation,
    State,
    TakeState,
)
from dispatch.domain.people import Role
from dispatch.domain.refusal import FinishNotAllowed, Refusal, ValidationFailed
from dispatch.domain.step import BETWEEN_TRIES, step
from tests.lives import (
    ANN,
    AT,
    BEN,
    FILER,
    SECOND,
    asked,
    done_take,
    filer,
    handed,
    member,
    order,
    staff,
    take,
    verdict,
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


def field(refusal: Refusal) -> list[str]:
    """The one field that a refusal names."""
    assert isinstance(refusal, ValidationFailed), refusal
    (line,) = refusal.facts["errors"]
    return line["loc"]


# --- upwards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stands", Level)
def test_an_escalated_order_goes_only_higher(stands: Level):
    life = order(S.ESCALATED, level=stands)
    levels = list(Level)
    for level in levels:
        if levels.index(level) > levels.index(stands):
            moved = step(life, M.ESCALATE, staff(R.DISTRICT), {"level": level, "text": "上报"}, at=AT)
            assert (moved.after, moved.order["level"]) == (S.ESCALATED, level)
        else:
            refusal = told(life, M.ESCALATE, staff(R.DISTRICT), level=level, text="上报")
            assert field(refusal) == ["body", "level"]


def test_escalating_recalls_the_dispatch_and_keeps_its_takers():
    moved = step(
        handed(S.TAKEN, (take(),)), M.ESCALATE, staff(), {"level": "community", "text": "研究"}, at=AT
    )
    assert moved.dispatch["state"] is DispatchState.RECALLED
    assert moved.takes == ()


# --- contact and finish --------------------------------------------------------------------------------


def test_tries_to_reach_a_resident_count_when_an_hour_lies_between_them():
    for since, counted in ((BETWEEN_TRIES, 2), (BETWEEN_TRIES - SECOND, None)):
        tried = take(failed_tries=1, last_try_at=AT)
        moved = step(handed(S.TAKEN, (tried,)), M.CONTACT, TAKER, {"reached": False}, at=AT + since)
        values = moved.takes[0].values if moved.takes else {}
        assert values.get("failed_tries") == counted
        assert values.get("last_try_at") == (AT + since if counted else None)
    first = step(handed(S.TAKEN, (take(),)), M.CONTACT, TAKER, {"reached": False}, at=AT)
    assert first.takes[0].values == {"failed_tries": 1, "last_try_at": AT}


def test_the_first_time_that_a_resident_was_reached_stays():
    moved = step(handed(S.TAKEN, (take(reached_at=AT),)), M.CONTACT, TAKER, {"reached": True}, at=LATER)
    assert moved.takes[0].values == {"reached_at": AT}


@pytest.mark.parametrize(
    ("tries", "reached", "may"), [(2, None, False), (3, None, True), (0, AT, True), (0, None, False)]
)
def test_it_was_explained_only_to_one_who_was_reached_or_tried_three_times(tries, reached, may):
    life = handed(S.IN_SERVICE, (take(failed_tries=tries, reached_at=reached),))
    if may:
        assert step(life, M.FINISH, TAKER, {**DONE, "closing": "explained"}, at=AT).after is S.DONE
    else:
        assert isinstance(
            told(life, M.FINISH, TAKER, result="联系不上", closing="explained"), FinishNotAllowed
        )


def test_finishing_ends_every_take_and_the_dispatch_and_keeps_their_count():
    one, other = take(), take(BEN)
    moved = step(
        handed(S.IN_SERVICE, (one, other)),
        M.FINISH,
        TAKER,
        {**DONE, "minutes": [{"take_id": other.id, "minutes": 40}]},
        at=AT,
    )
    assert {change.id: change.values["minutes"] for change in moved.takes} == {one.id: None, other.id: 40}
    assert {change.values["state"] for change in moved.takes} == {TakeState.DONE}
    assert moved.dispatch == {"state": DispatchState.DONE, "ended_at": AT}


def test_whom_one_puts_in_charge_is_in_charge():
    one, other = take(), take(BEN, taken_at=LATER)
    life = handed(S.TAKEN, (one, other))
    assert life.lead is one
    moved = step(life, M.LEAD, TAKER, {"take_id": other.id}, at=AT)
    assert moved.order["lead_id"] == other.id
    assert handed(S.TAKEN, (one, other), life={"lead_id": other.id}).lead is other
    assert field(told(life, M.LEAD, TAKER, take_id=UUID(int=1))) == ["body", "take_id"]


# --- the verdict and another round ------------------------------------------------------------------------


def test_a_verdict_keyed_by_staff_comes_with_its_follow_up():
    word = {"score": 5, "solved": True, "contacted": True}
    assert field(told(order(S.DONE), M.RATE, staff(), **word)) == ["body", "follow_up"]
    call = {"channel": "phone", "at": AT, "note": "回访"}
    moved = step(order(S.DONE), M.RATE, staff(), {**word, "follow_up": call}, at=AT)
    assert moved.detail["follow_up"] == "phone"
    assert "follow_up" not in step(order(S.DONE), M.RATE, filer(), word, at=AT).detail


@pytest.mark.parametrize(
    ("score", "solved", "happy"), [(5, True, True), (3, True, True), (2, True, False), (5, False, False)]
)
def test_an_unhappy_word_asks_to_reopen_and_a_happy_one_takes_that_wish_back(score, solved, happy):
    word = {"score": score, "solved": solved, "contacted": True}
    first = step(order(S.DONE), M.RATE, filer(), word, at=AT)
    assert (first.files is None) == happy
    wish = asked(Ask.REOPEN)
    again = step(order(S.EVALUATED, verdict=verdict(), pending=(wish,)), M.RATE, filer(), word, at=AT)
    assert again.files is None
    assert again.requests == (((wish.id, AskState.WITHDRAWN),) if happy else ())


@pytest.mark.parametrize(
    ("same", "able", "goes_on"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_another_round_goes_to_the_same_takers_only_if_wanted_and_all_still_can(same, able, goes_on):
    worked = done_take()
    life = order(
        S.CLOSED,
        rested_at=AT,
        done_at=AT,
        takes=(worked,),
        last=handed(S.TAKEN, (worked,), state=DispatchState.DONE, slots_max=1).held,
    )
    moved = step(life, M.REDO, staff(), {**WORDS, "same_takers": same, "able": able}, at=AT)
    assert (moved.after, moved.order["round"], moved.order["rested_at"]) == (
        S.IN_SERVICE if goes_on else S.REDO,
        2,
        None,
    )
    assert moved.order["started"] is goes_on
    if goes_on:
        assert moved.takes[0].values == {
            "state": TakeState.ACTIVE,
            "ended_at": None,
            "round": 2,
            "lease_until": None,
        }
        assert moved.dispatch == {"state": DispatchState.FILLED, "slots_taken": 1, "ended_at": None}
    else:
        assert (moved.takes, moved.dispatch) == ((), None)


# --- what every move settles ----------------------------------------------------------------------------------


def ends(life, move: Move, who, **body) -> dict[UUID, AskState]:
    return dict(step(life, move, who, {**WORDS, **body}, at=AT).requests)


def test_a_request_ends_withdrawn_when_the_state_no_longer_knows_it():
    extension, park, escalation = asked(Ask.EXTENSION, ANN), asked(Ask.PARK, ANN), asked(Ask.ESCALATION, ANN)
    life = handed(S.IN_SERVICE, (take(),), life={"pending": (extension, park, escalation)})
    gone = AskState.WITHDRAWN
    assert ends(life, M.FINISH, TAKER, **DONE) == {ask.id: gone for ask in (extension, park, escalation)}
    assert ends(life, M.PROGRESS, TAKER) == {}
    until = {"until": (AT + timedelta(days=9)).date()}
    paused = step(life, M.PARK, THE_SYSTEM, {**WORDS, **until}, at=AT)
    assert dict(paused.requests).get(extension.id) == gone
    objection = asked(Ask.OBJECTION)
    assert ends(order(S.REJECTED, rested_at=AT, pending=(objection,)), M.ADMIT, THE_SYSTEM) == {
        objection.id: gone
    }


def test_a_return_ends_with_the_take_that_it_is_about_and_no_other():
    mine = asked(Ask.RETURN, ANN, party=("member", ANN))
    bens = asked(Ask.RETURN, BEN, party=("member", BEN))
    life = handed(S.OPEN, (take(), take(BEN)), slots_min=3, slots_max=3, life={"pending": (mine, bens)})
    assert ends(life, M.RELEASE, TAKER) == {mine.id: AskState.WITHDRAWN}
    assert ends(life, M.RECALL, staff()) == {ask.id: AskState.WITHDRAWN for ask in (mine, bens)}


def test_closing_decides_the_wish_to_reopen_and_leaves_others_alone():
    wish, exclusion = asked(Ask.REOPEN), asked(Ask.EXCLUSION, UUID(int=4))
    life = order(S.EVALUATED, pending=(wish, exclusion))
    assert ends(life, M.CLOSE, staff(), exit="explained") == {wish.id: AskState.REFUSED}


@pytest.mark.parametrize("closes", [M.CANCEL, M.REJECT])
def test_the_instant_of_rest_is_kept_and_forgotten(closes: Move):
    life = order(S.SUBMITTED, flags=frozenset({Flag.URGED}))
    moved = step(life, closes, staff(), WORDS, at=AT)
    assert moved.after in RESTING
    assert moved.order["rested_at"] == AT
    assert "rested_at" not in step(life, M.ACCEPT, staff(), {}, at=AT).order
    admitted = step(order(S.REJECTED, rested_at=AT), M.ADMIT, THE_SYSTEM, WORDS, at=LATER)
    assert admitted.order["rested_at"] is None


def test_who_withdraws_frees_the_takers():
    moved = step(handed(S.TAKEN, (take(),)), M.CANCEL, filer(), WORDS, at=AT)
    assert moved.takes[0].values == {"state": TakeState.CANCELLED, "ended_at": AT}
    assert moved.dispatch["state"] is DispatchState.RECALLED


@pytest.mark.parametrize("state", [S.TAKEN, S.IN_SERVICE, S.PAUSED, S.ESCALATED])
def test_whoever_withdraws_what_somebody_works_on_says_why(state: State):
    assert field(told(order(state), M.CANCEL, filer())) == ["body", "reason_code"]
    assert step(order(S.ACCEPTED), M.CANCEL, filer(), {}, at=AT).after is S.CANCELLED


@pytest.mark.parametrize("left", [S.ACCEPTED, S.TAKEN, S.IN_SERVICE, S.ESCALATED, S.REDO])
def test_what_was_parked_goes_back_to_where_it_was(left: State):
    takes = (take(),) if left in (S.TAKEN, S.IN_SERVICE) else ()
    until = (AT + timedelta(days=9)).date()
    parked = step(order(left, takes=takes), M.PARK, THE_SYSTEM, {"until": until}, at=AT)
    assert (parked.after, parked.order["left_state"], parked.takes) == (S.PAUSED, left, ())
    back = step(order(S.PAUSED, left=left, takes=takes), M.RESUME, staff(), {}, at=LATER)
    assert (back.after, back.order["left_state"]) == (left, None)


def test_what_was_parked_comes_back_to_the_community_when_its_takers_have_left():
    for left in (S.TAKEN, S.IN_SERVICE):
        assert step(order(S.PAUSED, left=left), M.RESUME, staff(), {}, at=LATER).after is S.ACCEPTED


def test_an_escalated_order_goes_back_to_where_its_takers_are():
    for started, after in ((True, S.IN_SERVICE), (False, S.TAKEN)):
        life = order(S.ESCALATED, takes=(take(),), started=started, level=Level.COMMUNITY)
        moved = step(life, M.RESUME, staff(), {}, at=LATER)
        assert (moved.after, moved.order["level"]) == (after, None)


def test_a_resolver_stands_in_the_order_and_the_takers_are_done():
    life = order(S.ESCALATED, level=Level.COMMUNITY, takes=(take(),))
    moved = step(life, M.RESOLVE, staff(), DONE, at=AT)
    assert (moved.after, moved.order["resolver_id"]) == (S.DONE, staff().account_id)
    assert moved.takes[0].values["state"] is TakeState.DONE


@pytest.mark.parametrize(("move", "flag"), [(M.URGE, Flag.URGED), (M.SUPERVISE, Flag.SUPERVISED)])
def test_pressure_is_a_flag_and_no_state(move: Move, flag: Flag):
    moved = step(order(S.DONE, filer_id=FILER), move, staff(R.STREET), WORDS, at=AT)
    assert (moved.before, moved.after, moved.flags) == (S.DONE, S.DONE, {flag})
