"""What goes over the wire about the first screen and the service's health."""

from typing import Literal

from pydantic import Field

from dispatch.orders.schemas import SummaryOut
from dispatch.people.schemas import AccountOut, GrantOut
from dispatch.web.wire import InstantOut, Wire


class BadgesOut(Wire):
    """How much waits, counted up to 100; a view that the caller has not is null."""

    to_rate: int
    queue: int | None = None
    pool: int | None = None
    taken: int
    requests: int | None = None
    notices: int


class HomeOut(Wire):
    """Everything for a cold start in one call."""

    account: AccountOut
    grants: list[GrantOut]
    badges: BadgesOut
    mine: list[SummaryOut] = Field(description="Newest 3 filed by or for the caller.")
    queue: list[SummaryOut] = Field(description="Oldest 5 waiting in the caller's scope.")
    taken: list[SummaryOut] = Field(description="Newest 5 that the caller serves or served.")
    generated_at: InstantOut


class HealthOut(Wire):
    """The process answers."""

    status: Literal["alive"]


class ReadyOut(Wire):
    """Whether requests should be sent here."""

    status: Literal["ready", "degraded", "unready"]
    reasons: list[str]
