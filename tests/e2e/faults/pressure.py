"""Lives of orders, many beside each other, and a note of everything that was acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

from tests.e2e.faults.caller import Answer, Caller, GaveUp
from tests.town import Person, Town

LANES = 6


@dataclass(frozen=True, slots=True)
class Acked:
    """A write that was answered with 2xx."""

    order_id: UUID
    move: str
    account_id: UUID


@dataclass
class Pressure:
    """Residents file, the dispatcher hands out, two members race for the slot, one finishes, the resident judges."""

    town: Town
    caller: Caller
    lanes: int = LANES
    pause_seconds: float = 0.0
    """Rest of a lane between two lives."""
    acked: list[Acked] = field(default_factory=list)
    acked_at: list[float] = field(default_factory=list)
    """By the loop's clock, beside ``acked``."""
    filed: dict[str, UUID | None] = field(default_factory=dict)
    """Text of each order that was asked for → its id; None while nobody has acknowledged it."""
    wrong: list[str] = field(default_factory=list)
    """Answers that no client should read."""
    closed: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def on(self) -> AsyncIterator["Pressure"]:
        """Press while the block runs; then every lane ends the life it is at."""
        crowd = [name for name in self.town.people if name.startswith("crowd-")]
        crowd = crowd or await self.town.crowd(2 * self.lanes)
        lanes = [
            asyncio.create_task(self._lane(self.town[crowd[2 * n]], self.town[crowd[2 * n + 1]]))
            for n in range(self.lanes)
        ]
        try:
            yield self
        finally:
            self._stop.set()
            await asyncio.gather(*lanes)

    async def until(self, closed: int, seconds: float = 30) -> None:
        """Wait until so many more lives have come to their end."""
        goal = self.closed + closed
        async with asyncio.timeout(seconds):
            while self.closed < goal:  # noqa: ASYNC110  (the lanes count)
                await asyncio.sleep(0.02)

    def longest_pause(self, since: float) -> float:
        """The longest time after ``since`` (by the loop's clock) in which nothing was acknowledged, in seconds."""
        at = [since, *(when for when in self.acked_at if when > since)]
        return max(after - before for before, after in pairwise(at))

    async def _lane(self, one: Person, other: Person) -> None:
        while not self._stop.is_set():
            try:
                await self._life(one, other)
            except GaveUp as error:
                self.wrong.append(f"gave up: {error}")
            await asyncio.sleep(self.pause_seconds)

    async def _life(self, one: Person, other: Person) -> None:
        resident, dispatcher = self.town["resident-1"], self.town["dispatcher-1"]
        text = f"楼道灯不亮 {uuid4().hex}"
        self.filed[text] = None
        filed = await self._must(resident, None, "submit", {"item_code": "0201", "text": text})
        if filed is None:
            return
        order_id = filed.body["id"]
        self.filed[text] = UUID(order_id)
        for move, body in (("accept", {}), ("dispatch", {"mode": "open"})):
            if await self._must(dispatcher, order_id, move, body) is None:
                return
        outcomes = await asyncio.gather(*(self._take(who, order_id) for who in (one, other)))
        winners = [who for who, won in zip((one, other), outcomes, strict=True) if won]
        if len(winners) != 1:
            self.wrong.append(f"{len(winners)} winners of {order_id}")
            return
        done = {"result": "已更换灯泡。", "closing": "solved"}
        judged = {"score": 5, "solved": True, "contacted": True}
        if await self._must(winners[0], order_id, "finish", done) is None:
            return
        if await self._must(resident, order_id, "rate", judged) is not None:
            self.closed += 1

    async def _take(self, who: Person, order_id: str) -> bool:
        answer = await self.caller.write(who, f"/v1/orders/{order_id}/take")
        if answer.status == 200:
            self._note(Acked(UUID(order_id), "take", who.id))
        elif (answer.status, answer.body["code"]) not in ((409, "SLOT_TAKEN"), (409, "ORDER_CLOSED")):
            self.wrong.append(f"take: {answer.status} {answer.body.get('code')}")
        return answer.status == 200

    async def _must(
        self, who: Person, order_id: str | None, move: str, body: dict[str, Any]
    ) -> Answer | None:
        path = "/v1/orders" if order_id is None else f"/v1/orders/{order_id}/{move}"
        answer = await self.caller.write(who, path, body)
        if answer.status not in (200, 201):
            self.wrong.append(f"{move}: {answer.status} {answer.body.get('code')} after {answer.attempts}")
            return None
        self._note(Acked(UUID(answer.body["id"]), move, who.id))
        return answer

    def _note(self, one: Acked) -> None:
        self.acked.append(one)
        self.acked_at.append(asyncio.get_running_loop().time())
