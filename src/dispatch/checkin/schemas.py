"""What goes over the wire about check-ins."""

from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from dispatch.domain.checkin import after_hours
from dispatch.domain.people import Role
from dispatch.web.wire import (
    Body,
    Code,
    DateIn,
    IdIn,
    InstantOut,
    Location,
    ShortText,
    Text,
    TextRule,
    Wire,
    example,
)

Word = Annotated[str, TextRule(1, 32, lines=False)]
Starts = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["18:30"])]
Ends = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", examples=["21:00"])]


class FreeTime(Body):
    """Every week at these hours, in the tenant's zone."""

    model_config = ConfigDict(populate_by_name=True)

    weekday: int = Field(ge=1, le=7, description="1 Monday to 7 Sunday.")
    from_: Starts = Field(alias="from")
    to: Ends


class SkillIn(Body):
    """What the member is able to do, with proof where there is one."""

    code: Code
    name: Word
    proof: ShortText | None = Field(None, description="Number or reference of the certificate.")
    expires_on: DateIn | None = Field(None, description="Last day on which it is in force.")


class _Hours(Body):
    free_times: list[FreeTime] = Field(default_factory=list, max_length=42)
    after_hours: bool = Field(
        False, description="八小时之外: evenings of working days and weekends, in place of free_times."
    )
    languages: list[Word] = Field(default_factory=list, max_length=10)
    most_a_day: int | None = Field(None, ge=1, le=20)
    most_a_week: int | None = Field(None, ge=1, le=100)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.after_hours and self.free_times:
            raise PydanticCustomError("after_hours_or_times", "请在“八小时之外”和具体时间中选择一种")
        return self

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        kept = self.model_dump(by_alias=True, exclude={"after_hours"})
        return kept | ({"free_times": after_hours()} if self.after_hours else {})


class HoursIn(
    _Hours,
    json_schema_extra=example(after_hours=True, languages=["普通话", "湘语"], most_a_day=1, most_a_week=3),
):
    """When the member is free, and how much he wants at most."""


class CheckinIn(
    _Hours,
    json_schema_extra=example(
        community_id="019abc4d-6f00-7000-8000-000000000007",
        items=["elder_care", "home_repair"],
        skills=[{"code": "electrician", "name": "持证电工", "proof": "T430", "expires_on": "2028-05-31"}],
        after_hours=True,
        languages=["普通话"],
        address="3栋2单元501",
    ),
):
    """《在职报到单》: with which community, what one offers, when."""

    community_id: IdIn
    home_place_id: IdIn | None = Field(None, description="The building or grid one lives in.")
    address: ShortText | None = Field(None, description="Kept only to spare one orders of the own household.")
    work_community_id: IdIn | None = None
    unit_id: IdIn | None = None
    items: list[Code] = Field(min_length=1, max_length=40, description="Codes of the check-in list.")
    skills: list[SkillIn] = Field(default_factory=list, max_length=20)
    location: Location | None = None
    born_on: DateIn | None = Field(None, description="Told only by minors.")
    guardian_consent_on: DateIn | None = None


class LeaveIn(Body, json_schema_extra=example(first_day="2026-12-01", last_day="2026-12-05")):
    """Days away, both included."""

    first_day: DateIn
    last_day: DateIn


class ApproveIn(Body, json_schema_extra=example()):
    """The grid, where the home does not tell it."""

    grid_place_id: IdIn | None = None


class ReturnIn(Body, json_schema_extra=example(text="电工证已过期，请补充新证。")):
    """Why it is returned."""

    text: Text


class NamedOut(Wire):
    """A place or unit."""

    id: UUID
    name: str


class SkillOut(Wire):
    """A skill as told."""

    code: str
    name: str
    proof: str | None = None
    expires_on: date | None = None


class FreeTimeOut(Wire):
    """Hours of a week."""

    weekday: int
    from_: str = Field(serialization_alias="from")
    to: str


class FormOut(Wire):
    """The form as it was filled; the address is shown to its owner only."""

    home_place_id: UUID | None
    address: str | None
    work_community_id: UUID | None
    unit_id: UUID | None
    items: list[str]
    skills: list[SkillOut]
    free_times: list[FreeTimeOut]
    languages: list[str]
    most_a_day: int | None
    most_a_week: int | None
    born_on: date | None
    guardian_consent_on: date | None


class CheckinOut(Wire):
    """One filing and what the community answered."""

    id: UUID
    kind: Literal["new", "change", "transfer", "roster"]
    state: Literal["filed", "approved", "returned", "withdrawn"]
    state_label: str = Field(examples=["待审核"])
    version: int
    receipt: str | None = Field(description="回执号, once approved.", examples=["H20261125-000001"])
    account_id: UUID
    name: str
    phone: str | None = Field(description="Masked.")
    community: NamedOut
    filed_at: InstantOut
    decided_at: InstantOut | None
    reason: str | None = Field(description="Why it was returned.")
    form: FormOut | None = Field(None, description="Absent in lists.")


class LeaveOut(Wire):
    """Days away, both included."""

    first_day: date
    last_day: date


class MemberOut(Wire):
    """What stands of a member."""

    state: Literal["active", "lapsed", "suspended", "ended"]
    state_label: str = Field(examples=["在册"])
    community_id: UUID
    grid_id: UUID | None
    unit_id: UUID | None
    work_community_id: UUID | None
    items: list[str]
    skills: list[SkillOut]
    free_times: list[FreeTimeOut]
    languages: list[str]
    most_a_day: int | None
    most_a_week: int | None
    leaves: list[LeaveOut]
    checked_in_at: InstantOut
    renew_by: date | None


class BelongingOut(Wire):
    """Who belonged where, from when (included) to when (excluded)."""

    kind: Literal["checkin", "work", "unit", "registration"]
    of: NamedOut
    from_at: InstantOut
    until_at: InstantOut | None


class MyCheckinOut(Wire):
    """The caller's own check-in."""

    member: MemberOut | None
    checkin: CheckinOut | None = Field(description="The filing that waits, else the newest.")
    history: list[BelongingOut]


class PartyOut(Wire):
    """A member, unit or team."""

    kind: Literal["member", "unit", "team"]
    id: UUID
    name: str


class BelongedOut(Wire):
    """Who belonged somewhere on a day."""

    party: PartyOut
    kind: Literal["checkin", "work", "unit", "registration"]
    of: NamedOut
    from_at: InstantOut
    until_at: InstantOut | None


class MemberViewOut(Wire):
    """Who had the caller's phone before his eyes."""

    id: UUID
    at: InstantOut
    role: Role | None
    role_label: str | None
    name: str
    purpose: str
    fields: list[str]


class EndedOut(Wire):
    """The member who belongs nowhere any more."""

    account_id: UUID
    state: Literal["ended"]
