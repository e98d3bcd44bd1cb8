"""What goes over the wire about matching."""

from uuid import UUID

from dispatch.domain.order import TakerKind
from dispatch.web.wire import Wire


class CandidateOut(Wire):
    """Somebody who could take the order, or why not."""

    kind: TakerKind
    id: UUID
    name: str
    eligible: bool
    why_not: list[str]
    score: float
    parts: dict[str, float]
    reasons: list[str]


class CandidatesOut(Wire):
    """Best first; those who cannot come after all who can."""

    items: list[CandidateOut]
