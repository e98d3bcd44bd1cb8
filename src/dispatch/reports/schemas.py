"""What goes over the wire about published numbers."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dispatch.web.wire import Wire

Month = Annotated[str, Field(pattern=r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-10"])]
By = Literal["month", "place", "category"]
Number = Annotated[int | None, Field(description="null: too few households, or their number would follow.")]


class PublishedPlaceOut(Wire):
    """A street, a community, or the whole."""

    id: UUID
    kind: str
    name: str


class PublishedCategoryOut(Wire):
    """A chapter of the catalogue."""

    code: str
    name: str


class NumbersOut(Wire):
    """One month of one place or category. Parts that are told add up to their whole."""

    month: Month
    place: PublishedPlaceOut
    category: PublishedCategoryOut | None = None
    filed: Number
    done: Number
    on_time: Number
    late: Number
    unjudged: Annotated[
        Number, Field(description="Done without a limit to keep, or taken out of the rates (剔除).")
    ]
    verdicts: Number
    satisfied: Annotated[Number, Field(description="基本满意 and above.")]
    dissatisfied: Number


class StatisticsOut(Wire):
    """Published numbers, each month as it was counted once."""

    because: str = Field(description="The basis on which they are published.")
    least: int = Field(description="Households that a number needs, of months published from now on.")
    first: Month
    last: Month
    by: By
    items: list[NumbersOut]
