"""What goes over the wire about matching."""

from uuid import UUID

from dispatch.domain.order import TakerKind
from dispatch.web.wire import Body, IdIn, Wire


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


class RunIn(Body):
    """Match what waits."""

    place_id: IdIn | None = None
    dry_run: bool = False


class PlacedOut(Wire):
    """An order and who is asked; ``refused`` says why it was not handed out after all."""

    order_id: UUID
    number: str
    item_code: str
    slots: int
    takers: list[CandidateOut]
    dispatched: bool
    refused: str | None


class LeftOut(Wire):
    """An order for which nobody was found, and how many in its street each reason keeps back."""

    order_id: UUID
    number: str
    item_code: str
    why_not: dict[str, int]


class RunOut(Wire):
    """What a run did, or would do."""

    dry_run: bool
    items: list[PlacedOut]
    left: list[LeftOut]
