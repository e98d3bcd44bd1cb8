"""A file as its viewer is told of it."""

from datetime import datetime
from typing import Any

from dispatch.attachments.schemas import AttachmentOut, UploadOut
from dispatch.domain.attachments import FileState
from dispatch.domain.people import Actor

PLAIN = (
    *("id", "client_id", "kind", "state", "sha256", "width", "height"),
    *("order_id", "used_for", "seq", "request_id"),
)


def shown(row: Any, actor: Actor) -> AttachmentOut:
    """What is known of a file."""

    def zoned(at: datetime) -> datetime:
        return at.astimezone(actor.tenant.zone)

    waits = row.order_id is None
    upload = UploadOut(url=f"/v1/attachments/{row.id}/content", expires_at=zoned(row.expires_at))
    return AttachmentOut(
        **{name: getattr(row, name) for name in PLAIN},
        mime=row.mime or row.said_mime,
        size=row.said_size if row.size is None else row.size,
        created_at=zoned(row.created_at),
        expires_at=zoned(row.expires_at) if waits else None,
        upload=upload if row.state == FileState.PENDING else None,
    )
