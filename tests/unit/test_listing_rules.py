"""The life of a claim and the hours of a venue, without a database."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.listings import (
    ACT_LABELS,
    CLAIM_LABELS,
    EDGES,
    EDGES_IN_ORDER,
    HOLDS,
    KIND_LABELS,
    LIVE,
    SIDE_LABELS,
    Act,
    ClaimState,
    Hand,
    Listing,
    ListingKind,
    ListingState,
    Party,
    Side,
    check_time,
    judged,
    offered,
)
from dispatch.domain.refusal import ClaimMoved, Refusal, RoleForbidden, TooLate, ValidationFailed, VenueShut

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 23, 0, 0, tzinfo=ZONE)  # a Monday
SAID = {"reason": "改期。", "note": "已办。"}
HERE = Party(None, UUID(int=1), (UUID(int=1),))


def venue(**more: Any) -> Listing:
    told = {
        "side": Side.RESOURCE,
        "kind": ListingKind.VENUE,
        "state": ListingState.PUBLISHED,
        "publisher": HERE,
        "ring_id": HERE.place_id,
        "quantity": None,
        "held": 0,
        "hours": (),
        "starts_on": None,
        "ends_on": None,
    }
    return Listing(**(told | more))


def local(hours: float, day: int = 1) -> datetime:
    return NOW + timedelta(days=day, hours=hours)


def refusal(listing: Listing, begins: datetime | None, ends: datetime | None) -> type[Refusal] | None:
    try:
        check_time(listing, begins, ends, ZONE, at=NOW)
    except Refusal as told:
        return type(told)
    return None


def outcome(act: Act, state: ClaimState, hand: Hand) -> ClaimState | type[Refusal]:
    try:
        return judged(act, state, frozenset({hand}), SAID, begins=None, ends=None, at=NOW).target
    except Refusal as told:
        return type(told)


@pytest.mark.parametrize(("act", "state", "hand"), list(product(Act, ClaimState, Hand)))
def test_what_is_offered_is_what_is_allowed(act: Act, state: ClaimState, hand: Hand):
    found = outcome(act, state, hand)
    edges = {edge.act: edge.target for edge in offered(state, [hand])}
    assert edges.get(act) == (found if isinstance(found, ClaimState) else None)
    if (act, state) not in EDGES:
        assert found is ClaimMoved
    elif act not in edges:
        assert found is RoleForbidden


def test_every_claim_comes_to_rest_and_what_rests_never_moves():
    moving = {edge.source for edge in EDGES_IN_ORDER}
    assert moving == LIVE
    assert {edge.target for edge in EDGES_IN_ORDER} | {ClaimState.REQUESTED} == set(ClaimState)
    assert set(ClaimState) - HOLDS == {ClaimState.DECLINED, ClaimState.CANCELLED}


def test_every_word_has_its_label():
    assert set(ACT_LABELS) == set(Act)
    assert set(CLAIM_LABELS) == set(ClaimState)
    assert set(KIND_LABELS) == set(ListingKind)
    assert set(SIDE_LABELS) == set(Side)


def test_who_says_no_says_why():
    for edge in EDGES_IN_ORDER:
        if edge.needs:
            with pytest.raises(ValidationFailed):
                judged(edge.act, edge.source, edge.hands, {}, begins=None, ends=None, at=NOW)


def test_a_booked_time_is_confirmed_before_it_is_over_and_delivered_after_it_begins():
    own = frozenset(Hand)
    time = {"begins": local(9), "ends": local(11)}
    assert judged(Act.CONFIRM, ClaimState.REQUESTED, own, SAID, **time, at=local(10))
    with pytest.raises(TooLate):
        judged(Act.CONFIRM, ClaimState.REQUESTED, own, SAID, **time, at=local(11))
    assert judged(Act.DELIVER, ClaimState.CONFIRMED, own, SAID, **time, at=local(9))
    with pytest.raises(ValidationFailed):
        judged(Act.DELIVER, ClaimState.CONFIRMED, own, SAID, **time, at=local(8.9))


MORNING = {"weekday": 2, "from": "09:00", "to": "12:00"}
NOON = {"weekday": 2, "from": "12:00", "to": "14:00"}
EVENING = {"weekday": 2, "from": "18:00", "to": "24:00"}


@pytest.mark.parametrize(
    ("hours", "begins", "ends", "expected"),
    [
        ((), local(0), local(24), None),
        ((MORNING,), local(9), local(12), None),
        ((MORNING,), local(8.99), local(10), VenueShut),
        ((MORNING,), local(11), local(12.01), VenueShut),
        ((MORNING,), local(9, day=2), local(10, day=2), VenueShut),
        ((NOON, MORNING), local(9), local(14), None),
        ((MORNING, EVENING), local(11), local(19), VenueShut),
        ((EVENING,), local(20), local(24), None),
        ((EVENING,), local(23), local(25), ValidationFailed),
        ((MORNING,), local(12), local(13), VenueShut),
        ((), None, local(13), ValidationFailed),
        ((), local(13), local(13), ValidationFailed),
        ((), local(9, day=-1), local(10, day=-1), ValidationFailed),
        ((), local(9, day=190), local(10, day=190), ValidationFailed),
    ],
)
def test_a_venue_is_open_when_its_hours_cover_the_whole_time(hours, begins, ends, expected):
    assert refusal(venue(hours=hours), begins, ends) is expected


def test_the_day_of_a_booking_is_the_local_one():
    only = date(2026, 11, 24)
    listing = venue(starts_on=only, ends_on=only)
    early = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # half past midnight of the 24th in Shanghai
    assert refusal(listing, early, early + timedelta(hours=1)) is None
    assert refusal(listing, local(24), local(25)) is VenueShut


def test_what_is_no_venue_takes_no_time():
    goods = venue(kind=ListingKind.GOODS, quantity=3)
    assert refusal(goods, local(9), local(10)) is ValidationFailed
    assert refusal(goods, None, None) is None


minutes = st.integers(0, 24 * 60)
spans = st.lists(st.tuples(minutes, minutes).filter(lambda span: span[0] < span[1]), min_size=1, max_size=5)


def written(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@given(spans, st.tuples(minutes, minutes).filter(lambda span: span[0] < span[1]))
def test_a_time_is_open_exactly_when_every_minute_of_it_is(open_, wanted):
    hours = tuple({"weekday": 2, "from": written(first), "to": written(last)} for first, last in open_)
    covered = {minute for first, last in open_ for minute in range(first, last)}
    whole = set(range(*wanted)) <= covered
    begins, ends = (local(0) + timedelta(minutes=minute) for minute in wanted)
    found = refusal(venue(hours=hours), begins, ends)
    assert (found is None) == whole
