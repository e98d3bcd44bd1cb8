"""What goes over the wire about handing out, taking and serving."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path
from pydantic import Field

from dispatch.domain.handing import MOST_SLOTS
from dispatch.domain.order import Closing, Mode, Move, TakerKind
from dispatch.orders.answers import OrderAnswer
from dispatch.orders.schemas import Attachments, ItemRef, OrderRef, PartyOut, TakeOut
from dispatch.orders.tables import HandoverState
from dispatch.web.wire import Body, Code, IdIn, InstantOut, Text, Wire, example

LONGEST_OFFER_SECONDS = 30 * 24 * 3600
MOST_TARGETS = 50


class TargetIn(Body):
    """Who is asked or told."""

    kind: TakerKind
    id: IdIn


class DispatchIn(
    Body,
    json_schema_extra=example(mode="open", slots_min=1, slots_max=2, note="请周三上午八点到家里接老人。"),
):
    """How the order is handed out (派单)."""

    mode: Mode
    targets: Annotated[list[TargetIn], Field(max_length=MOST_TARGETS)] | None = None
    parallel: bool | None = None
    kinds: Annotated[list[TakerKind], Field(min_length=1, max_length=6)] | None = None
    ring_place_id: IdIn | None = None
    slots_min: Annotated[int, Field(ge=1, le=MOST_SLOTS)] | None = None
    slots_max: Annotated[int, Field(ge=1, le=MOST_SLOTS)] | None = None
    expires_in_seconds: Annotated[int, Field(ge=60, le=LONGEST_OFFER_SECONDS)] | None = None
    note: Text | None = Field(None, examples=["请两位同志周三上午八点到李奶奶家接她。"])


class TakeIn(Body, json_schema_extra=example()):
    """As whom; by default as what the acting grant takes as."""

    as_: TargetIn | None = Field(None, validation_alias="as")


class NextIn(Body, json_schema_extra=example(item_code="0102")):
    """Which order, if not any."""

    item_code: Code | None = None
    place_id: IdIn | None = Field(None, description="Within this place.")


class TakenOut(Wire):
    """What came of taking."""

    outcome: Literal["taken", "already_yours"]
    take: TakeOut | None
    order: OrderAnswer


class StaffIn(Body, json_schema_extra=example(member_ids=["019abc4d-6f00-7000-8000-000000000002"])):
    """Who of the body's people does the work, the one in charge first."""

    member_ids: Annotated[list[IdIn], Field(min_length=1, max_length=50)]


class LeadIn(Body, json_schema_extra=example(take_id="019abc4d-6f00-7000-8000-000000000003")):
    """Which take is in charge from now on."""

    take_id: IdIn


class ContactIn(Body, json_schema_extra=example(reached=True, text="已电话约好接人时间。")):
    """Whether the resident was reached."""

    reached: bool
    text: Text | None = None


class MinutesIn(Body):
    """How long a taker worked, minutes."""

    take_id: IdIn
    minutes: Annotated[int, Field(ge=0, le=14_400)]


class FinishIn(
    Body, json_schema_extra=example(result="已陪同复查并取药，送老人回到家中。", closing="solved")
):
    """The work as it was done."""

    result: Text = Field(examples=["已陪同李奶奶完成复查并取药送回家。"])
    closing: Closing
    minutes: Annotated[list[MinutesIn], Field(max_length=MOST_SLOTS)] | None = None
    attachment_ids: Attachments | None = None


class DraftOut(Wire):
    """What was sent for a take that had ended by time."""

    id: UUID
    order: OrderRef
    move: Move
    text: str | None
    closing: Closing | None
    minutes: int | None
    attachment_ids: list[UUID]
    kept_at: InstantOut
    attached_at: InstantOut | None = Field(description="When it was attached to the order; null until then.")


class WaitOut(Wire):
    """Where one stands in line."""

    place: int | None = Field(description="1 is first; null once one has left.")
    until: InstantOut | None = Field(
        description="Until when a place that came free is kept for the caller; null while waiting."
    )


class HandoverIn(
    Body,
    json_schema_extra=example(
        taker={"kind": "member", "id": "019abc4d-6f00-7000-8000-000000000002"},
        text="我周三出差，想请您接手。",
    ),
):
    """Who is asked to take the caller's place."""

    taker: TargetIn
    text: Text | None = None


class HandoverTo(Wire):
    """Who is asked."""

    kind: TakerKind
    id: UUID


class HandoverOut(Wire):
    """A take that is to pass to another. Of the order no more than one may know before a take."""

    id: UUID
    order: OrderRef
    item: ItemRef
    where: str | None = Field(description="The order's community.")
    wanted_from: InstantOut | None
    wanted_to: InstantOut | None
    giver: PartyOut
    taker: HandoverTo
    state: HandoverState
    text: str | None
    asked_at: InstantOut
    ended_at: InstantOut | None


RuleCode = Annotated[
    str, Path(pattern=r"^(\*|[A-Za-z0-9]{1,16})$", description="An item's code, or * for all.")
]

LONGEST_LEASE_SECONDS = 60 * 24 * 3600
Seconds = Annotated[int, Field(ge=0, le=LONGEST_LEASE_SECONDS)]
Times = Annotated[int, Field(ge=0, le=1000)]
Most = Annotated[int, Field(ge=1, le=1000)]


class TakingRuleIn(
    Body, json_schema_extra=example(member_limit=3, lease_seconds=86400, cool_after=3, cool_seconds=86400)
):
    """How orders of an item may be taken, whole; what is not given falls back to the rule of all items, then to the
    defaults."""

    member_limit: Most | None = Field(
        None, description="Active takes of one member; of an item's own rule, active takes of that item."
    )
    body_limit: Most | None = Field(None, description="The same for a unit or a team.")
    lease_seconds: Seconds | None = Field(
        None, description="How long a take is kept without a first contact; 0: for ever."
    )
    cool_after: Times | None = Field(
        None, description="Given back so often within cool_seconds, and the taker rests; 0: never."
    )
    cool_seconds: Seconds | None = None
    fair_seconds: Seconds | None = Field(
        None, description="How long a fresh order is for those who took little lately; 0: off."
    )
    fair_takes: Most | None = Field(
        None, description="With fewer takes than this in 30 days one took little."
    )
    overlaps: bool | None = Field(None, description="Whether overlapping appointments may be taken.")
    wait_seconds: Annotated[int, Field(ge=60, le=LONGEST_LEASE_SECONDS)] | None = Field(
        None, description="How long a place that came free is kept for the first in line."
    )


class TakingRuleOut(Wire):
    """What the tenant has set; null is left open."""

    item_code: str
    member_limit: int | None
    body_limit: int | None
    lease_seconds: int | None
    cool_after: int | None
    cool_seconds: int | None
    fair_seconds: int | None
    fair_takes: int | None
    overlaps: bool | None
    wait_seconds: int | None
    version: int
    updated_at: InstantOut


class TakingRulesOut(Wire):
    """Every rule that the tenant has set about taking."""

    items: list[TakingRuleOut]


class TallyOut(Wire):
    """How many orders."""

    open: int = Field(description="In hand: the take is active.")
    done: int
    overdue: int = Field(description="Of those in hand.")


class MemberWorkOut(TallyOut):
    """How the orders stand that one person was put on."""

    id: UUID
    name: str


class WorkOut(Wire):
    """How the orders stand that a unit, team or other body has taken."""

    total: TallyOut
    unassigned: TallyOut = Field(description="Nobody was put on them yet.")
    members: list[MemberWorkOut] = Field(description="Its people, by name; no ranking.")
