"""Free time, in quarter hours of a week."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain import freetime

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def free(*spans: tuple[int, str, str]) -> int:
    return freetime.week({"weekday": day, "from": start, "to": end} for day, start, end in spans)


def test_an_appointment_must_be_free_from_its_first_minute_to_its_last():
    wanted = freetime.window(MONDAY.replace(hour=9), MONDAY.replace(hour=11))
    assert freetime.fits(free((1, "09:00", "11:00")), wanted)
    assert not freetime.fits(free((1, "09:01", "11:00")), wanted)
    assert not freetime.fits(free((1, "09:00", "10:59")), wanted)
    assert not freetime.fits(free((2, "09:00", "11:00")), wanted)
    assert freetime.fits(free((1, "08:00", "10:00"), (1, "10:00", "12:00")), wanted)


def test_a_long_window_needs_one_hour_in_a_row():
    wanted = freetime.window(MONDAY, MONDAY + timedelta(days=2))
    assert freetime.fits(free((2, "20:00", "21:00")), wanted)
    assert not freetime.fits(free((1, "20:00", "20:30"), (2, "20:00", "20:30")), wanted)
    assert not freetime.fits(free((3, "20:00", "22:00")), wanted)


def test_a_night_that_ends_the_week_goes_on_in_the_next():
    sunday = MONDAY - timedelta(days=1)
    wanted = freetime.window(sunday.replace(hour=23), sunday.replace(hour=23) + timedelta(hours=2))
    assert freetime.fits(free((7, "23:00", "24:00"), (1, "00:00", "01:00")), wanted)
    assert not freetime.fits(free((7, "23:00", "24:00")), wanted)


@given(st.integers(0, freetime.WHOLE_WEEK), st.integers(0, 671), st.integers(1, 672))
def test_what_lies_within_a_window_is_what_counting_quarter_by_quarter_finds(
    bits: int, first: int, count: int
):
    wanted = freetime.Window(first, count, True)
    by_hand = [bool(bits >> quarter & 1) for quarter in wanted.quarters]
    assert freetime.within(bits, wanted).bit_count() == sum(by_hand)
    assert freetime.fits(bits, wanted) == all(by_hand)
