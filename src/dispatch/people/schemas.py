"""Accounts and grants on the wire."""

from uuid import UUID

from pydantic import Field

from dispatch.domain.people import Role
from dispatch.web.wire import Wire


class TenantOut(Wire):
    """A district or county."""

    code: str
    name: str
    zone: str = Field(examples=["Asia/Shanghai"])


class AccountOut(Wire):
    """Whose the session is."""

    id: UUID
    name: str
    tenant: TenantOut


class GrantPlaceOut(Wire):
    """Where a grant holds."""

    id: UUID
    name: str
    kind: str


class BodyOut(Wire):
    """The unit, team, provider or department that a grant acts for."""

    kind: str
    id: UUID
    name: str


class GrantOut(Wire):
    """A role that the account may act under (``X-Acting-Grant``)."""

    id: UUID
    role: Role
    role_label: str = Field(examples=["社区派单员"])
    place: GrantPlaceOut | None
    body: BodyOut | None


class MeOut(Wire):
    """Who is calling."""

    account: AccountOut
    grants: list[GrantOut]
    acting_grant_id: UUID | None = Field(description="The grant that a write would be made under.")
