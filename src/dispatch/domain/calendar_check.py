"""Which calendars can be worked with: the reasons against one, by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dispatch.domain.calendar import DAYS_OFF, MINUTES_OF_A_DAY, Calendar, Span

LONGEST_CLOSURE = timedelta(days=366)
"""A calendar that rests longer than this has no usable time: no limit is longer (domain.catalog.LONGEST)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a calendar is refused, and in which row: ``("weekly", 0, 1)``, ``("days", "2026-10-01")``."""

    where: tuple[str | int, ...]
    reason: str


class CalendarInvalid(ValueError):
    """A calendar that cannot be worked with; ``problems`` says every reason by row."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'/'.join(map(str, p.where))}: {p.reason}" for p in problems))


def check(calendar: Calendar) -> None:
    """Whether a calendar can be worked with.

    Raises:
        CalendarInvalid: no usable time, overlapping hours, or hours on a day off, by row.
    """
    problems = [*_hours_problems(calendar), *_night_problems(calendar)]
    if not problems and not _is_usable(calendar):
        problems.append(Problem(("weekly",), "没有可用的工作时间"))
    if problems:
        raise CalendarInvalid(problems)


def _hours_problems(calendar: Calendar) -> Iterator[Problem]:
    if len(calendar.weekly) != 7:
        raise CalendarInvalid([Problem(("weekly",), "一周应有七天，从周一起")])
    for weekday, spans in enumerate(calendar.weekly):
        yield from _overlaps(("weekly", weekday), spans)
    for on, day in sorted(calendar.days.items()):
        where = ("days", on.isoformat())
        if day.spans is None:
            continue
        if day.kind in DAYS_OFF:
            yield Problem(where, "休息日不能有工作时段")
        elif not day.spans:
            yield Problem(where, "工作日应有工作时段")
        yield from _overlaps(where, day.spans)


def _overlaps(where: tuple[str | int, ...], spans: Sequence[Span]) -> Iterator[Problem]:
    for row in range(1, len(spans)):
        if spans[row].start_minute < spans[row - 1].end_minute:
            yield Problem((*where, row), "时段与上一段重叠，或次序不对")


def _night_problems(calendar: Calendar) -> Iterator[Problem]:
    """Hours past midnight that run into those of the next date."""
    for weekday in range(7):
        if _runs_into(calendar.weekly[weekday], calendar.weekly[(weekday + 1) % 7]):
            yield Problem(("weekly", weekday), "跨夜的时段与后一天的时段重叠")
    for on in sorted(calendar.days):
        before, after = on - timedelta(days=1), on + timedelta(days=1)
        if _runs_into(calendar.hours(before), calendar.hours(on)):
            yield Problem(("days", on.isoformat()), "时段与前一天跨夜的时段重叠")
        if after not in calendar.days and _runs_into(calendar.hours(on), calendar.hours(after)):
            yield Problem(("days", on.isoformat()), "跨夜的时段与后一天的时段重叠")


def _runs_into(today: Sequence[Span], tomorrow: Sequence[Span]) -> bool:
    return bool(today and tomorrow) and today[-1].end_minute - MINUTES_OF_A_DAY > tomorrow[0].start_minute


def _is_usable(calendar: Calendar) -> bool:
    if not any(calendar.weekly):
        return False
    if not calendar.days:
        return True
    last_worked = first = min(calendar.days)
    for ahead in range((max(calendar.days) - first).days + 8):
        on = first + timedelta(days=ahead)
        if calendar.hours(on):
            last_worked = on
        elif on - last_worked > LONGEST_CLOSURE:
            return False
    return True
