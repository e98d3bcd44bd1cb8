"""What routes that handle files ask for."""

from typing import Annotated

from fastapi import Depends, Request

from dispatch.attachments.actions import Uploads


async def _uploads(request: Request) -> Uploads:
    uploads: Uploads = request.app.state.uploads
    return uploads


Desk = Annotated[Uploads, Depends(_uploads)]
"""Where files come in and lie."""
