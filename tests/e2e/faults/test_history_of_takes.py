"""Takers on several servers, one of which is killed: what each was told fits one order of events."""

import asyncio
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from dispatch import clock
from tests.contract.ledger import assert_books
from tests.e2e.faults.caller import Caller, GaveUp
from tests.e2e.faults.history import Act, linearizable
from tests.e2e.faults.invariants import assert_settled
from tests.e2e.faults.service import Service
from tests.town import Person, Town

pytestmark = pytest.mark.process
ORDERS, SLOTS, MEMBERS, ACTS = 3, 2, 6, 12


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


def said(what: str, status: int, body: dict[str, Any]) -> str:
    if status == 200:
        return "released" if what == "release" else str(body["outcome"])
    return str(body["code"])


async def member(notary: Notary, who: Person, orders: list[str], dice: Random) -> None:
    """Take here and there, and give back what was won now and then."""
    held: set[str] = set()
    for _ in range(ACTS):
        order_id = dice.choice(orders)
        if order_id in held and dice.random() < 0.7:
            assert await notary.act(who, order_id, "release") in ("released", None)
            held.discard(order_id)
        elif await notary.act(who, order_id, "take") in ("taken", "already_yours"):
            held.add(order_id)


async def test_what_takers_were_told_could_have_happened_one_after_the_other(broken: tuple[str, Town]):
    url, town = broken
    members = [town[login] for login in await town.crowd(MEMBERS)]
    with Service(url, servers=2, workers=0) as service:
        async with Caller(service.bases) as caller:
            orders = [await opened(caller, town) for _ in range(ORDERS)]
            notary = Notary(town, caller)
            acting = asyncio.gather(
                *(member(notary, who, orders, Random(n)) for n, who in enumerate(members))
            )
            await asyncio.sleep(0.5)
            service.servers[0].kill()
            service.servers[0].start()
            await acting
    for order_id, acts in notary.acts.items():
        assert linearizable(acts, SLOTS) is not None, (order_id, sorted(acts, key=lambda act: act.called))
    told = [act.told for acts in notary.acts.values() for act in acts]
    assert {"taken", "SLOT_TAKEN", "released"} <= set(told), told
    await assert_settled(town, clock.now())
    await assert_books(town)


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
