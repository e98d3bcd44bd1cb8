"""Sixty days of a generated district, three ways of bringing demand and hands together.

(a) a pool: who looks first takes; (b) greedy: every order in turn is offered to the best who is free; (c) all that
waits is matched at once, as ``POST /v1/matching/run`` does. The people, the demand and what each person would answer
to each order are the same in all three. ``python -m benchmarks simulation`` writes the results, the plots and what
docs/matching.md says of them.
"""

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import mean, median
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks import results, svg
from benchmarks.district import Arrival, demand, district, in_ring
from dispatch.domain.explaining import scored
from dispatch.domain.matching import Candidate, Need, metres, why_not
from dispatch.domain.matchrule import Rule
from dispatch.matching.batch import Waiting, placements
from dispatch.matching.pool import Pool

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "matching.md"
BEGIN_MARK, END_MARK = (
    "<!-- begin: python -m benchmarks simulation -->",
    "<!-- end: python -m benchmarks simulation -->",
)

TICK = 30
"""Minutes between two looks at what waits."""
PATIENCE = 48 * 60
"""Minutes after which an order that nobody took counts as not matched."""
OFFER = 60
"""Minutes in which an offer must be answered."""
ANSWERS_AFTER = 25.0
"""Mean minutes until a person who will answer does."""
LOOKS_A_DAY = 0.5
"""How often a member looks into the pool, on average; a few look far more often than the others (log-normal, σ = 1)."""
WILLING, LESS_PER_ORDER, FALLS_OFF = 0.75, 0.8, 6000.0
"""Says yes: three of four with empty hands next door, four fifths of that with every order in hand, less with distance (m)."""
WORK = (24 * 60, 72 * 60)
"""Minutes from taking an order to its end."""
RINGS_AFTER = 240
"""Minutes until an order in the pool is open to its whole street."""


@dataclass
class Order:
    """An order on its way."""

    number: int
    arrival: Arrival
    need: Need
    taken: list[tuple[int, int]] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)
    filled_at: int | None = None

    @property
    def missing(self) -> int:
        return self.need.slots - len(self.taken) - len(self.asked)

    def waits(self, now: int) -> bool:
        return self.filled_at is None and now - self.arrival.minute <= PATIENCE


class World:
    """The people, and what they hold."""

    def __init__(self, members: list[Candidate]) -> None:
        self.members = members
        self.pool = Pool(members)
        self.pool.free_slots = np.full(len(members), 3)
        self.pool.active = np.zeros(len(members))
        self.ends: list[tuple[int, int]] = []
        self.loads = np.zeros(len(members))
        self.helped: dict[UUID, dict[Any, int]] = {}
        self.kilometres: list[float] = []
        self.again = 0

    def hold(self, row: int, by: int) -> None:
        self.pool.active[row] += by
        self.pool.free_slots[row] -= by

    def willing(self, order: Order, row: int) -> tuple[bool, int]:
        """What this person says to this order and after how many minutes: the same in every world."""
        who = self.members[row]
        dice = Random(order.need.order_id.int ^ who.id.int)
        way, _ = metres(order.need, who)
        in_hand = max(float(self.pool.active[row]) - 1, 0)
        chance = WILLING * LESS_PER_ORDER**in_hand * math.exp(-way / FALLS_OFF)
        return dice.random() < chance, int(dice.expovariate(1 / ANSWERS_AFTER)) + 1

    def take(self, order: Order, row: int, now: int) -> None:
        who, need = self.members[row], order.need
        order.taken.append((row, now))
        if len(order.taken) == need.slots:
            order.filled_at = now
        self.loads[row] += 1
        self.pool.served[row] += 1
        self.pool.last_at[row] = now
        self.kilometres.append(metres(need, who)[0] / 1000)
        before = self.helped.setdefault(need.concerned.beneficiary_id, {})
        self.again += who.party in before
        before[who.party] = before.get(who.party, 0) + 1
        heapq.heappush(self.ends, (now + Random(need.order_id.int).randint(*WORK), row))

    def settle(self, now: int) -> None:
        while self.ends and self.ends[0][0] <= now:
            self.hold(heapq.heappop(self.ends)[1], -1)


Chooser = Callable[[World, list[Order]], list[tuple[Order, int]]]


def greedy(world: World, waiting: list[Order]) -> list[tuple[Order, int]]:
    """Each order in turn to the best who is free then: in its community, else in its street."""
    chosen = []
    for order in waiting:
        known = world.helped.get(order.need.concerned.beneficiary_id, {})
        rows = {world.pool.row[party]: times for party, times in known.items()}
        for ring_id in (order.need.community_id, order.need.street_id):
            best, _ = world.pool.best(in_ring(order.need, ring_id), limit=order.missing, helped=rows)
            if len(best) == order.missing:
                chosen += [(order, int(row)) for row in best]
                for row in best:
                    world.hold(int(row), 1)
                break
    return chosen


RULE = Rule()


def together(world: World, waiting: list[Order]) -> list[tuple[Order, int]]:
    """All at once, by the matcher that the service runs."""
    by_id = {order.need.order_id: order for order in waiting}
    found = [Waiting(None, replace(order.need, slots=order.missing), RULE) for order in waiting]  # type: ignore[arg-type]
    placed = placements(found, world.pool, world.helped)
    return [
        (by_id[order_id], world.pool.row[who.party])
        for order_id, one in placed.items()
        for who, _ in one.takers
    ]


def started(arrivals: list[Arrival]) -> list[Order]:
    return [Order(nth, one, one.need) for nth, one in enumerate(arrivals)]


def by_offers(
    members: list[Candidate], arrivals: list[Arrival], choose: Chooser
) -> tuple[World, list[Order]]:
    """Offers go out at every tick of the day and are answered in their time."""
    world, orders = World(members), started(arrivals)
    waiting: list[Order] = []
    answers: list[tuple[int, int, int, bool]] = []
    upcoming = 0
    for now in range(0, arrivals[-1].minute + PATIENCE + TICK, TICK):
        _answered(world, orders, answers, now)
        world.settle(now)
        while upcoming < len(orders) and arrivals[upcoming].minute <= now:
            waiting.append(orders[upcoming])
            upcoming += 1
        waiting = [order for order in waiting if order.waits(now)]
        free = [order for order in waiting if order.missing > 0]
        if not free or not 7 * 60 <= now % 1440 < 22 * 60:
            continue
        for order, row in choose(world, free):
            yes, after = world.willing(order, row)
            order.asked.add(row)
            order.need = replace(order.need, on_it=order.need.on_it | {members[row].party})
            heapq.heappush(answers, (now + min(after, OFFER), order.number, row, yes and after <= OFFER))
    return world, orders


def _answered(world: World, orders: list[Order], answers: list[tuple[int, int, int, bool]], now: int) -> None:
    """Answers up to now: a yes keeps the hand that the offer held, anything else frees it for good."""
    while answers and answers[0][0] <= now:
        at, number, row, yes = heapq.heappop(answers)
        order = orders[number]
        order.asked.discard(row)
        if yes and order.waits(at):
            world.take(order, row, at)
        else:
            world.hold(row, -1)


def by_pool(members: list[Candidate], arrivals: list[Arrival]) -> tuple[World, list[Order]]:
    """Everybody looks at times of his own and takes the oldest order that he can and will do."""
    world, orders = World(members), started(arrivals)
    shelves: dict[UUID, list[Order]] = {}
    upcoming = 0
    for now, row in _looks(members, arrivals[-1].minute + PATIENCE):
        world.settle(now)
        while upcoming < len(orders) and arrivals[upcoming].minute <= now:
            order = orders[upcoming]
            shelves.setdefault(order.need.street_id, []).append(order)  # type: ignore[arg-type]
            upcoming += 1
        if world.pool.free_slots[row] <= 0:
            continue
        street = members[row].street_id
        shelves[street] = [order for order in shelves.get(street, ()) if order.waits(now)]  # type: ignore[index]
        for order in shelves[street]:  # type: ignore[index]
            if _takes(world, order, row, now):
                break
    return world, orders


def _takes(world: World, order: Order, row: int, now: int) -> bool:
    who, need = world.members[row], order.need
    wider = now - order.arrival.minute >= RINGS_AFTER and need.street_id
    if need.community_id not in who.path and not wider:
        return False
    if who.party in need.on_it or why_not(in_ring(need, need.street_id or need.ring_id), who):
        return False
    world.hold(row, 1)
    order.need = replace(need, on_it=need.on_it | {who.party})
    if not world.willing(order, row)[0]:
        world.hold(row, -1)
        return False
    world.take(order, row, now)
    return True


def _looks(members: list[Candidate], until: int) -> list[tuple[int, int]]:
    """When who looks: by day, a few of them often."""
    dice = Random(11)
    eager = [dice.lognormvariate(0, 1) for _ in members]
    usual = mean(eager)
    found = []
    for row, times in enumerate(eager):
        minute = 0.0
        while True:
            minute += dice.expovariate(LOOKS_A_DAY * times / usual / (15 * 60))
            day, rest = divmod(minute, 15 * 60)
            at = int(day * 1440 + 7 * 60 + rest)
            if at > until:
                break
            found.append((at, row))
    return sorted(found)


# --- what came of it ------------------------------------------------------------------------

HEAD = ("way", "matched %", "median h", "p90 h", "mean km", "same helper %", "helpers", "most", "Gini")


def gini(loads: np.ndarray) -> float:
    """0: all carry the same; 1: one carries all."""
    ordered = np.sort(loads)
    place = np.arange(1, len(ordered) + 1)
    return float((2 * place - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


def figures(name: str, world: World, orders: list[Order]) -> tuple[object, ...]:
    hours = _hours(orders)
    return (
        name,
        round(100 * len(hours) / len(orders), 1),
        round(median(hours), 1),
        round(hours[int(0.9 * len(hours))], 1),
        round(mean(world.kilometres), 2),
        round(100 * world.again / len(world.kilometres), 1),
        int((world.loads > 0).sum()),
        int(world.loads.max()),
        round(gini(world.loads), 3),
    )


def _hours(orders: list[Order]) -> list[float]:
    return sorted(
        (order.filled_at - order.arrival.minute) / 60 for order in orders if order.filled_at is not None
    )


def _curve(orders: list[Order]) -> list[tuple[float, float]]:
    hours = _hours(orders)
    return [(at / 2, 100 * np.searchsorted(hours, at / 2, "right") / len(orders)) for at in range(97)]


def _lorenz(world: World) -> list[tuple[float, float]]:
    shares = np.cumsum(np.sort(world.loads)) / world.loads.sum() * 100
    return [(at, float(shares[min(int(at / 100 * len(shares)), len(shares) - 1)])) for at in range(101)]


# --- ten explanations -----------------------------------------------------------------------


def examples(count: int = 10) -> list[str]:
    """The best candidates of orders of many kinds, in the words that a dispatcher reads."""
    place = district()
    pool = Pool(place.members)
    told: list[str] = []
    kinds: set[tuple[str, ...]] = set()
    names: set[str] = set()
    # Those that ask for a qualification are few: two of them come first.
    arrivals = sorted(demand(place, days=4), key=lambda one: (one.need.qualifications is None, one.minute))
    qualified = 0
    for nth, arrival in enumerate(arrivals):
        need = arrival.need
        rows, _ = pool.best(need, limit=1)
        if not len(rows) or need.item_name in names or (need.qualifications is not None and qualified == 2):
            continue
        qualified += need.qualifications is not None
        who = place.members[rows[0]]
        if nth % 3 == 0:  # somebody whom the resident knows, and who has something in hand
            who = replace(who, helped=1 + nth % 2, active=1 + nth % 2)
        said = scored(need, who)
        kind = tuple(sorted({reason[:3] for reason in said.reasons}))
        if kind in kinds:
            continue
        kinds.add(kind)
        names.add(need.item_name)
        told.append(
            f"{len(told) + 1}. **{need.item_name}**：{who.name}，{said.value}分。{'；'.join(said.reasons)}。"
        )
        if len(told) == count:
            break
    return told


# --- the page -------------------------------------------------------------------------------


def section(rows: list[tuple[object, ...]], orders: int) -> str:
    """What docs/matching.md says of a run."""
    table = [f"| {' | '.join(map(str, line))} |" for line in (HEAD, ["---"] * len(HEAD), *rows)]
    return "\n".join(
        [
            BEGIN_MARK,
            f"{orders} orders in 60 days, 4,833 members, 152 communities; the same people, demand and answers in all three.",
            "",
            *table,
            "",
            "![Matched over time](matching/matched.svg)",
            "",
            "![Who carries how much](matching/load.svg)",
            "",
            "![Figures](matching/figures.svg)",
            "",
            "### Ten explanations",
            "",
            *examples(),
            END_MARK,
        ]
    )


def written(text: str) -> None:
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN_MARK)
    _, _, after = rest.partition(END_MARK)
    PAGE.write_text(f"{before}{text}{after}", encoding="utf-8")


def run() -> bool:
    """Simulate, write and judge: matching at once must not be behind in any of the four figures that count."""
    began = time.process_time()
    place = district()
    arrivals = demand(place)
    ways = {
        "(a) pool": by_pool(place.members, arrivals),
        "(b) greedy": by_offers(place.members, arrivals, greedy),
        "(c) matched": by_offers(place.members, arrivals, together),
    }
    rows = [figures(name, *found) for name, found in ways.items()]
    seconds = time.process_time() - began
    said = f"{len(arrivals)} orders of {len(place.members)} members' district in 60 days; {seconds:.0f} s of CPU for all three."
    results.write("simulation", "Sixty days, three ways", said, HEAD, rows)
    svg.lines(
        DOCS / "matching/matched.svg",
        "Matched within h hours",
        "hours",
        "% of orders",
        {name: _curve(orders) for name, (_, orders) in ways.items()},
    )
    svg.lines(
        DOCS / "matching/load.svg",
        "Who carries how much",
        "% of members, least busy first",
        "% of takes",
        {name: _lorenz(world) for name, (world, _) in ways.items()} | {"equal": [(0, 0), (100, 100)]},
    )
    svg.bars(
        DOCS / "matching/figures.svg",
        "Sixty days",
        "",
        {
            name: {"matched %": float(row[1]), "median h": float(row[2]), "p90 h": float(row[3])}  # type: ignore[arg-type]
            for name, row in zip(ways, rows, strict=True)
        },
    )
    written(section(rows, len(arrivals)))
    return seconds <= 120 and _ahead(rows)


def _ahead(rows: list[tuple[Any, ...]]) -> bool:
    """Against the pool in everything; against greedy in nothing behind by more than a hundredth."""
    pool, greedy_, ours = rows
    return (
        ours[1] > pool[1]
        and ours[2] < pool[2]
        and ours[8] < pool[8]
        and ours[1] >= greedy_[1] * 0.99
        and ours[8] <= greedy_[8] * 1.01
    )
