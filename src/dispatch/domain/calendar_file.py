"""Calendars in writing: hours as people write them, days in CSV and JSON, with the line of everything that is wrong."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Any

from dispatch.domain.calendar import DAYS_OFF, Day, DayKind, Span
from dispatch.domain.calendar_check import CalendarInvalid, Problem

KIND_LABELS = {
    DayKind.WORKDAY: "工作日",
    DayKind.REST: "休息日",
    DayKind.HOLIDAY: "放假",
    DayKind.MAKEUP: "调休上班",
}
COLUMNS = ("date", "kind", "name", "hours")
LONGEST_NAME = 32
_KINDS = {kind.value: kind for kind in DayKind} | {label: kind for kind, label in KIND_LABELS.items()}


class Source(StrEnum):
    """Where a day comes from: the State Council's notice, the statute alone (a guess), or the tenant itself."""

    OFFICIAL = "official"
    STATUTORY = "statutory"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Entry:
    """A day that differs from its weekday, and where it comes from."""

    on: date
    kind: DayKind
    name: str | None = None
    spans: tuple[Span, ...] | None = None
    source: Source = Source.LOCAL

    @property
    def day(self) -> Day:
        """As the arithmetic sees it; what rests on the statute alone is a guess."""
        return Day(self.kind, self.name, self.source is Source.STATUTORY, self.spans)

    def wire(self) -> dict[str, Any]:
        """As it is stored."""
        hours = None if self.spans is None else [write_span(span) for span in self.spans]
        return {
            "date": self.on.isoformat(),
            "kind": self.kind.value,
            "name": self.name,
            "hours": hours,
            "source": self.source.value,
        }


def read_entry(wire: Mapping[str, Any]) -> Entry:
    """A day as it was stored."""
    hours = wire["hours"]
    spans = None if hours is None else tuple(read_span(text) for text in hours)
    on, kind, source = date.fromisoformat(wire["date"]), DayKind(wire["kind"]), Source(wire["source"])
    return Entry(on, kind, wire["name"], spans, source)


def read_span(text: str) -> Span:
    """Hours like ``09:00-12:00``; past midnight they go on counting: ``20:00-26:00`` ends at 02:00 of the next day.

    Raises:
        ValueError: of another form, or reversed.
    """
    match = re.fullmatch(r"([0-9]{1,2}):([0-5][0-9])\s*[-–—~]\s*([0-9]{1,2}):([0-5][0-9])", text.strip())
    if match is None:
        raise ValueError(f"时段应写成09:00-12:00，而不是“{text[:20]}”")
    first, then = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    return Span(first, then)


def write_span(span: Span) -> str:
    """``09:00-12:00``."""
    return "-".join(f"{m // 60:02}:{m % 60:02}" for m in (span.start_minute, span.end_minute))


def read_week(wire: Sequence[Sequence[str]]) -> tuple[tuple[Span, ...], ...]:
    """The hours of a week, Monday first.

    Raises:
        CalendarInvalid: hours of another form, or reversed, by row.
    """
    problems: list[Problem] = []
    week = []
    for weekday, rows in enumerate(wire):
        spans = []
        for row, text in enumerate(rows):
            try:
                spans.append(read_span(text))
            except ValueError as error:
                problems.append(Problem(("weekly", weekday, row), str(error)))
        week.append(tuple(spans))
    if problems:
        raise CalendarInvalid(problems)
    return tuple(week)


def write_week(week: Sequence[Sequence[Span]]) -> list[list[str]]:
    """The hours of a week as they are stored."""
    return [[write_span(span) for span in spans] for spans in week]


def read_csv(text: str, source: Source) -> list[Entry]:
    """Days from CSV with the columns ``date,kind,name,hours``; the last two may be absent or empty.

    Raises:
        CalendarInvalid: every line that is wrong, and dates that come twice.
    """
    rows = csv.reader(text.removeprefix("\ufeff").splitlines())
    head = [cell.strip().lower() for cell in next(rows, [])]
    if head[:2] != list(COLUMNS[:2]) or not set(head) <= set(COLUMNS) or len(set(head)) < len(head):
        raise CalendarInvalid([Problem(("line", 1), f"首行应为{','.join(COLUMNS)}")])
    lines = ((rows.line_num, row) for row in rows if any(cell.strip() for cell in row))
    return _read_lines(
        ((n, dict(zip(head, row, strict=False)), len(row) > len(head)) for n, row in lines), source
    )


def read_json(text: str, source: Source) -> list[Entry]:
    """Days from a JSON array of objects with the columns' names; ``hours`` is a text or a list of texts.

    Raises:
        CalendarInvalid: every line that is wrong, and dates that come twice.
    """
    return _read_lines(_objects(text), source)


_Line = tuple[int, dict[str, Any], bool]


def _read_lines(lines: Iterable[_Line], source: Source) -> list[Entry]:
    problems: list[Problem] = []
    found: dict[date, tuple[int, Entry]] = {}
    for number, row, too_much in lines:
        try:
            if too_much:
                raise ValueError(f"除{'、'.join(COLUMNS)}外还有别的内容")
            entry = _read_row(row, source)
            if entry.on in found:
                raise ValueError(f"{entry.on}在第{found[entry.on][0]}行已有")
            found[entry.on] = (number, entry)
        except ValueError as error:
            problems.append(Problem(("line", number), str(error)))
    if not found and not problems:
        problems.append(Problem(("line", 1), "文件里没有日期"))
    if problems:
        raise CalendarInvalid(problems)
    return [found[on][1] for on in sorted(found)]


def _read_row(row: Mapping[str, Any], source: Source) -> Entry:
    told = {name: value for name, value in row.items() if value not in (None, "", [])}
    if not all(isinstance(told.get(name, ""), str) for name in COLUMNS[:3]):
        raise ValueError("date、kind、name应为文本")
    on = _read_date(told.get("date", ""))
    kind = _KINDS.get(told.get("kind", "").strip().lower())
    if kind is None:
        raise ValueError(f"kind应为{'、'.join(_KINDS)}之一")
    name = told.get("name", "").strip() or None
    if name is not None and len(name) > LONGEST_NAME:
        raise ValueError(f"名称最多{LONGEST_NAME}字")
    hours = told.get("hours")
    spans = None if hours is None else _read_hours(hours)
    if spans and kind in DAYS_OFF:
        raise ValueError("休息日不能有工作时段")
    return Entry(on, kind, name, spans, source)


def _read_hours(hours: Any) -> tuple[Span, ...]:
    listed = re.split(r"[\s;；、]+", hours.strip()) if isinstance(hours, str) else hours
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise ValueError("时段应写成09:00-12:00 14:00-18:00")
    spans = tuple(read_span(text) for text in listed)
    if any(later.start_minute < sooner.end_minute for sooner, later in pairwise(spans)):
        raise ValueError("时段重叠，或次序不对")
    return spans


def _read_date(text: str) -> date:
    match = re.fullmatch(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})", text.strip())
    try:
        if match is not None:
            return date(*(int(part) for part in match.groups()))
    except ValueError:
        pass
    raise ValueError(f"“{text[:20]}”不是2027-02-06这样的日期")


def _objects(text: str) -> Iterator[_Line]:
    """The objects of a JSON array, each with the line that it begins in."""
    decoder, blank = json.JSONDecoder(), re.compile(r"\s*")
    at = _skip(blank, text, text.startswith("\ufeff"))

    def line() -> int:
        return text.count("\n", 0, at) + 1

    if text[at : at + 1] != "[":
        raise CalendarInvalid([Problem(("line", line()), "文件应为日期的JSON数组")])
    at = _skip(blank, text, at + 1)
    while text[at : at + 1] != "]":
        number = line()
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            raise CalendarInvalid([Problem(("line", number), "此处的JSON无法读取")]) from None
        value = value if isinstance(value, dict) else {"": value}
        yield number, value, not value.keys() <= set(COLUMNS)
        at = _skip(blank, text, at)
        if text[at : at + 1] not in (",", "]"):
            raise CalendarInvalid([Problem(("line", line()), "此处的JSON无法读取")])
        if text[at] == ",":
            at = _skip(blank, text, at + 1)


def _skip(blank: re.Pattern[str], text: str, at: int) -> int:
    match = blank.match(text, at)
    return match.end() if match else at


def with_official(have: Iterable[Entry], told: Sequence[Entry]) -> list[Entry]:
    """What a calendar holds once whole years of official days are in: those years' official days and guesses go, the
    tenant's own days stay and go before.

    Raises:
        CalendarInvalid: a year of the file is not whole.
    """
    years = {entry.on.year for entry in told}
    off = {entry.on for entry in told if entry.kind is DayKind.HOLIDAY}
    gaps = [date(year, *day) for year in sorted(years) for day in FIXED_DAYS if date(year, *day) not in off]
    if gaps:
        raise CalendarInvalid(
            [Problem(("days", on.isoformat()), "当天不是假日：这一年的数据完整吗？") for on in gaps]
        )
    kept = {e.on: e for e in have if e.source is Source.LOCAL or e.on.year not in years}
    return [
        ({entry.on: entry for entry in told} | kept)[on] for on in sorted({e.on for e in told} | set(kept))
    ]


def with_local(have: Iterable[Entry], told: Iterable[Entry]) -> list[Entry]:
    """What a calendar holds once a tenant's own days are in; they replace what stood on their dates."""
    merged = {entry.on: entry for entry in (*have, *told)}
    return [merged[on] for on in sorted(merged)]


FIXED_DAYS = ((1, 1), (5, 1), (10, 1))
"""Days off in every year: 全国年节及纪念日放假办法, Art. 2. A notice without them is no whole year."""
