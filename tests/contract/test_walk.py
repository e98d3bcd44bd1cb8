"""The four acts on real input, from end to end."""

from uuid import uuid4

import pytest
from sqlalchemy import func, select

from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.people import actions as people
from dispatch.wiring import REACTIONS
from tests.town import Hands

CALL_BACK = {"channel": "phone", "at": "2026-11-22T09:20:00+08:00", "note": "电话回访本人"}


async def test_the_dog_case_is_studied_by_the_committee_and_solved_by_those_it_called(hands: Hands, clock):
    town = hands.town
    order = await hands.file(
        "grid-1",
        item_code="0804",
        text="三号楼有人养大型犬，多次扰民，一直没解决。",
        on_behalf_of={"name": "张阿姨", "relation": "网格居民", "consent": {"how": "oral"}},
    )
    assert "about_person" in order["flags"]
    await hands.move("dispatcher-1", order, "accept")
    await hands.move(
        "dispatcher-1", order, "escalate", level="community", text="长期未解决，提请社区党委研究。"
    )
    called = [
        {"kind": "department", "id": str(town.bodies["department-1"])},
        {"kind": "provider", "id": str(town.bodies["provider-1"])},
    ]
    assert (await hands.get("provider-1", f"/v1/orders/{order['id']}")).status_code == 404
    await hands.move("secretary-1", order, "deliberate", decision="派出所与保洁联合上门。", bodies=called)

    seen = (await hands.get("department-1", f"/v1/orders/{order['id']}")).json()
    assert seen["filer"]["name"] == "匿名居民"
    assert [move["move"] for move in seen["moves"]] == ["progress"]
    await hands.move("department-1", order, "progress", text="已上门告诫。")
    await hands.move("provider-1", order, "progress", text="已清理楼道。")
    clock.pass_(days=3)
    done = await hands.move(
        "secretary-1",
        order,
        "resolve",
        result="犬只已送走，楼道已清理。",
        closing="solved",
        by_body=called[0],
    )
    assert done["state"] == "done"
    refused = await hands.try_(
        "grid-1", order, "rate", score=5, solved=True, contacted=True, follow_up=CALL_BACK
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "NOT_YOUR_RATING")
    closed = await hands.move(
        "dispatcher-1", order, "rate", score=5, solved=True, contacted=True, follow_up=CALL_BACK
    )
    assert (closed["state"], closed["exit"], closed["rating"]["by"]) == ("closed", "solved", "follow_up")


async def test_a_unit_orders_a_gathering_and_units_and_members_take_its_slots(hands: Hands):
    town = hands.town
    await town.body("unit-2", "unit", "community-1")
    await town.person("unit-2", Role.UNIT_ADMIN, body="unit-2")
    await town.person("worker-1", Role.RESIDENT, "community-1", of="unit-2")
    await town.person("worker-2", Role.RESIDENT, "community-1", of="unit-2")
    order = await hands.file("unit-1", item_code="1103", text="我馆想办一场青年联谊会，请社区帮忙组织。")
    assert order["beneficiary"]["name"] == "unit-1"
    await hands.move("dispatcher-1", order, "accept")
    await hands.move(
        "dispatcher-1", order, "dispatch", mode="open", kinds=["member", "unit"], slots_min=3, slots_max=4
    )
    one = await hands.move("unit-2", order, "take")
    assert one["outcome"] == "taken"
    assert one["order"]["state"] == "open"
    await hands.move("member-1", order, "take")
    full = await hands.move("member-2", order, "take")
    assert full["order"]["state"] == "taken"
    staffed = await hands.move(
        "unit-2", order, "staff", member_ids=[str(town["worker-2"].id), str(town["worker-1"].id)]
    )
    unit_take = next(take for take in staffed["takes"] if take["taker"]["kind"] == "unit")
    assert unit_take["people"] == [str(town["worker-2"].id), str(town["worker-1"].id)]
    assert unit_take["lead"]
    assert (await hands.get("worker-1", f"/v1/orders/{order['id']}")).status_code == 200
    await hands.move("unit-2", order, "start")
    minutes = [{"take_id": take["id"], "minutes": 90} for take in staffed["takes"]]
    done = await hands.move(
        "unit-2", order, "finish", result="三十人参加，现场顺利。", closing="solved", minutes=minutes
    )
    assert {take["minutes"] for take in done["takes"]} == {90}
    closed = await hands.move("unit-1", order, "rate", score=5, solved=True, contacted=True)
    assert closed["state"] == "closed"


async def test_an_elder_without_a_phone_is_accompanied_by_two_and_judges_by_call_back(hands: Hands):
    order = await hands.file(
        "grid-1",
        item_code="0102",
        text="李奶奶82岁，没有手机，周三上午要去市二医院复查。",
        on_behalf_of={
            "name": "李奶奶",
            "relation": "网格老人",
            "consent": {"how": "oral", "note": "上门时口头同意"},
        },
    )
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=2)
    before = (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()
    assert before["beneficiary"]["name"] != "李奶奶"
    assert (await hands.move("member-1", order, "take"))["order"]["state"] == "open"
    after = (await hands.move("member-2", order, "take"))["order"]
    assert (after["state"], after["beneficiary"]["name"]) == ("taken", "李奶奶")
    await hands.move("member-1", order, "finish", result="已陪同复查。", closing="solved")
    closed = await hands.move(
        "dispatcher-1", order, "rate", score=5, solved=True, contacted=True, follow_up=CALL_BACK
    )
    assert closed["state"] == "closed"


async def test_a_street_lamp_reported_by_twelve_is_one_work_with_twelve_notices_and_ratings(
    hands: Hands, clock, database
):
    town = hands.town
    people = [f"neighbour-{n}" for n in range(12)]
    for login in people:
        await town.person(login, Role.RESIDENT, "community-1")
    reports = []
    for login in people:
        clock.pass_(minutes=1)
        reports.append(await hands.file(login, item_code="0904", text="小区门口路灯坏了。"))
    parent, *rest = reports
    await hands.move("dispatcher-1", parent, "accept")
    for order in rest:
        merged = await hands.move("dispatcher-1", order, "merge", parent_id=parent["id"])
        assert merged["effective_state"] == "accepted"
    assert (await hands.try_("dispatcher-1", parent, "cancel")).json()["code"] == "HAS_CHILDREN"
    target = [{"kind": "provider", "id": str(town.bodies["provider-1"])}]
    await hands.move("dispatcher-1", parent, "dispatch", mode="assign", targets=target)
    await hands.move("provider-1", parent, "take")
    await hands.move("provider-1", parent, "finish", result="已更换灯泡。", closing="solved")

    await relay(database, clock.now, REACTIONS)
    told = await town.rows(
        select(notices.c.account_id, func.count())
        .where(notices.c.tenant_id == town.tenant_id, notices.c.event == "finish")
        .group_by(notices.c.account_id)
    )
    assert {row[0] for row in told} >= {town[login].id for login in people}
    assert all(row[1] == 1 for row in told)
    for login, order in zip(people, reports, strict=True):
        rated = await hands.move(login, order, "rate", score=5, solved=True, contacted=False)
        assert rated["rating"]["score"] == 5
        assert rated["state"] == ("closed" if order is parent else "merged")
        assert rated["effective_state"] == (None if order is parent else "closed")


async def test_a_withdrawn_parent_leaves_its_place_to_the_oldest_child(hands: Hands, clock):
    parent = await hands.file("resident-1", item_code="0904", text="路灯坏了。")
    clock.pass_(minutes=1)
    heir = await hands.file("resident-2", item_code="0904", text="路灯不亮。")
    clock.pass_(minutes=1)
    other = await hands.file(
        "resident-3", item_code="0904", text="门口没有灯。", place_id=str(hands.town.places["community-1"])
    )
    await hands.move("dispatcher-1", parent, "accept")
    for child in (heir, other):
        await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    await hands.move("dispatcher-1", parent, "dispatch", mode="open")
    await hands.move("member-1", parent, "take")

    await hands.move("resident-1", parent, "cancel", reason_code="no_longer_needed")

    now = (await hands.get("dispatcher-1", f"/v1/orders/{heir['id']}")).json()
    assert (now["state"], now["children_count"], len(now["takes"])) == ("taken", 1, 1)
    assert (await hands.get("resident-3", f"/v1/orders/{other['id']}")).json()["parent"]["id"] == heir["id"]
    done = await hands.move("member-1", heir, "finish", result="已修好。", closing="solved")
    assert done["state"] == "done"


@pytest.mark.parametrize("second", ["member-2", "member-1"])
async def test_an_offer_in_order_asks_one_after_the_other(hands: Hands, second):
    town = hands.town
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(town[login].id)} for login in ("member-1", "member-2")]
    offered = await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets)
    assert [t["state"] for t in offered["dispatches"][0]["targets"]] == ["asked", "waiting"]
    assert (await hands.try_("member-2", order, "take")).json()["code"] == "NOT_ELIGIBLE"
    if second == "member-1":
        assert (await hands.move("member-1", order, "take"))["outcome"] == "taken"
        return
    await hands.try_("member-1", order, "decline", reason_code="unavailable")
    assert (await hands.move("member-2", order, "take"))["outcome"] == "taken"


async def test_an_unhappy_verdict_asks_to_reopen_and_a_person_decides(hands: Hands):
    order = await hands.done()
    unhappy = await hands.move(
        "resident-1", order, "rate", score=2, solved=False, contacted=True, text="没修好"
    )
    assert (unhappy["state"], unhappy["requests"][0]["kind"]) == ("evaluated", "reopen")
    request = unhappy["requests"][0]["id"]
    approved = await hands.post("dispatcher-1", f"/v1/requests/{request}/approve", {"text": "同意重办"})
    assert approved.status_code == 200, approved.text
    now = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert (now["state"], now["round"], now["rating"]) == ("redo", 2, None)
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "finish", result="这次修好了。", closing="solved")
    assert (await hands.move("resident-1", order, "rate", score=4, solved=True, contacted=True))[
        "state"
    ] == "closed"


async def test_the_second_return_is_decided_by_the_street_and_the_returner_is_barred(hands: Hands):
    town = hands.town
    target = [{"kind": "unit", "id": str(town.bodies["unit-1"])}]
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=target)
    assert (await hands.try_("unit-1", order, "decline")).json()["code"] == "RETURN_INSTEAD"
    ask = {"kind": "return", "reason_code": "other", "text": "不属于我单位职责。", "suggestion": "物业"}
    first = await hands.post("unit-1", f"/v1/orders/{order['id']}/requests", ask)
    assert first.status_code == 201, first.text
    again = await hands.post("unit-1", f"/v1/orders/{order['id']}/requests", ask)
    assert again.json()["code"] == "REQUEST_PENDING"
    done = await hands.post("dispatcher-1", f"/v1/requests/{first.json()['id']}/approve")
    assert done.json()["status"] == "approved", done.text
    now = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert now["state"] == "accepted"
    barred = await hands.try_("dispatcher-1", order, "dispatch", mode="assign", targets=target)
    assert barred.json()["code"] == "TARGET_NOT_ALLOWED"
    await hands.move("dispatcher-1", order, "dispatch", mode="open", kinds=["unit", "member"])
    assert (await hands.try_("unit-1", order, "take")).json()["code"] == "NOT_ELIGIBLE"
    await hands.move("member-1", order, "take")
    second = await hands.post("member-1", f"/v1/orders/{order['id']}/requests", ask)
    assert (
        await hands.post("dispatcher-1", f"/v1/requests/{second.json()['id']}/approve")
    ).status_code == 403
    assert (await hands.post("street-1", f"/v1/requests/{second.json()['id']}/approve")).status_code == 200
    now = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert (now["state"], now["takes"][0]["state"]) == ("open", "returned")


async def test_a_bulk_act_answers_for_each_order_and_can_be_repeated(hands: Hands):
    orders = [await hands.file() for _ in range(4)]
    await hands.move("dispatcher-1", orders[0], "accept")
    ids = [order["id"] for order in orders] + [str(uuid4())]
    for _ in range(2):
        answer = await hands.post(
            "dispatcher-1", "/v1/orders/bulk", {"move": "accept", "order_ids": ids}, Idempotency_Key="bulk-1"
        )
        assert answer.status_code == 200, answer.text
        assert [line["status"] for line in answer.json()["items"]] == [409, 200, 200, 200, 404]


async def test_requests_are_listed_to_those_who_asked_and_those_who_look_after_the_place(hands: Hands):
    order = await hands.taken("member-1")
    ask = {"kind": "park", "reason_code": "other", "text": "等配件到货", "until": "2027-01-31"}
    filed = (await hands.post("member-1", f"/v1/orders/{order['id']}/requests", ask)).json()

    async def listed(login: str, **params: str) -> list[str]:
        answer = await hands.get(login, "/v1/requests", **params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    for login in ("member-1", "dispatcher-1", "street-1"):
        assert await listed(login) == [filed["id"]]
    for login in ("member-2", "dispatcher-2", "street-2", "resident-1"):
        assert await listed(login) == []
    assert await listed("street-1", kind="park", status="pending") == [filed["id"]]
    assert await listed("street-1", kind="return") == []
    assert (await hands.post("dispatcher-1", f"/v1/requests/{filed['id']}/approve")).status_code == 403
    assert (await hands.post("street-1", f"/v1/requests/{filed['id']}/approve")).json()[
        "status"
    ] == "approved"
    assert await listed("street-1", status="pending") == []
    paused = (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()
    assert paused["state"] == "paused"
    assert (await hands.move("dispatcher-1", order, "resume"))["state"] == "taken"


async def test_an_unhappy_child_asks_to_reopen_the_parent(hands: Hands):
    parent = await hands.file("resident-1", item_code="0904", text="路灯坏了。")
    child = await hands.file("resident-2", item_code="0904", text="路灯不亮。")
    await hands.move("dispatcher-1", parent, "accept")
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    early = await hands.try_("resident-2", child, "rate", score=5, solved=True, contacted=True)
    assert (early.status_code, early.json()["code"]) == (409, "ORDER_MOVED")
    await hands.move("dispatcher-1", parent, "resolve", result="已更换。", closing="solved")
    await hands.move("resident-2", child, "rate", score=1, solved=False, contacted=False, text="还是不亮")

    happy = await hands.move("resident-1", parent, "rate", score=5, solved=True, contacted=True)
    assert happy["state"] == "evaluated", "not closed before the child's wish is decided"
    wish = next(line for line in happy["requests"] if line["kind"] == "reopen")
    assert wish["status"] == "pending"
    refused = await hands.post("dispatcher-1", f"/v1/requests/{wish['id']}/refuse", {"text": "现场已亮"})
    assert refused.json()["status"] == "refused"
    closed = await hands.move("dispatcher-1", parent, "close", exit="explained")
    assert (closed["state"], closed["exit"]) == ("closed", "explained")


async def test_a_retired_body_takes_nothing_and_its_orders_stay_readable(hands: Hands, database, clock):
    town = hands.town
    target = [{"kind": "provider", "id": str(town.bodies["provider-1"])}]
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=target)
    async with database.writing() as db:
        await people.retire_body(db, town.tenant_id, town.bodies["provider-1"], at=clock.now)
    refused = await hands.try_("provider-1", order, "take")
    assert (refused.json()["code"], refused.json()["why"]) == ("NOT_ELIGIBLE", "body_retired")
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert seen["dispatches"][0]["targets"][0]["name"] == "provider-1"
    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    again = await hands.try_("dispatcher-1", order, "dispatch", mode="assign", targets=target)
    assert again.json()["code"] == "TARGET_NOT_ALLOWED"


async def test_who_withdraws_after_the_take_gives_a_reason_and_the_taker_is_told(
    hands: Hands, clock, database
):
    order = await hands.taken("member-1")
    assert (await hands.try_("resident-1", order, "cancel")).status_code in (409, 422)
    gone = await hands.move("resident-1", order, "cancel", reason_code="no_longer_needed")
    assert (gone["state"], gone["takes"][0]["state"]) == ("cancelled", "cancelled")
    await relay(database, clock.now, REACTIONS)
    told = await town_notices(hands, "member-1")
    assert "cancel" in told


async def town_notices(hands: Hands, login: str) -> list[str]:
    answer = await hands.get(login, "/v1/me/notices")
    return [item["event"] for item in answer.json()["items"]]
