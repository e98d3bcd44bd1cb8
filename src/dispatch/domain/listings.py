"""资源清单, 需求清单 and 双向认领: what is published, who claims it, and how a claim goes on.

Sources: "互相提供资源清单和需求清单，明确各自责任，开展双向认领" (domain.md §1.3, 37); shared venues of a
neighbourhood's organisations, "相互开放" (44).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from dispatch.domain.people import BODY_ROLES, DISPATCHING_ROLES, Actor
from dispatch.domain.refusal import (
    ClaimMoved,
    ListingClosed,
    OwnListing,
    Refusal,
    RoleForbidden,
    TooLate,
    VenueShut,
    wrong,
)


class Side(StrEnum):
    """Which of the two lists."""

    RESOURCE = "resource"
    DEMAND = "demand"


SIDE_LABELS = {Side.RESOURCE: "资源", Side.DEMAND: "需求"}


class ListingKind(StrEnum):
    """What is offered or asked for."""

    VENUE = "venue"
    EXPERTISE = "expertise"
    SERVICE = "service"
    GOODS = "goods"
    FUNDS = "funds"


KIND_LABELS = {
    ListingKind.VENUE: "场地",
    ListingKind.EXPERTISE: "人才",
    ListingKind.SERVICE: "服务",
    ListingKind.GOODS: "物资",
    ListingKind.FUNDS: "资金",
}


class ListingState(StrEnum):
    """Where a listing stands."""

    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class ClaimState(StrEnum):
    """Where a claim stands."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    DELIVERED = "delivered"


CLAIM_LABELS = {
    ClaimState.REQUESTED: "待确认",
    ClaimState.CONFIRMED: "已确认",
    ClaimState.DECLINED: "未同意",
    ClaimState.CANCELLED: "已取消",
    ClaimState.DELIVERED: "已兑现",
}

LIVE = frozenset({ClaimState.REQUESTED, ClaimState.CONFIRMED})
"""Something is still to come of it."""

HOLDS = LIVE | {ClaimState.DELIVERED}
"""It holds its quantity and its time: a request too, so that whoever asked first is answered first."""


class Act(StrEnum):
    """What may happen to a claim."""

    CONFIRM = "confirm"
    DECLINE = "decline"
    CANCEL = "cancel"
    DELIVER = "deliver"


ACT_LABELS = {
    Act.CONFIRM: "同意认领",
    Act.DECLINE: "不同意",
    Act.CANCEL: "取消认领",
    Act.DELIVER: "登记兑现",
}


class Hand(StrEnum):
    """What somebody is to a claim."""

    PUBLISHER = "publisher"
    CLAIMANT = "claimant"


@dataclass(frozen=True, slots=True)
class Edge:
    """One row of the table: from where to where, by whom, and what must be said."""

    act: Act
    source: ClaimState
    target: ClaimState
    hands: frozenset[Hand]
    needs: tuple[str, ...] = ()


_PUBLISHER, _CLAIMANT = frozenset({Hand.PUBLISHER}), frozenset({Hand.CLAIMANT})

EDGES_IN_ORDER = (
    Edge(Act.CONFIRM, ClaimState.REQUESTED, ClaimState.CONFIRMED, _PUBLISHER),
    Edge(Act.DECLINE, ClaimState.REQUESTED, ClaimState.DECLINED, _PUBLISHER, ("reason",)),
    Edge(Act.CANCEL, ClaimState.REQUESTED, ClaimState.CANCELLED, _CLAIMANT),
    Edge(Act.CANCEL, ClaimState.CONFIRMED, ClaimState.CANCELLED, _PUBLISHER | _CLAIMANT, ("reason",)),
    Edge(Act.DELIVER, ClaimState.CONFIRMED, ClaimState.DELIVERED, _PUBLISHER | _CLAIMANT, ("note",)),
)
"""The whole life of a claim. What is offered to a client and what is judged are read from here."""

EDGES: Mapping[tuple[Act, ClaimState], Edge] = {(edge.act, edge.source): edge for edge in EDGES_IN_ORDER}


def offered(state: ClaimState, hands: Iterable[Hand]) -> list[Edge]:
    """What somebody may do with a claim."""
    held = frozenset(hands)
    return [edge for edge in EDGES_IN_ORDER if edge.source is state and edge.hands & held]


def judged(
    act: Act,
    state: ClaimState,
    hands: frozenset[Hand],
    said: Mapping[str, Any],
    *,
    begins: datetime | None,
    ends: datetime | None,
    at: datetime,
) -> Edge:
    """The edge that an act goes along.

    Raises:
        ClaimMoved: not in this state.
        RoleForbidden: another's to do.
        ValidationFailed: without what must be said.
        TooLate: a booked time that is over cannot be confirmed; one that has not begun cannot have been used.
    """
    edge = EDGES.get((act, state))
    if edge is None:
        raise ClaimMoved(state=state.value, label=CLAIM_LABELS[state])
    if not edge.hands & hands:
        raise RoleForbidden()
    for name in edge.needs:
        if not said.get(name):
            raise wrong(name, "请填写此项", "MISSING")
    if act is Act.CONFIRM and ends is not None and ends <= at:
        raise TooLate()
    if act is Act.DELIVER and begins is not None and begins > at:
        raise wrong("note", "预订的时间还没有到，不能登记兑现")
    return edge


# --- who ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Party:
    """A body, or (without one) the community, street or district at a place.

    ``path``: ids of the place, or of the body's place, the root first.
    """

    body_id: UUID | None
    place_id: UUID
    path: tuple[UUID, ...]


def acts_as(actor: Actor) -> Party | None:
    """For whom the acting grant publishes and claims; None if for nobody."""
    grant = actor.acting
    if grant is None or not grant.path:
        return None
    if grant.role in BODY_ROLES and grant.body_id is not None:
        return Party(grant.body_id, grant.path[-1], grant.path)
    if grant.role in DISPATCHING_ROLES:
        return Party(None, grant.path[-1], grant.path)
    return None


def acts_for(actor: Actor, party: Party) -> bool:
    """Whether one of the actor's grants acts for a party: the body's own, or staff of the place or of one above it."""
    for grant in actor.grants:
        if party.body_id is not None:
            if grant.body_id == party.body_id and grant.role in BODY_ROLES:
                return True
        elif grant.role in DISPATCHING_ROLES and not grant.body_id and grant.place_id in party.path:
            return True
    return False


# --- publishing and claiming ----------------------------------------------------------------


def publishing_refusal(party: Party, side: Side, ring_id: UUID) -> Refusal | None:
    """Why a party cannot publish for a ring: its own place, or one above that. A demand is the community's."""
    if side is Side.DEMAND and party.body_id is not None:
        return RoleForbidden()
    if ring_id not in party.path:
        return wrong("audience_place_id", "只能面向本社区，或所属的街道、区发布")
    return None


def check_listing(kind: ListingKind, side: Side, said: Mapping[str, Any]) -> None:
    """What only fits one kind.

    Raises:
        ValidationFailed: by field.
    """
    if kind is ListingKind.GOODS and said.get("quantity") is None:
        raise wrong("quantity", "物资请填写数量", "MISSING")
    if kind is ListingKind.VENUE and side is Side.RESOURCE and said.get("quantity") is not None:
        raise wrong("quantity", "场地按时段预订，不填写数量")
    if said.get("opening_hours") and not (kind is ListingKind.VENUE and side is Side.RESOURCE):
        raise wrong("opening_hours", "只有场地填写开放时间")
    if any(line["to"] <= line["from"] for line in said.get("opening_hours") or ()):
        raise wrong("opening_hours", "结束时间要晚于开始时间")
    if said.get("order_id") and side is not Side.DEMAND:
        raise wrong("order_id", "只有需求可以关联需求单")
    first, last = said.get("starts_on"), said.get("ends_on")
    if first and last and last < first:
        raise wrong("ends_on", "不能早于开始日期")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a claim is judged against, as it stands under the listing's lock."""

    side: Side
    kind: ListingKind
    state: ListingState
    publisher: Party
    ring_id: UUID
    quantity: int | None
    held: int
    hours: tuple[Mapping[str, Any], ...]
    starts_on: date | None
    ends_on: date | None

    @property
    def left(self) -> int | None:
        """How much can still be claimed; None where nothing is counted."""
        return None if self.quantity is None else max(self.quantity - self.held, 0)

    @property
    def booked(self) -> bool:
        """Whether it is claimed by the hour."""
        return self.side is Side.RESOURCE and self.kind is ListingKind.VENUE


LONGEST_AHEAD = timedelta(days=184)
"""Nobody books further ahead: half a year, the time after which check-ins are renewed, too."""


def claiming_refusal(listing: Listing, claimant: Party | None, today: date) -> Refusal | None:
    """Why a party cannot claim a listing at all: out of its ring, its own, not its side, or closed."""
    if claimant is None or listing.ring_id not in claimant.path:
        return RoleForbidden()
    if listing.side is Side.DEMAND and claimant.body_id is None:
        return RoleForbidden()
    own = listing.publisher
    if (own.body_id, own.place_id if own.body_id is None else None) == (
        claimant.body_id,
        claimant.place_id if claimant.body_id is None else None,
    ):
        return OwnListing()
    if listing.state is not ListingState.PUBLISHED or (listing.ends_on and listing.ends_on < today):
        return ListingClosed()
    return None


def wanted_quantity(listing: Listing, quantity: int | None) -> int:
    """How much is claimed. Raises: ValidationFailed."""
    if listing.booked and quantity not in (None, 1):
        raise wrong("quantity", "场地按时段预订，不填写数量")
    return quantity or 1


def check_time(
    listing: Listing, begins: datetime | None, ends: datetime | None, zone: ZoneInfo, *, at: datetime
) -> None:
    """The time of a booking: within one local day, the days on offer and the opening hours.

    Raises:
        ValidationFailed: none, or one that cannot be.
        VenueShut: ``why`` days or hours.
    """
    if not listing.booked:
        if begins or ends:
            raise wrong("starts_at", "只有场地按时段预订")
        return
    if begins is None or ends is None:
        raise wrong("starts_at" if begins is None else "ends_at", "请填写预订的起止时间", "MISSING")
    if not at < begins < ends:
        raise wrong("starts_at", "请填写晚于现在的时段，结束要晚于开始")
    if begins > at + LONGEST_AHEAD:
        raise wrong("starts_at", "最多提前半年预订")
    first, last = begins.astimezone(zone), ends.astimezone(zone)
    day = first.date()
    if last > _midnight_after(day, zone):
        raise wrong("ends_at", "一次预订须在同一天之内")
    if (listing.starts_on and day < listing.starts_on) or (listing.ends_on and day > listing.ends_on):
        raise VenueShut(why="days")
    if listing.hours and not _open(listing.hours, first, last):
        raise VenueShut(why="hours")


def _midnight_after(day: date, zone: ZoneInfo) -> datetime:
    following = day + timedelta(days=1)
    return datetime(following.year, following.month, following.day, tzinfo=zone)


def _open(hours: Iterable[Mapping[str, Any]], first: datetime, last: datetime) -> bool:
    """Whether opening hours of that weekday, put together where they touch, cover the whole time."""
    spans = sorted(
        (_seconds(line["from"]), _seconds(line["to"]))
        for line in hours
        if line["weekday"] == first.isoweekday()
    )
    reached = _second_of_day(first)
    until = _second_of_day(last) if last.date() == first.date() else 86_400
    for start, end in spans:
        if start <= reached < end:
            reached = end
    return reached >= until and any(start <= _second_of_day(first) < end for start, end in spans)


def _seconds(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def _second_of_day(at: datetime) -> float:
    return at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6
