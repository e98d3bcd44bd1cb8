"""How often one address and one account may ask, counted in this process.

A brake against a client that runs wild, not a lock: every process counts for itself. What must hold over
all processes, tries to sign in, is counted in rows (auth/actions/throttling.py). Why the counting is ours: ADR
"Rates are counted by us".
"""

from collections import Counter
from collections.abc import Callable
from math import ceil
from time import monotonic
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from dispatch.domain.refusal import RateLimited
from dispatch.domain.throttle import network
from dispatch.settings import Settings
from dispatch.web import problems

PER_ROUTE = {
    "create_attachment": 300,
    "create_order": 300,
    "give_phone": 10,
    "logout": 30,
    "upload_attachment": 300,
}
"""Requests a minute of one account, for routes that cost more than others."""
NOBODYS = {"/v1/auth/": "sign-in", "/v1/public/": "public"}
"""Chapters that are asked without a token, each counted by itself."""
SHARE = 10
"""Of each an address may ask a tenth of what it may ask at all."""
QUIET = frozenset({"/v1/healthz", "/v1/readyz"})
OURSELVES = frozenset({"127.0.0.1", "::1", "-"})
"""A proxy on this machine that does not tell for whom it asks: one bucket for everybody would stop them all."""
WINDOW_SECONDS = 60.0


class Rates:
    """The counters of a process, for the minute that runs: all are forgotten with it. A limit of 0 is none."""

    def __init__(self, settings: Settings, time: Callable[[], float] = monotonic) -> None:
        self._address = settings.rate_per_address
        self._account = settings.rate_per_account
        self._time = time
        self._window = 0
        self._counts: Counter[tuple[str, ...]] = Counter()

    def address(self, address: str, path: str) -> None:
        """Count a request from an address, IPv6 by its /64, unless it is this machine's. Raises: RateLimited."""
        if self._address and path not in QUIET and address not in OURSELVES:
            asker = network(address)
            self._hit(self._address, "address", asker)
            for chapter, name in NOBODYS.items():
                if path.startswith(chapter):
                    self._hit(max(1, self._address // SHARE), name, asker)

    def account(self, tenant_id: int, account_id: UUID, route: str) -> None:
        """Count a request of an account. Raises: RateLimited."""
        if self._account:
            who = f"{tenant_id}:{account_id}"
            self._hit(self._account, "account", who)
            if (most := PER_ROUTE.get(route)) is not None:
                self._hit(most, route, who)

    def _hit(self, most: int, *key: str) -> None:
        window, into = divmod(self._time(), WINDOW_SECONDS)
        if window != self._window:
            self._window = int(window)
            self._counts.clear()
        self._counts[key] += 1
        if self._counts[key] > most:
            raise RateLimited(retry_after=max(1, ceil(WINDOW_SECONDS - into)))


class AddressRates:
    """Counts every request by its address, before anything else is looked at. Pure ASGI."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self.app = app
        self.rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            try:
                self.rates.address((scope.get("client") or ("-", 0))[0], scope["path"])
            except RateLimited as refusal:
                await problems.answer(refusal, scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)
