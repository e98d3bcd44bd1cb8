"""Files over HTTP."""

import asyncio
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import FileResponse
from starlette.requests import ClientDisconnect

from dispatch.attachments import actions, queries
from dispatch.attachments.actions import Sent
from dispatch.attachments.answers import Desk
from dispatch.attachments.rendering import shown
from dispatch.attachments.schemas import AttachmentIn, AttachmentOut
from dispatch.domain.attachments import ENDINGS, FileKind
from dispatch.domain.refusal import (
    AttachmentBroken,
    AttachmentNotFound,
    AttachmentTooLarge,
    AttachmentTypeUnknown,
    HeicUnsupported,
    IdempotencyKeyReused,
    TooManyUnused,
    UploadClosed,
    UploadIncomplete,
    ValidationFailed,
)
from dispatch.files.incoming import FIELD
from dispatch.orders.actions import viewing
from dispatch.web.deps import Caller, Known, Now, Reading, Store, WritingOwn
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/attachments", tags=["attachments"])

KEPT_SECONDS = 60
"""How long a client may show a file without asking again whether it still may."""
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
"""Said by hand: FastAPI would read a form that it knows of before the route could refuse it."""


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="登记要上传的照片、文件、录音或视频",
    responses=responses(
        AttachmentTypeUnknown,
        HeicUnsupported,
        AttachmentTooLarge,
        IdempotencyKeyReused,
        UploadClosed,
        TooManyUnused,
    ),
)
async def create_attachment(db: WritingOwn, caller: Known, now: Now, body: AttachmentIn) -> AttachmentOut:
    """Say what will be sent, and learn where to; asked again with the same ``client_id`` it says the same."""
    return shown(await actions.announce(db, caller, body.model_dump(), at=now), caller)


@router.post(
    "/{attachment_id}/content",
    summary="上传内容：wx.uploadFile 的表单，传完即可使用",
    openapi_extra=FORM,
    responses=responses(
        UploadClosed,
        UploadIncomplete,
        AttachmentTypeUnknown,
        HeicUnsupported,
        AttachmentBroken,
        ValidationFailed,
    ),
)
async def upload_attachment(
    desk: Desk, caller: Known, now: Now, request: Request, attachment_id: IdIn
) -> AttachmentOut:
    """Send the file. The answer comes once it is looked through and on the disk; nothing needs to be completed after.

    Repeated, a file that is ready is told of and not read again.
    """
    told = request.headers.get("content-length", "")
    length = int(told[:20]) if told.isdecimal() else None
    sent = Sent(request.stream(), request.headers.get("content-type", ""), length)
    try:
        return shown(await desk.take_in(caller, attachment_id, sent, at=now), caller)
    except ClientDisconnect:
        raise UploadIncomplete() from None  # nobody is left to read this; the log tells of it


@router.get("/{attachment_id}", summary="附件信息")
async def get_attachment(db: Reading, caller: Caller, now: Now, attachment_id: IdIn) -> AttachmentOut:
    """What is known of a file: to who sent it; once it hangs on an order, to whoever sees that order's files."""
    row, _ = await queries.seen(db, caller, attachment_id, at=now)
    return shown(row, caller)


@router.get(
    "/{attachment_id}/content",
    summary="下载附件；照片可取缩略图",
    response_class=Response,
    responses={
        200: {"description": "文件内容", "content": {mime: {} for mime in ENDINGS}},
        304: {"description": "与已有的相同"},
    },
)
async def get_attachment_content(
    database: Store,
    desk: Desk,
    caller: Caller,
    now: Now,
    request: Request,
    attachment_id: IdIn,
    variant: Annotated[
        Literal["original", "preview"], Query(description="preview: a small one, of photos only.")
    ] = "original",
) -> Response:
    """The file itself, by parts if wished (``Range``). Every time it is asked whether the caller still sees it; whoever
    is not concerned is recorded.
    """
    async with database.reading() as db:
        row, order = await queries.seen(db, caller, attachment_id, at=now)
    sha256 = row.preview_sha256 if variant == "preview" else row.sha256
    if sha256 is None:  # not ready, or no photo
        raise AttachmentNotFound()
    if order is not None:
        await viewing.looked_at_file(database, order, caller, at=now)
    headers = _headers(row, sha256)
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    path = desk.store.path(row.tenant_id, row.id, sha256)
    try:
        facts = await asyncio.to_thread(path.stat)
    except FileNotFoundError:
        log.error("files.missing", attachment=str(row.id))
        raise AttachmentNotFound() from None
    return FileResponse(path, media_type=row.mime, headers=headers, stat_result=facts)


def _headers(row: Any, sha256: str) -> dict[str, str]:
    """Only what we have drawn ourselves is shown within a page; all else is saved."""
    how = "inline" if row.kind == FileKind.PHOTO else "attachment"
    return {
        "Cache-Control": f"private, max-age={KEPT_SECONDS}, must-revalidate",
        "Content-Disposition": f'{how}; filename="{row.id}.{ENDINGS[row.mime]}"',
        "ETag": f'"{sha256}"',
        "Vary": "Authorization, X-Acting-Grant",
    }
