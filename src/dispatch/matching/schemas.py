"""What goes over the wire about matching."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from dispatch.domain.order import TakerKind
from dispatch.web.wire import Body, Code, IdIn, InstantOut, Wire, example


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


class RunIn(Body, json_schema_extra=example(dry_run=True)):
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


Weight = Annotated[float, Field(ge=0, le=1000)]
Seconds = Annotated[int, Field(ge=60, le=30 * 24 * 3600)]


class WeightsIn(Body):
    """How much each part of the score counts; what is not given keeps its default."""

    item: Weight | None = None
    distance: Weight | None = None
    free: Weight | None = None
    load: Weight | None = None
    verdict: Weight | None = None
    continuity: Weight | None = None


class RuleIn(
    Body,
    json_schema_extra=example(
        auto=True, weights={"distance": 40, "load": 20}, offers=3, offer_seconds=1800, unit_seconds=7200
    ),
):
    """An item's rule, whole; what is not given falls back to the rule of all items, then to the defaults."""

    auto: bool | None = Field(
        None, description="Whether orders dispatch themselves once accepted; off by default."
    )
    weights: WeightsIn | None = None
    qualifications: Annotated[list[Code], Field(max_length=20)] | None = None
    capacity: Annotated[int, Field(ge=1, le=50)] | None = None
    offers: Annotated[int, Field(ge=1, le=20)] | None = None
    offer_seconds: Seconds | None = None
    open_seconds: Seconds | None = None
    unit_seconds: Seconds | None = None
    staff_seconds: Seconds | None = None


class RuleOut(Wire):
    """What the tenant has set; null is left open."""

    item_code: str
    auto: bool | None
    weights: dict[str, float] | None
    qualifications: list[str] | None
    capacity: int | None
    offers: int | None
    offer_seconds: int | None
    open_seconds: int | None
    unit_seconds: int | None
    staff_seconds: int | None
    version: int
    updated_at: InstantOut


class RulesOut(Wire):
    """Every rule that the tenant has set."""

    items: list[RuleOut]


class UnmatchedOut(Wire):
    """An order that was to dispatch itself and found nobody; ``opened``: it was put before everyone too."""

    order_id: UUID
    number: str
    state: str
    item_code: str
    urgency: str
    place_name: str
    since: InstantOut
    tried_at: InstantOut
    tries: int
    opened: bool
    why_not: dict[str, int]
