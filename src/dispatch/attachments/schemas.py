"""What goes over the wire about files."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dispatch.domain.attachments import FileKind, FileState, Use
from dispatch.web.wire import Body, IdIn, InstantOut, Wire, example


class AttachmentIn(
    Body,
    json_schema_extra=example(
        client_id="019abc4d-6f00-7000-8000-000000000009", kind="photo", size=2_411_724, mime="image/jpeg"
    ),
):
    """A file that is about to be sent."""

    client_id: IdIn = Field(description="Made by the client, once per file: sent again it finds the same.")
    kind: FileKind
    size: Annotated[int, Field(ge=1, description="Bytes, exactly.")]
    mime: Annotated[str, Field(max_length=32, pattern=r"^[a-z]+/[a-z0-9.+-]+$")] = Field(
        examples=["image/jpeg"]
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="Of the bytes that will be sent; they are compared."
    )


class UploadOut(Wire):
    """Where and how the file is sent: one form with one file, as ``wx.uploadFile`` does."""

    method: Literal["POST"] = "POST"
    url: str = Field(description="Path; the same Authorization as for all else.")
    file_field: Literal["file"] = "file"
    expires_at: InstantOut


class AttachmentOut(Wire):
    """A file."""

    id: UUID
    client_id: UUID
    kind: FileKind
    state: FileState
    mime: str = Field(description="As announced; once it is ready, as it is.")
    size: int = Field(description="Bytes; a photo is drawn anew, so its size is another than was announced.")
    sha256: str | None = Field(description="Of what is kept; null until it is ready.")
    width: int | None = Field(description="Pixels, of a photo.")
    height: int | None
    order_id: UUID | None = Field(description="The order that it hangs on.")
    used_for: Use | None
    seq: int | None = Field(description="The entry of the timeline that it came with.")
    request_id: UUID | None
    created_at: InstantOut
    expires_at: InstantOut | None = Field(
        description="Until when it is kept if it is handed in with nothing."
    )
    upload: UploadOut | None = Field(description="Null once it was sent.")
