"""What goes over the wire about orders."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, PlainSerializer

from dispatch.domain.attachments import MOST_AT_ONCE, FileKind, Use
from dispatch.domain.catalog import Unit
from dispatch.domain.order import Ask, AskState, Closing, Exit, Level, Move, State
from dispatch.domain.sla import Clock, Outcome
from dispatch.orders.tables import CHANNELS
from dispatch.web.wire import (
    Answers,
    Body,
    Code,
    DateIn,
    IdIn,
    InstantIn,
    InstantOut,
    Location,
    LocationOut,
    PersonName,
    Phone,
    ShortText,
    Text,
    TextRule,
    Wire,
    example,
)

Urgency = Literal["U1", "U2", "U3", "U4"]
Attachments = Annotated[
    list[IdIn],
    Field(max_length=MOST_AT_ONCE),
    PlainSerializer(lambda ids: [str(id) for id in ids], list[str]),
]
"""Ids of files that were sent before, as the log keeps them: each is handed in once."""


Words = Annotated[str, TextRule(1, 50, lines=False)]
"""What is typed into a search box."""


class ConsentIn(Body):
    """How the beneficiary agreed that another files."""

    how: Literal["oral", "written", "family"]
    note: ShortText | None = None


class OnBehalfIn(Body):
    """For whom, when it is not the filer. Neither needs a phone or WeChat."""

    name: PersonName
    phone: Phone | None = None
    relation: ShortText = Field(examples=["网格居民"])
    consent: ConsentIn


class OrderIn(
    Body,
    json_schema_extra=example(
        item_code="0102",
        text="母亲82岁，周三上午要去市二医院复查，家里没人陪，请帮忙找人陪同。",
        address="3栋2单元501",
        contact_phone="19900010001",
        wanted_from="2027-03-03T08:00:00+08:00",
        wanted_to="2027-03-03T12:00:00+08:00",
        answers={"hospital": "市第二人民医院", "wheelchair": True},
    ),
):
    """A demand as it is filed (点单)."""

    item_code: Code = Field(examples=["0102"])
    text: Text = Field(examples=["李奶奶82岁，周三上午要去市二医院复查，家里没人陪，请帮忙找两个人陪同。"])
    place_id: IdIn | None = Field(None, description="Where it is; the filer's home community if absent.")
    address: ShortText | None = Field(None, examples=["3栋2单元501"])
    location: Location | None = None
    wanted_from: InstantIn | None = None
    wanted_to: InstantIn | None = None
    contact_phone: Phone | None = None
    hide_name: bool = False
    on_behalf_of: OnBehalfIn | None = None
    attachment_ids: Attachments | None = None
    channel: Literal[CHANNELS] | None = None  # type: ignore[valid-type]
    answers: Answers | None = Field(None, description="Answers to the item's form.")


class NothingIn(Body, json_schema_extra=example()):
    """A move that needs nothing."""


class TextIn(Body, json_schema_extra=example(text="请补充一下方便上门的时间。")):
    """A move that needs words."""

    text: Text = Field(examples=["请补充一下方便上门的时间。"])


class ReportIn(Body, json_schema_extra=example(text="已到现场查看，配件明天送到。")):
    """A move that needs words and may come with files."""

    text: Text = Field(examples=["已到现场查看，配件明天送到。"])
    attachment_ids: Attachments | None = None


class MaybeTextIn(Body, json_schema_extra=example(text="人已到齐，可以开始。")):
    """A move that may carry words."""

    text: Text | None = None


class AcceptIn(Body, json_schema_extra=example(text="情况属实，予以受理。")):
    """Take in, with the community's own item or urgency if they differ."""

    item_code: Code | None = None
    urgency: Urgency | None = None
    text: Text | None = None


class RejectIn(
    Body,
    json_schema_extra=example(reason_code="not_our_service", text="该事项由供电部门直接受理，请拨打95598。"),
):
    """Not for this service; with a way to go instead."""

    reason_code: Code = Field(examples=["not_our_service"])
    text: Text = Field(examples=["该事项属于公安机关职责，请拨打110。"])


class MergeIn(Body, json_schema_extra=example(parent_id="019abc4d-6f00-7000-8000-000000000001")):
    """Into which order."""

    parent_id: IdIn


BodyKind = Literal["unit", "team", "provider", "department"]


class BodyRef(Body):
    """A unit, team, provider or department."""

    kind: BodyKind
    id: IdIn


class ResolveIn(AcceptIn, json_schema_extra=example(result="已协调物业当场更换灯泡。", closing="solved")):
    """Done on the spot, or by a called body's work."""

    result: Text = Field(examples=["已协调物业当场更换灯泡。"])
    closing: Closing
    by_body: BodyRef | None = None


class ReasonIn(
    Body, json_schema_extra=example(reason_code="other", text="居民改了时间，原来的安排不合适了。")
):
    """A reason from the tenant's list."""

    reason_code: Code = Field(examples=["unavailable"])
    text: Text | None = None


class MaybeReasonIn(Body, json_schema_extra=example(reason_code="other", text="时间上安排不开。")):
    """A reason, if one is wanted."""

    reason_code: Code | None = None
    text: Text | None = None


class EscalateIn(Body, json_schema_extra=example(level="street", text="养犬扰民长期未解决，提请街道统筹。")):
    """To which level, and why."""

    level: Level
    text: Text = Field(examples=["养犬扰民长期未解决，提请社区党委研究。"])


class DeliberateIn(Body, json_schema_extra=example(decision="由派出所和城管共同上门，三日内办结。")):
    """What the meeting decided, and whom it called."""

    decision: Text = Field(examples=["由派出所和城管共同上门，三日内办结。"])
    bodies: Annotated[list[BodyRef], Field(max_length=20)] | None = None
    due: InstantIn | None = None


class CloseIn(Body, json_schema_extra=example(exit="explained", text="已上门说明政策依据，居民表示理解。")):
    """By which door it leaves."""

    exit: Exit
    text: Text | None = None


class RequestIn(
    Body,
    json_schema_extra=example(
        kind="return",
        reason_code="unavailable",
        text="单位临时安排值班，周三去不了。",
        suggestion="可请同楼的互助队员。",
    ),
):
    """Ask those who decide."""

    kind: Ask
    reason_code: Code
    text: Text = Field(examples=["需要等配件到货，预计后天能修好。"])
    until: InstantIn | DateIn | None = Field(
        None, description="extension: an instant; park: a date.", examples=["2026-12-01"]
    )
    clock: Literal["lease"] | None = Field(
        None, description="extension: of the caller's take without a contact, not of the finish deadline."
    )
    level: Level | None = None
    suggestion: Annotated[str, TextRule(1, 500)] | None = Field(
        None, description="Who should have it instead."
    )
    attachment_ids: Attachments | None = None


class DecisionIn(Body, json_schema_extra=example(text="情况属实，请按说明办理。")):
    """The decision's words; ``until`` where another date is granted."""

    text: Text | None = None
    until: InstantIn | DateIn | None = None


# --- answers --------------------------------------------------------------------------------


class ItemRef(Wire):
    """A catalogue item."""

    code: str
    name: str


class PlaceOut(Wire):
    """Where an order is. Before a take only the block is told."""

    id: UUID
    name: str
    street: str | None
    community: str | None
    grid: str | None


class PersonOut(Wire):
    """A person, as far as the viewer may know."""

    id: UUID | None
    name: str
    relation: str | None = None


class BeneficiaryOut(Wire):
    """For whom."""

    name: str
    phone: str | None


class OrderRef(Wire):
    """Another order."""

    id: UUID
    number: str


class PartyOut(Wire):
    """A taker or target."""

    kind: str
    id: UUID
    name: str


class MatchOut(Wire):
    """Why matching named somebody; told to those who dispatch."""

    score: float
    parts: dict[str, float]
    reasons: list[str]


class TargetOut(PartyOut):
    """One named candidate of an offer or assignment."""

    seq: int
    state: str
    match: MatchOut | None = None


class DispatchOut(Wire):
    """One round of handing the order out."""

    id: UUID
    number: str
    mode: str
    state: str
    slots_min: int
    slots_max: int
    slots_taken: int
    kinds: list[str]
    ring_place_id: UUID | None
    expires_at: InstantOut | None
    targets: list[TargetOut]
    note: str | None
    created_at: InstantOut


class TakeOut(Wire):
    """One taker's commitment."""

    id: UUID
    number: str
    dispatch_id: UUID
    taker: PartyOut
    lead: bool
    state: str
    taken_at: InstantOut
    lease_until: InstantOut | None = Field(
        description="Until when it is kept without a first contact; null once there was one."
    )
    minutes: int | None
    people: list[UUID]


class AskedOut(Wire):
    """A request and how it stands."""

    id: UUID
    kind: Ask
    status: AskState
    reason_code: str
    text: str | None
    until: InstantOut | date | None
    clock: Literal["lease"] | None
    level: Level | None
    suggestion: str | None
    asked_by: PersonOut
    asked_at: InstantOut
    decided_at: InstantOut | None
    decision: str | None


class RequestOut(AskedOut):
    """A request in a list of its own."""

    order: OrderRef


class RatingOut(Wire):
    """The verdict of the current round."""

    score: int
    solved: bool
    contacted: bool
    tags: list[str]
    text: str | None
    by: Literal["filer", "beneficiary", "follow_up"]
    rated_at: InstantOut


class MoveOut(Wire):
    """A button: what the viewer may do now, and the fields it needs."""

    move: Move
    label: str
    needs: list[str]


class DeadlineOut(Wire):
    """A clock's deadline; ``verdict`` once it has stopped."""

    clock: Clock
    due_at: InstantOut
    verdict: Outcome | None
    provisional: bool = Field(description="It rests on days whose holidays are not announced yet.")


class OwnerOut(Wire):
    """Who answers for a clock."""

    kind: str = Field(
        description="community, street, district, a kind of taker, filer, or nobody: the system itself acts."
    )
    id: UUID | None
    name: str | None


class SegmentOut(Wire):
    """A stretch of a clock's time, and why it counts or not."""

    from_: InstantOut = Field(serialization_alias="from")
    to: InstantOut
    counted: bool
    reason: str


class ExplainedOut(DeadlineOut):
    """A clock and its deadline, explained: the segments have no gap, and the counted ones add up.

    Of a clock that runs they reach to its deadline and add up to ``limit_seconds``; of one that stopped, to where it
    stopped. The same clock under another owner is another item.
    """

    due_at: InstantOut | None  # type: ignore[assignment]
    unit: Unit | None
    limit_seconds: float | None = Field(description="What is counted from the start to the deadline.")
    started_at: InstantOut
    owned_from: InstantOut = Field(description="Since when this owner answers for it.")
    stopped_at: InstantOut | None
    paused_at: InstantOut | None
    reason: str | None = Field(description="Why it ended before its aim.")
    remaining_seconds: float | None = Field(description="Still to be counted until the deadline.")
    owner: OwnerOut
    policy: str = Field(
        description="Where the limit comes from: a policy's code, item or default, @ version."
    )
    calendar: int = Field(description="The version of the calendar it is judged by.")
    segments: list[SegmentOut]


class DeadlinesOut(Wire):
    """The clocks of an order, oldest first."""

    items: list[ExplainedOut]


class FileOut(Wire):
    """A file that hangs on an order."""

    id: UUID
    kind: FileKind
    mime: str
    size: int = Field(description="Bytes.")
    width: int | None = Field(description="Pixels, of a photo.")
    height: int | None
    used_for: Use = Field(description="What it came with: a move, or a request.")
    seq: int | None = Field(description="The entry of the timeline that it came with.")
    request_id: UUID | None
    mine: bool = Field(description="Whether the viewer sent it.")
    added_at: InstantOut


class OrderOut(Wire):
    """An order as its viewer may see it. Lists hold the newest 20."""

    id: UUID
    number: str
    state: State
    state_label: str
    effective_state: State | None = Field(description="A merged order's: where its parent stands.")
    version: int
    round: int
    flags: list[str]
    level: Level | None
    item: ItemRef
    urgency: Urgency
    place: PlaceOut
    address: str | None
    location: LocationOut | None
    text: str
    answers: dict[str, Any] | None
    attachments: list[FileOut] = Field(description="Empty where the viewer sees no more than the block.")
    channel: str
    wanted_from: InstantOut | None
    wanted_to: InstantOut | None
    created_at: InstantOut
    updated_at: InstantOut
    filer: PersonOut
    beneficiary: BeneficiaryOut
    contact_phone: str | None
    parent: OrderRef | None
    children_count: int
    result: str | None
    closing: Closing | None
    exit: Exit | None
    dispatches: list[DispatchOut]
    takes: list[TakeOut]
    requests: list[AskedOut]
    deadlines: list[DeadlineOut]
    rating: RatingOut | None
    moves: list[MoveOut]


class HintOut(Wire):
    """An order that may ask for the same thing. Only a hint; one that the filer may not see has no number."""

    id: UUID | None
    number: str | None
    why: list[str] = Field(examples=[["同一事项", "相距约40米", "相隔3小时", "描述相近（43%）"]])
    score: float = Field(examples=[0.81])


class FiledOut(OrderOut):
    """An order that was just filed, and what it may repeat."""

    possible_duplicates: list[HintOut]


class GoneOut(Wire):
    """An order that the caller's own act put out of the caller's sight."""

    id: UUID
    number: str
    state: State
    gone: Literal[True] = True


class AssignedOut(Wire):
    """Somebody whom a body put on an order."""

    id: UUID
    name: str


class SummaryOut(Wire):
    """An order in a list."""

    id: UUID
    number: str
    state: State
    state_label: str
    effective_state: State | None
    version: int
    flags: list[str]
    item: ItemRef
    urgency: Urgency
    place: PlaceOut
    text: str
    created_at: InstantOut
    updated_at: InstantOut
    next_due_at: InstantOut | None = Field(description="The earliest deadline of its running clocks.")
    assigned: list[AssignedOut] = Field(
        description="Whom the unit, team or other body that the caller acts for put on it; empty for others."
    )
    moves: list[MoveOut]


class TombstoneOut(Wire):
    """A row that a mirror may hold and that is no longer in the list."""

    id: UUID
    deleted: Literal[True] = True


class WhoOut(Wire):
    """Who did a step."""

    role: str
    name: str


class StepOut(Wire):
    """One line of the log, in plain Chinese."""

    seq: int
    at: InstantOut
    move: Move
    from_: State | None = Field(serialization_alias="from")
    to: State
    who: WhoOut
    text: str
    attachment_ids: list[UUID]


class TimelineOut(Wire):
    """The log, oldest first."""

    items: list[StepOut]
