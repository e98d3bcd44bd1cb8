"""Working time by example: each law of the clocks that is arithmetic, with its number on the checklist."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dispatch.domain.calendar import (
    Calendar,
    Day,
    DayKind,
    Due,
    Pause,
    Span,
    add_working_time,
    allowed,
    due,
    elapsed,
    segments,
    working_time_between,
)
from dispatch.domain.calendar_check import CalendarInvalid, check
from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.timeline import HorizonExceeded

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
OFFICE = (Span(9 * 60, 12 * 60), Span(14 * 60, 18 * 60))
WEEK = (OFFICE,) * 5 + ((), ())
ROUND_THE_CLOCK = ((Span(0, 1440),),) * 7
LABOUR_DAYS = {date(2025, 5, day): Day(DayKind.HOLIDAY, "劳动节") for day in range(1, 6)}
# 国办发明电〔2024〕12号: 5月1日至5日放假调休，4月27日（周日）上班。
DAYS_2025 = LABOUR_DAYS | {date(2025, 4, 27): Day(DayKind.MAKEUP, "劳动节")}


def calendar(zone=SHANGHAI, weekly=WEEK, days=DAYS_2025, known_until=date(2026, 12, 31)) -> Calendar:
    return Calendar("c1", 1, zone, weekly, days, known_until)


C1 = calendar()


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def hours(amount: float) -> timedelta:
    return timedelta(hours=amount)


def wd(amount: float, start: str, of: Calendar = C1) -> datetime:
    found = due(Limit(Unit.WORKING_DAYS, amount), at(start), of)
    assert found is not None
    return found.due_at


@pytest.mark.parametrize(
    ("start", "amount", "then"),
    [
        pytest.param("2025-03-07 17:30", 2, "2025-03-10 10:30", id="1-over-a-weekend"),
        pytest.param("2025-03-04 11:30", 2, "2025-03-04 15:30", id="2-over-lunch"),
        pytest.param("2025-03-04 18:00", 1, "2025-03-05 10:00", id="3-at-closing-time"),
        pytest.param("2025-03-04 17:59:59", 1, "2025-03-05 09:59:59", id="3-a-second-before-closing"),
        pytest.param("2025-03-04 17:00", 1, "2025-03-04 18:00", id="4-used-up-at-closing-time"),
        pytest.param("2025-03-04 09:00", 7, "2025-03-04 18:00", id="4-a-whole-day"),
        pytest.param("2025-03-04 09:00", 3, "2025-03-04 12:00", id="4-used-up-at-lunch"),
        pytest.param("2025-04-26 10:00", 7, "2025-04-27 18:00", id="5-a-make-up-sunday"),
        pytest.param("2025-04-30 17:00", 2, "2025-05-06 10:00", id="6-over-holidays"),
        pytest.param("2025-05-02 10:00", 0, "2025-05-06 09:00", id="7-nothing-inside-a-holiday"),
        pytest.param("2025-05-02 10:00", 1 / 3600, "2025-05-06 09:00:01", id="7-a-second-inside-a-holiday"),
        pytest.param("2025-03-04 18:00", 0, "2025-03-04 18:00", id="nothing-at-closing-time"),
        pytest.param("2025-03-04 18:00:01", 0, "2025-03-05 09:00", id="nothing-after-closing-time"),
    ],
)
def test_working_time_is_added(start, amount, then):
    assert add_working_time(at(start), hours(amount), C1) == at(then)
    assert working_time_between(at(start), at(then), C1) == hours(amount)


def test_at_its_due_a_clock_is_on_time_and_a_microsecond_later_it_is_late():  # 4
    found = due(Limit(Unit.WORKING_HOURS, 1), at("2025-03-04 17:00"), C1)
    assert found == Due(at("2025-03-04 18:00"), provisional=False)
    assert not at("2025-03-04 18:00") > found.due_at
    assert at("2025-03-04 18:00") + timedelta(microseconds=1) > found.due_at


@pytest.mark.parametrize(
    ("amount", "start", "then"),
    [
        pytest.param(3, "2025-03-04 09:00", "2025-03-07 18:00", id="starting-day-does-not-count"),
        pytest.param(3, "2025-03-04 17:59", "2025-03-07 18:00", id="whenever-it-starts"),
        pytest.param(3, "2025-03-04 07:00", "2025-03-07 18:00", id="before-opening-is-that-day"),
        pytest.param(3, "2025-03-04 23:00", "2025-03-07 18:00", id="after-closing-is-that-day"),
        pytest.param(3, "2025-03-08 10:00", "2025-03-12 18:00", id="from-a-day-off"),
        pytest.param(1, "2025-04-26 10:00", "2025-04-27 18:00", id="a-make-up-day-is-a-working-day"),
        pytest.param(2, "2025-04-29 10:00", "2025-05-06 18:00", id="over-holidays"),
        pytest.param(0.5, "2025-03-04 10:00", "2025-03-05 14:30", id="half-a-day"),
        pytest.param(1.5, "2025-03-04 10:00", "2025-03-06 14:30", id="a-day-and-a-half"),
    ],
)
def test_working_days_are_those_of_law(amount, start, then):  # 8
    assert wd(amount, start) == at(then)


def test_working_days_are_not_working_hours():  # 8
    start = at("2025-03-04 09:00")
    three_days, hours_21 = (
        due(Limit(unit, amount), start, C1)
        for unit, amount in ((Unit.WORKING_DAYS, 3), (Unit.WORKING_HOURS, 21))
    )
    assert hours_21.due_at == at("2025-03-06 18:00")
    assert three_days.due_at == at("2025-03-07 18:00")
    assert allowed(Limit(Unit.WORKING_DAYS, 3), start, C1) == hours(21)


def test_natural_time_runs_through():
    start = at("2025-04-30 17:00")
    assert due(Limit(Unit.HOURS, 24), start, C1).due_at == at("2025-05-01 17:00")
    assert due(Limit(Unit.DAYS, 7), start, C1).due_at == at("2025-05-07 17:00")
    assert elapsed(Unit.HOURS, start, at("2025-05-01 17:00"), C1) == hours(24)


def test_an_appointment_is_due_with_its_tolerance_and_a_plan_never():
    start, window_ends = at("2025-03-04 10:00"), at("2025-03-08 16:00")
    by_appointment = Limit(Unit.APPOINTMENT)
    assert due(by_appointment, start, C1, appointment=window_ends) == Due(at("2025-03-08 18:00"), False)
    assert due(by_appointment, start, C1) is None
    assert due(Limit(Unit.PLANNED), start, C1, appointment=window_ends) is None


def test_an_agreed_window_later_than_the_limit_moves_the_due():
    start, limit = at("2025-03-04 10:00"), Limit(Unit.WORKING_HOURS, 4)
    assert due(limit, start, C1, appointment=at("2025-03-06 20:00")).due_at == at("2025-03-06 22:00")
    assert due(limit, start, C1, appointment=at("2025-03-04 11:00")).due_at == at("2025-03-04 16:00")


def test_the_weekday_is_the_tenants():  # 9
    monday = datetime(2025, 3, 2, 23, 30, tzinfo=UTC)
    assert add_working_time(monday, hours(1), C1) == at("2025-03-03 10:00")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai"])
def test_the_zone_an_instant_is_told_in_changes_nothing(zone):  # 10
    start = at("2025-03-07 17:30").astimezone(ZoneInfo(zone))
    assert add_working_time(start, hours(2), C1) == at("2025-03-10 10:30")
    assert add_working_time(start, hours(2), C1).tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "then"),
    [
        ("2026-03-08T01:30-05:00", "2026-03-08T04:30-04:00"),
        ("2026-11-01T00:30-04:00", "2026-11-01T01:30-05:00"),
    ],
)
def test_two_hours_are_two_hours_where_the_clocks_change(start, then):  # 11
    night_and_day = calendar(NEW_YORK, ROUND_THE_CLOCK, {})
    start, then = datetime.fromisoformat(start), datetime.fromisoformat(then)
    assert add_working_time(start, hours(2), night_and_day) == then
    assert due(Limit(Unit.HOURS, 2), start, night_and_day).due_at == then


def test_an_hour_that_the_wall_clock_skips_or_repeats_crashes_nothing():  # 11
    nights = calendar(NEW_YORK, ((Span(60, 180),),) * 7, {})
    skipped, usual, repeated = (date(2026, 3, 8), date(2026, 3, 10), date(2026, 11, 1))

    def work_of(on: date) -> timedelta:
        midnight = datetime(on.year, on.month, on.day, tzinfo=NEW_YORK)
        return working_time_between(midnight, midnight + timedelta(days=1), nights)

    assert [work_of(on) for on in (skipped, usual, repeated)] == [hours(1), hours(2), hours(3)]
    inside = datetime(2026, 3, 8, 2, 30, tzinfo=NEW_YORK)
    assert add_working_time(inside, hours(0.5), nights) == at("2026-03-09 01:30", NEW_YORK)


@pytest.mark.parametrize(
    ("start", "then"),
    [
        pytest.param("1986-05-02 17:30", "1986-05-05 10:30", id="into-summer-time"),
        pytest.param("1991-09-13 17:30", "1991-09-16 10:30", id="out-of-summer-time"),
        pytest.param("1900-12-28 17:30", "1900-12-31 10:30", id="before-zones-were-zones"),
        pytest.param("1900-12-31 17:30", "1901-01-01 10:30", id="out-of-local-mean-time"),
    ],
)
def test_old_years_of_shanghai_count_too(start, then):  # 12
    assert add_working_time(at(start), hours(2), calendar(days={})) == at(then)


def test_an_instant_of_old_survives_to_the_second():  # 12
    for old in ("1900-06-01 08:00:01", "1988-07-01 08:00:01", "1940-06-15 03:00:01"):
        assert add_working_time(at(old), timedelta(0), calendar(SHANGHAI, ROUND_THE_CLOCK, {})) == at(old)


def test_without_working_time_the_search_ends_with_a_typed_error():  # 13
    for empty in (calendar(weekly=((),) * 7, days={}), calendar(days=_all_holidays(2025, 2067))):
        for ask in (
            lambda of: add_working_time(at("2025-03-04 10:00"), hours(1), of),
            lambda of: add_working_time(at("2025-03-04 10:00"), timedelta(0), of),
            lambda of: wd(1, "2025-03-04 10:00", of),
        ):
            with pytest.raises(HorizonExceeded):
                ask(empty)


def _all_holidays(first: int, last: int) -> dict[date, Day]:
    begin, end = date(first, 1, 1).toordinal(), date(last, 1, 1).toordinal()
    return {date.fromordinal(ordinal): Day(DayKind.HOLIDAY) for ordinal in range(begin, end)}


@pytest.mark.parametrize(
    ("invalid", "where"),
    [
        pytest.param(calendar(weekly=((),) * 7), ("weekly",), id="no-hours"),
        pytest.param(calendar(days=_all_holidays(2025, 2027)), ("weekly",), id="all-holidays"),
        pytest.param(calendar(weekly=((*OFFICE, Span(600, 660)), *WEEK[1:])), ("weekly", 0, 2), id="overlap"),
        pytest.param(calendar(weekly=((Span(1200, 2640),), *WEEK[1:])), ("weekly", 0), id="night-overlap"),
        pytest.param(
            calendar(days={date(2025, 3, 2): Day(DayKind.MAKEUP, spans=(Span(1200, 2040),))}),
            ("days", "2025-03-02"),
            id="night-of-a-date",
        ),
        pytest.param(
            calendar(days={date(2025, 3, 2): Day(DayKind.HOLIDAY, spans=OFFICE)}),
            ("days", "2025-03-02"),
            id="hours-on-a-holiday",
        ),
        pytest.param(
            calendar(days={date(2025, 3, 3): Day(DayKind.WORKDAY, spans=())}),
            ("days", "2025-03-03"),
            id="work-without-hours",
        ),
        pytest.param(calendar(weekly=WEEK[:6]), ("weekly",), id="six-days"),
    ],
)
def test_a_calendar_without_sense_is_refused_by_row(invalid, where):  # 13, 15
    with pytest.raises(CalendarInvalid) as refused:
        check(invalid)
    assert [problem.where for problem in refused.value.problems] == [where]


@pytest.mark.parametrize(("start", "end"), [(600, 600), (600, 540), (-1, 60), (1440, 1500), (60, 1501)])
def test_reversed_hours_are_none(start, end):  # 15
    with pytest.raises(ValueError, match="时段"):
        Span(start, end)


def test_sensible_calendars_pass():
    for sensible in (C1, calendar(weekly=ROUND_THE_CLOCK), calendar(weekly=((Span(1200, 1560),),) * 7)):
        check(sensible)


def test_a_night_patrol_works_past_midnight():  # 14
    nights = calendar(weekly=((Span(1200, 1560),),) * 5 + ((), ()), days={})
    assert add_working_time(at("2025-03-07 23:00"), hours(4), nights) == at("2025-03-10 21:00")
    assert add_working_time(at("2025-03-07 23:00"), hours(3), nights) == at("2025-03-08 02:00")
    assert working_time_between(at("2025-03-03 00:00"), at("2025-03-10 00:00"), nights) == hours(30)
    assert wd(1, "2025-03-05 01:00", nights) == at("2025-03-06 02:00"), "the night belongs to its evening"
    assert wd(1, "2025-03-05 02:01", nights) == at("2025-03-07 02:00")


def test_a_day_of_24_hours_loses_no_minute():  # 14
    whole = calendar(weekly=ROUND_THE_CLOCK, days={})
    assert working_time_between(at("2025-03-03 00:00"), at("2025-03-10 00:00"), whole) == hours(168)
    assert wd(1, "2025-03-05 10:00", whole) == at("2025-03-07 00:00")
    assert segments(Unit.WORKING_HOURS, at("2025-03-03 00:00"), at("2025-03-10 00:00"), whole)[1:] == ()


def test_a_deadline_beyond_the_official_data_is_provisional():  # 16
    short = calendar(known_until=date(2025, 3, 6))
    limit = Limit(Unit.WORKING_HOURS, 7)
    assert not due(limit, at("2025-03-05 09:00"), short).provisional
    assert due(limit, at("2025-03-06 14:00"), short).provisional
    assert not due(Limit(Unit.HOURS, 48), at("2025-03-06 14:00"), short).provisional
    guessed = calendar(days={date(2025, 3, 5): Day(DayKind.HOLIDAY, "?", provisional=True)})
    assert due(limit, at("2025-03-04 17:00"), guessed).provisional
    assert not due(limit, at("2025-03-06 09:00"), guessed).provisional


def test_a_holiday_added_tomorrow_moves_a_due_by_the_right_amount():  # 17
    closed = calendar(days={**DAYS_2025, date(2025, 3, 5): Day(DayKind.HOLIDAY, "停电")})
    start, limit = at("2025-03-04 17:00"), Limit(Unit.WORKING_HOURS, 4)
    assert due(limit, start, C1).due_at == at("2025-03-05 12:00")
    assert due(limit, start, closed).due_at == at("2025-03-06 12:00")


def test_a_pause_takes_working_time_only():  # 25
    start, limit = at("2025-03-07 16:00"), Limit(Unit.WORKING_HOURS, 4)
    weekend = [Pause(at("2025-03-07 17:00"), at("2025-03-10 10:00"), "need_info")]
    assert due(limit, start, C1).due_at == at("2025-03-10 11:00")
    assert due(limit, start, C1, pauses=weekend).due_at == at("2025-03-10 15:00")
    assert elapsed(Unit.WORKING_HOURS, start, at("2025-03-10 15:00"), C1, weekend) == hours(4)


def test_a_finish_out_of_a_pause_leaves_the_pause_out():  # 26
    start = at("2025-03-03 09:00")
    paused = [Pause(at("2025-03-03 10:00"), None, "paused")]
    assert elapsed(Unit.WORKING_HOURS, start, at("2025-04-14 10:00"), C1, paused) == hours(1)
    assert elapsed(Unit.HOURS, start, at("2025-04-14 10:00"), C1, paused) == hours(1)


def test_pauses_that_touch_or_overlap_count_once():  # 27
    start, end = at("2025-03-03 09:00"), at("2025-03-03 18:00")
    pauses = [
        Pause(at("2025-03-03 11:00"), at("2025-03-03 15:00"), "paused"),
        Pause(at("2025-03-03 10:00"), at("2025-03-03 11:00"), "need_info"),
        Pause(at("2025-03-03 14:30"), at("2025-03-03 15:30"), "paused"),
        Pause(at("2025-03-03 16:00"), at("2025-03-03 16:00"), "blink"),
    ]
    assert elapsed(Unit.WORKING_HOURS, start, end, C1, pauses) == hours(7 - 1 - 1 - 1 - 0.5)
    reasons = [s.reason for s in segments(Unit.WORKING_HOURS, start, end, C1, pauses)]
    assert reasons == ["working", "pause:need_info", "pause:paused", "working"]


def test_a_pause_outside_of_work_costs_nothing():  # 28
    start, limit = at("2025-03-07 16:00"), Limit(Unit.WORKING_HOURS, 4)
    night = [Pause(at("2025-03-07 19:00"), at("2025-03-10 09:00"), "paused")]
    assert due(limit, start, C1, pauses=night) == due(limit, start, C1)


def test_while_a_pause_stands_there_is_no_deadline():  # 29
    start, limit = at("2025-03-07 16:00"), Limit(Unit.WORKING_HOURS, 2)
    assert due(limit, start, C1, pauses=[Pause(at("2025-03-07 17:00"), None, "paused")]) is None
    after = [Pause(at("2025-03-07 18:00"), None, "paused")]
    assert due(limit, start, C1, pauses=after).due_at == at("2025-03-07 18:00"), "it was used up before"


def test_working_days_lose_the_working_time_of_a_pause():
    start, limit = at("2025-03-04 10:00"), Limit(Unit.WORKING_DAYS, 3)
    same_day = [Pause(at("2025-03-04 11:00"), at("2025-03-04 17:00"), "need_info")]
    a_day = [Pause(at("2025-03-05 09:00"), at("2025-03-05 18:00"), "need_info")]
    two_hours = [Pause(at("2025-03-05 09:00"), at("2025-03-05 11:00"), "need_info")]
    assert due(limit, start, C1, pauses=same_day).due_at == at("2025-03-07 18:00"), "that day does not count"
    assert due(limit, start, C1, pauses=a_day).due_at == at("2025-03-10 18:00")
    assert due(limit, start, C1, pauses=two_hours).due_at == at("2025-03-10 11:00")


def test_a_warning_falls_into_working_time():  # 41
    start, limit = at("2025-03-07 17:30"), Limit(Unit.WORKING_HOURS, 1)
    assert due(limit.scaled(0.75), start, C1).due_at == at("2025-03-10 09:15")
    assert due(limit.scaled(0.9), start, C1).due_at == at("2025-03-10 09:24")


def test_a_deadline_says_where_its_time_went():  # 46
    start, end = at("2025-04-30 11:00"), at("2025-05-06 15:00")
    told = [(s.reason, s.counted, s.end - s.start) for s in segments(Unit.WORKING_HOURS, start, end, C1)]
    assert told == [
        ("working", True, hours(1)),
        ("break", False, hours(2)),
        ("working", True, hours(4)),
        ("off_hours", False, hours(6)),
        ("holiday:劳动节", False, hours(5 * 24)),
        ("off_hours", False, hours(9)),
        ("working", True, hours(3)),
        ("break", False, hours(2)),
        ("working", True, hours(1)),
    ]


def test_weekends_and_the_starting_day_are_named():
    told = segments(Unit.WORKING_DAYS, at("2025-03-07 10:00"), at("2025-03-10 18:00"), C1)
    assert [(s.reason, s.counted) for s in told] == [
        ("start_day", False),
        ("off_hours", False),
        ("weekend", False),
        ("off_hours", False),
        ("working", True),
        ("break", False),
        ("working", True),
    ]
    assert [s.reason for s in segments(Unit.DAYS, at("2025-03-07 10:00"), at("2025-03-10 18:00"), C1)] == [
        "natural"
    ]


def test_a_make_up_day_may_have_hours_of_its_own():
    half = calendar(days={date(2025, 4, 27): Day(DayKind.MAKEUP, spans=(Span(540, 720),))})
    assert wd(1, "2025-04-26 10:00", half) == at("2025-04-27 12:00")
    assert allowed(Limit(Unit.WORKING_DAYS, 1), at("2025-04-26 10:00"), half) == hours(3)


def test_nonsense_is_refused():
    naive = datetime(2025, 3, 4, 10, 0)  # noqa: DTZ001
    with pytest.raises(ValueError, match="naive"):
        add_working_time(naive, hours(1), C1)
    with pytest.raises(ValueError, match="forward"):
        add_working_time(at("2025-03-04 10:00"), hours(-1), C1)
    assert working_time_between(at("2025-03-05 10:00"), at("2025-03-04 10:00"), C1) == timedelta(0)
