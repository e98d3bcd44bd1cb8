"""Everything that is ever announced. A fact is past tense and carries ids, never personal data."""

from enum import StrEnum


class Fact(StrEnum):
    """The topics of the outbox; ``wiring.REACTIONS`` has a line for each."""

    ORDER_MOVED = "order.moved"
    REQUEST_ASKED = "request.asked"
    REQUEST_DECIDED = "request.decided"
    REVEAL_ASKED = "reveal.asked"
    """The district asks for an order's contact data; body ``order_id``, ``reveal_request_id``, ``account_id``."""
    REVEAL_DECIDED = "reveal.decided"
    """A second person has decided on it; body as above, and ``status``."""
    PHONE_WITHDRAWN = "phone.withdrawn"
    """A person took back WeChat's leave to use the phone; body ``account_id``."""
    POINT_WITHDRAWN = "point.withdrawn"
    """A person took back WeChat's leave to read where he is; body ``account_id``."""
    IDENTITY_ENDED = "identity.ended"
    """A person ended the account at WeChat; body ``account_id``, ``appid``."""
    HANDOVER_CHANGED = "handover.changed"
    """A taker asked another to take the place, or that one said no; body ``handover_id``."""
    CLOCK_STEP = "clock.step"
    CALENDAR_CHANGED = "calendar.changed"
    POLICIES_CHANGED = "policies.changed"
    CHECKIN_MOVED = "checkin.moved"
    """A check-in or a registration was filed, approved or returned; body ``kind``, ``id``, ``state``."""
    CLAIM_MOVED = "claim.moved"
    """A claim on a listing was made, or took a step; body ``claim_id``, ``state``, ``by``."""
