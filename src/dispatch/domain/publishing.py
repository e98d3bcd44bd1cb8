"""What may be told to everybody about many, so that nobody can be picked out of it.

Counts of one closed month stand in a tree: the whole, its places, the places below. A cell of few households is
left out, and with it as many neighbours as it takes that no sum or difference of what is told gives it away. Months
never overlap and are published once, so nothing is learned by asking twice. Why this suffices: ADR 0061.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

LEAST = 11
"""Households that a cell needs to be told, unless the tenant says otherwise. The policy of the American health
insurers' office is the strictest of those widely followed: no value of 1 to 10, told or derived, percentages included
(CMS Cell Size Suppression Policy, 26 January 2024)."""
LEAST_ALLOWED = 5
"""No tenant goes below: the usual floor of statistics offices for counts of persons."""
SETTLES_DAYS = 7
"""Days after a month's end until it is published: as long as a verdict is awaited (lifecycle.md, clock ``evaluate``)."""
MONTHS_BACK = 12
"""Months before the present one that are published when publishing begins."""

Path = tuple[Hashable, ...]
"""From the whole, ``()``, down to a cell; what has no place of its own at a level is the child None."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to count: where, of which household, and how it came out."""

    path: Path
    household: Hashable
    part: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell that is told; ``parts`` only where they are told too, and then they add up to the number."""

    number: int
    parts: Mapping[str, int] | None = None


class _Cell:
    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.behind: defaultdict[str, set[Hashable]] = defaultdict(set)

    @property
    def households(self) -> set[Hashable]:
        return set().union(*self.behind.values())


def tellable(events: Iterable[Event], least: int) -> dict[Path, Shown]:
    """The cells of a tree that may be told.

    A number is told if its cell has enough households, the cell above is told, and what is left out beside it has
    enough households together, or none. Parts are told under the same law, part by part: a part that is left out
    has enough households over all neighbours left out, or none. All counts are of households, so that one that asks
    eleven times is still one.

    Args:
        least: households that a cell needs.
    """
    cells: defaultdict[Path, _Cell] = defaultdict(_Cell)
    for event in events:
        for depth in range(len(event.path) + 1):
            cell = cells[event.path[:depth]]
            cell.numbers[event.part] += 1
            cell.behind[event.part].add(event.household)
    below: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in cells:
        if path:
            below[path[:-1]].append(path)

    told: set[Path] = set()
    parted: set[Path] = set()
    if () in cells and len(cells[()].households) >= least:
        told.add(())
        if _parts_are_safe(cells[()], least):
            parted.add(())
    waiting = list(told)
    while waiting:
        above = waiting.pop()
        # Those that go first when a neighbour must go too: the smallest, so that least is lost.
        inside = sorted(below[above], key=lambda path: (len(cells[path].households), str(path)), reverse=True)
        safe = _safe([(path, {"": cells[path].households}) for path in inside], least)
        told |= safe
        waiting.extend(safe)
        if above in parted:
            known = [
                (path, cells[path].behind if path in safe and _parts_are_safe(cells[path], least) else None)
                for path in inside
            ]
            parted |= _safe_parts(known, {path: cells[path].behind for path in inside}, least)
    return {
        path: Shown(cells[path].numbers.total(), dict(cells[path].numbers) if path in parted else None)
        for path in told
    }


_Behind = Mapping[str, set[Hashable]]


def _parts_are_safe(cell: _Cell, least: int) -> bool:
    return all(not behind or len(behind) >= least for behind in cell.behind.values())


def _safe(cells: list[tuple[Path, _Behind]], least: int) -> set[Path]:
    """Which of the neighbours, the largest first, may be told."""
    known = [(path, behind if len(behind[""]) >= least else None) for path, behind in cells]
    return _safe_parts(known, dict(cells), least)


def _safe_parts(
    known: Sequence[tuple[Path, _Behind | None]], behind: Mapping[Path, _Behind], least: int
) -> set[Path]:
    """Neighbours that may be told (None: may not), less those that must be left out with the others."""
    told = [path for path, safe in known if safe is not None]
    left: defaultdict[str, set[Hashable]] = defaultdict(set)
    for path, safe in known:
        if safe is None:
            _leave(left, behind[path])
    while told and any(0 < len(households) < least for households in left.values()):
        _leave(left, behind[told.pop()])
    return set(told)


def _leave(left: defaultdict[str, set[Hashable]], behind: _Behind) -> None:
    for part, households in behind.items():
        left[part] |= households


def households(ties: Iterable[tuple[Hashable | None, Hashable | None]]) -> list[Hashable]:
    """One name of a household for each order, from its door and its person: whoever shares either is one.

    Two doors of one person become one household: too few are counted rather than too many.
    """
    pairs = [
        (("door", door) if door else None, ("person", person) if person else None) for door, person in ties
    ]
    leads: dict[Hashable, Hashable] = {}

    def lead(of: Hashable) -> Hashable:
        while (up := leads.setdefault(of, of)) != of:
            leads[of] = leads[up]
            of = up
        return of

    for door, person in pairs:
        if door and person:
            leads[lead(person)] = lead(door)
    return [lead(door or person) for door, person in pairs]


# Months


def is_month(text: str) -> bool:
    """Whether it is ``2026-10``."""
    return re.fullmatch(r"2[01][0-9]{2}-(0[1-9]|1[0-2])", text) is not None


def bounds(month: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """A month's first instant, and the first after it, by the tenant's zone."""
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=31)).replace(day=1)
    begin, end = (datetime(day.year, day.month, 1, tzinfo=zone).astimezone(UTC) for day in (first, after))
    return begin, end


def due(at: datetime, zone: ZoneInfo) -> list[str]:
    """The months that are to be published by now, oldest first."""
    return sorted(_months_before((at - timedelta(days=SETTLES_DAYS)).astimezone(zone).date()))


def _months_before(day: date) -> Iterator[str]:
    first = day.replace(day=1)
    for _ in range(MONTHS_BACK):
        first = (first - timedelta(days=1)).replace(day=1)
        yield f"{first:%Y-%m}"
