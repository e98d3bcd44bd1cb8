"""What stands against a move or a request that the table would allow."""

from datetime import timedelta
from uuid import UUID

import pytest

from dispatch.domain.life import THE_SYSTEM, Standing
from dispatch.domain.order import Ask, Level, Mode, Move, Relation, State, TakerKind, TargetState
from dispatch.domain.people import Role
from dispatch.domain.privacy import Sight, sight
from dispatch.domain.refusal import (
    HasChildren,
    NoActiveTake,
    NotEligible,
    NotYourRating,
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
from dispatch.domain.rules import ask_refusal, by_street, judge, moves_for
from tests.lives import (
    ANN,
    AT,
    BEN,
    FILER,
    SECOND,
    UNIT,
    asked,
    done_take,
    filer,
    handed,
    member,
    order,
    staff,
    take,
    target,
    unit,
    verdict,
)

S, M, R = State, Move, Role
DAY = timedelta(days=1)


def refused(life, move: Move, who: Standing, at=AT) -> type[Refusal] | None:
    """The refusal's kind; None if the move may be made."""
    try:
        judge(life, move, who, at=at)
    except Refusal as refusal:
        return type(refusal)
    return None


# --- who judges, and until when ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worked", "who"),
    [
        pytest.param(done_take(FILER), filer(parties=[("member", FILER)]), id="himself"),
        pytest.param(done_take(FILER), filer(), id="under-another-grant"),
        pytest.param(done_take(UNIT, TakerKind.UNIT, account_id=FILER), filer(), id="for-his-unit"),
        pytest.param(done_take(UNIT, TakerKind.UNIT, people=(BEN, FILER)), filer(), id="staffed-by-a-unit"),
        pytest.param(done_take(UUID(int=1), TakerKind.STAFF), staff(R.GRID_WORKER), id="staff-who-took-it"),
        pytest.param(take(FILER), filer(), id="still-at-it"),
    ],
)
def test_who_worked_on_an_order_never_judges_it(worked, who):
    assert refused(order(S.DONE), M.RATE, who) is None
    assert refused(order(S.DONE, takes=(worked,)), M.RATE, who) is NotYourRating
    offers = [offer.move for offer in moves_for(order(S.DONE, takes=(worked,)), who, at=AT)]
    assert M.RATE not in offers


def test_neither_the_resolver_nor_who_filed_for_another_judges():
    assert refused(order(S.DONE, resolver_id=FILER), M.RATE, filer()) is NotYourRating
    assert refused(order(S.DONE, on_behalf=True), M.RATE, filer()) is NotYourRating
    beneficiary = filer(Relation.BENEFICIARY, account=ANN)
    assert refused(order(S.DONE, on_behalf=True, beneficiary_id=ANN), M.RATE, beneficiary) is None


def test_a_verdict_may_be_changed_for_24_hours_and_no_longer():
    life = order(S.EVALUATED, verdict=verdict(), pending=(asked(Ask.REOPEN),))
    assert refused(life, M.RATE, filer(), AT + DAY) is None
    assert refused(life, M.RATE, filer(), AT + DAY + SECOND) is RatingClosed
    happy = order(S.CLOSED, verdict=verdict(5, solved=True), rested_at=AT)
    assert refused(happy, M.RATE, filer(), AT + DAY) is None
    assert refused(happy, M.RATE, filer(), AT + DAY + SECOND) is RatingClosed


def test_a_verdict_whose_review_is_over_is_not_changed():
    assert refused(order(S.EVALUATED, verdict=verdict()), M.RATE, filer()) is RatingClosed


def test_an_order_that_closed_in_silence_may_be_judged_for_24_hours_more():
    life = order(S.CLOSED, rested_at=AT)
    assert refused(life, M.RATE, filer(), AT + DAY) is None
    assert refused(life, M.RATE, filer(), AT + DAY + SECOND) is RatingClosed
    assert refused(order(S.DONE, done_at=AT), M.RATE, filer(), AT + 6 * DAY) is None


def test_staff_write_no_verdict_over_the_residents_own():
    wish = (asked(Ask.REOPEN),)
    own = order(S.EVALUATED, verdict=verdict(), pending=wish)
    keyed = order(S.EVALUATED, verdict=verdict(follow_up=True), pending=wish)
    assert refused(own, M.RATE, staff()) is NotYourRating
    assert refused(keyed, M.RATE, staff()) is None


@pytest.mark.parametrize("state", list(S))
def test_a_merged_order_is_judged_once_its_parents_work_is_done(state: State):
    judged = refused(order(S.MERGED, parent_state=state), M.RATE, filer())
    assert judged is (None if state in (S.DONE, S.EVALUATED, S.CLOSED) else OrderMoved)


def test_staff_are_told_that_their_verdict_needs_a_follow_up():
    for who, needs in ((filer(), False), (staff(), True)):
        rate = next(offer for offer in moves_for(order(S.DONE), who, at=AT) if offer.move is M.RATE)
        assert ("follow_up" in rate.needs) == needs


# --- closing and another round ---------------------------------------------------------------------


def test_an_order_is_not_closed_over_a_wish_that_the_closer_cannot_decide():
    mine = order(S.EVALUATED, pending=(asked(Ask.REOPEN),))
    streets = order(S.EVALUATED, pending=(asked(Ask.REOPEN, by_street=True),))
    assert refused(mine, M.CLOSE, THE_SYSTEM) is RequestPending
    assert refused(mine, M.CLOSE, staff()) is None
    assert refused(streets, M.CLOSE, staff()) is RequestPending
    assert refused(streets, M.CLOSE, staff(R.COMMUNITY_SECRETARY)) is RequestPending
    for role in (R.STREET, R.DISTRICT):
        assert refused(streets, M.CLOSE, staff(role)) is None
    other = order(S.EVALUATED, pending=(asked(Ask.EXCLUSION, by_street=True),))
    assert refused(other, M.CLOSE, THE_SYSTEM) is None


def test_nobody_closes_his_own_work():
    own = order(S.EVALUATED, takes=(done_take(staff().account_id, TakerKind.STAFF),))
    assert refused(own, M.CLOSE, staff()) is OwnWork


@pytest.mark.parametrize("role", [R.DISPATCHER, R.STREET, R.DISTRICT])
def test_a_closed_order_is_redone_within_15_days(role: Role):
    life = order(S.CLOSED, rested_at=AT)
    assert refused(life, M.REDO, staff(role), AT + 15 * DAY) is None
    assert refused(life, M.REDO, staff(role), AT + 15 * DAY + SECOND) is TooLate
    assert refused(order(S.DONE, done_at=AT), M.REDO, staff(role), AT + 16 * DAY) is None


# --- levels, children, hands ------------------------------------------------------------------------


def test_who_resumes_an_escalated_order_stands_at_its_level_and_has_somebody_to_go_on():
    life = order(S.ESCALATED, level=Level.STREET, takes=(take(),))
    assert refused(life, M.RESUME, staff()) is RoleForbidden
    assert refused(life, M.RESUME, staff(R.STREET)) is None
    assert refused(order(S.ESCALATED, level=Level.STREET), M.RESUME, staff(R.STREET)) is NoActiveTake
    district = order(S.ESCALATED, level=Level.DISTRICT, takes=(take(),))
    assert refused(district, M.RESUME, staff(R.STREET)) is RoleForbidden
    assert refused(district, M.RESUME, staff(R.DISTRICT)) is None


def test_what_others_hang_on_is_neither_rejected_nor_withdrawn_by_the_community():
    parent = order(S.SUBMITTED, children=2)
    assert refused(parent, M.REJECT, staff()) is HasChildren
    assert refused(parent, M.CANCEL, staff()) is HasChildren
    for who in (filer(), filer(Relation.BENEFICIARY), THE_SYSTEM):
        assert refused(parent, M.CANCEL, who) is None


def test_one_goes_on_with_those_who_are_there_only_if_somebody_is():
    assert refused(handed(S.OPEN), M.PROCEED, staff()) is NoActiveTake
    assert refused(handed(S.OPEN, (take(),)), M.PROCEED, staff()) is None


def test_a_person_is_on_an_order_once_also_when_a_unit_put_him_on_it():
    unit_take = take(UNIT, TakerKind.UNIT, people=(ANN,))
    life = handed(S.OPEN, (unit_take,))
    assert refused(life, M.TAKE, member(ANN, Relation.AUDIENCE)) is NotEligible
    assert refused(life, M.TAKE, member(BEN, Relation.AUDIENCE)) is None


def test_a_full_dispatch_has_no_slot_left():
    assert (
        refused(handed(S.TAKEN, (take(),), slots_max=1), M.TAKE, member(BEN, Relation.AUDIENCE)) is SlotTaken
    )


def test_who_is_staffed_does_not_give_back_what_the_unit_holds():
    life = handed(S.TAKEN, (take(UNIT, TakerKind.UNIT, people=(ANN,)),))
    assert refused(life, M.RELEASE, member(ANN, Relation.TAKER)) is RoleForbidden
    assert refused(life, M.RELEASE, unit(Relation.TAKER)) is None


def test_only_who_is_being_asked_declines_and_an_assignee_asks_a_return():
    line = (target(ANN, 1, TargetState.ASKED), target(BEN, 2, TargetState.WAITING))
    offered = handed(S.OFFERED, (), Mode.OFFER, targets=line)
    assert refused(offered, M.DECLINE, member(ANN, Relation.INVITED)) is None
    assert refused(offered, M.DECLINE, member(BEN, Relation.INVITED)) is RoleForbidden
    assigned = handed(
        S.OFFERED, (), Mode.ASSIGN, targets=(target(UNIT, 1, TargetState.ASKED, TakerKind.UNIT),)
    )
    assert refused(assigned, M.DECLINE, unit(Relation.INVITED)) is ReturnInstead


# --- requests ---------------------------------------------------------------------------------------


def denied(life, kind: Ask, who: Standing, at=AT) -> type[Refusal] | None:
    refusal = ask_refusal(life, kind, who, at=at)
    return type(refusal) if refusal else None


@pytest.mark.parametrize(("kind", "state"), [(Ask.OBJECTION, S.REJECTED), (Ask.REOPEN, S.CLOSED)])
def test_an_objection_and_a_wish_to_reopen_are_filed_within_15_days(kind: Ask, state: State):
    life = order(state, rested_at=AT)
    assert denied(life, kind, filer(), AT + 15 * DAY) is None
    assert denied(life, kind, filer(), AT + 15 * DAY + SECOND) is TooLate


def test_before_it_is_closed_the_wish_to_reopen_counts_from_the_end_of_the_work():
    life = order(S.DONE, done_at=AT)
    assert denied(life, Ask.REOPEN, filer(), AT + 15 * DAY) is None
    assert denied(life, Ask.REOPEN, filer(), AT + 15 * DAY + SECOND) is TooLate


@pytest.mark.parametrize(("approved", "street"), [(0, False), (1, True)])
def test_the_second_extension_is_the_streets_and_there_is_no_third(approved: int, street: bool):
    who = member(ANN, Relation.TAKER)
    life = handed(S.TAKEN, (take(),), life={"asked": {Ask.EXTENSION: approved}})
    assert denied(life, Ask.EXTENSION, who) is None
    assert by_street(life, Ask.EXTENSION) is street
    spent = handed(S.TAKEN, (take(),), life={"asked": {Ask.EXTENSION: 2}})
    assert denied(spent, Ask.EXTENSION, who) is TooLate


def test_who_decides_grows_with_what_was_approved_before():
    for kind in Ask:
        first = by_street(order(S.TAKEN), kind)
        again = by_street(order(S.TAKEN, asked={kind: 1}), kind)
        assert first is (kind in (Ask.PARK, Ask.EXCLUSION, Ask.OBJECTION)), kind
        assert again is (kind is not Ask.ESCALATION), kind


def test_one_request_of_a_kind_and_an_asker_pends_at_a_time():
    who = member(ANN, Relation.TAKER)
    life = handed(S.TAKEN, (take(),), life={"pending": (asked(Ask.PARK, ANN),)})
    assert denied(life, Ask.PARK, who) is RequestPending
    assert denied(life, Ask.EXTENSION, who) is None
    assert denied(life, Ask.PARK, staff()) is None


def test_a_return_is_asked_by_a_holder_or_by_an_assignee_who_waits():
    assert denied(handed(S.TAKEN, (take(),)), Ask.RETURN, member(ANN, Relation.TAKER)) is None
    for mode, state, expected in (
        (Mode.ASSIGN, TargetState.ASKED, None),
        (Mode.ASSIGN, TargetState.DECLINED, RoleForbidden),
        (Mode.OFFER, TargetState.ASKED, RoleForbidden),
    ):
        life = handed(S.OFFERED, (), mode, targets=(target(UNIT, 1, state, TakerKind.UNIT),))
        assert denied(life, Ask.RETURN, unit(Relation.INVITED)) is expected, (mode, state)
    staffed = handed(S.TAKEN, (take(UNIT, TakerKind.UNIT, people=(ANN,)),))
    assert denied(staffed, Ask.RETURN, member(ANN, Relation.TAKER)) is RoleForbidden


def test_a_request_is_filed_in_its_states_by_those_it_is_for():
    assert denied(order(S.SUBMITTED), Ask.PARK, staff()) is OrderMoved
    assert denied(order(S.CLOSED, rested_at=AT), Ask.REOPEN, staff()) is RoleForbidden
    assert (
        denied(order(S.REJECTED, rested_at=AT), Ask.OBJECTION, filer(Relation.BENEFICIARY)) is RoleForbidden
    )
    assert denied(order(S.ACCEPTED), Ask.ESCALATION, staff(R.GRID_WORKER)) is None
    assert denied(order(S.ACCEPTED), Ask.ESCALATION, filer()) is RoleForbidden


# --- what one sees ----------------------------------------------------------------------------------


def test_who_served_sees_the_resident_until_seven_days_after_the_closing():
    life = order(S.CLOSED, takes=(done_take(),), rested_at=AT)
    taker = member(ANN)
    assert sight(life, taker, at=AT + 7 * DAY) is Sight.FULL
    assert sight(life, taker, at=AT + 7 * DAY + SECOND) is Sight.NOTHING
    assert sight(life, staff(), at=AT + 8 * DAY) is Sight.FULL
    assert sight(order(S.DONE, takes=(done_take(),)), taker, at=AT + 30 * DAY) is Sight.FULL
