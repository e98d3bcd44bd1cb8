"""What goes over the wire about giving and lending roles."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dispatch.domain.people import Role
from dispatch.people.schemas import BodyOut, GrantPlaceOut
from dispatch.web.wire import Body, IdIn, InstantIn, InstantOut, Wire


class GrantIn(Body):
    """A role for an account, at a place or for a body."""

    account_id: IdIn
    role: Role
    place_id: IdIn | None = None
    body_id: IdIn | None = None
    valid_from: InstantIn | None = Field(None, description="Included; now when absent.")
    valid_to: InstantIn | None = Field(None, description="Excluded; without an end when absent.")

    @model_validator(mode="after")
    def _for_one(self) -> Self:
        if (self.place_id is None) == (self.body_id is None):
            raise PydanticCustomError("place_or_body", "请填写地点或单位其中一项")
        return self


class DelegateIn(Body):
    """Who stands in, and for how long."""

    account_id: IdIn
    valid_from: InstantIn | None = Field(None, description="Included; now when absent.")
    valid_to: InstantIn = Field(description="Excluded.")


class GivenOut(Wire):
    """A grant as those see it who gave, hold or lent it."""

    id: UUID
    account_id: UUID
    account_name: str
    role: Role
    role_label: str = Field(examples=["社区派单员"])
    place: GrantPlaceOut | None
    body: BodyOut | None
    valid_from: InstantOut
    valid_to: InstantOut | None
    delegated_from: UUID | None = Field(description="The grant that this one is lent of.")
    given_by: UUID | None
    stands: bool = Field(description="Whether it is in force now.")
