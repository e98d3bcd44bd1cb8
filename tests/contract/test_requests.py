"""Requests: who decides them is judged when they are decided, and what they bring stands in the log."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.outbox import outbox
from dispatch.domain.people import Role
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands


async def ask(hands: Hands, login: str, order: dict[str, Any], kind: str, **more: Any) -> httpx.Response:
    body = {"kind": kind, "reason_code": "other", "text": "情况有变", **more}
    return await hands.post(login, f"/v1/orders/{order['id']}/requests", body)


async def asked(hands: Hands, login: str, order: dict[str, Any], kind: str, **more: Any) -> str:
    answer = await ask(hands, login, order, kind, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def decide(
    hands: Hands, login: str, request_id: str, how: str = "approve", **headers: str
) -> httpx.Response:
    return await hands.post(login, f"/v1/requests/{request_id}/{how}", **headers)


async def now(hands: Hands, order: dict[str, Any], login: str = "dispatcher-1") -> dict[str, Any]:
    return dict((await hands.get(login, f"/v1/orders/{order['id']}")).json())


@pytest.fixture
async def units(hands: Hands) -> list[dict[str, str]]:
    """Two units, as targets."""
    town = hands.town
    await town.body("unit-2", "unit", "community-1")
    await town.person("unit-2", Role.UNIT_ADMIN, body="unit-2")
    return [{"kind": "unit", "id": str(town.bodies[name])} for name in ("unit-1", "unit-2")]


async def test_an_assignee_relieved_before_taking_gives_the_order_back(hands: Hands, units):
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=units[:1])
    request_id = await asked(hands, "unit-1", order, "return")
    assert (await decide(hands, "dispatcher-1", request_id)).status_code == 200
    assert (await now(hands, order))["state"] == "accepted"
    await assert_books(hands.town)


async def test_an_assignee_relieved_beside_a_taker_leaves_the_order_short_handed(hands: Hands, units):
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=units, slots_min=2)
    await hands.move("unit-1", order, "take")
    request_id = await asked(hands, "unit-2", order, "return")
    assert (await decide(hands, "dispatcher-1", request_id)).status_code == 200
    after = await now(hands, order)
    assert (after["state"], after["flags"]) == ("offered", ["short_handed"])
    await assert_books(hands.town)


async def test_an_assignee_is_relieved_also_when_another_has_taken(hands: Hands, units):
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=units, slots_max=2)
    await hands.move("unit-1", order, "take")
    request_id = await asked(hands, "unit-2", order, "return")
    assert (await decide(hands, "dispatcher-1", request_id)).status_code == 200
    after = await now(hands, order)
    assert after["state"] == "taken"
    assert [target["state"] for target in after["dispatches"][0]["targets"]] == ["taken", "declined"]
    assert (await hands.try_("unit-2", order, "take")).json()["code"] == "NOT_ELIGIBLE"
    await assert_books(hands.town)


async def test_what_an_assignee_asked_ends_with_the_assignment(hands: Hands, units):
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=units[:1])
    await asked(hands, "unit-1", order, "return")
    await hands.move("dispatcher-1", order, "escalate", level="community", text="提请研究")
    assert [request["status"] for request in (await now(hands, order))["requests"]] == ["withdrawn"]


async def test_of_two_returns_asked_side_by_side_the_street_decides_the_second(hands: Hands):
    order = await hands.taken("member-1", slots_min=1, slots_max=3)
    await hands.move("member-2", order, "take")
    first, second = [await asked(hands, login, order, "return") for login in ("member-1", "member-2")]
    assert (await decide(hands, "dispatcher-1", first)).status_code == 200
    refused = await decide(hands, "dispatcher-1", second)
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert (await decide(hands, "street-1", second)).status_code == 200
    await assert_books(hands.town)


async def test_an_order_is_extended_twice_at_most_however_many_asked(hands: Hands):
    order = await hands.taken("member-1", slots_min=1, slots_max=3)
    ids = []
    for day, login in enumerate(("member-1", "member-2", "member-3"), start=28):
        await hands.try_(login, order, "take")
        until = f"2026-12-{day}T00:00:00+08:00"
        ids.append(await asked(hands, login, order, "extension", until=until))
    deciders = ("dispatcher-1", "street-1", "street-1")
    decided = [await decide(hands, login, id) for login, id in zip(deciders, ids, strict=True)]
    assert [answer.status_code for answer in decided] == [200, 200, 409]
    assert decided[2].json()["code"] == "TOO_LATE"


async def test_a_decision_minds_the_version_it_was_meant_for(hands: Hands):
    order = await hands.taken("member-1")
    request_id = await asked(hands, "member-1", order, "return")
    stale = await decide(hands, "dispatcher-1", request_id, If_Match='"99"')
    assert (stale.status_code, stale.json()["code"]) == (412, "CHANGED_MEANWHILE")
    assert (await now(hands, order))["state"] == "taken"
    fresh = await decide(
        hands, "dispatcher-1", request_id, If_Match=f'"{(await now(hands, order))["version"]}"'
    )
    assert fresh.status_code == 200


async def test_parking_until_today_where_the_tenant_lives_is_senseless(hands: Hands, clock: Clock):
    order = await hands.taken("member-1")
    clock.pass_(hours=15, minutes=30)  # 01:00 of the 23rd in Shanghai, still the 22nd in UTC
    refused = await ask(hands, "member-1", order, "park", until="2026-11-23")
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "until"])
    assert (await ask(hands, "member-1", order, "park", until="2026-11-24")).status_code == 201


async def test_a_wish_to_reopen_that_came_in_time_may_be_granted_later(hands: Hands, clock: Clock):
    order = await hands.done()
    await hands.move("resident-1", order, "rate", score=5, solved=True, contacted=True)
    clock.pass_(days=14)
    request_id = await asked(hands, "resident-1", order, "reopen")
    clock.pass_(days=2)
    assert (await decide(hands, "dispatcher-1", request_id)).status_code == 200
    assert (await now(hands, order))["state"] == "redo"


async def test_a_wish_that_waits_for_the_street_is_not_granted_by_a_redo_of_the_community(hands: Hands):
    unhappy = {"score": 1, "solved": False, "contacted": True}
    order = await hands.done()
    rated = await hands.move("resident-1", order, "rate", **unhappy)
    await decide(hands, "dispatcher-1", rated["requests"][0]["id"])
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "finish", result="又办了一次。", closing="solved")
    await hands.move("resident-1", order, "rate", **unhappy)
    again = {"reason_code": "other", "text": "再办一次"}
    refused = await hands.try_("dispatcher-1", order, "redo", **again)
    assert (refused.status_code, refused.json()["code"]) == (409, "REQUEST_PENDING")
    assert (await hands.move("street-1", order, "redo", **again))["round"] == 3


async def test_a_wish_that_an_unhappy_verdict_files_is_told_to_those_who_decide(hands: Hands):
    order = await hands.done()
    await hands.move("resident-1", order, "rate", score=1, solved=False, contacted=True)
    facts = await hands.town.rows(select(outbox.c.fact).where(outbox.c.tenant_id == hands.town.tenant_id))
    assert [row.fact for row in facts].count("request.asked") == 1


async def test_an_escalated_order_may_be_asked_to_a_higher_level(hands: Hands):
    order = await hands.taken("member-1")
    await hands.move("dispatcher-1", order, "escalate", level="community", text="提请研究")
    request_id = await asked(hands, "member-1", order, "escalation", level="street")
    assert (await decide(hands, "dispatcher-1", request_id)).status_code == 200
    assert (await now(hands, order))["level"] == "street"
    await assert_books(hands.town)
