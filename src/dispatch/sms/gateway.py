"""Short messages through whatever a district has: one POST to an address of its own, an adapter in front of it.

``{"phone", "text"}`` as JSON, ``Authorization: Bearer <DISPATCH_SMS_SECRET>``; any 2xx means that it was taken on.
"""

from typing import Any

import httpx
import structlog

from dispatch.domain.refusal import SmsUnavailable
from dispatch.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE = 5.0
"""How long an answer is waited for, s."""


class Sms:
    """Sends short messages. Talks to the outside: never inside a transaction.

    Args:
        transport: how to reach the sender; None is the network.
    """

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = settings.sms_url
        secret = settings.sms_secret.get_secret_value() if settings.sms_secret else ""
        self._opened: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {secret}"} if secret else {},
            "timeout": PATIENCE,
            "transport": transport,
        }
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def ready(self) -> None:
        """Raises: SmsUnavailable: nobody is set up to send."""
        if self._url is None:
            raise SmsUnavailable()

    async def send(self, phone: str, text: str) -> None:
        """Hand a message over. It is not tried again: the person asks for another.

        Raises:
            SmsUnavailable: nobody is set up, does not answer, or refuses.
        """
        self.ready()
        if self._client is None:
            self._client = httpx.AsyncClient(**self._opened)
        try:
            answer = await self._client.post(str(self._url), json={"phone": phone, "text": text})
        except httpx.HTTPError as error:
            log.warning("sms.unanswered", error=type(error).__name__)
            raise SmsUnavailable() from None
        if not answer.is_success:
            log.error("sms.refused", status=answer.status_code)
            raise SmsUnavailable()
