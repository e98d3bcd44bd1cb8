"""What goes over the wire about verdicts."""

from typing import Annotated, Literal

from pydantic import Field

from dispatch.orders.schemas import Attachments
from dispatch.web.wire import Body, Code, InstantIn, ShortText, Text, example


class FollowUpIn(Body):
    """How staff heard the beneficiary's word (回访)."""

    channel: Literal["phone", "visit", "message"]
    at: InstantIn
    note: ShortText


class RateIn(
    Body,
    json_schema_extra=example(
        score=5, solved=True, contacted=True, tags=["态度好"], text="两位同志很耐心，药也帮我取好了。"
    ),
):
    """The resident's verdict (评单)."""

    score: Annotated[int, Field(ge=1, le=5, description="5 非常满意 … 1 非常不满意")]
    solved: bool
    contacted: bool
    tags: Annotated[list[ShortText], Field(max_length=10)] | None = None
    text: Text | None = Field(None, examples=["两位同志很耐心，药也帮我取好了。"])
    attachment_ids: Attachments | None = None
    follow_up: FollowUpIn | None = None


class RedoIn(
    Body, json_schema_extra=example(reason_code="not_solved", text="修完第二天又坏了，请重新安排。")
):
    """Why another round."""

    reason_code: Code = Field(examples=["not_solved"])
    text: Text
    same_takers: bool | None = None
