"""What keeps taking fair: how many orders at a time, how long without a sign of life, who rests, who goes first.

All of it is the tenant's to set, for every item or for one (product decision §4; peers.md §4, 3). A dispatcher's
assignment knows no limit, and neither cool-down nor fair window is about those whom a dispatcher named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch.domain.freetime import APPOINTMENT
from dispatch.domain.life import Dispatch, Party
from dispatch.domain.matchrule import EVERY_ITEM
from dispatch.domain.order import Mode, TakerKind, TakeState
from dispatch.domain.refusal import CoolingDown, NotEligible, Refusal, TakeLimitReached

LATELY = timedelta(days=30)
"""Whose turn it is goes by this month's takes."""

LEASES: Mapping[str, int] = {"U1": 4 * 3600, "U2": 24 * 3600, "U3": 72 * 3600, "U4": 168 * 3600}
"""How long a take is kept without a sign of life, seconds by urgency, where no rule says it. 微心愿 are to be connected
within 7 days (domain research §2.3); the others are ours, each well beyond the catalogue's time for a first contact."""


@dataclass(frozen=True, slots=True)
class TakingRule:
    """How orders of an item may be taken.

    Args:
        member_limit: how many active takes a member may hold. Ours: above the three that matching gives
            (domain/matchrule.py), below what nobody does in a week.
        body_limit: the same for a unit or a team.
        lease_seconds: how long a take is kept without a first contact; 0: for ever. None: ``LEASES``.
        cool_after: so many times given back within ``cool_seconds``, and the taker rests; 0: never.
        cool_seconds: how long given-back takes count, and how long an order that lapsed stays closed to its taker.
        fair_seconds: how long a fresh order is for those who took little lately; 0, as by default: for all at once.
        fair_takes: with fewer takes than this in a month one took little.
        overlaps: whether appointments that overlap may be taken.
        wait_seconds: how long a place that came free is kept for the first in line.
    """

    member_limit: int = 5
    body_limit: int = 50
    lease_seconds: int | None = None
    cool_after: int = 3
    cool_seconds: int = 86_400
    fair_seconds: int = 0
    fair_takes: int = 3
    overlaps: bool = False
    wait_seconds: int = 1800


Rows = Mapping[str, Mapping[str, Any]]
"""What the tenant has set, by item code; None in a row leaves it open."""


def rule_for(item_code: str, rows: Rows) -> TakingRule:
    """The item's own rule, what it leaves open from the tenant's, and the rest from the defaults."""
    set_: dict[str, Any] = {}
    for code in (EVERY_ITEM, item_code):
        set_ |= {name: value for name, value in rows.get(code, {}).items() if value is not None}
    return TakingRule(**set_)


LIMITS = {
    TakerKind.MEMBER: "member_limit",
    TakerKind.UNIT: "body_limit",
    TakerKind.TEAM: "body_limit",
}
"""Who may hold only so many; staff, providers and departments do what they are told."""


@dataclass(frozen=True, slots=True)
class Held:
    """An order in hand."""

    item_code: str
    wanted_from: datetime | None = None
    wanted_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A take that was given back, or ended by time."""

    order_id: UUID
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Load:
    """What a taker has in hand and behind. ``staffed``: orders that a body put the person on."""

    held: Sequence[Held] = ()
    staffed: Sequence[Held] = ()
    lately: int = 0
    given_back: Sequence[GivenBack] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The order that somebody wants to take."""

    order_id: UUID
    item_code: str
    wanted_from: datetime | None = None
    wanted_to: datetime | None = None


def limit_reached(kind: str, item_code: str, rows: Rows, held: Sequence[Held]) -> int | None:
    """The limit that is reached, if one is: the tenant's over all that is in hand, an item's over that item."""
    name = LIMITS.get(TakerKind(kind))
    if name is None:
        return None
    most: int = getattr(rule_for(EVERY_ITEM, rows), name)
    if len(held) >= most:
        return most
    own = rows.get(item_code, {}).get(name)
    if own is not None and sum(one.item_code == item_code for one in held) >= own:
        return int(own)
    return None


def rests_until(
    rule: TakingRule, given_back: Sequence[GivenBack], at: datetime, order_id: UUID | None = None
) -> datetime | None:
    """Until when a taker rests: who often gives back from everything, from an order that lapsed from that order."""
    length = timedelta(seconds=rule.cool_seconds)
    counted = sorted((one.at for one in given_back if at - one.at < length), reverse=True)
    ends = []
    if rule.cool_after and len(counted) >= rule.cool_after:
        ends.append(counted[rule.cool_after - 1] + length)
    ends += [
        one.at + length
        for one in given_back
        if one.order_id == order_id and one.state == TakeState.LAPSED and at - one.at < length
    ]
    return max(ends, default=None)


def fair_until(rule: TakingRule, held: Dispatch, lately: int, at: datetime) -> datetime | None:
    """Until when a fresh order is for those who took less lately; None if it is this taker's as well."""
    if not rule.fair_seconds or held.made_at is None or lately < rule.fair_takes:
        return None
    ends = held.made_at + timedelta(seconds=rule.fair_seconds)
    return ends if at < ends else None


def window(wanted_from: datetime | None, wanted_to: datetime | None) -> tuple[datetime, datetime] | None:
    """The time that an appointment takes; None for a window of which any hour will do."""
    start = wanted_from or (wanted_to - APPOINTMENT if wanted_to else None)
    if start is None:
        return None
    end = wanted_to or start + APPOINTMENT
    return (start, end) if end - start <= APPOINTMENT else None


def overlaps(wanted: Wanted, others: Sequence[Held]) -> bool:
    """Whether the order's appointment overlaps one in hand. One may follow at once on the other."""
    mine = window(wanted.wanted_from, wanted.wanted_to)
    if mine is None:
        return False
    theirs = (window(one.wanted_from, one.wanted_to) for one in others)
    return any(mine[0] < other[1] and other[0] < mine[1] for other in theirs if other)


def unfair(
    wanted: Wanted, party: Party, dispatch: Dispatch, rows: Rows, load: Load, *, at: datetime
) -> Refusal | None:
    """What stands against one more take in this taker's hand; None if nothing does.

    Args:
        dispatch: the one that is taken from.
        rows: the tenant's rules.
    """
    if dispatch.mode is Mode.ASSIGN:
        return None
    rule = rule_for(wanted.item_code, rows)
    if dispatch.mode is Mode.OPEN:
        rests = rests_until(rule, load.given_back, at, wanted.order_id)
        if rests:
            return CoolingDown(until=rests.isoformat())
        later = fair_until(rule, dispatch, load.lately, at)
        if later:
            return NotEligible(why="fair_window", until=later.isoformat())
    if limit := limit_reached(party[0], wanted.item_code, rows, load.held):
        return TakeLimitReached(limit=limit)
    person = party[0] in (TakerKind.MEMBER, TakerKind.STAFF)
    if person and not rule.overlaps and overlaps(wanted, (*load.held, *load.staffed)):
        return NotEligible(why="appointment_overlaps")
    return None


def lease_until(
    rule: TakingRule, mode: Mode, urgency: str, contact_due: datetime | None, at: datetime
) -> datetime | None:
    """Until when a take is kept without a sign of life: never shorter than the time for the first contact.

    What was assigned is not taken away by time: it is returned, or overdue.
    """
    seconds = LEASES[urgency] if rule.lease_seconds is None else rule.lease_seconds
    if mode is Mode.ASSIGN or not seconds:
        return None
    ends = at + timedelta(seconds=seconds)
    return max(ends, contact_due) if contact_due else ends
