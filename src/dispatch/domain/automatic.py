"""What is tried for an order that dispatches itself: people first, then everyone, then a unit, then staff."""

from datetime import timedelta
from enum import StrEnum

from dispatch.domain.matching import Need
from dispatch.domain.matchrule import Rule

RETRY = timedelta(seconds=60)
"""How soon it is looked again whether somebody has become available: within a minute, as a dispatcher would."""


class Step(StrEnum):
    """What is done next."""

    OFFER = "offer"
    OPEN = "open"
    UNIT = "unit"
    STAFF = "staff"
    WAIT = "wait"


def next_step(
    need: Need, rule: Rule, *, people: bool, unit: bool, staff: bool, opened: bool, waited: timedelta
) -> Step:
    """The next thing to try.

    An emergency is never left to whoever comes, nor does it wait (product decision §4, U1); what only staff
    may do goes to staff at once.

    Args:
        people: whether a member or team can be asked; ``unit``, ``staff`` alike.
        opened: whether it was open to everyone before.
        waited: since nobody was found for the first time.
    """
    urgent = need.urgency == "U1"
    if people:
        return Step.OFFER
    if need.staff_only or urgent:
        return Step.UNIT if unit else Step.STAFF if staff else Step.WAIT
    if not opened:
        return Step.OPEN
    if unit and waited >= timedelta(seconds=rule.unit_seconds):
        return Step.UNIT
    if staff and waited >= timedelta(seconds=rule.staff_seconds):
        return Step.STAFF
    return Step.WAIT
