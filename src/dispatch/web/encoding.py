"""Bodies are UTF-8, as RFC 8259 §8.1 wants it: Python would also read UTF-16 and UTF-32."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

FORM = "multipart/form-data"


async def utf8_only(request: Request) -> None:
    """A dependency of the whole application; the body has been read before, or the route reads a file by itself.

    No JSON document in UTF-8 has a zero byte: inside a string it is written ``\\u0000``.

    Raises:
        HTTPException: 415, the body is in UTF-16 or UTF-32.
    """
    if request.method in ("GET", "HEAD", "OPTIONS") or _takes_a_file(request):
        return
    start = (await request.body())[:4]
    if b"\0" in start or start.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
        raise HTTPException(415)


def _takes_a_file(request: Request) -> bool:
    """Whether the route says by hand that it takes a form: such a body is read piece by piece, and only by the route."""
    said: dict[str, Any] = getattr(request.scope["route"], "openapi_extra", None) or {}
    return FORM in said.get("requestBody", {}).get("content", {})
