"""What is published gives nobody away: every small cell is as open as arithmetic over all that is told can leave it."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from dispatch.domain.publishing import Event, Path, Shown, bounds, due, households, tellable

LEAST = 3  # the laws hold for any; a small one keeps the tables small
STREETS = (("a", "a1"), ("a", "a2"), ("a", "a3"), ("a", None), ("b", "b1"), ("b", "b2"), ("c", "c1"), (None,))
CATEGORIES = ("old", "young", "lamp")
PARTS = ("good", "bad")

Happened = tuple[Path, str, str, int]
"""Place, category, how it came out, household."""


@st.composite
def months(draw: st.DrawFn) -> list[Happened]:
    """A month: few households in most places, and some that ask again and again, in one place or in several."""
    found: list[Happened] = []
    for place in STREETS:
        for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2, 3, 4, 6, 9)))):
            household = draw(st.integers(0, 40))
            category, part = draw(st.sampled_from(CATEGORIES)), draw(st.sampled_from((*PARTS, "good")))
            found += [(place, category, part, household)] * draw(st.sampled_from((1, 1, 1, 2, 5)))
    return found


def by_place(month: list[Happened]) -> dict[Path, Shown]:
    return tellable([Event(place, house, part) for place, _, part, house in month], LEAST)


def by_category(month: list[Happened]) -> dict[Path, Shown]:
    return tellable([Event((category,), house, part) for _, category, part, house in month], LEAST)


class Table:
    """All that an adversary knows: the published numbers as equations over the finest cells, which are not negative."""

    FINEST = [(place, category, part) for place in STREETS for category in CATEGORIES for part in PARTS]

    def __init__(self, month: list[Happened]) -> None:
        self.counts = Counter((place, category, part) for place, category, part, _ in month)
        self.places, self.categories = by_place(month), by_category(month)
        self.behind: defaultdict[tuple[Path, Path, str | None], set[int]] = defaultdict(set)
        for place, category, part, house in month:
            for depth in range(len(place) + 1):
                for column in ((), (category,)):
                    for which in (part, None):
                        self.behind[place[:depth], column, which].add(house)
        equations, values = [], []
        for place, shown in self.places.items():
            equations, values = self._known(equations, values, place, (), shown)
        for category, shown in self.categories.items():
            equations, values = self._known(equations, values, (), category, shown)
        self.equations, self.values = np.array(equations), np.array(values)

    def _known(self, equations, values, place: Path, category: Path, shown: Shown):
        told = [(None, shown.number)] + ([(p, shown.parts.get(p, 0)) for p in PARTS] if shown.parts else [])
        return (
            [*equations, *(self.sum_of(place, category, part) for part, _ in told)],
            [*values, *(value for _, value in told)],
        )

    def sum_of(self, place: Path, category: Path, part: str | None) -> np.ndarray:
        return np.array(
            [
                float(
                    where[: len(place)] == place
                    and (not category or category[0] == what)
                    and part in (None, how)
                )
                for where, what, how in self.FINEST
            ]
        )

    def left_out(self) -> list[tuple[Path, Path, str | None]]:
        """Cells of the two hierarchies that are not told and stand for somebody, but for few."""
        nodes = {place[:depth] for place in STREETS for depth in range(len(place) + 1)}
        cells = [(place, (), part) for place in sorted(nodes, key=str) for part in (None, *PARTS)]
        cells += [((), (category,), part) for category in CATEGORIES for part in (None, *PARTS)]
        return [cell for cell in cells if 0 < len(self.behind[cell]) < LEAST]

    def told(self, cell: tuple[Path, Path, str | None]) -> bool:
        place, category, part = cell
        shown = (self.categories if category else self.places).get(category or place)
        return shown is not None and (part is None or shown.parts is not None)

    def width(self, cell: tuple[Path, Path, str | None]) -> float:
        """Between the least and the most that a cell may be, by everything told."""
        wanted = self.sum_of(*cell)
        ends = [
            linprog(sign * wanted, A_eq=self.equations, b_eq=self.values, bounds=(0, None))
            for sign in (1, -1)
        ]
        if ends[1].status == 3:  # unbounded
            return float("inf")
        assert all(end.status == 0 for end in ends)
        return -ends[1].fun - ends[0].fun


@settings(max_examples=150, deadline=None)
@given(months())
def test_no_small_cell_is_told_or_follows_from_what_is_told(month):
    table = Table(month)
    for cell in table.left_out():
        assert not table.told(cell), cell
        if len(table.equations):
            assert table.width(cell) >= LEAST - 1e-6, cell


@settings(max_examples=300, deadline=None)
@given(months())
def test_what_is_left_out_between_a_whole_and_its_told_neighbours_is_of_many_or_of_none(month):
    """The total less the published cells, for every family and every part: never a few households."""
    houses: defaultdict[Path, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for place, _, part, house in month:
        for depth in range(len(place) + 1):
            houses[place[:depth]][part].add(house)
    told = by_place(month)
    for above in told:
        below = [path for path in houses if path and path[:-1] == above]
        rest = set().union(*(h for p in below if p not in told for h in houses[p].values()))
        assert len(rest) == 0 or len(rest) >= LEAST
        if told[above].parts is None:
            assert all(told[path].parts is None for path in below if path in told)
            continue
        for part in PARTS:
            open_ = [p for p in below if p not in told or told[p].parts is None]
            rest = set().union(*(houses[p][part] for p in open_))
            assert len(rest) == 0 or len(rest) >= LEAST


@settings(max_examples=300, deadline=None)
@given(months())
def test_what_is_told_is_true_and_its_parts_add_up(month):
    for path, shown in by_place(month).items():
        mine = [line for line in month if line[0][: len(path)] == path]
        assert shown.number == len(mine)
        if shown.parts is not None:
            assert shown.parts == Counter(part for _, _, part, _ in mine)
            assert sum(shown.parts.values()) == shown.number


def test_a_household_that_asks_eleven_times_is_still_one():
    month = [Event(("a",), "one")] * 11 + [Event(("b",), house) for house in range(20)]
    assert tellable(month, 11) == {(): Shown(31, {"": 31})}


def test_a_single_small_cell_takes_its_smallest_neighbour_with_it():
    month = [
        Event((name,), f"{name}{n}") for name, count in (("a", 30), ("b", 12), ("c", 4)) for n in range(count)
    ]
    assert set(tellable(month, 11)) == {(), ("a",)}


def test_few_that_are_many_together_take_no_neighbour_with_them():
    month = [
        Event((name,), f"{name}{n}") for name, count in (("a", 30), ("b", 6), ("c", 6)) for n in range(count)
    ]
    assert set(tellable(month, 11)) == {(), ("a",)}
    assert tellable(month[:-2], 11).keys() == {()}


def test_a_town_in_which_little_happened_tells_nothing():
    assert tellable([Event(("a",), house) for house in range(10)], 11) == {}
    assert tellable([], 11) == {}


def test_who_shares_a_door_or_a_person_is_one_household():
    told = households([("door", "ann"), ("door", "ben"), (None, "ben"), ("other", "ann"), ("third", None)])
    assert len(set(told[:4])) == 1
    assert told[4] not in told[:4]


zones = st.sampled_from([ZoneInfo(name) for name in ("Asia/Shanghai", "Asia/Urumqi", "Europe/Berlin")])
instants = st.integers(0, 6 * 366 * 24).map(
    lambda hours: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
)


@given(instants, zones)
def test_months_that_are_published_are_over_and_do_not_overlap(at, zone):
    found = [bounds(month, zone) for month in due(at, zone)]
    assert len(found) == 12
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert found[-1][1] <= at - timedelta(days=7) + timedelta(
        hours=1
    )  # a change of the hour lies between, at most
    assert at - timedelta(days=7) < bounds(due(at + timedelta(days=32), zone)[-1], zone)[1]


def test_a_month_begins_and_ends_at_midnight_of_the_tenant():
    begin, end = bounds("2026-10", ZoneInfo("Asia/Shanghai"))
    assert (begin.isoformat(), end.isoformat()) == ("2026-09-30T16:00:00+00:00", "2026-10-31T16:00:00+00:00")
    assert due(datetime(2026, 11, 7, 15, 59, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))[-1] == "2026-09"
    assert due(datetime(2026, 11, 7, 16, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))[-1] == "2026-10"
