"""The assignment is the best there is: checked against other ways of finding it."""

from collections import Counter
from itertools import combinations, product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from dispatch.matching.solver import URGENT, Demand, assign

seeds = st.integers(0, 2**32)


def some(
    dice: Random, orders: int, takers: int, *, most_slots: int = 1
) -> tuple[list[Demand], np.ndarray, np.ndarray]:
    demands = []
    for _ in range(orders):
        known = dice.sample(range(takers), dice.randint(0, min(4, takers)))
        scores = [float(dice.randint(0, 100)) for _ in known]
        demands.append(
            Demand(
                np.array(known, dtype=np.int64),
                np.array(scores),
                dice.randint(1, most_slots),
                dice.choice(("U2", "U3", "U4")),
            )
        )
    hands = np.array([dice.randint(0, 2) for _ in range(takers)])
    return demands, hands, np.array([float(dice.randint(0, 3)) for _ in range(takers)])


Worth = tuple[int, int, float]


def worth(demands: list[Demand], found: list[tuple[int, ...]], load: np.ndarray, fairness: float) -> Worth:
    """(slots filled, urgency served, score less unfairness): more is better, in this order."""
    given: Counter[int] = Counter()
    filled, urgent, value = 0, 0, 0.0
    for demand, takers in zip(demands, found, strict=True):
        filled += len(takers)
        urgent += URGENT[demand.urgency] * len(takers)
        for taker in takers:
            value += demand.scores[demand.takers.tolist().index(taker)] - fairness * (
                load[taker] + given[taker]
            )
            given[taker] += 1
    return filled, urgent, round(value, 6)


def lawful(demands: list[Demand], found: list[tuple[int, ...]], hands: np.ndarray) -> None:
    given: Counter[int] = Counter()
    for demand, takers in zip(demands, found, strict=True):
        assert len(takers) in (0, demand.slots)
        assert len(set(takers)) == len(takers)
        assert set(takers) <= set(demand.takers.tolist())
        given.update(takers)
    assert all(count <= hands[taker] for taker, count in given.items())


@settings(max_examples=150, deadline=None)
@given(seeds, st.sampled_from([0.0, 2.0, 30.0]))
def test_no_other_assignment_of_a_small_case_is_better(seed: int, fairness: float):
    dice = Random(seed)
    demands, hands, load = some(dice, dice.randint(1, 5), dice.randint(1, 4))
    best: Worth = (0, 0, 0.0)
    for choice in product(*[[(), *((taker,) for taker in demand.takers.tolist())] for demand in demands]):
        given = Counter(taker for takers in choice for taker in takers)
        if all(count <= hands[taker] for taker, count in given.items()):
            best = max(best, worth(demands, list(choice), load, fairness))
    found = assign(demands, hands, load, fairness=fairness)
    lawful(demands, found, hands)
    assert worth(demands, found, load, fairness) == pytest.approx(best)


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_visits_of_two_get_two_different_people_and_the_best_of_them(seed: int):
    dice = Random(seed)
    demands, hands, load = some(dice, dice.randint(1, 4), dice.randint(2, 4), most_slots=2)
    found = assign(demands, hands, load)
    lawful(demands, found, hands)
    ways = [[(), *combinations(demand.takers.tolist(), demand.slots)] for demand in demands]
    best: Worth = (0, 0, 0.0)
    for choice in product(*ways):
        given = Counter(taker for takers in choice for taker in takers)
        if all(count <= hands[taker] for taker, count in given.items()):
            best = max(best, worth(demands, list(choice), load, 2.0))
    told = worth(demands, found, load, 2.0)
    assert told <= best
    if all(len(takers) == demand.slots for demand, takers in zip(demands, found, strict=True)):
        assert told == pytest.approx(best), "where everybody gets what he needs it is the best of all"


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_dense_hungarian_method_finds_nothing_better(seed: int):
    dice = Random(seed)
    orders, takers = 40, 30
    demands, hands, load = some(dice, orders, takers)
    demands = [Demand(demand.takers, demand.scores) for demand in demands]
    columns = [(taker, nth) for taker in range(takers) for nth in range(hands[taker])]
    dense = np.full((orders, len(columns) + orders), 1e6)
    for at, demand in enumerate(demands):
        for taker, score in zip(demand.takers.tolist(), demand.scores.tolist(), strict=True):
            for place, (whose, nth) in enumerate(columns):
                if whose == taker:
                    dense[at, place] = 100 - score + 2.0 * (load[taker] + nth)
    rows, chosen = linear_sum_assignment(dense)
    other = [
        (columns[column][0],) if column < len(columns) and dense[row, column] < 1e6 else ()
        for row, column in zip(rows, chosen, strict=True)
    ]
    found = assign(demands, hands, load)
    lawful(demands, found, hands)
    assert worth(demands, found, load, 2.0) == pytest.approx(worth(demands, other, load, 2.0))


def test_when_hands_are_short_the_more_urgent_are_served():
    demands = [
        Demand(np.array([0]), np.array([99.0]), urgency="U4"),
        Demand(np.array([0]), np.array([1.0]), urgency="U2"),
    ]
    assert assign(demands, np.array([1]), np.zeros(1)) == [(), (0,)]


def test_nobody_who_could_be_placed_is_left_for_the_sake_of_a_better_score():
    demands = [Demand(np.array([0, 1]), np.array([100.0, 0.0])), Demand(np.array([0]), np.array([1.0]))]
    assert assign(demands, np.array([1, 1]), np.zeros(2)) == [(1,), (0,)]


def test_nothing_asked_or_nobody_there_is_no_error():
    assert assign([], np.array([1]), np.zeros(1)) == []
    empty = Demand(np.array([], dtype=np.int64), np.array([]))
    assert assign([empty], np.array([1]), np.zeros(1)) == [()]
    assert assign([Demand(np.array([0]), np.array([5.0]))], np.array([0]), np.zeros(1)) == [()]


def test_a_thousand_equal_orders_among_twenty_equals_leave_nobody_two_apart():
    dice = Random(80)
    taken = np.zeros(20)
    for _ in range(20):
        demands = [Demand(np.array(dice.sample(range(20), 20)), np.full(20, 70.0)) for _ in range(50)]
        for takers in assign(demands, np.full(20, 1000), taken):
            taken[list(takers)] += 1
    assert taken.sum() == 1000
    assert taken.max() - taken.min() <= 2
