"""Signing in on the wire."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dispatch.domain.people import Role
from dispatch.people.keys import SCOPES
from dispatch.people.schemas import AccountOut, GrantOut, GrantPlaceOut
from dispatch.web.wire import Body, Code, IdIn, InstantIn, InstantOut, Phone, TextRule, Wire, example

Device = Annotated[
    str,
    TextRule(8, 128, lines=False),
    Field(
        description="Made up once by the device and kept there. Workers' sessions are renewed from it only; "
        "without it they are not renewed."
    ),
]
RefreshToken = Annotated[str, TextRule(1, 128, lines=False)]


class WechatLoginIn(Body, json_schema_extra=example(appid="demo", code="demo:resident-1", tenant="demo")):
    """What a mini-program got from ``wx.login``."""

    appid: Annotated[str, TextRule(1, 64, lines=False)] = Field(examples=["demo"])
    code: Annotated[str, TextRule(1, 128, lines=False)] = Field(examples=["demo:resident-1"])
    tenant: Code | None = Field(
        None,
        description="Code of the tenant, for people known in several, and for strangers where it is not set.",
        examples=["demo"],
    )
    device_id: Device | None = None


class PasswordLoginIn(
    Body,
    json_schema_extra=example(
        username="zhoumin",
        password="春晓社区-派单-2026",  # noqa: S106
        totp="492039",
        tenant="demo",
        device_id="6b1f0f6e-2c1d-4b7e-9a53-d1f0a3c2e871",
    ),
):
    """What a member of staff typed."""

    username: Annotated[str, TextRule(1, 64, lines=False)]
    password: Annotated[str, Field(min_length=1, max_length=128)]
    totp: Annotated[str, Field(pattern=r"^[0-9]{6}$")] | None = Field(
        None, description="Code of the second factor, where there is one."
    )
    tenant: Code | None = Field(None, description="Code of the tenant, for names known in several.")
    device_id: Device | None = None


class OidcStartIn(Body, json_schema_extra=example(device_id="6b1f0f6e-2c1d-4b7e-9a53-d1f0a3c2e871")):
    """Where somebody begins to sign in at the provider."""

    device_id: Device


class OidcStartOut(Wire):
    """Where to send the browser. It comes back to the page that was agreed, with ``code`` and ``state``."""

    authorization_url: str


class OidcFinishIn(
    Body,
    json_schema_extra=example(
        code="SplxlOBeZQQYbYS6WxSbIA",
        state="af0ifjsldkj3kZp9cQ",
        device_id="6b1f0f6e-2c1d-4b7e-9a53-d1f0a3c2e871",
    ),
):
    """What came back, and from the device that began."""

    code: Annotated[str, TextRule(1, 2048, lines=False)]
    state: Annotated[str, TextRule(1, 128, lines=False)]
    device_id: Device


class RefreshIn(
    Body,
    json_schema_extra=example(
        refresh_token="sdzr_AaIP_kdgcGqVC3AlPHhtk7u9ZTUwh1mpo0c",  # noqa: S106
        device_id="6b1f0f6e-2c1d-4b7e-9a53-d1f0a3c2e871",
    ),
):
    """A refresh token, good once; and for 60 s more, for calls that cross."""

    refresh_token: RefreshToken
    device_id: Device | None = None


class LogoutIn(Body, json_schema_extra=example(everywhere=True)):
    """Which sessions end."""

    everywhere: bool = Field(False, description="On all devices, not only on this one.")


class SessionOut(Wire):
    """A session that has just been opened or renewed."""

    access_token: str
    expires_in: int = Field(description="Life of the access token, s.")
    refresh_token: str | None = Field(
        description="Null where sessions are not renewed: sign in again instead."
    )
    refresh_expires_in: int | None = Field(description="Life of the refresh token, s.")
    account: AccountOut
    grants: list[GrantOut]


class LoggedOutOut(Wire):
    """How many sessions ended."""

    ended: int


class PrefetchOut(Wire):
    """What ``wx.setBackgroundFetchToken`` is given."""

    token: str = Field(description="Opens the first screen and nothing else.")
    expires_in: int = Field(description="Its life, s.")


class PhoneIn(
    Body,
    json_schema_extra=example(code="e31968a7f94cc5ee25fafc2aef2773f0bb8c3937b22520eb8ee345274d00c144"),
):
    """What the phone button gave; or a phone with the code that was sent to it."""

    code: Annotated[str, TextRule(1, 128, lines=False)] | None = Field(
        None, description="Of WeChat's phone button; not a login code."
    )
    phone: Phone | None = None
    sms_code: Annotated[str, Field(pattern=r"^[0-9]{6}$")] | None = Field(
        None, description="What `/v1/me/phone/code` sent."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        typed = (self.phone is not None, self.sms_code is not None)
        if typed != ((False, False) if self.code else (True, True)):
            raise PydanticCustomError("one_way", "请使用微信授权的手机号，或填写手机号和验证码")
        return self


class PhoneCodeIn(Body, json_schema_extra=example(phone="19900010001")):
    """Where a code is to be sent."""

    phone: Phone


class PhoneCodeOut(Wire):
    """A code is on its way."""

    expires_in: int = Field(description="Its life, s.")
    again_in: int = Field(description="Before this no other is sent, s.")


class PhoneOut(Wire):
    """The phone that was written down."""

    phone: str = Field(description="Masked.", examples=["138******11"])


def _known_scope(scope: str) -> str:
    if scope not in SCOPES:
        raise PydanticCustomError("unknown_scope", "没有这个权限范围")
    return scope


Scope = Annotated[str, AfterValidator(_known_scope), Field(json_schema_extra={"enum": sorted(SCOPES)})]
"""A chapter of the description, read or written."""


class KeyIn(
    Body,
    json_schema_extra=example(
        name="12345热线对接",
        role="agent",
        place_id="019abc4d-6f00-7000-8000-000000000007",
        scopes=["catalog:read", "orders:read", "orders:write"],
        expires_at="2027-11-22T00:00:00+08:00",
    ),
):
    """A key for an integration: for a new account of its own, or to follow a former key of the same account."""

    name: Annotated[str, TextRule(2, 64, lines=False)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]
    role: Literal["reporter", "agent"] | None = Field(None, description="Of a new account.")
    place_id: IdIn | None = Field(None, description="Where the new account's role holds.")
    account_id: IdIn | None = Field(None, description="The account of a former key, instead.")
    expires_at: InstantIn | None = Field(None, description="Excluded; until called back when absent.")

    @model_validator(mode="after")
    def _for_one(self) -> Self:
        new = (self.role is not None, self.place_id is not None)
        if new != ((False, False) if self.account_id else (True, True)):
            raise PydanticCustomError("new_or_known", "请填写角色和地点，或填写已有的对接账号")
        return self


class KeyHolderOut(Wire):
    """The account that a key acts as."""

    id: UUID
    name: str


class KeyOut(Wire):
    """An API key, without its secret."""

    key_id: str = Field(description="The 12 signs after sdz_.")
    name: str
    account: KeyHolderOut
    role: Role
    role_label: str
    place: GrantPlaceOut | None
    scopes: list[str]
    created_at: InstantOut
    created_by: str | None = Field(description="Null where an operator made it.")
    expires_at: InstantOut | None
    revoked_at: InstantOut | None
    revoked_by: str | None


class MadeKeyOut(KeyOut):
    """A key that has just been made."""

    key: str = Field(description="Told here and never again.")
