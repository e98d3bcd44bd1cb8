"""A generated district of the size that the sources report, with its people and sixty days of its demand.

21 streets, 152 communities, 730 grids, 4,833 members (domain.md §8.1); the catalogue and the check-in list are
the shipped ones. What nobody reports is drawn by dice with a fixed seed, and said so in docs/matching.md.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any
from uuid import UUID

from dispatch.domain import freetime
from dispatch.domain.ability import Skill
from dispatch.domain.conflict import Concerned
from dispatch.domain.geo import Point
from dispatch.domain.matching import Candidate, Need
from dispatch.domain.matchrule import QUALIFICATIONS
from dispatch.domain.order import TakerKind

SEED = 20261122
STREETS, COMMUNITIES, GRIDS, MEMBERS = 21, 152, 730, 4833
DAYS = 60
PER_DAY = 200.0
"""Orders of a usual day, of the 150 to 400 that a district should hold (domain.md §8.4)."""
BURSTS = 8
BURST_HOURS, BURST_TIMES = 2, 12
"""Eight times in the sixty days demand is twelve times its usual for two hours (domain.md §8.3, storms and cold waves)."""
BEGIN = datetime(2026, 9, 21, tzinfo=UTC)  # a Monday; the simulation's clock is local time
CENTRE, HALF_SIDE = Point(112.6, 26.9), 0.09  # some 18 × 20 km

SKILLS = {
    "electrician": "持证电工",
    "locksmith": "持证开锁",
    "nurse": "护士",
    "doctor": "医师",
    "counsellor": "心理咨询师",
    "lawyer": "律师",
    "teacher": "教师",
    "barber": "理发师",
}
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
GIVEN = (
    "建国",
    "秀英",
    "志强",
    "丽娟",
    "海燕",
    "晓东",
    "立新",
    "红霞",
    "文斌",
    "学军",
    "美玲",
    "思远",
    "雨桐",
    "静怡",
)


@dataclass(frozen=True)
class Item:
    """One service item, as far as matching reads it."""

    code: str
    name: str
    urgency: str
    flags: tuple[str, ...]
    offers: frozenset[str]


@dataclass(frozen=True)
class District:
    """Places as (street, community, grid, middle of the community), and everybody in it."""

    root: UUID
    grids: list[tuple[UUID, UUID, UUID, Point]]
    items: list[Item]
    offer_names: dict[str, str]
    members: list[Candidate]


def id_(dice: Random) -> UUID:
    return UUID(int=dice.getrandbits(128))


def catalogue() -> tuple[list[Item], dict[str, str]]:
    """The items that some check-in item answers and that are not left to staff."""
    told: dict[str, Any] = json.loads(
        files("dispatch.catalog").joinpath("default/catalog.json").read_text("utf-8")
    )
    offers: dict[str, set[str]] = {}
    for line in told["checkin_items"]:
        for code in line["item_codes"]:
            offers.setdefault(code, set()).add(line["code"])
    items = [
        Item(
            item["code"], item["name"], item["urgency"], tuple(item["flags"]), frozenset(offers[item["code"]])
        )
        for category in told["categories"]
        for item in category["items"]
        if item["code"] in offers and "staff_only" not in item["flags"]
    ]
    return items, {line["code"]: line["name"] for line in told["checkin_items"]}


def district(seed: int = SEED, members: int = MEMBERS) -> District:
    """The same district on every call."""
    dice = Random(seed)
    root = id_(dice)
    streets = [id_(dice) for _ in range(STREETS)]
    grids = []
    for nth in range(COMMUNITIES):
        community = id_(dice)
        middle = near(dice, CENTRE, HALF_SIDE, flat=True)
        for _ in range(GRIDS // COMMUNITIES + (nth < GRIDS % COMMUNITIES)):
            grids.append((streets[nth % STREETS], community, id_(dice), middle))
    items, names = catalogue()
    paths: dict[UUID, tuple[UUID, ...]] = {}
    people = [_member(dice, root, grids, names, paths) for _ in range(members)]
    return District(root, grids, items, names, people)


def near(dice: Random, middle: Point, spread: float, *, flat: bool = False) -> Point:
    draw = (lambda: dice.uniform(-spread, spread)) if flat else (lambda: dice.gauss(0, spread))
    return Point(middle.lng + draw(), middle.lat + draw())


def _member(
    dice: Random,
    root: UUID,
    grids: list[tuple[UUID, UUID, UUID, Point]],
    names: dict[str, str],
    paths: dict[UUID, tuple[UUID, ...]],
) -> Candidate:
    street, community, grid, middle = dice.choice(grids)
    evenings = dice.sample(range(1, 6), dice.randint(1, 3))
    spans = [{"weekday": day, "from": "18:00", "to": "21:00"} for day in evenings]
    spans += [{"weekday": day, "from": "08:30", "to": "17:30"} for day in (6, 7) if dice.random() < 0.5]
    if dice.random() < 0.25:  # shifts, retirement near, home office
        spans += [{"weekday": day, "from": "09:00", "to": "17:00"} for day in dice.sample(range(1, 6), 2)]
    skills = dice.sample(sorted(SKILLS), 1) if dice.random() < 0.3 else []
    verdicts = dice.choice((0, 0, 1, 3, 8))
    return Candidate(
        kind=TakerKind.MEMBER,
        id=id_(dice),
        name=dice.choice(SURNAMES) + dice.choice(GIVEN),
        path=paths.setdefault(community, (root, street, community)),
        street_id=street,
        community_id=community,
        grid_id=grid,
        point=near(dice, middle, 0.004) if dice.random() < 0.8 else None,
        offers=frozenset(dice.sample(sorted(names), dice.randint(2, 5))),
        offer_names=names,
        skills=tuple(
            Skill(code, SKILLS[code], (BEGIN + timedelta(days=dice.randint(30, 900))).date())
            for code in skills
        ),
        free=freetime.week(spans) if dice.random() < 0.9 else None,
        verdicts=verdicts,
        verdict_sum=float(sum(dice.choice((3, 4, 4, 5, 5)) for _ in range(verdicts))),
    )


@dataclass(frozen=True)
class Arrival:
    """An order and the minute at which the community accepts it."""

    minute: int
    need: Need


def demand(place: District, days: int = DAYS, per_day: float = PER_DAY, seed: int = SEED) -> list[Arrival]:
    """Orders by the minute: between seven and ten at night, with bursts, items as the catalogue lists them."""
    dice = Random(seed + 1)
    residents = [(id_(dice), dice.choice(place.grids)) for _ in range(6000)]
    bursts = {(dice.randrange(days), dice.randrange(8, 18)) for _ in range(BURSTS)}
    found = []
    for day in range(days):
        for hour in range(7, 22):
            usual = per_day / 15
            times = BURST_TIMES if any(day == d and h <= hour < h + BURST_HOURS for d, h in bursts) else 1
            for _ in range(_poisson(dice, usual * times)):
                minute = day * 1440 + hour * 60 + dice.randrange(60)
                found.append(Arrival(minute, _need(dice, place, residents, minute)))
    return sorted(found, key=lambda one: one.minute)


def _poisson(dice: Random, mean: float) -> int:
    count, waited = 0, dice.expovariate(1.0)
    while waited < mean:
        count += 1
        waited += dice.expovariate(1.0)
    return count


def _need(dice: Random, place: District, residents: list[Any], minute: int) -> Need:
    resident, (street, community, grid, middle) = dice.choice(residents)
    item = dice.choice(place.items)
    at = BEGIN + timedelta(minutes=minute)
    wanted = None
    if dice.random() < 0.4:
        start = at.replace(hour=dice.choice((9, 10, 14, 15, 18, 19)), minute=0) + timedelta(
            days=dice.randint(1, 4)
        )
        wanted = freetime.window(start, start + timedelta(hours=2))
    spot = Random(resident.int)  # where somebody lives does not change
    return Need(
        order_id=id_(dice),
        item_code=item.code,
        item_name=item.name,
        place=frozenset({place.root, street, community, grid}),
        ring_id=community,
        at=at,
        urgency=item.urgency,
        street_id=street,
        community_id=community,
        grid_id=grid,
        offers=item.offers,
        qualifications=QUALIFICATIONS[item.code] if "qualification" in item.flags else None,
        minors="minors" in item.flags,
        slots=2 if "two_people" in item.flags else 1,
        point=near(spot, middle, 0.004) if spot.random() < 0.8 else None,
        wanted=wanted,
        concerned=Concerned(beneficiary_id=resident),
    )


def in_ring(need: Need, ring_id: UUID) -> Need:
    return replace(need, ring_id=ring_id)
