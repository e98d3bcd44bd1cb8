"""The words of the catalogue: kinds, urgency, limits and flags of a service item.

Sources: the default catalogue of the domain research, §7.2 (kinds, U1–U4, units of limits, flags),
calibrated there on the limits in use (§2.3); the rule for scaling by urgency is product decision §8.
志愿服务条例 Art. 16 asks for qualified volunteers where the work needs a qualification.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

KINDS = {
    "V": "志愿服务",
    "A": "代办",
    "Q": "诉求",
    "W": "微心愿",
    "E": "活动",
    "M": "资源共享",
}
"""What sort of thing an item is; domain research §7.2."""


class Urgency(StrEnum):
    """How soon, most urgent first; domain research §7.2."""

    U1 = "U1"
    U2 = "U2"
    U3 = "U3"
    U4 = "U4"


class ItemFlag(StrEnum):
    """What must be minded with an item: the closed set of product decision §8."""

    SENSITIVE = "sensitive"
    TWO_PEOPLE = "two_people"
    QUALIFICATION = "qualification"
    STAFF_ONLY = "staff_only"
    PROPERTY = "property"
    ABOUT_PERSON = "about_person"
    WHISTLE = "whistle"
    SEASON = "season"
    MINORS = "minors"


CLOCKS = ("dispatch", "take", "contact", "finish")
"""The stages that an item limits, in the order of the table in domain research §7.2."""


class Unit(StrEnum):
    """In what a limit is measured; the last two are no lengths of time."""

    HOURS = "h"
    DAYS = "d"
    WORKING_HOURS = "wh"
    WORKING_DAYS = "wd"
    APPOINTMENT = "appointment"
    PLANNED = "planned"


DURATIONS = frozenset({Unit.HOURS, Unit.DAYS, Unit.WORKING_HOURS, Unit.WORKING_DAYS})

LONGEST = timedelta(days=366)
"""No limit is longer than a year: beyond it a person means a plan."""

MOST = {unit: LONGEST.days * (24 if unit in (Unit.HOURS, Unit.WORKING_HOURS) else 1) for unit in DURATIONS}
"""The same as an amount of each unit."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a stage may take: ``amount`` > 0 of a unit of time, or by appointment, or by plan."""

    unit: Unit
    amount: float | None = None

    def __post_init__(self) -> None:
        if self.unit not in DURATIONS:
            if self.amount is not None:
                raise ValueError(f"{self.unit} has no amount")
        elif self.amount is None or not 0 < self.amount <= MOST[self.unit]:
            raise ValueError(f"{self.unit} needs an amount > 0")

    def scaled(self, factor: float) -> "Limit":
        """The same limit made longer (up to ``LONGEST``) or shorter; what is no length of time stays."""
        if self.amount is None:
            return self
        return Limit(self.unit, _plain(min(self.amount * factor, MOST[self.unit])))

    def wire(self) -> dict[str, Any]:
        """``{"unit": "h", "amount": 24}`` or ``{"unit": "appointment"}``."""
        return {"unit": self.unit.value} | ({} if self.amount is None else {"amount": _plain(self.amount)})


Limits = Mapping[str, Limit | None]
"""Per clock; None where the stage has no limit."""


def read_limit(wire: Mapping[str, Any] | None) -> Limit | None:
    """A limit from its wire form; None stays None.

    Raises:
        ValueError: an unknown unit, a missing, needless or senseless amount, or anything besides.
    """
    if wire is None:
        return None
    if strange := wire.keys() - {"unit", "amount"}:
        raise ValueError(f"a limit has no {', '.join(sorted(strange))}")
    amount = wire.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | float | None):
        raise ValueError("an amount is a number")
    return Limit(Unit(wire.get("unit", "")), amount)


def read_limits(wire: Mapping[str, Any]) -> dict[str, Limit | None]:
    """The limits of an item: exactly one per clock.

    Raises:
        ValueError: a clock is missing or unknown, or one of the limits makes no sense.
    """
    if wire.keys() != set(CLOCKS):
        raise ValueError(f"limits are given for {', '.join(CLOCKS)}")
    return {clock: read_limit(wire[clock]) for clock in CLOCKS}


def write_limits(limits: Limits) -> dict[str, Any]:
    """The wire form of an item's limits."""
    return {clock: limit.wire() if (limit := limits.get(clock)) else None for clock in CLOCKS}


def read_flags(wire: Iterable[str]) -> tuple[ItemFlag, ...]:
    """Flags in the order of the closed set.

    Raises:
        ValueError: a flag outside the set.
    """
    told = {ItemFlag(flag) for flag in wire}
    return tuple(flag for flag in ItemFlag if flag in told)


SCALE = {-3: 1 / 8, -2: 1 / 4, -1: 1 / 2, 0: 1.0, 1: 2.0, 2: 4.0, 3: 8.0}
"""Steps away from the item's own urgency (-1: one step more urgent) to a factor. Product decision §8: one step up
halves, one step down doubles; a tenant may have a table of its own."""


def scaled(
    limits: Limits, own: Urgency, wanted: Urgency, table: Mapping[int, float] = SCALE
) -> dict[str, Limit | None]:
    """The limits of an item at another urgency than its own."""
    order = list(Urgency)
    factor = table[order.index(wanted) - order.index(own)]
    return {clock: limit.scaled(factor) if (limit := limits.get(clock)) else None for clock in CLOCKS}


def _plain(amount: float) -> int | float:
    """24, not 24.0."""
    return int(amount) if amount == int(amount) else amount
