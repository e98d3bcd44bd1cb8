"""Working time over random calendars, against a clock that looks at every minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dispatch.domain.calendar import (
    Calendar,
    Day,
    DayKind,
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
from tests import stepper

ZERO = timedelta(0)
# Days on which the clocks change, and usual ones.
PLACES = [
    (ZoneInfo("Asia/Shanghai"), date(2026, 2, 14)),
    (ZoneInfo("Asia/Shanghai"), date(1986, 5, 3)),
    (ZoneInfo("America/New_York"), date(2026, 3, 7)),
    (ZoneInfo("America/New_York"), date(2026, 10, 31)),
    (ZoneInfo("Australia/Lord_Howe"), date(2026, 4, 4)),
    (ZoneInfo("America/Havana"), date(2026, 10, 31)),
    (ZoneInfo("UTC"), date(2026, 12, 30)),
]
OF_OLD = (
    ZoneInfo("Asia/Shanghai"),
    date(1900, 12, 31),
)  # seconds in the offset: no matter for a minute-stepper
UNITS = (Unit.HOURS, Unit.DAYS, Unit.WORKING_HOURS, Unit.WORKING_DAYS)


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ...]:
    """One to three intervals of a day, the last of them at times past midnight."""
    cuts = sorted(draw(st.sets(st.integers(0, 95), min_size=2, max_size=6)))
    minutes = [cut * 15 for cut in cuts[: len(cuts) // 2 * 2]]
    found = [Span(minutes[i], minutes[i + 1]) for i in range(0, len(minutes), 2)]
    if draw(st.booleans()):
        last, tomorrow = found[-1], found[0].start_minute + 1440
        latest = min(last.start_minute + 1440, tomorrow)
        found[-1] = Span(last.start_minute, min(last.end_minute + 15 * draw(st.integers(0, 24)), latest))
    return tuple(found)


@st.composite
def calendars(draw: st.DrawFn, *more: tuple[ZoneInfo, date]) -> tuple[Calendar, date]:
    zone, near = draw(st.sampled_from([*PLACES, *more]))
    pattern = draw(spans())
    weekly = tuple(pattern if draw(st.integers(0, 9)) < 8 else () for _ in range(7))
    days = {}
    for ahead in draw(st.sets(st.integers(-2, 6), max_size=4)):
        kind = draw(st.sampled_from(DayKind))
        own = draw(st.none() | spans()) if kind in (DayKind.WORKDAY, DayKind.MAKEUP) else None
        days[near + timedelta(days=ahead)] = Day(kind, kind.value, False, own)
    calendar = Calendar("random", 1, zone, weekly, days, date(2026, 12, 31))
    try:
        check(calendar)
    except CalendarInvalid:
        assume(False)
    return calendar, near


def instants(near: date, days: int) -> st.SearchStrategy[datetime]:
    """Milliseconds around a date, with a liking for whole quarters of an hour: where things begin and end."""
    midnight = datetime(near.year, near.month, near.day, tzinfo=UTC)
    whole = st.integers(-48, days * 96).map(lambda quarter: timedelta(minutes=15 * quarter))
    any_time = st.integers(-43_200_000, days * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))
    return (whole | any_time).map(lambda ahead: midnight + ahead)


AMOUNTS = st.integers(0, 20 * 3_600_000).map(lambda ms: timedelta(milliseconds=ms)) | st.integers(0, 80).map(
    lambda quarters: timedelta(minutes=15 * quarters)
)


@st.composite
def pauses_around(draw: st.DrawFn, near: date) -> list[Pause]:
    found = []
    for _ in range(draw(st.integers(0, 3))):
        begins = draw(instants(near, 3))
        length = draw(st.none() | st.integers(0, 3_000).map(lambda minutes: timedelta(minutes=minutes)))
        found.append(Pause(begins, None if length is None else begins + length, draw(st.sampled_from("ab"))))
    return found


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_measuring_agrees_with_looking_at_every_minute(data: st.DataObject):
    calendar, near = data.draw(calendars())
    start, end = sorted((data.draw(instants(near, 2)), data.draw(instants(near, 2))))
    assert working_time_between(start, end, calendar) == stepper.measure(start, end, calendar)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_adding_agrees_with_looking_at_every_minute(data: st.DataObject):
    calendar, near = data.draw(calendars())
    start = data.draw(instants(near, 3))
    amount = data.draw(AMOUNTS.filter(bool))
    usual = next(spans for spans in calendar.weekly if spans)
    assume(amount < 2 * sum((timedelta(minutes=s.end_minute - s.start_minute) for s in usual), ZERO))
    assert add_working_time(start, amount, calendar) == stepper.add(start, amount, calendar)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_adding_and_measuring_undo_each_other_add_up_and_never_turn_back(data: st.DataObject):
    calendar, near = data.draw(calendars(OF_OLD))
    start, a, b = data.draw(instants(near, 6)), data.draw(AMOUNTS), data.draw(AMOUNTS)
    then = add_working_time(start, a, calendar)
    assert working_time_between(start, then, calendar) == a
    assert add_working_time(then, b, calendar) == add_working_time(start, a + b, calendar)
    assert start <= then
    assert (add_working_time(start, b, calendar) <= then) or a < b
    later = data.draw(instants(near, 6))
    assert (add_working_time(later, a, calendar) >= then) or later < start
    middle = min(max(later, start), then)
    assert working_time_between(start, middle, calendar) + working_time_between(middle, then, calendar) == a


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_deadline_explains_itself_to_the_second(data: st.DataObject):
    calendar, near = data.draw(calendars(OF_OLD))
    start, unit = data.draw(instants(near, 4)), data.draw(st.sampled_from(UNITS))
    limit = Limit(
        unit, data.draw(st.integers(1, 40)) / (1 if unit in (Unit.HOURS, Unit.WORKING_HOURS) else 8)
    )
    pauses = data.draw(pauses_around(near))
    found = due(limit, start, calendar, pauses=pauses)
    end = found.due_at if found else data.draw(instants(near, 6).filter(lambda end: end > start))
    told = segments(unit, start, end, calendar, pauses)
    used = elapsed(unit, start, end, calendar, pauses)
    assert sum((s.end - s.start for s in told if s.counted), ZERO) == used
    assert [s.start for s in told] + [end] == [start] + [s.end for s in told]
    given_time = allowed(limit, start, calendar)
    assert used == given_time if found else used < given_time
    assert all(s.start < s.end for s in told)
    if found:
        assert elapsed(unit, start, end - timedelta(milliseconds=1), calendar, pauses) < given_time


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_pauses_only_ever_move_a_due_later_and_by_their_own_time(data: st.DataObject):
    calendar, near = data.draw(calendars(OF_OLD))
    start, unit = data.draw(instants(near, 4)), data.draw(st.sampled_from(UNITS))
    limit = Limit(unit, data.draw(st.integers(1, 4)))
    closed = [pause for pause in data.draw(pauses_around(near)) if pause.end]
    plain, moved = due(limit, start, calendar), due(limit, start, calendar, pauses=closed)
    assert plain.due_at <= moved.due_at
    lost = elapsed(unit, start, moved.due_at, calendar) - elapsed(unit, start, moved.due_at, calendar, closed)
    assert elapsed(unit, start, moved.due_at, calendar) == allowed(limit, start, calendar) + lost
    assert elapsed(unit, plain.due_at, moved.due_at, calendar) >= ZERO


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whole_working_days_add_up_and_never_turn_back(data: st.DataObject):
    calendar, near = data.draw(calendars(OF_OLD))
    start, later = sorted((data.draw(instants(near, 6)), data.draw(instants(near, 6))))
    a, b = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))

    def days(amount: int, since: datetime) -> datetime:
        return due(Limit(Unit.WORKING_DAYS, amount), since, calendar).due_at

    assert days(b, days(a, start)) == days(a + b, start)
    assert days(a, start) <= days(a, later)
    assert days(a, start) < days(a + b, start)
