"""Half a year, and leaves: the arithmetic of a check-in."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.checkin import MOST_LEAVES, RENEWAL_MONTHS, later, renewed, with_leave

days = st.dates(date(2020, 1, 1), date(2100, 1, 1))
TODAY = date(2026, 12, 1)


@given(days, st.none() | st.integers(-400, 400))
def test_renewing_twice_is_renewing_once_and_never_shortens(today: date, ahead: int | None):
    before = None if ahead is None else today + timedelta(days=ahead)
    once = renewed(before, today)
    assert renewed(once, today) == once
    assert once >= max(before or today, later(today, RENEWAL_MONTHS))
    assert once <= max(before or today, later(today, 2 * RENEWAL_MONTHS))


def test_a_renewal_ahead_of_the_end_begins_at_the_end():
    assert renewed(date(2026, 12, 10), TODAY) == date(2027, 6, 10)
    assert renewed(date(2026, 11, 1), TODAY) == date(2027, 6, 1)
    assert renewed(None, TODAY) == date(2027, 6, 1)


def spans(first: date, many: int) -> list[dict[str, str]]:
    starts = [first + timedelta(days=2 * n) for n in range(many)]
    return [{"from": day.isoformat(), "until": (day + timedelta(days=1)).isoformat()} for day in starts]


def test_no_leave_that_lies_ahead_is_dropped_for_another():
    ahead = spans(date(2027, 1, 1), MOST_LEAVES - 1)
    told = with_leave(ahead, TODAY, TODAY + timedelta(days=3), TODAY)
    assert told is not None
    assert told[0] == {"from": "2026-12-01", "until": "2026-12-04"}
    assert told[1:] == ahead
    with pytest.raises(ValueError, match="最多"):
        with_leave(told, date(2028, 1, 1), date(2028, 1, 2), TODAY)


def test_leaves_that_are_over_make_room_the_oldest_first():
    over = spans(date(2026, 1, 1), MOST_LEAVES)
    told = with_leave(over, TODAY, TODAY + timedelta(days=1), TODAY)
    assert told == [*over[1:], {"from": "2026-12-01", "until": "2026-12-02"}]
