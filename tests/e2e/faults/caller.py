"""A client as the service asks for one: a deadline for every attempt, the whole request again under the same key."""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import uuid4

import httpx

from tests.town import Person

ATTEMPT_SECONDS = 3.0
"""Deadline of one attempt: what hangs is given up and asked again."""
PATIENCE_SECONDS = 40.0
"""After this the client gives up, and does not know."""
PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds before the next attempt, each with up to as much again by dice."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back in the end."""

    status: int
    body: dict[str, Any]
    attempts: int


class GaveUp(Exception):
    """Nobody answered in time; whether it was done is unknown."""


class Caller:
    """Sends writes to any of several servers until one of them answers.

    Args:
        attempt_seconds: the deadline of one attempt.
        patience_seconds: how long it asks before it gives up.
        keyed: send every attempt under the same Idempotency-Key. False is the careless client: a key for each.
    """

    def __init__(
        self,
        bases: list[str],
        *,
        keyed: bool = True,
        attempt_seconds: float = ATTEMPT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        connections: int = 600,
        seed: int = 1,
    ) -> None:
        self.bases, self._keyed, self._attempt = list(bases), keyed, attempt_seconds
        self._patience = patience_seconds
        self._dice = Random(seed)
        self._turn = 0
        self._client = httpx.AsyncClient(limits=httpx.Limits(max_connections=connections), timeout=None)
        self.again = 0

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    async def write(self, who: Person, path: str, body: dict[str, Any] | None = None) -> Answer:
        """One intent. Raises: GaveUp."""
        key, until = uuid4().hex, asyncio.get_running_loop().time() + self._patience
        attempts = 0
        while asyncio.get_running_loop().time() < until:
            attempts += 1
            answer = await self._once(who, path, body, key if self._keyed else uuid4().hex)
            if answer is not None and not _come_back(answer):
                return Answer(answer.status_code, answer.json(), attempts)
            self.again += 1
            pause = PAUSES[min(attempts, len(PAUSES)) - 1]
            await asyncio.sleep(pause + self._dice.uniform(0, pause))
        raise GaveUp(path)

    async def _once(
        self, who: Person, path: str, body: dict[str, Any] | None, key: str
    ) -> httpx.Response | None:
        self._turn += 1
        base = self.bases[self._turn % len(self.bases)]
        try:
            async with asyncio.timeout(self._attempt):
                return await self._client.post(
                    base + path, json=body or {}, headers={**who.headers, "Idempotency-Key": key}
                )
        except (httpx.TransportError, TimeoutError):
            return None

    async def read(self, who: Person, path: str) -> Answer:
        """The same for a GET."""
        for attempt in range(200):
            self._turn += 1
            base = self.bases[self._turn % len(self.bases)]
            try:
                async with asyncio.timeout(self._attempt):
                    answer = await self._client.get(base + path, headers=who.headers)
                if answer.status_code != 503:
                    return Answer(answer.status_code, answer.json(), attempt + 1)
            except (httpx.TransportError, TimeoutError):
                pass
            await asyncio.sleep(0.1)
        raise GaveUp(path)


def _come_back(answer: httpx.Response) -> bool:
    return answer.status_code == 503 or (
        answer.status_code == 409 and answer.json()["code"] == "IDEMPOTENCY_IN_PROGRESS"
    )
