"""What goes over the wire about handing out, taking and serving."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dispatch.domain.handing import MOST_SLOTS
from dispatch.domain.order import Closing, Mode, TakerKind
from dispatch.orders.answers import OrderAnswer
from dispatch.orders.schemas import Attachments, TakeOut
from dispatch.web.wire import Body, IdIn, Text, Wire, example

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
