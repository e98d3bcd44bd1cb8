"""What goes over the wire about registrations of units and teams."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dispatch.checkin.schemas import NamedOut
from dispatch.web.wire import (
    Body,
    DateIn,
    IdIn,
    InstantOut,
    PersonName,
    Phone,
    ShortText,
    TextRule,
    Wire,
    example,
)

Kind = Literal["unit", "team"]
State = Literal["filed", "approved", "returned", "withdrawn", "ended"]


class LiaisonIn(Body):
    """联络员: whom to call."""

    name: PersonName
    phone: Phone
    duty: ShortText | None = None


class RegistrationIn(
    Body,
    json_schema_extra=example(
        kind="unit",
        name="市第二人民医院",
        place_id="019abc4d-6f00-7000-8000-000000000007",
        from_on="2026-12-01",
        until_on="2027-12-01",
        document="共建协议〔2026〕12号",
        liaisons=[{"name": "李敏", "phone": "13800001111", "duty": "党办主任"}],
    ),
):
    """A unit or team registers with a community or street, or renews (``body_id``)."""

    kind: Kind
    name: Annotated[str, TextRule(2, 64, lines=False)]
    place_id: IdIn
    body_id: IdIn | None = Field(None, description="The unit or team that renews.")
    from_on: DateIn | None = Field(None, description="First day of the agreement; today when absent.")
    until_on: DateIn | None = Field(
        None, description="The day after its last; a year (unit) or half a year (team) on when absent."
    )
    document: ShortText | None = Field(None, description="Where the signed agreement lies.")
    liaisons: list[LiaisonIn] = Field(min_length=1, max_length=5)


class LiaisonOut(Wire):
    """Whom to call; the phone whole for the body itself and those who approve."""

    name: str
    phone: str
    duty: str | None = None


class RegistrationOut(Wire):
    """One agreement."""

    id: UUID
    kind: Kind
    state: State
    state_label: str = Field(examples=["待审核"])
    receipt: str | None = Field(description="回执号, once approved.", examples=["H20261125-000002"])
    name: str
    place: NamedOut
    body_id: UUID | None
    from_on: date
    until_on: date
    document: str | None
    liaisons: list[LiaisonOut]
    filed_at: InstantOut
    decided_at: InstantOut | None
    reason: str | None = Field(description="Why it was returned.")


class BodyLeftOut(Wire):
    """The unit or team that serves no more."""

    body_id: UUID
    state: Literal["ended"]
