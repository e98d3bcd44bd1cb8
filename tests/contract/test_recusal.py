"""Whom an order complains of does not learn of it: not in lists, counts, notices, the pool, nor by its id."""

from typing import Any

import pytest
from sqlalchemy import func, select

from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import order_recusals
from dispatch.wiring import REACTIONS
from tests.town import Clock, Hands


async def recuse(hands: Hands, order: dict[str, Any], kind: str, id: Any, login: str = "dispatcher-1"):
    return await hands.post(login, f"/v1/orders/{order['id']}/recusals", {"kind": kind, "id": str(id)})


async def knows(hands: Hands, login: str, order: dict[str, Any]) -> set[str]:
    """By which ways an account can learn of an order."""
    ways = set()
    for name in ("", "/timeline", "/views"):
        if (await hands.get(login, f"/v1/orders/{order['id']}{name}")).status_code != 404:
            ways.add(name or "order")
    for view in ("all", "queue", "pool", "taken"):
        if order["id"] in (await hands.get(login, "/v1/orders", view=view)).text:
            ways.add(view)
    home = (await hands.get(login, "/v1/home")).json()
    badges = home["badges"]
    ways |= {name for name in ("queue", "pool", "taken", "requests") if badges[name]}
    for path in ("/v1/requests", "/v1/me/notices"):
        if order["id"] in (await hands.get(login, path)).text:
            ways.add(path)
    return ways


async def test_the_person_complained_of_reads_nothing_of_it_anywhere(hands: Hands, clock: Clock):
    town = hands.town
    await town.person("dispatcher-x", Role.DISPATCHER, "community-1")
    order = await hands.file("resident-1", item_code="0804", text="派单员态度恶劣，办事拖拉。")
    assert await knows(hands, "dispatcher-x", order) >= {"order", "all", "queue"}
    answer = await recuse(hands, order, "person", town["dispatcher-x"].id)
    assert answer.status_code == 200, answer.text
    assert [(item["kind"], item["name"]) for item in answer.json()["items"]] == [("person", "dispatcher-x")]
    await hands.move("secretary-1", order, "accept")
    await hands.move("secretary-1", order, "dispatch", mode="open", kinds=["staff", "member"])
    await hands.move("resident-1", order, "supplement", text="请快一点。")
    ask = {"kind": "park", "reason_code": "other", "text": "等材料。", "until": "2026-12-24"}
    taken = await hands.move("member-1", order, "take")
    assert taken["outcome"] == "taken"
    asked = await hands.post("member-1", f"/v1/orders/{order['id']}/requests", ask)
    assert asked.status_code == 201, asked.text
    await relay(town.database, clock.now, REACTIONS)

    assert await knows(hands, "dispatcher-x", order) == set()
    for move, body in (("take", {}), ("close", {"exit": "solved"}), ("urge", {"text": "催"})):
        assert (await hands.try_("dispatcher-x", order, move, **body)).status_code == 404, move
    assert (await hands.post("dispatcher-x", f"/v1/requests/{asked.json()['id']}/approve")).status_code == 404
    assert await knows(hands, "dispatcher-1", order) >= {"order", "all", "queue", "/v1/me/notices"}


async def test_a_body_complained_of_is_kept_away_with_all_its_people(hands: Hands, clock: Clock):
    town = hands.town
    await town.person("grid-x", Role.GRID_WORKER, "grid-11", of="provider-1")
    order = await hands.file("resident-1", text="物业乱收费。", place_id=str(town.places["grid-11"]))
    assert (await recuse(hands, order, "provider", town.bodies["provider-1"])).status_code == 200
    await hands.move("dispatcher-1", order, "accept")
    named = [{"kind": "provider", "id": str(town.bodies["provider-1"])}]
    refused = await hands.try_("dispatcher-1", order, "dispatch", mode="assign", targets=named)
    assert (refused.status_code, refused.json()["code"], refused.json()["why"]) == (
        422,
        "TARGET_NOT_ALLOWED",
        "recused",
    )
    await hands.move("dispatcher-1", order, "dispatch", mode="open", kinds=["provider", "unit", "staff"])
    assert await knows(hands, "provider-1", order) == set()
    assert await knows(hands, "grid-x", order) == set()
    assert (await hands.try_("provider-1", order, "take")).status_code == 404
    assert await knows(hands, "grid-1", order) >= {"order", "all"}
    await relay(town.database, clock.now, REACTIONS)
    told = select(func.count()).where(
        notices.c.tenant_id == town.tenant_id,
        notices.c.account_id.in_([town["provider-1"].id, town["grid-x"].id]),
    )
    assert (await town.rows(told))[0][0] == 0
    assert (await hands.move("unit-1", order, "take"))["outcome"] == "taken"


async def test_a_body_cannot_tell_which_of_its_people_is_complained_of(hands: Hands):
    town = hands.town
    for login in ("worker-1", "worker-2"):
        await town.person(login, Role.RESIDENT, "community-1", of="unit-1")
    order = await hands.taken("unit-1", kinds=["unit"])
    assert (await recuse(hands, order, "person", town["worker-1"].id)).status_code == 200
    told = []
    for login in ("worker-1", "resident-2"):
        answer = await hands.try_("unit-1", order, "staff", member_ids=[str(town[login].id)])
        told.append((answer.status_code, answer.json()["code"], answer.json()["why"]))
    assert told[0] == told[1]
    await hands.move("unit-1", order, "staff", member_ids=[str(town["worker-2"].id)])
    assert await knows(hands, "worker-1", order) == set()


async def test_who_is_at_work_is_recalled_first_and_a_mistake_is_undone(hands: Hands):
    town = hands.town
    order = await hands.taken("member-1")
    refused = await recuse(hands, order, "person", town["member-1"].id)
    assert (refused.status_code, refused.json()["code"]) == (409, "RECUSED_AT_WORK")
    path = f"/v1/orders/{order['id']}/recusals"
    for login in ("street-1", "grid-1", "resident-1", "member-1"):
        answer = await recuse(hands, order, "person", town["member-2"].id, login)
        assert answer.status_code in (403, 404), login
        assert (await hands.get(login, path)).status_code in (403, 404)
    for kind, id, code in (
        ("person", town.bodies["unit-1"], "ACCOUNT_NOT_FOUND"),
        ("unit", town["member-2"].id, "BODY_NOT_FOUND"),
    ):
        assert (await recuse(hands, order, kind, id)).json()["code"] == code
    for _ in range(2):
        assert (await recuse(hands, order, "person", town["grid-1"].id)).status_code == 200
    headers = town["dispatcher-1"].headers
    for _ in range(2):
        gone = await hands.client.delete(f"{path}/{town['grid-1'].id}", headers=headers)
        assert gone.status_code == 204
    assert (await hands.get("dispatcher-1", path)).json()["items"] == []
    kept = order_recusals.c.tenant_id == town.tenant_id
    assert await town.rows(select(order_recusals.c.party_id).where(kept)) == []


@pytest.mark.parametrize("login", ["resident-1"])
async def test_ones_own_order_stays_ones_own(hands: Hands, login: str):
    order = await hands.file(login)
    assert (await recuse(hands, order, "person", hands.town[login].id)).status_code == 200
    assert (await hands.get(login, f"/v1/orders/{order['id']}")).status_code == 200


@pytest.mark.parametrize("kind", ["person", "unit"])
async def test_what_was_told_before_a_recusal_is_read_no_more_and_counts_no_more(
    hands: Hands, clock: Clock, kind: str
):
    town = hands.town
    told = "dispatcher-x"
    await town.person(told, Role.DISPATCHER, "community-1", of="unit-1")
    order = await hands.file("resident-1", item_code="0804", text="派单员态度恶劣。")
    other = await hands.file("resident-2", text="路灯不亮。")
    await hands.move("resident-1", order, "supplement", text="他上周三骂了我母亲。")
    await relay(town.database, clock.now, REACTIONS)

    async def read(login: str) -> tuple[set[str], int]:
        items = (await hands.get(login, "/v1/me/notices", limit=50)).json()["items"]
        badge = (await hands.get(login, "/v1/home")).json()["badges"]["notices"]
        return {item["order_id"] for item in items}, badge

    assert await read(told) == ({order["id"], other["id"]}, 3)
    party = town[told].id if kind == "person" else town.bodies["unit-1"]
    assert (await recuse(hands, order, kind, party)).status_code == 200
    assert await read(told) == ({other["id"]}, 1)
    assert await read("dispatcher-1") == ({order["id"], other["id"]}, 3)
