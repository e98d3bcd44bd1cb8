"""Many orders, many takers, limited hands: the assignment that is best for all together.

A bipartite matching of least cost in scipy's sparse solver. Every slot of an order is a row, every free
hand of a taker a column; each row has a column of its own besides that means "nobody", so dear that as few
as possible are left with it, and dearer the more urgent the order. Orders of several slots go over a pair of
nodes for each candidate, so that nobody gets two slots of one order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FAIRNESS = 2.0
"""Points of score given up rather than give one more order to somebody who has one. Tried in docs/matching.md."""

URGENT = {"U1": 3, "U2": 2, "U3": 1, "U4": 0}
"""Who is left with nobody when hands are short: the less urgent. Only then: numbers go before urgency."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One order: its candidates (numbers of takers) with their scores, each at most once."""

    takers: Ints
    scores: Floats
    slots: int = 1
    urgency: str = "U3"


def assign(
    demands: Sequence[Demand], hands: Ints, load: Floats, *, fairness: float = FAIRNESS
) -> list[tuple[int, ...]]:
    """The takers of each order: as many as it has slots, or none.

    Exact: among all ways to fill the most slots the one that leaves the least urgent with nobody, and among
    those the one with the highest sum of scores less ``fairness`` for every order already in a taker's hands.
    An order of several slots that would be filled in part is taken out and the rest solved again.

    Args:
        hands: by taker, how many more orders may be given.
        load: by taker, how many orders are in hand.
    """
    taking = [at for at, demand in enumerate(demands) if 0 < demand.slots <= len(demand.takers)]
    while True:
        found = _solved([demands[at] for at in taking], hands, load, fairness) if taking else []
        partly = {at for at, got in zip(taking, found, strict=True) if 0 < len(got) < demands[at].slots}
        if not partly:
            break
        taking = [at for at in taking if at not in partly]
    result: list[tuple[int, ...]] = [()] * len(demands)
    for at, got in zip(taking, found, strict=True):
        result[at] = got
    return result


@dataclass(slots=True)
class _Graph:
    """Edges of the bipartite graph, gathered in pieces."""

    rows: list[Ints] = field(default_factory=list)
    columns: list[Ints] = field(default_factory=list)
    costs: list[Floats] = field(default_factory=list)

    def add(self, rows: Ints, columns: Ints, costs: Floats) -> None:
        self.rows.append(rows)
        self.columns.append(columns)
        self.costs.append(costs)


def _solved(demands: Sequence[Demand], hands: Ints, load: Floats, fairness: float) -> list[tuple[int, ...]]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    slots = np.array([demand.slots for demand in demands])
    counts = np.array([len(demand.takers) for demand in demands])
    pairs = _Pairs(demands, slots, counts)
    copies, first, hand_load = _hands(pairs.takers, hands, load)
    dearest = 101.0 + fairness * (float(hand_load.max(initial=0.0)) + 1)
    graph = _Graph()

    # Slot rows first, then one row for each pair of an order with several slots.
    slot_rows = int(slots.sum())
    pair_columns = np.cumsum(pairs.several) - 1 + len(hand_load)
    pair_rows = np.cumsum(pairs.several) - 1 + slot_rows
    several = int(pairs.several.sum())
    single = ~pairs.several

    _to_hands(
        graph,
        pairs.slot_row[single],
        pairs.takers[single],
        101.0 - pairs.scores[single],
        copies,
        first,
        hand_load,
        fairness,
    )
    if several:
        chosen = np.flatnonzero(pairs.several)
        for nth in range(int(slots.max())):
            those = chosen[slots[pairs.order[chosen]] > nth]
            graph.add(pairs.slot_row[those] + nth, pair_columns[those], 101.0 - pairs.scores[those])
        graph.add(pair_rows[chosen], pair_columns[chosen], np.ones(len(chosen)))
        _to_hands(
            graph,
            pair_rows[chosen],
            pairs.takers[chosen],
            np.ones(len(chosen)),
            copies,
            first,
            hand_load,
            fairness,
        )

    rows = slot_rows + several
    nobody = np.arange(slot_rows)
    level = dearest * (rows + 1)
    urgency = np.repeat([float(URGENT.get(demand.urgency, 1)) for demand in demands], slots)
    graph.add(nobody, nobody + len(hand_load) + several, level * (4.0 * slot_rows + urgency))
    matrix = csr_array(
        (np.concatenate(graph.costs), (np.concatenate(graph.rows), np.concatenate(graph.columns))),
        shape=(rows, len(hand_load) + several + slot_rows),
    )
    row, column = min_weight_full_bipartite_matching(matrix)
    return _read(demands, pairs, row, column, copies, first, len(hand_load), several, slot_rows)


class _Pairs:
    """All (order, candidate) pairs in columns."""

    def __init__(self, demands: Sequence[Demand], slots: Ints, counts: Ints) -> None:
        self.order = np.repeat(np.arange(len(demands)), counts)
        self.takers: Ints = np.concatenate([demand.takers for demand in demands])
        self.scores: Floats = np.concatenate([demand.scores for demand in demands])
        self.several: NDArray[np.bool_] = (slots > 1)[self.order]
        self.slot_row: Ints = (np.cumsum(slots) - slots)[self.order]


def _hands(takers: Ints, hands: Ints, load: Floats) -> tuple[Ints, Ints, Floats]:
    """(free hands by taker, each taker's first column, by column how many are in hand before it)."""
    wanted = np.bincount(takers, minlength=len(hands))
    copies = np.minimum(np.maximum(hands, 0), wanted)
    first = np.cumsum(copies) - copies
    nth = np.arange(int(copies.sum())) - np.repeat(first, copies)
    return copies, first, np.repeat(load, copies) + nth


def _to_hands(
    graph: _Graph,
    rows: Ints,
    takers: Ints,
    costs: Floats,
    copies: Ints,
    first: Ints,
    hand_load: Floats,
    fairness: float,
) -> None:
    """Edges from rows to every free hand of their takers."""
    times = copies[takers]
    ends = np.cumsum(times)
    nth = np.arange(int(times.sum())) - np.repeat(ends - times, times)
    columns = np.repeat(first[takers], times) + nth
    graph.add(np.repeat(rows, times), columns, np.repeat(costs, times) + fairness * hand_load[columns])


def _read(
    demands: Sequence[Demand],
    pairs: _Pairs,
    row: Ints,
    column: Ints,
    copies: Ints,
    first: Ints,
    hands: int,
    several: int,
    slot_rows: int,
) -> list[tuple[int, ...]]:
    """Back from rows and columns to orders and takers."""
    owner = np.repeat(np.arange(len(copies)), copies)
    paired = pairs.takers[pairs.several]
    order_of = np.repeat(np.arange(len(demands)), [demand.slots for demand in demands])
    found: list[list[int]] = [[] for _ in demands]
    for at, to in zip(row.tolist(), column.tolist(), strict=True):
        if at < slot_rows and to < hands + several:
            found[order_of[at]].append(int(owner[to]) if to < hands else int(paired[to - hands]))
    return [tuple(takers) for takers in found]
