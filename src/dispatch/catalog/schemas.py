"""The catalogue on the wire."""

from typing import Any, Literal

from pydantic import Field

from dispatch.domain.catalog import ItemFlag, Urgency
from dispatch.web.wire import Body, Text, Wire, example


class DurationOut(Wire):
    """A limit that is a length of time."""

    unit: Literal["h", "d", "wh", "wd"] = Field(
        description="h and d: natural hours and days; wh and wd: working hours and days."
    )
    amount: int | float = Field(examples=[24])


class OccasionOut(Wire):
    """A limit that is an occasion: the agreed time, or the plan."""

    unit: Literal["appointment", "planned"]


LimitOut = DurationOut | OccasionOut


class LimitsOut(Wire):
    """The limits of an item at its own urgency; null where a stage has none."""

    dispatch: LimitOut | None
    take: LimitOut | None
    contact: LimitOut | None
    finish: LimitOut | None


class ItemOut(Wire):
    """Something that may be asked for."""

    code: str = Field(description="Text, never a number.", examples=["0102"])
    name: str = Field(examples=["陪同就医/陪诊"])
    kind: Literal["V", "A", "Q", "W", "E", "M"] = Field(
        description="V service, A errand, Q problem, W wish, E activity, M shared resource."
    )
    urgency: Urgency
    limits: LimitsOut
    flags: list[ItemFlag]
    form: dict[str, Any] | None = Field(description="JSON Schema of the extra questions (``answers``).")
    stop_message: str | None = Field(description="Shown before anything is filed: whom to call first.")


class CategoryOut(Wire):
    """A chapter of the catalogue."""

    code: str = Field(examples=["01"])
    name: str = Field(examples=["助老助残"])
    items: list[ItemOut]


class CheckinItemOut(Wire):
    """Something a member may offer to do; it answers these items."""

    code: str = Field(examples=["elder_care"])
    name: str = Field(examples=["助老陪护"])
    item_codes: list[str]


class ReasonOut(Wire):
    """A reason that may be given for an act."""

    code: str = Field(examples=["no_longer_needed"])
    label: str = Field(examples=["不再需要"])


class CatalogOut(Wire):
    """Everything a client needs to offer a form: items, check-in list, reasons per move or kind of request."""

    categories: list[CategoryOut]
    checkin_items: list[CheckinItemOut]
    reasons: dict[str, list[ReasonOut]]


class SuggestIn(Body, json_schema_extra=example(text="五楼楼道灯不亮，晚上老人上下楼看不见。")):
    """What somebody would write into a new order; nothing is kept of it."""

    text: Text = Field(examples=["三楼过道灯不亮，晚上老人上下楼看不见。"])


class SuggestionOut(Wire):
    """An item that the words speak for."""

    code: str = Field(examples=["0904"])
    name: str = Field(examples=["楼道灯/门禁/电梯故障"])
    score: float = Field(examples=[0.6], description="0 to 1.")
    words: list[str] = Field(description="The words found, the weightiest first.", examples=[["过道灯"]])


class EmergencyOut(Wire):
    """Stop the form and show the numbers: this is nothing to wait for."""

    kind: Literal["fire", "gas", "electric", "medical", "water", "life", "crime", "missing", "trapped"]
    name: str = Field(examples=["火情"])
    phones: list[str] = Field(examples=[["119"]], description="To be dialled, the first first.")
    message: str = Field(examples=["请马上离开现场，拨打119报火警，有人受伤拨120。"])


class SuggestOut(Wire):
    """At most five items, the likeliest first; none if no word is known."""

    items: list[SuggestionOut]
    emergency: EmergencyOut | None
