"""The demonstration's accounts on the wire."""

from uuid import UUID

from pydantic import Field

from dispatch.domain.people import Role
from dispatch.people.schemas import BodyOut, GrantPlaceOut
from dispatch.web.wire import Wire


class DemoAccountOut(Wire):
    """Somebody to sign in as: ``POST /v1/auth/wechat/login`` with the code ``demo:<login>``."""

    login: str = Field(examples=["resident-1"])
    name: str
    role: Role
    place: GrantPlaceOut = Field(description="Where the grant holds, or what the body serves.")
    grant_id: UUID
    account_id: UUID
    body: BodyOut | None
