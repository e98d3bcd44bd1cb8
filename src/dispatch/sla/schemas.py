"""Calendars and policies on the wire."""

from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from dispatch.catalog.schemas import LimitOut
from dispatch.domain.calendar import DayKind
from dispatch.domain.calendar_file import Entry, Source, read_span
from dispatch.domain.catalog import SCALE, Limit, Unit, Urgency
from dispatch.domain.policy import Policy
from dispatch.web.wire import Body, Code, DateIn, IdIn, InstantOut, TextRule, Wire, example

Hours = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,2}:[0-5][0-9]-[0-9]{1,2}:[0-5][0-9]$",
        examples=["09:00-12:00"],
        description="Past midnight the hours go on counting: 20:00-26:00 ends at 02:00 of the next day.",
    ),
]
Reach = Annotated[
    Literal["future", "open"],
    Field(description="future: what starts from now on. open: the running clocks of open orders too."),
]
MOST_DAYS = 3000  # a hundred years of holidays
MOST_POLICIES = 500
A_POLICY = {
    "code": "visit-fast",
    "name": "独居老人走访提速",
    "item_code": "0101",
    "limits": {"take": {"unit": "h", "amount": 4}, "finish": {"unit": "wd", "amount": 2}},
}


class DayOut(Wire):
    """A day that differs from its weekday."""

    date: date
    kind: DayKind
    name: str | None
    hours: list[str] | None = Field(description="Hours of its own; null: as usual.")
    source: Source = Field(
        description="official: announced. statutory: a guess by the statute alone. local: the tenant's own."
    )


class CalendarOut(Wire):
    """When a tenant works."""

    version: int = Field(description="0: what ships, not written down yet.")
    zone: str = Field(examples=["Asia/Shanghai"])
    known_until: date = Field(description="Last date with official data; later deadlines are provisional.")
    weekly: list[list[str]] = Field(description="Hours of each weekday, Monday first.")
    days: list[DayOut]
    year: int | None = Field(None, description="The year asked for; null: all years.")
    working_days: int | None = Field(None, description="Dates with working time in that year.")


class DayIn(Body):
    """A day that differs from its weekday."""

    date: DateIn
    kind: DayKind
    name: Annotated[str, TextRule(1, 32, lines=False)] | None = None
    hours: list[Hours] | None = Field(None, max_length=8)
    source: Source = Source.LOCAL

    def entry(self) -> Entry:
        """As the domain has it. Raises: ValueError on reversed hours."""
        spans = None if self.hours is None else tuple(read_span(text) for text in self.hours)
        return Entry(self.date, self.kind, self.name, spans, self.source)


class CalendarIn(
    Body,
    json_schema_extra=example(
        known_until="2026-12-31",
        weekly=[*[["09:00-12:00", "14:00-18:00"]] * 5, [], []],
        days=[
            {"date": "2026-10-01", "kind": "holiday", "name": "国庆节", "source": "official"},
            {"date": "2026-10-10", "kind": "makeup", "name": "国庆节调休", "source": "official"},
        ],
        apply_to="future",
    ),
):
    """A whole calendar, in place of the one that stands."""

    known_until: DateIn
    weekly: list[Annotated[list[Hours], Field(max_length=8)]] = Field(min_length=7, max_length=7)
    days: list[DayIn] = Field(max_length=MOST_DAYS)
    apply_to: Reach


class LimitIn(Body):
    """A length of time, or an occasion."""

    unit: Unit = Field(description="h, d: natural hours and days; wh, wd: working hours and days.")
    amount: float | None = Field(None, gt=0, description="Not with appointment and planned.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        Limit(self.unit, self.amount)
        return self


Stage = Literal["accept", "dispatch", "take", "contact", "finish", "level", "evaluate", "review"]


class PolicyIn(Body):
    """Limits of some stages for what an item, an urgency and a place name; null limits a stage by nothing."""

    code: Code
    name: Annotated[str, TextRule(1, 64, lines=False)]
    item_code: Code | None = None
    urgency: Urgency | None = None
    place_id: IdIn | None = Field(None, description="The place and all below it.")
    limits: dict[Stage, LimitIn | None]

    def policy(self) -> Policy:
        """As the domain has it."""
        limits: dict[str, Limit | None] = {
            stage: Limit(given.unit, given.amount) if given else None for stage, given in self.limits.items()
        }
        return Policy(self.code, self.name, limits, self.item_code, self.urgency, self.place_id)


class ScaleIn(Body):
    """What a step away from an item's own urgency makes of its limits."""

    up_3: float = Field(SCALE[-3], gt=0, le=1)
    up_2: float = Field(SCALE[-2], gt=0, le=1)
    up_1: float = Field(SCALE[-1], gt=0, le=1, description="One step more urgent.")
    down_1: float = Field(SCALE[1], ge=1, le=16, description="One step less urgent.")
    down_2: float = Field(SCALE[2], ge=1, le=16)
    down_3: float = Field(SCALE[3], ge=1, le=16)

    def table(self) -> dict[int, float]:
        """Steps to factor, as domain.catalog.SCALE."""
        ups = {-3: self.up_3, -2: self.up_2, -1: self.up_1}
        return ups | {0: 1.0, 1: self.down_1, 2: self.down_2, 3: self.down_3}


class PoliciesIn(Body, json_schema_extra=example(items=[A_POLICY], apply_to="future")):
    """All policies, in place of those that stand."""

    items: list[PolicyIn] = Field(max_length=MOST_POLICIES)
    scale: ScaleIn = ScaleIn()
    apply_to: Reach


class PolicyOut(Wire):
    """Limits of some stages, for what its conditions name."""

    code: str
    name: str
    item_code: str | None
    urgency: Urgency | None
    place_id: UUID | None
    limits: dict[str, LimitOut | None]


class ScaleOut(Wire):
    """What a step away from an item's own urgency makes of its limits."""

    up_3: float
    up_2: float
    up_1: float
    down_1: float
    down_2: float
    down_3: float


class PoliciesOut(Wire):
    """A tenant's policies."""

    version: int = Field(description="0: there are none yet.")
    items: list[PolicyOut]
    scale: ScaleOut


class ChosenOut(Wire):
    """The limit of a stage, and why."""

    stage: str
    limit: LimitOut | None
    source: str = Field(description="Code of the policy, item, or default.")
    reason: str


class ChoiceOut(Wire):
    """The limits that an order filed now would have in its first round."""

    version: int
    items: list[ChosenOut]


def scale_out(scale: dict[int, float] | Any) -> ScaleOut:
    """A table of factors on the wire."""
    names = {-3: "up_3", -2: "up_2", -1: "up_1", 1: "down_1", 2: "down_2", 3: "down_3"}
    return ScaleOut(**{name: scale[steps] for steps, name in names.items()})


class PreviewIn(
    Body, json_schema_extra=example(items=[A_POLICY], closed_from="2026-10-01", closed_to="2026-11-01")
):
    """Policies to try, and the closed orders to try them on."""

    items: list[PolicyIn] = Field(max_length=MOST_POLICIES)
    scale: ScaleIn = ScaleIn()
    closed_from: DateIn | None = Field(None, description="First date; without it that of the last month.")
    closed_to: DateIn | None = Field(
        None, description="Date after the last; without it the first of this month."
    )


class MovedOut(Wire):
    """A deadline that would move."""

    order_id: UUID
    clock: str
    old_due_at: InstantOut | None
    new_due_at: InstantOut | None
    breaches: bool = Field(description="It would be over already.")


class OpenPreviewOut(Wire):
    """What would be changed with apply_to open, now."""

    changed: int = Field(description="Orders with a deadline that would move.")
    breached: int = Field(description="Those of them with one that would be over already.")
    items: list[MovedOut] = Field(description="The first 50.")


class ClosedPreviewOut(Wire):
    """What the policies would have made of closed orders."""

    closed_from: date
    closed_to: date
    orders: int
    changed: int = Field(description="Orders with a deadline that would have been another.")
    breached: int = Field(description="Orders with a clock that would have been late and was on time.")
    relieved: int = Field(description="Orders with a clock that would have been on time and was late.")


class PreviewOut(Wire):
    """What other policies would do; nothing was changed."""

    open: OpenPreviewOut
    closed: ClosedPreviewOut
