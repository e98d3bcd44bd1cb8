"""What goes over the wire about notices."""

from uuid import UUID

from pydantic import Field

from dispatch.web.wire import Body, IdIn, InstantOut, Wire, example


class NoticeOut(Wire):
    """One thing an account is told."""

    id: UUID
    order_id: UUID | None = Field(description="The order that it is about.")
    claim_id: UUID | None = Field(description="The claim on a listing that it is about.")
    event: str
    text: str
    created_at: InstantOut
    read_at: InstantOut | None


class ReadIn(Body, json_schema_extra=example(up_to="019abc4d-6f00-7000-8000-000000000004")):
    """Up to which notice all are read."""

    up_to: IdIn
