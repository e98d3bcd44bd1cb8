"""Many takers at once, over several servers: how it ends, how long they wait, what was in vain."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy import func, select

from dispatch.app import described
from dispatch.orders.tables import dispatches, takes
from tests.e2e.faults.caller import Caller
from tests.town import Person, Town

NEXT = "/v1/orders/next/take"


@dataclass
class Tally:
    """What a rush came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)
    seconds: float = 0.0
    attempts: int = 0

    def note(self, word: str, began: float, attempts: int) -> None:
        self.outcomes[word] += 1
        self.waited.append(time.perf_counter() - began)
        self.attempts += attempts

    @property
    def won(self) -> int:
        return self.outcomes["taken"]

    @property
    def p99_ms(self) -> float:
        return sorted(self.waited)[int(len(self.waited) * 0.99) - 1] * 1000

    @property
    def lost_per_win(self) -> float:
        return (self.attempts - self.won) / max(self.won, 1)


def serves_next() -> bool:
    """Whether the service has the verb that takes the next order."""
    return NEXT in described().openapi()["paths"]


async def opened(caller: Caller, town: Town, slots: int = 1) -> str:
    """An order that anybody may take."""
    filed = await caller.write(town["resident-1"], "/v1/orders", {"item_code": "0201", "text": "楼道灯不亮"})
    order_id = str(filed.body["id"])
    hand_out = {"mode": "open", "slots_min": slots, "slots_max": slots}
    for move, body in (("accept", {}), ("dispatch", hand_out)):
        answer = await caller.write(town["dispatcher-1"], f"/v1/orders/{order_id}/{move}", body)
        assert answer.status == 200, answer.body
    return order_id


async def take(caller: Caller, who: Person, path: str, tally: Tally) -> tuple[str, str | None]:
    """One try: what was told (taken, already_yours or the refusal's code), and the order that was won."""
    began = time.perf_counter()
    answer = await caller.write(who, path)
    word = str(answer.body["outcome"] if answer.status == 200 else answer.body["code"])
    tally.note(word, began, answer.attempts)
    return word, answer.body["order"]["id"] if word == "taken" else None


async def rush(caller: Caller, people: list[Person], order_id: str) -> Tally:
    """Everybody wants one order, all at once."""
    tally, began = Tally(), time.perf_counter()
    await asyncio.gather(*(take(caller, who, f"/v1/orders/{order_id}/take", tally) for who in people))
    tally.seconds = time.perf_counter() - began
    return tally


async def drain(caller: Caller, people: list[Person], orders: list[str], *, next_: bool = False) -> Tally:
    """Everybody takes one order after the other until none is left: by id, from a list that all others see too and
    strike off as they learn; or by asking for the next one. What was taken is finished at once.
    """
    tally, began, left = Tally(), time.perf_counter(), set(orders)

    async def taker(who: Person, dice: Random) -> None:
        while left:
            known = sorted(left)
            order_id = known[dice.randrange(min(20, len(known)))]  # somewhere on the first page
            told, won = await take(caller, who, NEXT if next_ else f"/v1/orders/{order_id}/take", tally)
            if told == "NOTHING_OPEN":
                return
            if not next_ or won:
                left.discard(won or order_id)
            if won:
                body: dict[str, Any] = {"result": "已办。", "closing": "solved"}
                assert (await caller.write(who, f"/v1/orders/{won}/finish", body)).status == 200

    await asyncio.gather(*(taker(who, Random(nth)) for nth, who in enumerate(people)))
    tally.seconds = time.perf_counter() - began
    return tally


async def most_per_slot(town: Town) -> float:
    """The most takes that any dispatch carries, of its slots: never more than one."""
    carried = (
        select(func.count() * 1.0 / dispatches.c.slots_max)
        .select_from(takes.join(dispatches, takes.c.dispatch_id == dispatches.c.id))
        .where(
            takes.c.tenant_id == town.tenant_id,
            dispatches.c.tenant_id == town.tenant_id,
            takes.c.state.in_(("active", "done")),
        )
        .group_by(takes.c.dispatch_id, dispatches.c.slots_max)
    )
    return max(float(share) for (share,) in await town.rows(carried))
