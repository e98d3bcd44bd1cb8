"""The rules of the stage clocks, as values."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dispatch.domain.calendar import Calendar, Span, due, segments
from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.sla import (
    CLOCK_LABELS,
    CLOCKS,
    STEPS,
    WAITS,
    Aim,
    Clock,
    Outcome,
    Step,
    judged,
    ladder,
    spoken_at,
    stage_limits,
    steps,
)

ZONE = ZoneInfo("Asia/Shanghai")
HOURS = (Span(9 * 60, 12 * 60), Span(14 * 60, 18 * 60))
CALENDAR = Calendar("test", 1, ZONE, (*(HOURS,) * 5, (), ()), {}, date(2099, 12, 31))
FRIDAY = datetime(2026, 11, 27, 17, 30, tzinfo=ZONE)
MOMENT = timedelta(milliseconds=1)


def test_every_clock_has_its_row_and_its_label():
    assert set(CLOCKS) == set(CLOCK_LABELS) == set(Clock)
    assert set(STEPS) == WAITS


@pytest.mark.parametrize(
    ("aim", "late", "outcome"),
    [
        (Aim.REACHED, timedelta(), Outcome.ON_TIME),
        (Aim.REACHED, MOMENT, Outcome.LATE),
        (Aim.ENDED, timedelta(), Outcome.EXCLUDED),
        (Aim.ENDED, MOMENT, Outcome.LATE),
        (Aim.VOID, timedelta(days=9), Outcome.EXCLUDED),
    ],
)
def test_a_verdict_is_a_matter_of_the_millisecond(aim: Aim, late: timedelta, outcome: Outcome):
    assert judged(aim, FRIDAY, FRIDAY + late) is outcome


def test_without_a_deadline_there_is_no_verdict():
    assert judged(Aim.REACHED, None, FRIDAY) is None


def test_a_warning_waits_for_working_time():
    """One working hour over a weekend: half of it is Friday 18:00, four fifths Monday morning (peers' law 41)."""
    limit = Limit(Unit.WORKING_HOURS, 1)
    found = due(limit, FRIDAY, CALENDAR)
    assert found is not None
    told = dict(steps(Clock.FINISH, segments(limit.unit, FRIDAY, found.due_at, CALENDAR), found.due_at))
    assert told[Step.WARN_50].astimezone(ZONE) == FRIDAY.replace(hour=18, minute=0)
    assert told[Step.WARN_80].astimezone(ZONE) == datetime(2026, 11, 30, 9, 18, tzinfo=ZONE)
    assert told[Step.BREACH].astimezone(ZONE) == datetime(2026, 11, 30, 9, 30, tzinfo=ZONE)


def test_steps_come_in_order_for_every_clock():
    for clock in Clock:
        limit = Limit(Unit.DAYS, 7)
        pieces = segments(limit.unit, FRIDAY, FRIDAY + timedelta(days=7), CALENDAR)
        whens = [when for _, when in steps(clock, pieces, FRIDAY + timedelta(days=7))]
        assert whens == sorted(whens)
        assert whens[-1] == FRIDAY + timedelta(days=7)


def test_a_verdict_is_reminded_of_on_the_third_day():
    pieces = segments(Unit.DAYS, FRIDAY, FRIDAY + timedelta(days=7), CALENDAR)
    assert steps(Clock.EVALUATE, pieces, FRIDAY + timedelta(days=7))[0] == (
        Step.REMIND,
        FRIDAY + timedelta(days=3),
    )


def test_silence_is_counted_in_working_days_and_in_hours_where_life_is_at_risk():
    urge, supervise = ladder("U3", FRIDAY, CALENDAR)
    assert (urge[0], urge[1].astimezone(ZONE)) == (Step.URGE, datetime(2026, 11, 30, 18, 0, tzinfo=ZONE))
    assert supervise[1].astimezone(ZONE) == datetime(2026, 12, 7, 18, 0, tzinfo=ZONE)
    assert [when - FRIDAY for _, when in ladder("U1", FRIDAY, CALENDAR)] == [
        timedelta(hours=1),
        timedelta(hours=4),
    ]


@pytest.mark.parametrize(
    ("said", "heard"),
    [("21:59", "21:59"), ("22:00", "+07:00"), ("03:00", "07:00"), ("07:00", "07:00"), ("12:00", "12:00")],
)
def test_nobody_is_told_at_night(said: str, heard: str):
    def on_friday(clock: str) -> datetime:
        hour, minute = clock.lstrip("+").split(":")
        day = FRIDAY + timedelta(days=clock.startswith("+"))
        return day.replace(hour=int(hour), minute=int(minute))

    assert spoken_at(on_friday(said), ZONE, loud=False) == on_friday(heard)
    assert spoken_at(on_friday(said), ZONE, loud=True) == on_friday(said)


def test_a_later_round_has_half_the_time_but_one_of_its_unit_at_least_and_never_more():
    first = {
        "accept": Limit(Unit.HOURS, 0.5),
        "dispatch": Limit(Unit.HOURS, 1),
        "take": None,
        "contact": Limit(Unit.WORKING_DAYS, 1),
        "finish": Limit(Unit.WORKING_DAYS, 5),
        "review": Limit(Unit.WORKING_DAYS, 3),
    }
    again = stage_limits(first, 2)
    assert again[Clock.FINISH] == Limit(Unit.WORKING_DAYS, 2.5)
    assert again[Clock.CONTACT] == first["contact"]
    assert (again[Clock.ACCEPT], again[Clock.TAKE]) == (first["accept"], None)
    assert again[Clock.REVIEW] == first["review"]
