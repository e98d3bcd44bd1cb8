"""Versions in headers: ``If-Match`` against lost updates, ``If-None-Match`` against answering twice."""

import re
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from dispatch.domain.refusal import ValidationFailed

POLLED_CACHE_CONTROL = "private, no-cache"
PUBLIC_CACHE_CONTROL = "public, max-age=3600"
"""Of what everybody may read and nobody changes: anybody on the way may keep it for an hour."""
PERSONAL_CACHE_CONTROL = "private, no-store"
"""Of every answer to somebody signed in, but for the polled ones, which are made whole here."""

_TAG = re.compile(r'\s*(?:(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"|(\d+))\s*(?:,|$)')


def order_etag(version: int) -> str:
    """The entity tag of an order's version: ``"7"``."""
    return f'"{version}"'


def parse_if_match(header: str | None) -> frozenset[int] | None:
    """The versions that the client would accept; None for any (no header, or ``*``).

    ``W/"7"`` counts as 7: proxies that compress turn the tags of answers into weak ones. So does a bare 7,
    which mini-programs send. A well-formed tag that is no version accepts nothing, so it leads to 412.

    Raises:
        ValidationFailed: not a list of entity tags.
    """
    if header is None or header.strip() == "*":
        return None
    versions: set[int] = set()
    at = 0
    while at < len(header):
        match = _TAG.match(header, at)
        if match is None:
            break
        told = match[1] if match[1] is not None else match[2]
        if re.fullmatch(r"[0-9]{1,18}", told):
            versions.add(int(told))
        at = match.end()
    if at < len(header) or not header.strip() or header.rstrip().endswith(","):
        field = {"loc": ["header", "If-Match"], "code": "ETAG_INVALID", "message": '应为版本号，如 "7"'}
        raise ValidationFailed(errors=[field])
    return frozenset(versions)


def polled(
    request: Request,
    payload: BaseModel,
    *,
    apart_from: AbstractSet[str] = frozenset(),
    public: bool = False,
) -> Response:
    """The answer to a polled GET: 304 when the client holds the same content, else 200 with its tag.

    The tag is weak, because gzip changes the bytes and not what they mean.

    Args:
        request: for its ``If-None-Match``.
        payload: the answer's content.
        apart_from: top-level fields that do not count, such as the time of the answer.
        public: it is the same for everybody.
    """
    body = payload.model_dump_json(by_alias=True).encode()
    counted = payload.model_dump_json(by_alias=True, exclude=set(apart_from)).encode() if apart_from else body
    tag = f'"{blake2b(counted, digest_size=16).hexdigest()}"'
    headers: dict[str, Any] = {"ETag": f"W/{tag}"}
    if public:
        headers |= {"Cache-Control": PUBLIC_CACHE_CONTROL}
    else:
        headers |= {"Cache-Control": POLLED_CACHE_CONTROL, "Vary": "Authorization, X-Acting-Grant"}
    held = request.headers.get("if-none-match", "")
    if held.strip() == "*" or tag in held:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
