"""Places on the wire."""

from uuid import UUID

from pydantic import Field

from dispatch.web.wire import Wire


class PlaceOut(Wire):
    """A place in the tree."""

    id: UUID
    kind: str = Field(description="street, community and grid are special; a tenant may have any others.")
    code: str
    name: str
    parent_id: UUID | None
    party_org: str | None = Field(description="The party organisation of the place.")
    street_id: UUID | None = Field(description="Nearest street, the place itself included; as the next two.")
    community_id: UUID | None
    grid_id: UUID | None


class AncestorOut(Wire):
    """A place above another."""

    id: UUID
    kind: str
    name: str


class PlaceWithAncestorsOut(PlaceOut):
    """A place and those above it."""

    ancestors: list[AncestorOut] = Field(description="The root first.")
    retired: bool
