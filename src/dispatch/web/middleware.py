"""What surrounds every request. Pure ASGI: three ``BaseHTTPMiddleware`` cost 390 µs a request."""

import re
from collections.abc import Mapping
from time import perf_counter
from uuid import uuid4

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatch.domain.refusal import BodyTooLarge, ClientTooOld
from dispatch.settings import Settings
from dispatch.web import problems

log = structlog.get_logger(__name__)

GZIP_FROM_BYTES = 1000
GZIP_LEVEL = 5  # level 9, the default, takes twice the time for 1 % less
QUIET = frozenset({"/v1/healthz", "/v1/readyz"})  # asked every few seconds by machines

_SANE_ID = re.compile(r"[!-~]{1,128}")
_CLIENT = re.compile(r"([a-z][a-z0-9_-]{0,15})/(\d{1,6}(?:\.\d{1,6}){0,3})(?=$|[;\s+-])")


def install(app: FastAPI, settings: Settings) -> None:
    """Surround an application; a request meets them from the last line to the first."""
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(BodyLimit, limit=settings.body_limit_bytes)
    app.add_middleware(ClientVersion, minimum=settings.minimum_clients)
    app.add_middleware(Frame)


class Frame:
    """Outermost: names the request, answers 500 for a defect, writes the one line that tells of the request.

    The line holds the route's template and never the path or the query, which may hold personal data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        began = perf_counter()  # a duration, not the time of day
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_named)
            except Exception as error:
                if status:
                    raise  # half an answer is out: only breaking the connection tells the client
                log.error("request.failed", error=type(error).__name__, exc_info=error)
                await problems.internal_error(scope)(scope, receive, send_named)
            finally:
                _tell(scope, status, perf_counter() - began)


class ClientVersion:
    """Refuses clients below the minimum of their kind (``X-Client: mp/1.4.2; …``); no header passes."""

    def __init__(self, app: ASGIApp, minimum: Mapping[str, str]) -> None:
        self.app = app
        self.minimum = {kind: (text, _version(text)) for kind, text in minimum.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        client = _client(scope) if scope["type"] == "http" and self.minimum else None
        if client and client[0] in self.minimum:
            text, oldest = self.minimum[client[0]]
            if _version(client[1]) < oldest:
                await problems.answer(ClientTooOld(min_version=text), scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses bodies above a size, announced or counted while they come in.

    FastAPI's own ``max_body_size`` answers an announced excess in plain text, after our problem was made.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self.limit:
            await problems.answer(BodyTooLarge(limit_bytes=self.limit), scope)(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.limit:
                    # Of all exceptions in reading a body FastAPI lets only this one through.
                    raise HTTPException(413) from BodyTooLarge(limit_bytes=self.limit)
            return message

        await self.app(scope, receive_counted, send)


def route_template(scope: Scope) -> str:
    """The path as the route declares it, with braces; ``-`` when no route was found."""
    context = scope.get("fastapi", {}).get("effective_route_context")  # set for included routers
    path = getattr(context, "path_format", None) or getattr(scope.get("route"), "path_format", None)
    return path if isinstance(path, str) else "-"


def _tell(scope: Scope, status: int, seconds: float) -> None:
    template = route_template(scope)
    client = _client(scope)
    line = log.debug if template in QUIET and status == 200 else log.info
    line(
        "request.done",
        method=scope["method"],
        route=template,
        status=status,
        ms=round(seconds * 1000, 1),
        client="/".join(client) if client else None,
    )


def _request_id(told: str | None) -> str:
    """The client's id when it is sane, else a new one."""
    return told if told and _SANE_ID.fullmatch(told) else str(uuid4())


def _client(scope: Scope) -> tuple[str, str] | None:
    """Kind and version of the client program; None when it tells none or nonsense."""
    match = _CLIENT.match(Headers(scope=scope).get("x-client", "").strip().lower())
    return (match[1], match[2]) if match else None


def _version(text: str) -> tuple[int, ...]:
    """Comparable form: 1.4 equals 1.4.0."""
    numbers = [int(part) for part in text.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))
