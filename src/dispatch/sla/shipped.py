"""The calendar that ships: announced years as a library knows them, then the statute alone, as a guess (ADR 0024)."""

from collections.abc import Iterator
from datetime import date
from functools import cache

import chinese_calendar
from chinese_calendar import constants as announced
from holidays import country_holidays

from dispatch.domain.calendar import DayKind, Span
from dispatch.domain.calendar_file import Entry, Source

OFFICE_HOURS = (Span(9 * 60, 12 * 60), Span(14 * 60, 18 * 60))
"""Until a tenant says otherwise: seven hours with a break at noon (the fixture of peers.md §5)."""

WEEK = (OFFICE_HOURS,) * 5 + ((), ())
"""国务院关于职工工作时间的规定, Art. 7: offices work Monday to Friday."""

GUESSED_YEARS = 3
"""Years after the announced ones that are guessed: a limit of a year and its extensions end within them."""

KNOWN_UNTIL = date(max(announced.holidays).year, 12, 31)
"""The last date of the announced years."""

_NAMES = {holiday.value: holiday.chinese for holiday in chinese_calendar.Holiday}


@cache
def official() -> tuple[Entry, ...]:
    """Holidays and make-up days of every announced year, in order."""
    off = [
        Entry(on, DayKind.HOLIDAY, _NAMES[name], None, Source.OFFICIAL)
        for on, name in announced.holidays.items()
    ]
    worked = [
        Entry(on, DayKind.MAKEUP, f"{_NAMES[name]}调休", None, Source.OFFICIAL)
        for on, name in announced.workdays.items()
    ]
    return tuple(sorted([*off, *worked], key=lambda entry: entry.on))


def statutory(years: range) -> Iterator[Entry]:
    """Days off that the statute gives in years without a notice, those moved from a weekend included; no make-up days."""
    told = country_holidays("CN", years=years, language="zh_CN")
    for on, name in sorted(told.items()):
        yield Entry(on, DayKind.HOLIDAY, name.replace("; ", "、"), None, Source.STATUTORY)


def guesses(known_until: date, at: date) -> range:
    """The years to guess now."""
    return range(known_until.year + 1, max(known_until.year, at.year) + 1 + GUESSED_YEARS)
