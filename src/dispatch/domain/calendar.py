"""Working time: calendars as values, deadlines, and the reasons of every second of them.

Units (domain.catalog.Unit): ``h`` and ``d`` run through, a natural day being 24 hours; ``wh`` runs while the calendar
works; ``wd`` is the day of law: 民法典 Art. 201 does not count the day a period starts on, Art. 203 ends its last day
with the end of business (ADR 0023). Pauses take from a clock what of its own time fell into them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.timeline import DAY, Minutes, Timeline, to_instant, to_micros

EARLIEST_YEAR, LATEST_YEAR = 1900, 2200
"""From when to before when days and instants are taken: room for every zone's offset and for years to be added."""
MINUTES_OF_A_DAY = 1440
HOUR = 60 * 60 * 1_000_000
TOLERANCE = timedelta(hours=2)
"""How long after the end of an agreed window something is still on time. Ours; domain research §2.5 asks for one."""


@dataclass(frozen=True, slots=True)
class Span:
    """Working hours as minutes of the local day; an end beyond 1440 is on the next day (night patrol)."""

    start_minute: int
    end_minute: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_minute < MINUTES_OF_A_DAY:
            raise ValueError("时段应始于00:00至23:59之间")
        if not self.start_minute < self.end_minute <= self.start_minute + MINUTES_OF_A_DAY:
            raise ValueError("时段应止于开始之后，且不超过24小时")


class DayKind(StrEnum):
    """What a date is; a make-up day (调休上班) is a rest day that is worked like a weekday."""

    WORKDAY = "workday"
    REST = "rest"
    HOLIDAY = "holiday"
    MAKEUP = "makeup"


DAYS_OFF = frozenset({DayKind.REST, DayKind.HOLIDAY})


@dataclass(frozen=True, slots=True)
class Day:
    """A date that differs from its weekday; ``spans`` are hours of its own, in place of the week's."""

    kind: DayKind
    name: str | None = None
    provisional: bool = False
    spans: tuple[Span, ...] | None = None


@dataclass(frozen=True)
class Calendar:
    """When a tenant works. ``weekly``: hours Monday to Sunday; ``known_until``: last date with official data."""

    code: str
    version: int
    zone: ZoneInfo
    weekly: tuple[tuple[Span, ...], ...]
    days: Mapping[date, Day]
    known_until: date

    def hours(self, on: date) -> tuple[Span, ...]:
        """The hours of a date; empty on a day off."""
        day = self.days.get(on)
        if day is None:
            return self.weekly[on.weekday()]
        if day.kind in DAYS_OFF:
            return ()
        if day.spans is not None:
            return day.spans
        usual = () if day.kind is DayKind.MAKEUP else self.weekly[on.weekday()]
        return usual or next((spans for spans in self.weekly if spans), ())

    @cached_property
    def timeline(self) -> Timeline:
        """The calendar worked out, once per value."""
        return Timeline(self.zone, self._minutes)

    @cached_property
    def provisional_days(self) -> Sequence[date]:
        """Dates that are a guess, in order."""
        return sorted(on for on, day in self.days.items() if day.provisional)

    def _minutes(self, on: date) -> Minutes:
        return tuple((span.start_minute, span.end_minute) for span in self.hours(on))


def add_working_time(start: datetime, amount: timedelta, calendar: Calendar) -> datetime:
    """The earliest instant by which so much working time has passed since the start.

    No time to pass: the start if work is on, or has just ended; else the next opening.

    Raises:
        ValueError: a negative amount, or a naive start.
        HorizonExceeded (domain.timeline): there is not that much working time within HORIZON_YEARS.
    """
    if amount < timedelta(0):
        raise ValueError("working time runs forward only")
    return to_instant(calendar.timeline.after(to_micros(start), amount // timedelta(microseconds=1)))


def working_time_between(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """Working time in [start, end); none if the end is not after the start."""
    return timedelta(microseconds=calendar.timeline.between(to_micros(start), to_micros(end)))


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch in which a clock stands; without an end it still stands."""

    start: datetime
    end: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline: on time while now ≤ due_at. Provisional: it rests on dates without official data."""

    due_at: datetime
    provisional: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clock's life.

    ``reason``: ``natural working``; ``off_hours break weekend holiday:<name> start_day pause:<reason>``.
    """

    start: datetime
    end: datetime
    counted: bool
    reason: str


def due(
    limit: Limit,
    start: datetime,
    calendar: Calendar,
    *,
    pauses: Sequence[Pause] = (),
    appointment: datetime | None = None,
) -> Due | None:
    """When a limit that runs from the start is used up.

    Args:
        appointment: end of the agreed window. It moves a due to window + TOLERANCE where that is later, and is
            the only due of a limit by appointment; pauses do not move it.

    Returns:
        None without a deadline: by plan, by appointment without one, or while a pause without an end stands.

    Raises:
        HorizonExceeded: the calendar has not that much working time within HORIZON_YEARS.
    """
    agreed = None if appointment is None else appointment + TOLERANCE
    if limit.amount is None:
        return Due(agreed, False) if limit.unit is Unit.APPOINTMENT and agreed is not None else None
    meter = _Meter(limit.unit, start, calendar)
    ends = meter.spend(meter.allowance(limit.amount), _disjoint(pauses))
    if ends is None:
        return None
    due_at = to_instant(ends)
    if agreed is not None and agreed > due_at:
        return Due(agreed, False)
    return Due(due_at, meter.works and _is_provisional(calendar, start, due_at))


def allowed(limit: Limit, start: datetime, calendar: Calendar) -> timedelta | None:
    """The time that a limit gives from this start, counted as ``elapsed`` counts; None where it is no length."""
    if limit.amount is None:
        return None
    return timedelta(microseconds=_Meter(limit.unit, start, calendar).allowance(limit.amount))


def elapsed(
    limit_unit: Unit, start: datetime, end: datetime, calendar: Calendar, pauses: Sequence[Pause] = ()
) -> timedelta:
    """The time of a limit's own kind that was used between two instants."""
    meter = _Meter(limit_unit, start, calendar)
    until = to_micros(end)
    stood = sum(
        meter.between(begins, until if ends is None else min(ends, until))
        for begins, ends, _ in _disjoint(pauses)
    )
    return timedelta(microseconds=meter.between(meter.begins, until) - stood)


def segments(
    limit_unit: Unit, start: datetime, end: datetime, calendar: Calendar, pauses: Sequence[Pause] = ()
) -> tuple[Segment, ...]:
    """Every second of [start, end) with its reason, in order and without a gap; the counted sum to ``elapsed``."""
    meter = _Meter(limit_unit, start, calendar)
    here, until = to_micros(start), to_micros(end)
    pieces: list[tuple[int, int, bool, str]] = []
    for begins, ends, reason in _disjoint(pauses):
        begins, ends = max(begins, here), until if ends is None else min(ends, until)
        if begins < ends:
            pieces += meter.pieces(here, begins)
            pieces.append((begins, ends, False, f"pause:{reason}"))
            here = ends
    pieces += meter.pieces(here, until)
    joined: list[Segment] = []
    for opens, closes, counted, reason in pieces:
        began = to_instant(opens)
        if joined and (joined[-1].counted, joined[-1].reason) == (counted, reason):
            began = joined.pop().start
        joined.append(Segment(began, to_instant(closes), counted, reason))
    return tuple(joined)


_Stretch = tuple[int, int | None, str]


def _disjoint(pauses: Sequence[Pause]) -> list[_Stretch]:
    """The pauses in order, each second in the earliest one only."""
    found: list[_Stretch] = []
    for pause in sorted(pauses, key=lambda pause: pause.start):
        begins = to_micros(pause.start)
        ends = None if pause.end is None else to_micros(pause.end)
        if found:
            last = found[-1][1]
            if last is None:
                break
            begins = max(begins, last)
        if ends is None or begins < ends:
            found.append((begins, ends, pause.reason))
    return found


class _Meter:
    """A clock of one unit from one start, in whole microseconds."""

    def __init__(self, unit: Unit, start: datetime, calendar: Calendar) -> None:
        self.unit = unit
        self.works = unit in (Unit.WORKING_HOURS, Unit.WORKING_DAYS)
        self._calendar = calendar
        self._start = self.begins = to_micros(start)
        if unit is Unit.WORKING_DAYS and (today := calendar.timeline.day_of(self._start)) is not None:
            self.begins = max(self._start, today.closes)

    def allowance(self, amount: float) -> int:
        """What an amount of the unit gives; rounded to the millisecond, as instants are stored."""
        if self.unit is Unit.WORKING_DAYS:
            return self._days(amount)
        length = DAY if self.unit is Unit.DAYS else HOUR
        return round(amount * length / 1000) * 1000

    def between(self, start: int, end: int) -> int:
        """How far the clock runs in [start, end)."""
        start = max(start, self.begins)
        return self._calendar.timeline.between(start, end) if self.works else max(0, end - start)

    def spend(self, allowance: int, pauses: Sequence[_Stretch]) -> int | None:
        """When the allowance is used up; None if that is after the beginning of an endless pause."""
        here = self.begins
        for begins, ends, _ in pauses:
            runs = self.between(here, begins)
            if allowance <= runs:
                break
            if ends is None:
                return None
            allowance, here = allowance - runs, max(here, ends)
        return self._calendar.timeline.after(here, allowance) if self.works else here + allowance

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, bool, str]]:
        """[start, end) cut where the reason changes."""
        if end <= start:
            return
        if not self.works:
            yield start, end, True, "natural"
            return
        if start < self.begins:
            yield start, min(end, self.begins), False, "start_day"
            start = self.begins
        for opens, closes in self._calendar.timeline.intervals(start, end):
            yield from self._rest(start, opens)
            yield opens, closes, True, "working"
            start = closes
        yield from self._rest(start, end)

    def _days(self, amount: float) -> int:
        whole = int(amount)
        timeline = self._calendar.timeline
        given = 0
        if whole:
            given = timeline.between(self.begins, timeline.nth_day_after(self._start, whole).closes)
        if part := amount - whole:
            day = timeline.nth_day_after(self._start, whole + 1)
            given += round(part * timeline.between(day.opens, day.closes) / 1000) * 1000
        return given

    def _rest(self, start: int, end: int) -> Iterator[tuple[int, int, bool, str]]:
        """A stretch without work, cut at the local midnights."""
        while start < end:
            today = to_instant(start).astimezone(self._calendar.zone).date()
            midnight = self._calendar.timeline.midnight(today.toordinal() + 1)
            cut = min(end, midnight) if midnight > start else end
            yield start, cut, False, self._why(today, start)
            start = cut

    def _why(self, today: date, at: int) -> str:
        day = self._calendar.days.get(today)
        if self._calendar.hours(today):
            spans = self._calendar.timeline.day_of(at)
            within = (
                spans is not None and spans.ordinal == today.toordinal() and spans.opens < at < spans.closes
            )
            return "break" if within else "off_hours"
        if day is not None and day.kind is DayKind.HOLIDAY:
            return f"holiday:{day.name or ''}"
        return "weekend"


def _is_provisional(calendar: Calendar, start: datetime, due_at: datetime) -> bool:
    """Whether dates on the way lack official data."""
    first, last = (at.astimezone(calendar.zone).date() for at in (start, due_at))
    guessed = calendar.provisional_days
    index = bisect_left(guessed, first)
    return last > calendar.known_until or (index < len(guessed) and guessed[index] <= last)
