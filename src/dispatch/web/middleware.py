"""What surrounds every request. Pure ASGI: three ``BaseHTTPMiddleware`` cost 390 µs a request."""

import re
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatch.domain.attachments import AROUND, LARGEST
from dispatch.domain.refusal import BodyTooLarge, ClientTooOld
from dispatch.meters import Meters
from dispatch.settings import Settings
from dispatch.web import problems
from dispatch.web.rates import QUIET, AddressRates, Rates

log = structlog.get_logger(__name__)

GZIP_FROM_BYTES = 1000
GZIP_LEVEL = 5  # level 9, the default, takes twice the time for 1 % less

BODY_LIMITS = {
    "/v1/auth/": 8 * 1024,
    "/v1/me/": 8 * 1024,
    "/v1/me/checkin": 32 * 1024,
    "/v1/wechat/push/": 64 * 1024,
}
"""Largest body by the path's longest known beginning, bytes; elsewhere the setting holds."""
FILE_LIMITS = {
    "/v1/attachments/": max(LARGEST.values())
    + AROUND,  # and then by what was announced: attachments/actions.py
    "/v1/rosters/": 4 * 1024 * 1024,
}
"""The same where a body carries a file, whatever the setting says."""

CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "X-Acting-Grant",
        "X-Client",
        "X-Request-Id",
    ],
    "expose_headers": ["ETag", "Idempotency-Replayed", "Retry-After", "X-Request-Id"],
    "max_age": 600,
}
"""Tokens travel in a header, so no cookies are allowed in."""

PAGES = ("/docs", "/problems", "/favicon.ico")
"""What a browser shows; everything else is data."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
HSTS_SECONDS = 31_536_000

_SANE_ID = re.compile(r"[!-~]{1,128}")
_CLIENT = re.compile(r"([a-z][a-z0-9_-]{0,15})/(\d{1,6}(?:\.\d{1,6}){0,3})(?=$|[;\s+-])")


def install(
    app: FastAPI, settings: Settings, rates: Rates | None = None, meters: Meters | None = None
) -> None:
    """Surround an application; a request meets them from the last line to the first."""
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(BodyLimit, limit=settings.body_limit_bytes, narrower=BODY_LIMITS, wider=FILE_LIMITS)
    app.add_middleware(ClientVersion, minimum=settings.minimum_clients)
    app.add_middleware(AddressRates, rates=rates or Rates(settings))
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    if "*" not in settings.trusted_hosts:
        app.add_middleware(TrustedHosts, names=settings.trusted_hosts)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Frame, meters=meters or Meters())


class Frame:
    """Outermost: names the request, answers 500 for a defect, writes the one line that tells of the request and counts it.

    The line holds the route's template and never the path or the query, which may hold personal data.
    """

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.meters.asked()
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if getattr(scope["app"].state, "leaving", False):
                    headers["Connection"] = "close"  # the client's next request goes elsewhere
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
                seconds = perf_counter() - began
                self.meters.answered(scope["method"], route_template(scope), status, seconds)
                _tell(scope, status, seconds)


class SecurityHeaders:
    """Tells browsers to take nothing for what it is not, to frame nothing and to keep nothing to themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_page = scope["path"].startswith(PAGES)
        secure = scope.get("scheme") == "https"

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Content-Security-Policy"] = PAGE_POLICY if is_page else DATA_POLICY
                if not is_page:
                    headers.setdefault("Cache-Control", "no-store")
                if secure:
                    headers["Strict-Transport-Security"] = f"max-age={HSTS_SECONDS}"
            await send(message)

        await self.app(scope, receive, send_safe)


class TrustedHosts:
    """Answers only to its own names: a made-up ``Host`` must not get into links or caches.

    Args:
        names: lower case, without a port; ``*.example.cn`` stands for every name below.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self.app = app
        self.names = frozenset(name.lower() for name in names if not name.startswith("*."))
        self.below = tuple(name[1:].lower() for name in names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] not in QUIET:  # machines ask those by address
            host = re.sub(r":\d+$", "", Headers(scope=scope).get("host", "")).lower()
            if host not in self.names and not (self.below and host.endswith(self.below)):
                await problems.unknown_host(scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


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

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        narrower: Mapping[str, int] | None = None,
        wider: Mapping[str, int] | None = None,
    ) -> None:
        self.app = app
        self.usual = limit
        self.narrower = narrower or {}
        self.wider = wider or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > limit:
            await problems.answer(BodyTooLarge(limit_bytes=limit), scope)(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    # Of all exceptions in reading a body FastAPI lets only this one through.
                    raise HTTPException(413) from BodyTooLarge(limit_bytes=limit)
            return message

        await self.app(scope, receive_counted, send)

    def _limit(self, path: str) -> int:
        for begins, most in self.wider.items():
            if path.startswith(begins):
                return most
        known = [begins for begins in self.narrower if path.startswith(begins)]
        return min(self.usual, self.narrower[max(known, key=len)]) if known else self.usual


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
