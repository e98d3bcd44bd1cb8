"""Accounts, grants and sign-ins on the wire."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from dispatch.domain.people import Role
from dispatch.web.wire import Body, Code, TextRule, Wire, example


class WechatLoginIn(Body, json_schema_extra=example(appid="demo", code="demo:resident-1")):
    """What a mini-program got from ``wx.login``."""

    appid: Annotated[str, TextRule(1, 64, lines=False)] = Field(examples=["demo"])
    code: Annotated[str, TextRule(1, 128, lines=False)] = Field(examples=["demo:resident-1"])
    tenant: Code | None = Field(
        None, description="Code of the tenant, for people known in several.", examples=["demo"]
    )


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


class SessionOut(Wire):
    """A session that has just been opened."""

    access_token: str
    expires_in: int = Field(description="Life of the access token, s.")
    refresh_token: str | None = Field(
        description="Null where sessions are not renewed: sign in again instead."
    )
    account: AccountOut
    grants: list[GrantOut]


class MeOut(Wire):
    """Who is calling."""

    account: AccountOut
    grants: list[GrantOut]
    acting_grant_id: UUID | None = Field(description="The grant that a write would be made under.")
