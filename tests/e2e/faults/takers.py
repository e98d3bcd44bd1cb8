"""Takers who note what they called, when, and what they were told."""

import asyncio
from random import Random
from typing import Any
from uuid import uuid4

from tests.e2e.faults.caller import Caller, GaveUp
from tests.e2e.faults.history import Act, linearizable
from tests.town import Person, Town

SLOTS = 2


class Notary:
    """Notes every act on an order with its call, its answer and what was told."""

    def __init__(self, town: Town, caller: Caller) -> None:
        self.town, self.caller = town, caller
        self.acts: dict[str, list[Act]] = {}

    async def act(self, who: Person, order_id: str, what: str) -> str | None:
        """Take or release, and say what was told; None when nobody knows."""
        now = asyncio.get_running_loop().time
        called, told = now(), None
        body: dict[str, Any] = {"reason_code": "other"} if what == "release" else {}
        try:
            answer = await self.caller.write(who, f"/v1/orders/{order_id}/{what}", body)
        except GaveUp:
            act = Act(who.login, what, called)
        else:
            told = said(what, answer.status, answer.body)
            act = Act(who.login, what, called, now(), told)
        self.acts.setdefault(order_id, []).append(act)
        return told

    def assert_possible(self) -> None:
        """What everybody was told could have happened one act after the other."""
        for order_id, acts in self.acts.items():
            assert linearizable(acts, SLOTS) is not None, (order_id, sorted(acts, key=lambda act: act.called))
        told = [act.told for acts in self.acts.values() for act in acts]
        assert {"taken", "SLOT_TAKEN", "released"} <= set(told), told


def said(what: str, status: int, body: dict[str, Any]) -> str:
    if status == 200:
        return "released" if what == "release" else str(body["outcome"])
    return str(body["code"])


async def member(
    notary: Notary, who: Person, orders: list[str], dice: Random, *, acts: int, pause_seconds: float = 0.0
) -> None:
    """Take here and there, and give back what was won now and then."""
    held: set[str] = set()
    for _ in range(acts):
        await asyncio.sleep(pause_seconds)
        order_id = dice.choice(orders)
        if order_id in held and dice.random() < 0.7:
            assert await notary.act(who, order_id, "release") in ("released", None)
            held.discard(order_id)
        elif await notary.act(who, order_id, "take") in ("taken", "already_yours"):
            held.add(order_id)


async def opened(caller: Caller, town: Town) -> str:
    filed = await caller.write(
        town["resident-1"], "/v1/orders", {"item_code": "0201", "text": f"楼道灯不亮 {uuid4().hex}"}
    )
    order_id = str(filed.body["id"])
    for move, body in (
        ("accept", {}),
        ("dispatch", {"mode": "open", "slots_min": 1, "slots_max": SLOTS}),
    ):
        answer = await caller.write(town["dispatcher-1"], f"/v1/orders/{order_id}/{move}", body)
        assert answer.status == 200, answer.body
    return order_id
