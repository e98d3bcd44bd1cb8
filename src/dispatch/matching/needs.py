"""Orders as matching sees them: what was read of them, turned into needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import checkin_items
from dispatch.db.dialect import folded
from dispatch.db.tenants import tenants
from dispatch.dispatching.queries import read_rules, rules_column
from dispatch.dispatching.tables import matching_rules
from dispatch.domain import freetime
from dispatch.domain.catalog import ItemFlag
from dispatch.domain.geo import Point
from dispatch.domain.handing import PAIR
from dispatch.domain.matching import Need
from dispatch.domain.matchrule import EVERY_ITEM, Rule, rule_for
from dispatch.domain.order import TargetState
from dispatch.domain.taking import LIMITS, Rows, TakingRule
from dispatch.domain.taking import rule_for as taking_rule_for
from dispatch.orders.concerned import concerned
from dispatch.orders.queries import kept
from dispatch.orders.whole import Whole
from dispatch.people.queries import homes
from dispatch.people.tables import accounts

SAID_NO = (TargetState.DECLINED, TargetState.LAPSED)


@dataclass(frozen=True, slots=True)
class Context:
    """What stands beside some orders: the tenant's rules and check-in list, who lives where, who is kept from which."""

    zone: ZoneInfo
    rules: Mapping[str, Mapping[str, Any]]
    offers: Mapping[str, frozenset[str]]
    offer_names: Mapping[str, str]
    homes: Mapping[UUID, Mapping[str, Any]]
    kept: Mapping[UUID, frozenset[UUID]]
    taking_rules: Rows

    def rule(self, item_code: str) -> Rule:
        """How orders of an item are matched here."""
        return rule_for(item_code, self.rules)

    def taking(self, item_code: str) -> TakingRule:
        """How orders of an item may be taken here."""
        return taking_rule_for(item_code, self.taking_rules)

    def own_limit(self, item_code: str, name: str) -> int | None:
        """An item's own ``member_limit`` or ``body_limit``: over that item, beside the one over all."""
        found: int | None = self.taking_rules.get(item_code, {}).get(name)
        return found

    @property
    def limited(self) -> list[str]:
        """Items that have one."""
        codes = (code for code in self.taking_rules if code != EVERY_ITEM)
        return sorted(
            code for code in codes if any(self.own_limit(code, name) is not None for name in LIMITS.values())
        )


async def context(db: AsyncConnection, tenant_id: int, wholes: Sequence[Whole]) -> Context:
    """Read what stands beside these orders, in one statement."""
    people = [whole.row.beneficiary_id for whole in wholes if whole.row.beneficiary_id]
    rules = select(*(column for column in matching_rules.c if column.key not in _UNREAD)).where(
        matching_rules.c.tenant_id == tenant_id
    )
    offers = select(checkin_items.c.code, checkin_items.c.name, checkin_items.c.item_codes).where(
        checkin_items.c.tenant_id == tenant_id
    )
    row = (
        await db.execute(
            select(
                tenants.c.zone,
                folded(rules).label("rules"),
                rules_column(tenant_id).label("taking_rules"),
                folded(offers).label("offers"),
                folded(homes(tenant_id, accounts.c.id.in_(people))).label("homes"),
                folded(kept(tenant_id, [whole.life.id for whole in wholes if whole.row.recused])).label(
                    "kept"
                ),
            ).where(tenants.c.id == literal(tenant_id))
        )
    ).one()
    by_item: dict[str, set[str]] = {}
    for line in row.offers:
        for code in line["item_codes"]:
            by_item.setdefault(code, set()).add(line["code"])
    kept_from: dict[UUID, set[UUID]] = {}
    for line in row.kept:
        kept_from.setdefault(line["order_id"], set()).add(line["id"])
    return Context(
        zone=ZoneInfo(row.zone),
        rules={line["item_code"]: _rule_values(line) for line in row.rules},
        offers={code: frozenset(found) for code, found in by_item.items()},
        offer_names={line["code"]: line["name"] for line in row.offers},
        homes={line["id"]: line for line in row.homes},
        kept={order_id: frozenset(ids) for order_id, ids in kept_from.items()},
        taking_rules=read_rules(row.taking_rules),
    )


_UNREAD = frozenset({"tenant_id", "version", "updated_at"})


def _rule_values(line: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in line.items() if name != "item_code"}
    if values["qualifications"] is not None:
        values["qualifications"] = frozenset(values["qualifications"])
    return values


def need(whole: Whole, beside: Context, *, ring_id: UUID | None = None, at: datetime) -> Need:
    """What an order needs. ``ring_id``: within which place; else where it is open to, else its community."""
    row, life = whole.row, whole.life
    flags = life.item_flags
    rule = beside.rule(row.item_code)
    held = life.held
    ring = ring_id or (held.ring_id if held else None) or row.community_id or row.street_id or row.place_id
    return Need(
        order_id=life.id,
        item_code=row.item_code,
        item_name=row.item_name,
        place=life.place,
        ring_id=ring,
        at=at.astimezone(beside.zone),
        urgency=row.urgency,
        street_id=row.street_id,
        community_id=row.community_id,
        grid_id=row.grid_id,
        offers=beside.offers.get(row.item_code, frozenset()),
        qualifications=rule.qualifications if ItemFlag.QUALIFICATION in flags else None,
        staff_only=ItemFlag.STAFF_ONLY in flags,
        minors=ItemFlag.MINORS in flags,
        capacity=rule.capacity,
        member_limit=beside.own_limit(row.item_code, "member_limit"),
        body_limit=beside.own_limit(row.item_code, "body_limit"),
        slots=PAIR if ItemFlag.TWO_PEOPLE in flags else 1,
        point=point_of(row.location),
        wanted=_window(row, beside.zone),
        wanted_on=_wanted_on(row, beside.zone),
        concerned=concerned(
            whole, beside.homes.get(row.beneficiary_id), beside.kept.get(life.id, frozenset())
        ),
        returned=life.barred,
        said_no=frozenset(
            (line["kind"], line["target_id"]) for line in whole.lists["targets"] if line["state"] in SAID_NO
        ),
        on_it=frozenset(take.party for take in life.active),
    )


def point_of(location: Mapping[str, Any] | None) -> Point | None:
    """The WGS-84 point that is kept beside the point as given."""
    if not location:
        return None
    return Point(location["wgs84"]["lng"], location["wgs84"]["lat"])


def _window(row: Any, zone: ZoneInfo) -> freetime.Window | None:
    """The wanted time; with one end only, the four hours of an appointment from or up to it."""
    start, end = row.wanted_from, row.wanted_to
    if start is None and end is None:
        return None
    start = start or end - freetime.APPOINTMENT
    end = end or start + freetime.APPOINTMENT
    return freetime.window(start.astimezone(zone), end.astimezone(zone))


def _wanted_on(row: Any, zone: ZoneInfo) -> date | None:
    """The day of the wanted time, where there is one."""
    start = row.wanted_from or row.wanted_to
    return start.astimezone(zone).date() if start else None
