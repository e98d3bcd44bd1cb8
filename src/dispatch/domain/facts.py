"""Everything that is ever announced. A fact is past tense and carries ids, never personal data."""

from enum import StrEnum


class Fact(StrEnum):
    """The topics of the outbox; ``wiring.REACTIONS`` has a line for each."""

    ORDER_MOVED = "order.moved"
    REQUEST_ASKED = "request.asked"
    REQUEST_DECIDED = "request.decided"
    CLOCK_STEP = "clock.step"
    CALENDAR_CHANGED = "calendar.changed"
    POLICIES_CHANGED = "policies.changed"
