"""What goes over the wire about listings and claims."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from dispatch.domain.listings import Act, ClaimState, ListingKind, ListingState, Side
from dispatch.web.wire import (
    Body,
    DateIn,
    IdIn,
    InstantIn,
    InstantOut,
    ShortText,
    Text,
    TextRule,
    Wire,
    example,
)

MOST_PEOPLE = 100_000
MOST_GOODS = 1_000_000
MOST_SPANS = 28
"""Opening hours: four spans a day."""

Title = Annotated[str, TextRule(1, 64, lines=False)]
Measure = Annotated[str, TextRule(1, 16, lines=False)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", examples=["09:00"])]


class HoursIn(Body):
    """One span of opening hours, in the tenant's zone."""

    weekday: int = Field(ge=1, le=7, description="1 is Monday.")
    from_: Clock = Field(alias="from")
    to: Clock


class ListingIn(
    Body,
    json_schema_extra=example(
        side="resource",
        kind="venue",
        title="图书馆二楼报告厅",
        text="可容纳八十人，有投影和音响，免费用于社区公益活动。",
        spot="柳溪路12号二楼",
        seats=80,
        terms="用后请打扫干净。",
        opening_hours=[{"weekday": 6, "from": "09:00", "to": "17:00"}],
        ends_on="2026-12-31",
    ),
):
    """A resource that is offered, or a demand that is to be met."""

    side: Side = Field(
        description="resource: 资源清单, offered. demand: 需求清单, asked for; by communities only."
    )
    kind: ListingKind
    title: Title
    text: Text
    audience_place_id: IdIn | None = Field(
        None, description="Within which place it is published; by default that of its publisher."
    )
    spot: ShortText | None = Field(None, description="Where it is.")
    seats: int | None = Field(None, ge=1, le=MOST_PEOPLE, description="For how many people.")
    terms: Text | None = Field(None, description="On what conditions.")
    quantity: int | None = Field(
        None, ge=1, le=MOST_GOODS, description="How much there is; needed for goods."
    )
    measure: Measure | None = Field(None, description="Of what: 箱, 份, 人次.")
    opening_hours: list[HoursIn] | None = Field(
        None, min_length=1, max_length=MOST_SPANS, description="When a venue is open; by default always."
    )
    starts_on: DateIn | None = None
    ends_on: DateIn | None = Field(None, description="Its last day.")
    order_id: IdIn | None = Field(None, description="The order that a demand comes from.")


class HolderOut(Wire):
    """A unit or other body, or without one the community, street or district itself."""

    body_id: UUID | None
    place_id: UUID
    name: str
    place: str = Field(description="The community, street or district where it stands.")


class HoursOut(Wire):
    """One span of opening hours."""

    weekday: int
    from_: str = Field(serialization_alias="from", validation_alias="from")
    to: str


class ListingOut(Wire):
    """A listing."""

    id: UUID
    side: Side
    kind: ListingKind
    kind_label: str
    title: str
    text: str
    publisher: HolderOut
    audience_place_id: UUID
    spot: str | None
    seats: int | None
    terms: str | None
    quantity: int | None
    left: int | None = Field(description="How much can still be claimed; null where nothing is counted.")
    measure: str | None
    opening_hours: list[HoursOut]
    starts_on: date | None
    ends_on: date | None
    order_id: UUID | None = Field(description="Told to its publisher only.")
    state: ListingState
    published_at: InstantOut
    withdrawn_at: InstantOut | None
    own: bool = Field(description="Whether the caller acts for who published it.")


class ClaimIn(
    Body,
    json_schema_extra=example(
        purpose="重阳节老人健康讲座，约六十人。",
        starts_at="2026-12-05T09:00:00+08:00",
        ends_at="2026-12-05T11:00:00+08:00",
    ),
):
    """What a listing is claimed for."""

    purpose: Text
    quantity: int | None = Field(None, ge=1, le=MOST_GOODS, description="How much; by default one.")
    starts_at: InstantIn | None = Field(None, description="A venue's time, within one day.")
    ends_at: InstantIn | None = None


class StepOut(Wire):
    """What the caller may do with a claim."""

    act: Act
    label: str
    needs: list[str]


class ClaimedListingOut(Wire):
    """What a claim is on."""

    id: UUID
    side: Side
    kind: ListingKind
    title: str
    measure: str | None


class ClaimOut(Wire):
    """A claim on a listing."""

    id: UUID
    listing: ClaimedListingOut
    publisher: HolderOut
    claimant: HolderOut
    purpose: str
    quantity: int
    starts_at: InstantOut | None
    ends_at: InstantOut | None
    state: ClaimState
    state_label: str
    reason: str | None
    note: str | None
    claimed_at: InstantOut
    moved_at: InstantOut
    moves: list[StepOut]


class ConfirmIn(Body, json_schema_extra=example()):
    """Nothing needs to be said."""


class DeclineIn(Body, json_schema_extra=example(reason="当天馆内有活动，请改约周日。")):
    """Why not."""

    reason: Text


class CancelIn(Body, json_schema_extra=example(reason="活动改期，另行预约。")):
    """Why it is called off; needed once it was confirmed."""

    reason: Text | None = None


class DeliverIn(Body, json_schema_extra=example(note="讲座如期举办，到场五十八人。")):
    """How it went."""

    note: Text


class BookedOut(Wire):
    """A time that is taken; by whom, is not told."""

    starts_at: InstantOut
    ends_at: InstantOut
    state: ClaimState


class BookedListOut(Wire):
    """The times of a venue that are taken."""

    items: list[BookedOut]


class CountOut(Wire):
    """What one unit or community gave, asked for and claimed."""

    body_id: UUID | None
    body_name: str | None
    place_id: UUID
    place_name: str
    resources: int = Field(description="Published.")
    demands: int = Field(description="Published.")
    claimed: int
    confirmed: int = Field(description="Of the claims: agreed to, delivered ones too.")
    delivered: int


class CountsOut(Wire):
    """Communities first, then units, by name; no ranking."""

    items: list[CountOut]
