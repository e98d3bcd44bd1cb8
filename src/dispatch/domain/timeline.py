"""Working time as sorted intervals of absolute time, a year at a time, each year worked out once.

All lengths and instants in here are whole microseconds, instants counted from 1970 in UTC: integers add up exactly.
A year is that of the zone. The wall clock decides: an hour that it shows twice counts twice, one that it never shows
(the change to summer time) does not count.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE

HORIZON_YEARS = 40
"""How far ahead a sum of working time is followed. Ours: 366 working days at the least urgency (domain.catalog.SCALE)
are eleven years; who needs more than 40 has a calendar without work in it."""

FIRST_YEAR, LAST_YEAR = 2, 9997

Minutes = Iterable[tuple[int, int]]
"""Intervals as minutes after the local midnight of a date; they may end on the next date."""


class HorizonExceeded(ValueError):
    """The working time asked for is not found within HORIZON_YEARS, or lies outside of what dates can say."""


def to_micros(at: datetime) -> int:
    """Microseconds since 1970. Raises: ValueError on a naive datetime."""
    if at.tzinfo is None:
        raise ValueError("a naive datetime is not an instant")
    return (since := at - EPOCH).days * DAY + since.seconds * 1_000_000 + since.microseconds


def to_instant(micros: int) -> datetime:
    """The aware UTC instant."""
    return EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True, slots=True)
class Workday:
    """A date that has working time: its first and its last instant."""

    ordinal: int
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch in which the zone keeps one offset."""

    start: int
    end: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Year:
    starts: list[int]
    ends: list[int]
    done: list[int]  # working time of this year at each of the ends
    days: list[Workday]
    ordinals: list[int]  # of the days, to search in

    @property
    def total(self) -> int:
        return self.done[-1] if self.done else 0

    def before(self, at: int) -> int:
        """Working time of this year before an instant."""
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return 0
        return self.done[index] - max(0, self.ends[index] - at)

    def reaches(self, work: int) -> int:
        """The earliest instant with this much working time before it; 0 < work ≤ total."""
        index = bisect_left(self.done, work)
        return self.ends[index] - (self.done[index] - work)


class Timeline:
    """The working time of a zone and a rule that says the hours of a date."""

    def __init__(self, zone: ZoneInfo, hours: Callable[[date], Minutes]) -> None:
        self._zone = zone
        self._hours = hours
        self._years: dict[int, _Year] = {}
        self._bounds: dict[int, int] = {}

    def between(self, start: int, end: int) -> int:
        """Working time in [start, end); none if that is empty."""
        if end <= start:
            return 0
        first, last = self._year_of(start), self._year_of(end)
        passed = sum(self._year(year).total for year in range(first, last))
        return passed + self._year(last).before(end) - self._year(first).before(start)

    def after(self, start: int, work: int) -> int:
        """The earliest instant by which this much working time has passed since the start.

        Nothing to pass (work = 0): the start itself if work is on or has just ended, else the next opening.

        Raises:
            HorizonExceeded: there is not that much of it.
        """
        if work <= 0:
            return self._open_at_or_after(start)
        first = self._year_of(start)
        wanted = work + self._year(first).before(start)
        for number in range(first, first + HORIZON_YEARS + 1):
            year = self._year(number)
            if wanted <= year.total:
                return year.reaches(wanted)
            wanted -= year.total
        raise HorizonExceeded(f"not enough working time within {HORIZON_YEARS} years")

    def intervals(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The working intervals within [start, end), in order."""
        if end <= start:
            return
        for number in range(self._year_of(start), self._year_of(end) + 1):
            year = self._year(number)
            for index in range(bisect_right(year.ends, start), bisect_left(year.starts, end)):
                yield max(start, year.starts[index]), min(end, year.ends[index])

    def day_of(self, at: int) -> Workday | None:
        """The working day that an instant belongs to: that of its date, or the one before while its work goes on.

        The very end of a day's work still belongs to it. None on a date without work.
        """
        ordinal = to_instant(at).astimezone(self._zone).toordinal()
        night = self._day(ordinal - 1)
        return night if night is not None and at <= night.closes else self._day(ordinal)

    def nth_day_after(self, at: int, count: int) -> Workday:
        """The count-th working day after the one that an instant belongs to; count ≥ 1.

        Raises:
            HorizonExceeded: there are not that many.
        """
        here = self.day_of(at)
        ordinal = here.ordinal if here is not None else to_instant(at).astimezone(self._zone).toordinal()
        first = date.fromordinal(ordinal).year
        for number in range(first, first + HORIZON_YEARS + 1):
            year = self._year(number)
            index = bisect_right(year.ordinals, ordinal) + count - 1
            if index < len(year.days):
                return year.days[index]
            count = index - len(year.days) + 1
        raise HorizonExceeded(f"not enough working days within {HORIZON_YEARS} years")

    def midnight(self, ordinal: int) -> int:
        """The beginning of a local date."""
        naive = datetime.combine(date.fromordinal(ordinal), datetime.min.time())
        return to_micros(naive.replace(tzinfo=self._zone))

    def _open_at_or_after(self, at: int) -> int:
        first = self._year_of(at)
        for number in range(first, first + HORIZON_YEARS + 1):
            year = self._year(number)
            index = bisect_left(year.ends, at)
            if index < len(year.ends):
                return max(at, year.starts[index])
        raise HorizonExceeded(f"no working time within {HORIZON_YEARS} years")

    def _day(self, ordinal: int) -> Workday | None:
        year = self._year(date.fromordinal(ordinal).year)
        index = bisect_left(year.ordinals, ordinal)
        found = index < len(year.days) and year.ordinals[index] == ordinal
        return year.days[index] if found else None

    def _bound(self, year: int) -> int:
        """Where a year begins."""
        if not FIRST_YEAR <= year <= LAST_YEAR + 1:
            raise HorizonExceeded(f"no working time is known in the year {year}")
        if year not in self._bounds:
            self._bounds[year] = self.midnight(date(year, 1, 1).toordinal())
        return self._bounds[year]

    def _year_of(self, at: int) -> int:
        year = to_instant(at).year
        if at < self._bound(year):
            return year - 1
        return year + 1 if at >= self._bound(year + 1) else year

    def _year(self, year: int) -> _Year:
        if year not in self._years:
            self._years[year] = self._work_out(year)
        return self._years[year]

    def _work_out(self, year: int) -> _Year:
        begin, end = self._bound(year), self._bound(year + 1)
        pieces = self._pieces(begin - 3 * DAY, end + 3 * DAY)
        found: list[tuple[int, int]] = []
        days: list[Workday] = []
        for ordinal in range(date(year, 1, 1).toordinal() - 2, date(year + 1, 1, 1).toordinal() + 2):
            today = self._on(ordinal, pieces)
            found += [(max(begin, opens), min(end, closes)) for opens, closes in today]
            if today and date.fromordinal(ordinal).year == year:
                days.append(Workday(ordinal, today[0][0], today[-1][1]))
        starts, ends, done = _joined(found)
        return _Year(starts, ends, done, days, [day.ordinal for day in days])

    def _on(self, ordinal: int, pieces: list[_Piece]) -> list[tuple[int, int]]:
        """The intervals of a date in absolute time."""
        local = (ordinal - EPOCH.toordinal()) * DAY
        found = []
        for piece in pieces:
            if piece.end <= local - piece.offset or piece.start >= local + 2 * DAY - piece.offset:
                continue
            for first, last in self._hours(date.fromordinal(ordinal)):
                opens = max(piece.start, local + first * MINUTE - piece.offset)
                closes = min(piece.end, local + last * MINUTE - piece.offset)
                if opens < closes:
                    found.append((opens, closes))
        return found

    def _pieces(self, start: int, end: int) -> list[_Piece]:
        pieces, here = [], start
        offset = self._offset(start)
        for probe in range(start + DAY, end + DAY, DAY):
            if (then := self._offset(probe)) != offset:
                change = self._change(probe - DAY, probe)
                pieces.append(_Piece(here, change, offset))
                here, offset = change, then
        return [*pieces, _Piece(here, end, offset)]

    def _change(self, before: int, after: int) -> int:
        """Where between two instants the offset changes, to the second."""
        old = self._offset(before)
        while after - before > 1_000_000:
            middle = (before + after) // 2_000_000 * 1_000_000
            before, after = (middle, after) if self._offset(middle) == old else (before, middle)
        return after

    def _offset(self, at: int) -> int:
        offset = to_instant(at).astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset // timedelta(microseconds=1)


def _joined(found: list[tuple[int, int]]) -> tuple[list[int], list[int], list[int]]:
    """Starts, ends and sums of the intervals in order; those that touch become one."""
    starts: list[int] = []
    ends: list[int] = []
    for opens, closes in sorted(pair for pair in found if pair[0] < pair[1]):
        if ends and opens <= ends[-1]:
            ends[-1] = max(ends[-1], closes)
        else:
            starts.append(opens)
            ends.append(closes)
    done, total = [], 0
    for opens, closes in zip(starts, ends, strict=True):
        total += closes - opens
        done.append(total)
    return starts, ends, done
