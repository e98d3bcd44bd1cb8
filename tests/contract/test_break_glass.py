"""Contact data for the district: asked for by one person, confirmed by another, open for a short time."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx

from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.wiring import REACTIONS
from tests.town import Clock, Hands

PRIVATE = {"contact_phone": "13800001111", "address": "暗号苑3栋501"}
WHY = {"purpose": "核实督办件", "text": "居民来电13911112222，须当面核实。"}


async def ask(hands: Hands, order: dict, login: str = "district-1") -> httpx.Response:
    return await hands.post(login, f"/v1/orders/{order['id']}/reveal-requests", WHY)


async def decide(hands: Hands, login: str, request: dict, how: str = "approve") -> tuple[int, str]:
    answer = await hands.post(login, f"/v1/reveal-requests/{request['id']}/{how}", {"text": "已核对。"})
    told = answer.json()
    return answer.status_code, told["status"] if answer.status_code == 200 else told["code"]


async def look(hands: Hands, order: dict, login: str = "district-1") -> tuple[int, str | None]:
    answer = await hands.post(login, f"/v1/orders/{order['id']}/reveal", {"purpose": "核实督办件"})
    told = answer.json()
    return answer.status_code, told["contact_phone"] if answer.status_code == 200 else told["code"]


async def asked(hands: Hands) -> tuple[dict[str, Any], dict[str, Any]]:
    order = await hands.file("resident-1", **PRIVATE)
    answer = await ask(hands, order)
    assert answer.status_code == 201, answer.text
    return order, answer.json()


CLOSED = (403, "SECOND_PERSON_REQUIRED")


async def test_what_a_second_person_confirmed_opens_for_half_an_hour_and_both_stand_in_the_ledger(
    hands: Hands, clock: Clock
):
    order, request = await asked(hands)
    assert request["status"] == "pending"
    assert await look(hands, order) == CLOSED
    clock.pass_(minutes=5)
    assert await decide(hands, "street-1", request) == (200, "approved")
    for _ in range(2):
        assert await look(hands, order) == (200, "13800001111")
    masked = (await hands.get("district-1", f"/v1/orders/{order['id']}")).json()
    assert (masked["contact_phone"], masked["address"]) == (
        "138******11",
        None,
    )  # only what is asked for opens
    clock.pass_(minutes=29, seconds=59)
    assert await look(hands, order) == (200, "13800001111")
    clock.pass_(seconds=1)
    assert await look(hands, order) == CLOSED
    for login in ("resident-1", "supervisor-1"):
        looks = (await hands.get(login, f"/v1/orders/{order['id']}/views")).json()["items"]
        told = {(v["who"]["name"], v["confirmed_by"]["name"], v["confirmed_by"]["role"]) for v in looks}
        assert (len(looks), told) == (3, {("district-1", "street-1", "street")})


async def test_nobody_confirms_for_himself_and_nobody_without_the_standing(hands: Hands):
    order, request = await asked(hands)
    assert await decide(hands, "district-1", request) == CLOSED
    for login in ("dispatcher-1", "secretary-1", "resident-1", "supervisor-1"):
        assert await decide(hands, login, request) == (403, "ROLE_FORBIDDEN"), login
    for login in ("street-2", "dispatcher-2", "member-1", "admin-1", "reporter-1"):
        assert await decide(hands, login, request) == (404, "REQUEST_NOT_FOUND"), login
    assert await look(hands, order) == CLOSED
    await hands.town.person("district-2", Role.DISTRICT, "district")
    assert await decide(hands, "district-2", request) == (200, "approved")
    assert await look(hands, order) == (200, "13800001111")
    assert await look(hands, order, "district-2") == CLOSED  # it opened to the one who asked


async def test_a_role_that_one_lent_the_other_makes_no_second_person(hands: Hands, clock: Clock):
    town = hands.town
    order, request = await asked(hands)
    until = (clock.now + timedelta(days=7)).isoformat()
    await town.person("helper", Role.RESIDENT, "community-1")
    lent = await hands.post(
        "district-1",
        f"/v1/grants/{town['district-1'].grant_id}/delegate",
        {"account_id": str(town["helper"].id), "valid_to": until},
    )
    assert lent.status_code == 201, lent.text
    headers = {
        "Authorization": f"Bearer {town.token(town['helper'].id, 2)}",
        "X-Acting-Grant": lent.json()["id"],
    }
    path = f"/v1/reveal-requests/{request['id']}/approve"
    refused = await hands.client.post(path, json={}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == CLOSED
    again = await hands.client.post(
        f"/v1/orders/{order['id']}/reveal-requests", json=WHY, headers=headers
    )  # and the other way round: the borrower asks, the lender confirms
    assert again.status_code == 201
    assert await decide(hands, "district-1", again.json()) == CLOSED
    assert await decide(hands, "street-1", again.json()) == (200, "approved")


async def test_a_request_is_decided_once_and_waits_for_a_day(hands: Hands, clock: Clock):
    order, request = await asked(hands)
    twice = await ask(hands, order)
    assert (twice.status_code, twice.json()["code"]) == (409, "REQUEST_PENDING")
    clock.pass_(hours=24)
    assert await decide(hands, "street-1", request) == (409, "REQUEST_DECIDED")
    path = f"/v1/orders/{order['id']}/reveal-requests"
    assert [r["status"] for r in (await hands.get("district-1", path)).json()["items"]] == ["lapsed"]
    anew = (await ask(hands, order)).json()
    answers = await asyncio.gather(
        *(decide(hands, "street-1", anew, how) for how in ("approve", "refuse", "approve", "refuse"))
    )
    assert Counter(status for status, _ in answers) == {200: 1, 409: 3}
    expected = (200, "13800001111") if (200, "approved") in answers else CLOSED
    assert await look(hands, order) == expected


async def test_who_asks_at_once_asks_once(hands: Hands):
    order = await hands.file("resident-1", **PRIVATE)
    answers = await asyncio.gather(*(ask(hands, order) for _ in range(5)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 4}


async def test_only_the_district_asks_and_an_order_about_a_person_stays_closed(hands: Hands):
    order = await hands.file("resident-1", **PRIVATE)
    for login in ("street-1", "dispatcher-1", "grid-1", "supervisor-1", "resident-1"):
        answer = await ask(hands, order, login)
        assert answer.status_code in (403, 404), login
    await hands.town.person("district-2", Role.DISTRICT, "street-2")
    assert (await ask(hands, order, "district-2")).status_code == 404
    about = await hands.file("resident-1", item_code="0804", text="楼上装修扰民。", **PRIVATE)
    answer = await ask(hands, about)
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")


async def test_an_order_kept_from_the_second_person_is_none_of_his_business(hands: Hands):
    order, request = await asked(hands)
    kept = {"kind": "person", "id": str(hands.town["street-1"].id)}
    answer = await hands.post("dispatcher-1", f"/v1/orders/{order['id']}/recusals", kept)
    assert answer.status_code == 200, answer.text
    assert await decide(hands, "street-1", request) == (404, "REQUEST_NOT_FOUND")
    assert (await hands.get("street-1", "/v1/reveal-requests")).json()["items"] == []


async def test_the_requester_and_those_who_decide_read_the_requests_and_nobody_else(
    hands: Hands, clock: Clock
):
    order, request = await asked(hands)
    await decide(hands, "street-1", request, "refuse")
    path = f"/v1/orders/{order['id']}/reveal-requests"
    for login in ("resident-1", "street-1", "district-1", "supervisor-1"):
        answer = await hands.get(login, path)
        (told,) = answer.json()["items"]
        assert (told["who"]["name"], told["decided_by"]["name"]) == ("district-1", "street-1")
        assert told["text"] == "居民来电139******22，须当面核实。"
    for login in ("dispatcher-1", "grid-1", "member-1"):
        assert (await hands.get(login, path)).status_code in (403, 404), login
    assert (await hands.get("resident-2", path)).status_code == 404
    for login, count in (
        ("street-1", 1),
        ("district-1", 1),
        ("street-2", 0),
        ("supervisor-1", 0),
        ("resident-1", 0),
    ):
        assert len((await hands.get(login, "/v1/reveal-requests")).json()["items"]) == count, login


async def test_those_concerned_are_told_and_the_notice_names_nobody(hands: Hands, clock: Clock):
    _, request = await asked(hands)
    await relay(hands.town.database, clock.now, REACTIONS)

    async def told(login: str) -> list[str]:
        items = (await hands.get(login, "/v1/me/notices", limit=50)).json()["items"]
        return [item["text"].partition(" ")[2] for item in items if item["event"].startswith("reveal.")]

    assert await told("street-1") == ["有一条查看联系方式的申请等您核准。"]
    assert await told("district-1") == await told("street-2") == []
    await decide(hands, "street-1", request)
    await relay(hands.town.database, clock.now, REACTIONS)
    assert await told("district-1") == ["您查看联系方式的申请已核准，限时有效。"]


async def test_a_district_role_that_ended_looks_no_more_although_it_was_confirmed(hands: Hands):
    order, request = await asked(hands)
    assert await decide(hands, "street-1", request) == (200, "approved")
    gone = await hands.post("admin-1", f"/v1/grants/{hands.town['district-1'].grant_id}/revoke")
    assert gone.status_code == 200, gone.text
    assert (await look(hands, order))[0] == 401
