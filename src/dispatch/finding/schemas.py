"""Orders that belong together, on the wire."""

from uuid import UUID

from pydantic import Field

from dispatch.domain.order import State
from dispatch.orders.schemas import ItemRef, OrderRef
from dispatch.web.wire import InstantOut, Wire


class AlikeOut(Wire):
    """An order among those that may be the same."""

    id: UUID
    number: str
    state: State
    state_label: str
    item: ItemRef
    text: str = Field(description="At most 120 signs, without the numbers of people in it.")
    created_at: InstantOut
    parent: OrderRef | None = Field(description="The order it is merged into already.")


class DuplicateOut(AlikeOut):
    """A candidate for merging, and why."""

    score: float = Field(examples=[0.81], description="0 to 1; told from 0.5 on.")
    why: list[str] = Field(examples=[["同一事项", "相距约40米", "相隔3小时", "描述相近（43%）"]])


class DuplicatesOut(Wire):
    """Candidates, the likeliest first."""

    items: list[DuplicateOut]


class ClusterOut(Wire):
    """Open orders that belong together, the oldest first: the one to merge the others into."""

    orders: list[AlikeOut]
    households: int = Field(description="How many people filed them.")
    score: float = Field(description="Of the weakest link that holds the group together.")
    why: list[str] = Field(description="That link's reasons.")


class ClustersOut(Wire):
    """Groups, the largest first."""

    items: list[ClusterOut]
