"""A sender of our own that keeps what it was given: a small ASGI application for tests and development."""

from collections import deque
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class FakeSms:
    """Takes messages from who knows the secret. State: what was ``sent``, and the statuses it answers next."""

    def __init__(self, secret: str, *, faults: Iterable[int] = ()) -> None:
        self.sent: list[tuple[str, str]] = []
        self.faults = deque(faults)
        self._secret = secret
        self.app = Starlette(routes=[Route("/", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self._secret}":
            return Response(status_code=401)
        if self.faults:
            return Response(status_code=self.faults.popleft())
        told = await request.json()
        self.sent.append((told["phone"], told["text"]))
        return Response(status_code=202)
