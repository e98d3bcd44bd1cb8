"""What a tenant may set about matching, for all items or for one, and what holds where it has set nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dispatch.domain.matching import WEIGHTS

EVERY_ITEM = "*"
"""The item code of the rule that holds where an item has none of its own."""

QUALIFICATIONS: Mapping[str, frozenset[str]] = {
    "0201": frozenset({"electrician"}),
    "0204": frozenset({"locksmith"}),
    "0301": frozenset({"doctor", "nurse"}),
    "0302": frozenset({"doctor", "nurse"}),
    "0304": frozenset({"counsellor"}),
    "0306": frozenset({"doctor", "nurse", "first_aid"}),
    "0401": frozenset({"lawyer"}),
    "0504": frozenset({"counsellor", "teacher", "social_worker"}),
}
"""Of which one is demanded, for the items that the default catalogue flags ``qualification``
(志愿服务条例 Art. 16: qualified volunteers where the work needs it)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How orders of an item are matched.

    Args:
        auto: whether orders are dispatched as soon as they are accepted; off unless a tenant switches it on.
        capacity: how many orders one member may hold or be asked for at a time; a body may that many times
            the people it has named. 3: two in hand (peers.md §5.3, 65) and one asked.
        offers: to how many candidates one order is offered, one after the other. Three of an hour each fit
            into four hours, the shortest time to take in the catalogue (domain.md §7.2, U2).
        offer_seconds: how long each has.
        open_seconds: how long an order for which nobody was found is open to all.
        unit_seconds, staff_seconds: how long after nobody was found a unit is asked, then staff is told.
            Half of the time to take, and all of it.
    """

    item_code: str = EVERY_ITEM
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    qualifications: frozenset[str] = frozenset()
    auto: bool = False
    capacity: int = 3
    offers: int = 3
    offer_seconds: int = 3600
    open_seconds: int = 7200
    unit_seconds: int = 7200
    staff_seconds: int = 14_400


def qualifications(item_code: str, rows: Mapping[str, Iterable[str] | None]) -> frozenset[str]:
    """Of which qualifications one is demanded, of an item that demands any: the item's own, else the tenant's, else the
    default. ``rows``: what the tenant has set, by item code."""
    told = (rows[code] for code in (item_code, EVERY_ITEM) if rows.get(code) is not None)
    found = next(told, None)
    return QUALIFICATIONS.get(item_code, frozenset()) if found is None else frozenset(found)


def rule_for(item_code: str, rows: Mapping[str, Mapping[str, object]]) -> Rule:
    """The item's own rule, what it leaves open from the tenant's, and the rest from the defaults.

    Args:
        rows: what the tenant has set, by item code; None in a row leaves it open.
    """
    set_: dict[str, object] = {}
    for code in (EVERY_ITEM, item_code):
        set_ |= {name: value for name, value in rows.get(code, {}).items() if value is not None}
    told: Mapping[str, Any] = {code: row.get("qualifications") for code, row in rows.items()}
    set_["qualifications"] = qualifications(item_code, told)
    weights = {**WEIGHTS, **set_["weights"]} if "weights" in set_ else WEIGHTS  # type: ignore[dict-item]
    return Rule(**(set_ | {"item_code": item_code, "weights": weights}))  # type: ignore[arg-type]
