"""When somebody is free, as the quarter hours of a week.

A week is 672 bits, Monday 00:00 first, in the tenant's zone. What is declared is rounded inwards and what
is wanted outwards, so nobody is promised for a minute that was not offered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

QUARTERS = 7 * 24 * 4
WHOLE_WEEK = (1 << QUARTERS) - 1

APPOINTMENT = timedelta(hours=4)
"""A wanted window up to this long is an appointment and must be free throughout; in a longer one any hour
will do. Half a working day: our own reading, no source gives one."""

AHEAD = timedelta(hours=48)
"""How far is looked ahead when nothing is said of the time: two days, in which most limits of the catalogue end."""

PLENTY_QUARTERS = 8 * 4
"""So many free quarters ahead count as all the time one could wish: a working day."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the week: the first quarter, and how many."""

    first: int
    count: int
    whole: bool
    """Whether all of it must be free (an appointment)."""

    @property
    def quarters(self) -> list[int]:
        """The quarters of the week that it covers, in order."""
        return [(self.first + step) % QUARTERS for step in range(self.count)]


def week(free_times: Iterable[Mapping[str, Any]]) -> int:
    """Bits of a week from ``{weekday 1..7, from "HH:MM", to "HH:MM"}``; ``to`` may be ``24:00``."""
    bits = 0
    for line in free_times:
        day = (line["weekday"] - 1) * 24 * 4
        first = day + -(-_minutes(line["from"]) // 15)
        last = day + _minutes(line["to"]) // 15
        if last > first:
            bits |= ((1 << (last - first)) - 1) << first
    return bits & WHOLE_WEEK


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def window(start: datetime, end: datetime) -> Window:
    """What is wanted, from two instants in the tenant's zone; more than a week is any hour of the week."""
    first = start.weekday() * 96 + (start.hour * 60 + start.minute) // 15
    minutes = start.minute % 15 + (end - start).total_seconds() / 60
    count = min(max(int(-(-minutes // 15)), 1), QUARTERS)
    return Window(first, count, end - start <= APPOINTMENT)


def ahead(at: datetime) -> Window:
    """The next two days, of which any hour will do."""
    return window(at, at + AHEAD)


def within(bits: int, wanted: Window) -> int:
    """The free quarters of a window, its first quarter as bit 0."""
    turned = (bits >> wanted.first) | (bits << (QUARTERS - wanted.first))
    return turned & ((1 << wanted.count) - 1)


def fits(bits: int, wanted: Window) -> bool:
    """Whether the free time covers an appointment, or leaves a useful hour in a longer window."""
    inside = within(bits, wanted)
    if wanted.whole:
        return inside == (1 << wanted.count) - 1
    return bool(inside & inside >> 1 & inside >> 2 & inside >> 3)


def hours(bits: int) -> float:
    """Free hours."""
    return bits.bit_count() / 4
