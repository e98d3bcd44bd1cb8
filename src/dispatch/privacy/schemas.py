"""What goes over the wire about privacy."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dispatch.domain.people import Role
from dispatch.orders.schemas import BeneficiaryOut
from dispatch.web.wire import Body, InstantOut, LocationOut, TextRule, Wire


class RevealIn(Body):
    """What contact data is needed for; the requester reads it."""

    purpose: Annotated[str, TextRule(2, 200, lines=False)] = Field(examples=["上门前与居民约定时间"])


class ContactOut(Wire):
    """An order's contact data, shown once and on record."""

    view_id: UUID
    order_id: UUID
    filer_name: str
    beneficiary: BeneficiaryOut
    contact_phone: str | None
    address: str | None
    location: LocationOut | None
    shown_at: InstantOut


class LookerOut(Wire):
    """Who looked."""

    role: Role | None
    role_label: str | None
    name: str


class ViewOut(Wire):
    """One look at an order's contact data."""

    id: UUID
    at: InstantOut
    kind: Literal["open", "reveal"] = Field(
        description="open: it stood in the order as this person reads it, once a day. reveal: asked for, each time."
    )
    who: LookerOut
    purpose: str | None
    fields: list[str]
