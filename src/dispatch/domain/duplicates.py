"""How likely it is that two orders ask for the same thing: a score with its reasons, never a decision.

Austin's 311 takes two reports of one type within 150 ft (46 m) and 3 h for one (domain research §2.3, X7a);
FixMyStreet suggests what is near by a radius per category (peers research §1.2, #4456). Both know the spot; here
most orders carry a place of the tree or the point where the resident stood, so reach and span are wider and the
words must agree too (libraries research §10: Jaccard of pairs on candidates of one category within 500 m and
7 days).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from dispatch.domain.geo import Point, metres_between
from dispatch.domain.grams import compared, jaccard


@dataclass(frozen=True, slots=True)
class Reach:
    """How far apart two reports of one thing may lie."""

    metres: float
    span: timedelta


REACH: Mapping[str, Reach] = {
    "Q": Reach(150, timedelta(days=7)),
    "A": Reach(100, timedelta(days=7)),
    "V": Reach(50, timedelta(days=7)),
    "W": Reach(50, timedelta(days=30)),
    "M": Reach(500, timedelta(days=30)),
    "E": Reach(1000, timedelta(days=30)),
}
"""Per kind of item. A problem (Q) is out on the street: three times Austin's way, for a point that a phone gives
between houses, and until it is mended, at most 7 days. Services (V) and errands (A) are at a home. Wishes, shared
resources and activities stand for a month, an activity for its whole neighbourhood. Ours, but for their base."""

LONGEST = max(reach.span for reach in REACH.values())

DOUBLE_TAP = timedelta(minutes=2)
"""One person, the same words, within this: the button was pressed twice (peers research §5.6, 113)."""

AGAIN = timedelta(minutes=10)
"""One person, the same item and place, within this: likely filed again (wechat research §3.2)."""

LIKELY = 0.5
"""From this score on two orders are told to be alike. Set on the labelled pairs of tests/unit/test_duplicates.py."""

FULL_LIKENESS = 0.4
"""Jaccard of two texts that say the same in other words reaches this; more adds nothing."""

FEWEST_SHARED, SHARED_ACROSS, SHARED_AT_HOME = 0.08, 0.2, 0.5
"""Jaccard needed at all; between categories; between two homes, where the same words are mostly two needs."""

NEVER = 2.0

PUBLIC = frozenset({"Q", "E"})
"""Kinds that lie outside anybody's home."""

SAME_WORDS = 0.8

ITEM, NEAR, WORDS, TIME = 0.25, 0.25, 0.4, 0.1
"""What each part weighs. Words weigh most: item and place are often left at their defaults."""


@dataclass(frozen=True, slots=True)
class Report:
    """What of an order is compared. ``point`` is WGS-84; ``personal``: a need of one's own (item flag sensitive)."""

    id: UUID
    item_code: str
    category_code: str
    kind: str
    personal: bool
    filer_id: UUID
    beneficiary_id: UUID | None
    place_id: UUID
    grid_id: UUID | None
    community_id: UUID | None
    point: Point | None
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two orders are (0 to 1), and why, in words for residents."""

    score: float
    why: tuple[str, ...]


def likeness(one: Report, other: Report) -> Likeness | None:
    """Compare two orders; None if they are not likely the same. Symmetric."""
    apart = abs(one.at - other.at)
    shared = jaccard(compared(one.text), compared(other.text))
    own = _own(one, other, apart, shared)
    if own is not None:
        return own
    mine, theirs = REACH[one.kind], REACH[other.kind]
    reach = Reach(max(mine.metres, theirs.metres), max(mine.span, theirs.span))
    near = _near(one, other, reach)
    item = _item(one, other)
    if near is None or apart > reach.span or shared < _needed(one, other):
        return None
    parts = (
        ITEM * item[0]
        + NEAR * near[0]
        + WORDS * min(1.0, shared / FULL_LIKENESS)
        + TIME * (1 - apart / reach.span)
    )
    if parts < LIKELY:
        return None
    why = (item[1], near[1], f"相隔{_span(apart)}", f"描述相近（{shared:.0%}）")
    return Likeness(round(parts, 2), tuple(reason for reason in why if reason))


def _own(one: Report, other: Report, apart: timedelta, shared: float) -> Likeness | None:
    """The same person pressed twice, or filed again."""
    if (one.filer_id, one.beneficiary_id) != (other.filer_id, other.beneficiary_id):
        return None
    if apart <= DOUBLE_TAP and shared >= SAME_WORDS and one.item_code == other.item_code:
        return Likeness(1.0, ("同一人2分钟内提交了相同内容",))
    same = one.item_code == other.item_code and one.place_id == other.place_id
    if apart <= AGAIN and same and shared >= FEWEST_SHARED:
        return Likeness(0.9, ("同一人10分钟内就同一地点提交了同一事项",))
    return None


def _needed(one: Report, other: Report) -> float:
    """What the texts must share. Two who need the same help are not one: 陪同就医 of neighbours stays two orders."""
    same_person = (one.filer_id, one.beneficiary_id) == (other.filer_id, other.beneficiary_id)
    if (one.personal or other.personal) and not same_person:
        return NEVER
    kinds = {one.kind, other.kind}
    if one.category_code == other.category_code and (kinds <= PUBLIC or same_person):
        return FEWEST_SHARED
    return SHARED_ACROSS if kinds & PUBLIC or same_person else SHARED_AT_HOME


def _item(one: Report, other: Report) -> tuple[float, str]:
    if one.item_code == other.item_code:
        return 1.0, "同一事项"
    return (0.6, "同类事项") if one.category_code == other.category_code else (0.0, "")


def _near(one: Report, other: Report, reach: Reach) -> tuple[float, str] | None:
    """By the way between their points, else by the place tree; None if too far apart."""
    if one.point and other.point:
        way = metres_between(one.point, other.point)
        if way > reach.metres:
            return None
        return 1 - way / reach.metres / 2, f"相距约{max(10, round(way / 10) * 10)}米"
    if one.place_id == other.place_id and one.place_id not in (one.community_id, one.grid_id):
        return 0.9, "同一地点"
    if one.grid_id and one.grid_id == other.grid_id:
        return 0.7, "同一网格"
    if one.community_id is None or one.community_id != other.community_id:
        return None
    return (0.3, "同一社区") if one.grid_id and other.grid_id else (0.5, "同一社区")


def _span(apart: timedelta) -> str:
    minutes = int(apart.total_seconds() // 60)
    if minutes < 60:
        return f"{max(1, minutes)}分钟"
    return f"{minutes // 60}小时" if minutes < 48 * 60 else f"{minutes // 1440}天"
