"""Who takes a withdrawn parent's place takes over all that hangs on it."""

from typing import Any

from sqlalchemy import select

from dispatch.orders.tables import requests
from tests.contract.ledger import assert_books
from tests.contract.test_requests import asked, now
from tests.town import Clock, Hands


async def family(hands: Hands, clock: Clock, *, recalled: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """A parent and the child that will be its heir; the child was handed out and recalled before."""
    parent = await hands.accepted("resident-1")
    clock.pass_(minutes=1)
    child = await hands.accepted("resident-2")
    for _ in range(recalled):
        await hands.move("dispatcher-1", child, "dispatch", mode="open")
        await hands.move("dispatcher-1", child, "recall", reason_code="other")
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    return parent, child


async def test_an_heir_that_was_handed_out_before_can_be_handed_out_again(hands: Hands, clock: Clock):
    parent, heir = await family(hands, clock, recalled=2)
    await hands.move("dispatcher-1", parent, "dispatch", mode="open")
    await hands.move("dispatcher-1", parent, "recall", reason_code="other")
    await hands.move("resident-1", parent, "cancel")
    again = await hands.move("dispatcher-1", heir, "dispatch", mode="open")
    numbers = [dispatch["number"] for dispatch in again["dispatches"]]
    assert len(numbers) == len(set(numbers)) == 4
    await assert_books(hands.town)


async def test_bodies_that_were_called_come_along(hands: Hands, clock: Clock):
    parent, heir = await family(hands, clock)
    await hands.move("dispatcher-1", parent, "escalate", level="community", text="提请研究")
    called = [{"kind": "provider", "id": str(hands.town.bodies["provider-1"])}]
    await hands.move("secretary-1", parent, "deliberate", decision="请物业处理。", bodies=called)
    await hands.move("resident-1", parent, "cancel", reason_code="other")
    assert (await now(hands, heir))["state"] == "escalated"
    assert (await hands.get("provider-1", f"/v1/orders/{heir['id']}")).status_code == 200
    await assert_books(hands.town)


async def test_what_was_asked_comes_along_and_still_waits(hands: Hands, clock: Clock):
    parent, heir = await family(hands, clock)
    await hands.move("dispatcher-1", parent, "dispatch", mode="open")
    await hands.move("member-1", parent, "take")
    await asked(hands, "member-1", parent, "park", until="2027-01-31")
    await hands.move("resident-1", parent, "cancel", reason_code="other")
    mine = requests.c.tenant_id == hands.town.tenant_id
    rows = await hands.town.rows(select(requests.c.order_id, requests.c.status).where(mine))
    assert [(str(row.order_id), row.status) for row in rows] == [(heir["id"], "pending")]
    await assert_books(hands.town)


async def test_what_somebody_asked_on_both_waits_once(hands: Hands, clock: Clock):
    parent, heir = await family(hands, clock)
    for order in (parent, heir):
        await asked(hands, "dispatcher-1", order, "exclusion")
    await hands.move("resident-1", parent, "cancel")
    statuses = sorted(request["status"] for request in (await now(hands, heir))["requests"])
    assert statuses == ["pending", "withdrawn"]
    await assert_books(hands.town)
