"""What goes over the wire about rosters."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dispatch.web.wire import Body, IdIn, ShortText, TextRule, Wire, example


class RosterIn(
    Body,
    json_schema_extra=example(
        filename="名册.csv",
        content="5aeT5ZCNLOaJi+acuuWPtyzmiqXliLDnpL7ljLoK5byg5LiJLDEzODAwMDAxMTExLOaYpeaZk+ekvuWMugo=",
        dry_run=True,
    ),
):
    """A file with members, one a line."""

    filename: Annotated[str, TextRule(5, 200, lines=False)] = Field(description="Ends in .xlsx or .csv.")
    content: Annotated[str, Field(min_length=1, max_length=4_000_000)] = Field(description="Base64.")
    dry_run: bool = Field(True, description="Only say what would be done, and everything that is wrong.")


class RosterProblemOut(Wire):
    """What is wrong in a line; the file as a whole is line 0."""

    line: int
    column: str
    message: str


class RosterOut(Wire):
    """What a roster did, or would do."""

    dry_run: bool
    created: int = Field(description="People who were not known.")
    invited: int = Field(
        description="Known, and no members: told that they may check in, which is theirs to do."
    )
    updated: int = Field(description="Members of whom a line told something else.")
    unchanged: int
    problems: list[RosterProblemOut] = Field(
        description="Of a dry run; at most 500. None: it can be taken in."
    )


class RosterAskIn(
    Body,
    json_schema_extra=example(
        place_id="019abc4d-6f00-7000-8000-000000000007", format="xlsx", phones="masked"
    ),
):
    """Whose roster, as what."""

    place_id: IdIn
    format: Literal["xlsx", "csv"] = "xlsx"
    phones: Literal["masked", "whole"] = "masked"
    purpose: ShortText | None = Field(None, description="What for; asked with whole phones.")

    @model_validator(mode="after")
    def _for_what(self) -> Self:
        if self.phones == "whole" and not self.purpose:
            raise PydanticCustomError("purpose_missing", "导出完整手机号须写明用途")
        return self
