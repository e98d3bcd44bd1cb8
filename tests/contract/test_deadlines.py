"""Clocks over HTTP: who owes what until when, and how it was judged."""

from typing import Any

from tests.contract.ledger import assert_books
from tests.town import Clock, Hands


async def deadlines(hands: Hands, order: dict[str, Any], login: str = "dispatcher-1") -> list[dict[str, Any]]:
    answer = await hands.get(login, f"/v1/orders/{order['id']}/deadlines")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def of(hands: Hands, order: dict[str, Any], clock: str) -> list[dict[str, Any]]:
    return [item for item in await deadlines(hands, order) if item["clock"] == clock]


async def test_walk(hands: Hands, clock: Clock):
    order = await hands.file(item_code="0201")
    for item in await deadlines(hands, order):
        print(item)
    order = await hands.move("dispatcher-1", order, "accept")
    print(order["deadlines"])
    order = await hands.move("dispatcher-1", order, "dispatch", mode="open")
    clock.pass_(hours=1)
    order = (await hands.move("member-1", order, "take"))["order"]
    clock.pass_(hours=1)
    order = await hands.move("member-1", order, "release", reason_code="other")
    clock.pass_(hours=1)
    order = (await hands.move("member-2", order, "take"))["order"]
    order = await hands.move("member-2", order, "contact", reached=True)
    order = await hands.move("member-2", order, "finish", result="好", closing="solved")
    for item in await deadlines(hands, order):
        print(
            item["clock"],
            item["owner"]["kind"],
            item["started_at"],
            item["due_at"],
            item["stopped_at"],
            item["verdict"],
            item["reason"],
        )
    await assert_books(hands.town)
