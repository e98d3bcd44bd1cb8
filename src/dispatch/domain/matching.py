"""Who is right for an order: hard filters first, then a score that explains itself.

The filters are product decision §4's; the criteria are those of domain.md §2.4 (skill and the check-in
list, distance, free time, load) with past verdicts and the same helper again (peers.md §4, 4 and 19).
Every formula works on numbers and on arrays of numbers alike: ``dispatch.matching.pool`` scores a whole
district with the same lines that explain one candidate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from math import cos, radians
from typing import Any
from uuid import UUID

from dispatch.domain import freetime
from dispatch.domain.ability import Skill, answering, unable
from dispatch.domain.conflict import UNTOLD, Concerned, conflicts
from dispatch.domain.freetime import Window
from dispatch.domain.geo import Point
from dispatch.domain.life import Party
from dispatch.domain.order import TakerKind

WEIGHTS: Mapping[str, float] = {
    "item": 25,
    "distance": 25,
    "free": 15,
    "load": 15,
    "verdict": 10,
    "continuity": 10,
}
"""How much each part counts. The order is that of domain.md §2.4; the figures are our own judgement, tried
out in docs/matching.md, and every tenant and item may have others."""

RESTING = "cooling_down"
"""The state of one who gave back too often lately (domain/taking.py)."""

WHY_NOT: Mapping[str, str] = {
    "suspended": "已暂停服务",
    "ended": "已不在册",
    RESTING: "近期退出接单较多，暂不再派",
    "on_leave": "请假中",
    "outside_ring": "不在派单范围内",
    UNTOLD: "按回避规定不参与本单",
    "own_order": "是本单的受益人",
    "same_household": "与受益人同住一户",
    "returned": "曾退过这一单",
    "said_no": "已婉拒或未回应这一单",
    "already_on_order": "已在这一单上",
    "staff_only": "只能由工作人员办理",
    "not_checked_in": "报到时没有选这类服务",
    "no_qualification": "没有所需的资质",
    "qualification_expired": "资质已过期",
    "under_age": "未成年，不能办理涉及未成年人的事项",
    "no_guardian_consent": "未成年，缺监护人同意",
    "not_free": "所需时间没有空",
    "at_capacity": "手上的单已满",
    "own_limit": "已到本人报到时定的每日或每周上限",
    "too_few_people": "能来的人数不够",
}
"""Every reason against a candidate, graver ones first."""

FIT_BY_OFFER, FIT_BY_SKILL, FIT_UNKNOWN = 1.0, 0.8, 0.5
"""Chosen on checking in; able, but not chosen; a body that has not told its people."""

HALF_WAY_METRES = 1000.0
"""At this distance the part is one half: a walk of 一刻钟, the service circle of the seeds (domain.md §1.1)."""

TREE_METRES = (250.0, 700.0, 2500.0, 8000.0)
"""What a common grid, community, street or nothing below the district stands for where no point is known: a
district of 152 communities and 730 grids (domain.md §8.1) on some 300 km² of built-up land, half a cell's width."""

METRES_PER_DEGREE = 111_320.0

HOURS_EACH = 2.0
"""A visit and its ways, hours: 四点半课堂, 陪诊 and small repairs take one to three (domain.md §7.2)."""

USUAL_HOURS = 4.0
"""A week's free hours where none were declared."""

UNKNOWN_FREE = 0.3
"""The free part where no free time was declared: below anyone who said so."""

PRIOR_SCORE, PRIOR_COUNT = 4.0, 5.0
"""A taker without a past counts as five verdicts of 满意: a single bad day ends nobody's turn."""

MASK64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Need:
    """An order as matching sees it.

    ``place`` holds the ids from the root to the order's place; ``at`` is in the tenant's zone. ``offers``
    are the check-in codes that answer the item, ``qualifications`` the codes of which one is demanded (None:
    none is; empty: any will do). ``capacity``: how many orders of any item a person may have in hand and still be
    offered this one; ``member_limit`` and ``body_limit``: how many of this item one may hold (None: no such limit).
    """

    order_id: UUID
    item_code: str
    item_name: str
    place: frozenset[UUID]
    ring_id: UUID
    at: datetime
    urgency: str = "U3"
    street_id: UUID | None = None
    community_id: UUID | None = None
    grid_id: UUID | None = None
    offers: frozenset[str] = frozenset()
    qualifications: frozenset[str] | None = None
    staff_only: bool = False
    minors: bool = False
    slots: int = 1
    capacity: int | None = None
    member_limit: int | None = None
    body_limit: int | None = None
    point: Point | None = None
    wanted: Window | None = None
    wanted_on: date | None = None
    concerned: Concerned = Concerned()  # noqa: RUF009 - frozen
    returned: frozenset[Party] = frozenset()
    said_no: frozenset[Party] = frozenset()
    on_it: frozenset[Party] = frozenset()

    @property
    def days(self) -> tuple[date, ...]:
        """On which somebody must be here: when asked, and when wanted."""
        return (self.at.date(), self.wanted_on or self.at.date())

    @property
    def window(self) -> Window:
        """The wanted time, or the days ahead."""
        return self.wanted or freetime.ahead(self.at)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member, unit or team as matching sees it. ``path`` holds the ids down to where it checked in.

    ``free`` None: nothing declared. ``active`` takes are in hand, ``asked`` offers wait for an answer; ``capacity``: how
    many of both there may be, whatever the item; ``of_items``: how many of items that have a limit of their own.
    ``helped``: how often the same beneficiary was helped. ``people``: whom a body may send; empty if it
    has not told. ``leaves`` are days, the last one excluded; ``this_day`` and ``this_week`` count what was
    taken in 24 hours and in seven days, ``most_a_day`` and ``most_a_week`` what the member wants at most.
    """

    kind: TakerKind
    id: UUID
    name: str
    path: tuple[UUID, ...]
    state: str = "active"
    street_id: UUID | None = None
    community_id: UUID | None = None
    grid_id: UUID | None = None
    point: Point | None = None
    offers: frozenset[str] = frozenset()
    offer_names: Mapping[str, str] = field(default_factory=dict)
    skills: tuple[Skill, ...] = ()
    free: int | None = None
    household_id: UUID | None = None
    address_key: str | None = None
    leaves: tuple[tuple[date, date], ...] = ()
    most_a_day: int | None = None
    most_a_week: int | None = None
    born_on: date | None = None
    guardian_consent_on: date | None = None
    active: int = 0
    asked: int = 0
    capacity: int = 3
    of_items: Mapping[str, int] = field(default_factory=dict)
    served: int = 0
    this_day: int = 0
    this_week: int = 0
    last_at: float = 0.0
    verdicts: int = 0
    verdict_sum: float = 0.0
    helped: int = 0
    people: tuple["Candidate", ...] = ()

    @property
    def party(self) -> Party:
        """How takes and targets call it."""
        return (self.kind, self.id)

    @property
    def body(self) -> bool:
        """A unit or team rather than a person."""
        return self.kind is not TakerKind.MEMBER

    @property
    def in_hand(self) -> int:
        """What is held and what waits for an answer."""
        return self.active + self.asked

    @property
    def own_slots(self) -> int | None:
        """How many more the member wants at most; None without such a wish."""
        left = []
        if self.most_a_day is not None:
            left.append(self.most_a_day - self.this_day)
        if self.most_a_week is not None:
            left.append(self.most_a_week - self.this_week)
        return min(left, default=None)

    @property
    def free_slots(self) -> int:
        """How many more may be offered, whatever the item: by what is in hand, and by what the member wants at most."""
        left, own = self.capacity - self.in_hand, self.own_slots
        return left if own is None else min(left, own)

    def away(self, on: date) -> bool:
        """Whether a leave covers a day."""
        return any(start <= on < until for start, until in self.leaves)

    @property
    def weekly_hours(self) -> float:
        """Declared availability, hours a week."""
        return USUAL_HOURS if self.free is None else max(freetime.hours(self.free), HOURS_EACH / 2)


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's value (0 to 100), the parts it was made of (0 to 1 each) and what they mean in words."""

    value: float
    parts: Mapping[str, float]
    reasons: tuple[str, ...]


# --- filters --------------------------------------------------------------------------------


def why_not(need: Need, who: Candidate) -> tuple[str, ...]:
    """Every reason against a candidate, graver ones first; none if the order may be offered."""
    against = {*_standing(need, who), *_past(need, who)}
    if who.body:
        against |= set(_body(need, who))
    else:
        against |= {
            *conflicts(need.concerned, who.id, who.household_id, who.address_key),
            *_person(need, who),
        }
    return tuple(code for code in WHY_NOT if code in against)


def _standing(need: Need, who: Candidate) -> Iterable[str]:
    if who.state != "active":
        yield who.state
    # A body serves the place it stands for and all below; a member belongs to the community of the check-in.
    if need.ring_id not in who.path and not (who.body and who.path and who.path[-1] in need.place):
        yield "outside_ring"
    if need.staff_only:
        yield "staff_only"
    if hands(need, who) <= 0:
        yield "at_capacity"
    elif who.own_slots is not None and who.own_slots <= 0:
        yield "own_limit"


def hands(need: Need, who: Candidate) -> int:
    """How many more orders like this one may be offered by what is in hand: of everything, and of its item."""
    left = [who.capacity - who.in_hand]
    if need.capacity is not None:
        left.append(need.capacity * max(len(who.people), 1) - who.in_hand)
    most = need.body_limit if who.body else need.member_limit
    if most is not None:
        left.append(most - who.of_items.get(need.item_code, 0))
    return min(left)


def _past(need: Need, who: Candidate) -> Iterable[str]:
    for code, parties in (
        ("returned", need.returned),
        ("said_no", need.said_no),
        ("already_on_order", need.on_it),
    ):
        if who.party in parties:
            yield code


def _person(need: Need, who: Candidate) -> Iterable[str]:
    on = need.at.date()
    qualified = qualifying(need, who)
    if any(who.away(day) for day in need.days):
        yield "on_leave"
    yield from unable(need.qualifications, need.minors, who.skills, who.born_on, who.guardian_consent_on, on)
    if not who.offers & need.offers and not any(skill.stands(on) for skill in qualified):
        yield "not_checked_in"
    if need.wanted and who.free is not None and not freetime.fits(who.free, need.wanted):
        yield "not_free"


def qualifying(need: Need, who: Candidate) -> tuple[Skill, ...]:
    """The candidate's skills that answer the item's demand, expired ones too."""
    return answering(need.qualifications, who.skills)


def able(need: Need, who: Candidate) -> list[Candidate]:
    """Whom of its people a body could send."""
    return [
        one
        for one in who.people
        if one.state == "active"
        and not conflicts(need.concerned, one.id, one.household_id, one.address_key)
        and not any(_person(need, one))
    ]


def _body(need: Need, who: Candidate) -> Iterable[str]:
    """A body without a list of people is believed; one with a list must have enough who can."""
    if who.id in need.concerned.kept:
        yield UNTOLD
    if who.people and len(able(need, who)) < need.slots:
        yield "too_few_people"


# --- parts, each 0 to 1 ---------------------------------------------------------------------


def metres(need: Need, who: Candidate) -> tuple[float, bool]:
    """How far the way is, and whether it was measured (or only read off the tree of places)."""
    if need.point is not None and who.point is not None:
        return apart(need.point, who.point.lng, who.point.lat), True
    return TREE_METRES[level(need, who)], False


def level(need: Need, who: Candidate) -> int:
    """The smallest place in common: 0 grid, 1 community, 2 street, 3 none of them."""
    common = (
        need.grid_id is not None and need.grid_id == who.grid_id,
        need.community_id is not None and need.community_id == who.community_id,
        need.street_id is not None and need.street_id == who.street_id,
    )
    return next((level for level, same in enumerate(common) if same), 3)


def apart(point: Point, lng: Any, lat: Any) -> Any:
    """Metres between WGS-84 points; on a plane, which within 50 km is off by less than a thousandth."""
    east = (lng - point.lng) * (METRES_PER_DEGREE * cos(radians(point.lat)))
    north = (lat - point.lat) * METRES_PER_DEGREE
    return (east * east + north * north) ** 0.5


def nearness(distance: Any) -> Any:
    """1 next door, one half at a walk of a quarter of an hour."""
    return HALF_WAY_METRES / (HALF_WAY_METRES + distance)


def lightness(active: Any, weekly_hours: Any) -> Any:
    """1 with empty hands; the orders in hand against the hours one declared."""
    return 1 / (1 + active * HOURS_EACH / weekly_hours)


def esteem(verdicts: Any, verdict_sum: Any) -> Any:
    """The mean verdict of five, drawn towards the usual one while there are few."""
    return (PRIOR_SCORE * PRIOR_COUNT + verdict_sum) / (PRIOR_COUNT + verdicts) / 5


def familiarity(helped: Any) -> Any:
    """0 for a stranger, one half after the first time."""
    return helped / (helped + 1)


def leisure(free_quarters: Any) -> Any:
    """Free quarters in a window of which any hour will do."""
    return free_quarters / freetime.PLENTY_QUARTERS


def parts(need: Need, who: Candidate) -> dict[str, float]:
    """What the value is made of."""
    return {
        "item": _fit(need, who),
        "distance": nearness(metres(need, who)[0]),
        "free": _free(need, who),
        "load": lightness(who.active, who.weekly_hours),
        "verdict": esteem(who.verdicts, who.verdict_sum),
        "continuity": familiarity(who.helped),
    }


def _fit(need: Need, who: Candidate) -> float:
    if who.body:
        return FIT_BY_OFFER if who.people else FIT_UNKNOWN
    return FIT_BY_OFFER if who.offers & need.offers else FIT_BY_SKILL


def _free(need: Need, who: Candidate) -> float:
    if who.body:
        return max((_free(need, one) for one in able(need, who)), default=UNKNOWN_FREE)
    if who.free is None:
        return UNKNOWN_FREE
    if need.window.whole:
        return 1.0
    return min(float(leisure(freetime.within(who.free, need.window).bit_count())), 1.0)


def value(found: Mapping[str, Any], weights: Mapping[str, float]) -> Any:
    """0 to 100: the weighted mean of the parts."""
    total = sum(weights.values())
    return 100 * sum(weights[name] * found[name] for name in weights) / total


# --- order ----------------------------------------------------------------------------------


def turn(order_id: UUID, id: UUID) -> int:
    """A number that puts equals in another order for every order of the day."""
    return ((order_id.int ^ id.int) & MASK64) * GOLDEN & MASK64


def place_in_line(need: Need, who: Candidate, worth: float) -> tuple[float, int, float, int]:
    """The sort key: better first; among equals who served less, then whose last time is longest ago, then by turns."""
    return (-worth, who.served, who.last_at, turn(need.order_id, who.id))


def rank(
    need: Need, candidates: Sequence[Candidate], weights: Mapping[str, float] = WEIGHTS
) -> list[tuple[Candidate, float]]:
    """Those to whom the order may be offered, best first, one by one: the yardstick of ``pool.Pool.best``."""
    found = [
        (who, round(value(parts(need, who), weights), 1)) for who in candidates if not why_not(need, who)
    ]
    return sorted(found, key=lambda line: place_in_line(need, line[0], line[1]))
