"""A generated district for matching: places, members and needs without a database, the same on every run."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from dispatch.domain import freetime
from dispatch.domain.ability import Skill
from dispatch.domain.conflict import Concerned
from dispatch.domain.geo import Point
from dispatch.domain.matching import Candidate, Need
from dispatch.domain.order import TakerKind

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
OFFERS = ("elder_care", "home_repair", "errands", "tutoring", "environment")
SKILLS = ("electrician", "nurse", "lawyer", "teacher")
CENTRE = Point(112.6, 26.9)


def uuid(dice: Random) -> UUID:
    return UUID(int=dice.getrandbits(128))


class Ground:
    """One district with streets, communities and grids."""

    def __init__(self, dice: Random, streets: int = 3, communities: int = 4, grids: int = 3) -> None:
        self.root = uuid(dice)
        self._paths: dict[UUID, tuple[UUID, ...]] = {}
        self.grids: list[tuple[UUID, UUID, UUID, Point]] = []
        for _ in range(streets):
            street = uuid(dice)
            for _ in range(communities):
                community = uuid(dice)
                middle = Point(CENTRE.lng + dice.uniform(-0.1, 0.1), CENTRE.lat + dice.uniform(-0.1, 0.1))
                self.grids += [(street, community, uuid(dice), middle) for _ in range(grids)]

    def path(self, street: UUID, community: UUID) -> tuple[UUID, ...]:
        """One tuple for all of a community, as queries make it."""
        return self._paths.setdefault(community, (self.root, street, community))

    def spot(self, dice: Random) -> tuple[UUID, UUID, UUID, Point]:
        street, community, grid, middle = dice.choice(self.grids)
        near = Point(middle.lng + dice.gauss(0, 0.004), middle.lat + dice.gauss(0, 0.004))
        return street, community, grid, near


def a_member(dice: Random, ground: Ground, **fixed: Any) -> Candidate:
    """Somebody, by the dice; what is ``fixed`` is not left to them."""
    street, community, grid, point = ground.spot(dice)
    days = dice.sample(range(1, 8), 4)
    spans = [{"weekday": day, "from": "18:00", "to": dice.choice(("20:00", "21:30"))} for day in days[:3]]
    spans.append({"weekday": days[3], "from": "08:30", "to": "17:10"})
    expiry = dice.choice((None, date(2026, 11, 22), date(2026, 11, 23), date(2027, 6, 1)))
    found = Candidate(
        kind=TakerKind.MEMBER,
        id=uuid(dice),
        name="某同志",
        path=ground.path(street, community),
        state=dice.choices(("active", "suspended"), (9, 1))[0],
        street_id=street,
        community_id=community,
        grid_id=dice.choice((grid, None)),
        point=dice.choice((point, point, None)),
        offers=frozenset(dice.sample(OFFERS, dice.randint(0, 4))),
        skills=tuple(Skill(code, code, expiry) for code in dice.sample(SKILLS, dice.randint(0, 2))),
        free=dice.choice((freetime.week(spans), freetime.week(spans), None)),
        household_id=UUID(int=dice.randint(1, 30)) if dice.random() < 0.5 else None,
        address_key=str(dice.randint(1, 30)) if dice.random() < 0.5 else None,
        born_on=dice.choice((None, None, date(2010, 1, 1), date(1980, 1, 1))),
        guardian_consent_on=date(2020, 1, 1) if dice.random() < 0.5 else None,
        active=dice.randint(0, 3),
        asked=dice.randint(0, 1),
        capacity=dice.choice((3, 3, 4)),
        of_items={"0102": dice.randint(0, 2)} if dice.random() < 0.5 else {},
        most_a_day=dice.choice((None, None, 1)),
        this_day=dice.randint(0, 1),
        served=dice.randint(0, 5),
        last_at=float(dice.randint(0, 3)),
        verdicts=(verdicts := dice.randint(0, 6)),
        verdict_sum=float(sum(dice.randint(1, 5) for _ in range(verdicts))),
        helped=dice.choice((0, 0, 0, 2)),
    )
    return replace(found, **fixed)


def a_need(dice: Random, ground: Ground, members: list[Candidate], **fixed: Any) -> Need:
    """Some demand, by the dice."""
    street, community, grid, point = ground.spot(dice)
    start = AT + timedelta(hours=dice.randint(0, 100), minutes=dice.choice((0, 7, 30)))
    known = dice.sample(members, min(5, len(members)))
    parties = [one.party for one in known]
    found = Need(
        order_id=uuid(dice),
        item_code="0102",
        item_name="陪同就医/陪诊",
        place=frozenset({ground.root, street, community, grid}),
        ring_id=dice.choice((ground.root, street, community)),
        at=AT,
        street_id=street,
        community_id=community,
        grid_id=dice.choice((grid, None)),
        offers=frozenset(dice.sample(OFFERS, 2)),
        qualifications=dice.choice((None, None, frozenset(), frozenset(SKILLS[:2]))),
        staff_only=dice.random() < 0.05,
        minors=dice.random() < 0.2,
        capacity=dice.choice((None, None, 2, 4)),
        member_limit=dice.choice((None, None, 1)),
        point=dice.choice((point, None)),
        wanted=dice.choice(
            (None, freetime.window(start, start + timedelta(hours=dice.choice((1, 2, 4, 5, 30)))))
        ),
        concerned=Concerned(
            beneficiary_id=known[0].id if known else None,
            kept=frozenset(one.id for one in known[1:2]),
            households=frozenset({UUID(int=dice.randint(1, 30))}),
            address_keys=frozenset({str(dice.randint(1, 30))}),
        ),
        returned=frozenset(parties[2:3]),
        said_no=frozenset(parties[3:4]),
        on_it=frozenset(parties[4:5]),
    )
    return replace(found, **fixed)
