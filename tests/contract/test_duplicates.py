"""Likely duplicates: the filer gets a hint and no leak, the dispatcher gets what to merge."""

import asyncio
from uuid import uuid4

from dispatch.db.engine import Database
from tests.town import Hands

LAMP = "三楼楼道灯不亮，晚上老人上下楼看不见。"
AGAIN = "三楼的楼道灯坏了，晚上黑看不见路。"
HERE = {"lng": 112.938882, "lat": 28.228304, "crs": "gcj02"}
NEAR = {"lng": 112.939182, "lat": 28.228304, "crs": "gcj02"}  # some 30 m to the east
FAR = {"lng": 112.942882, "lat": 28.228304, "crs": "gcj02"}  # some 390 m


async def _lamp(hands: Hands, login: str, text: str = LAMP, **more) -> dict:
    fields = {"item_code": "0904", "place_id": str(hands.town.places["grid-11"]), "text": text}
    return await hands.file(login, **{**fields, **more})


async def test_a_first_order_repeats_nothing(hands: Hands):
    assert (await _lamp(hands, "resident-1"))["possible_duplicates"] == []


async def test_a_neighbours_order_is_told_without_number_or_name(hands: Hands, clock):
    others = [await _lamp(hands, "resident-2")]
    clock.pass_(hours=1)
    others.append(await _lamp(hands, "member-1", AGAIN))
    clock.pass_(hours=1)
    mine = await _lamp(hands, "resident-1", AGAIN)
    [hint] = mine["possible_duplicates"]
    assert hint.pop("score") > 0.5
    assert hint == {"id": None, "number": None, "why": ["附近已有2户反映"]}
    for other in others:
        assert other["id"] not in str(mine)
        assert other["number"] not in str(mine)
    assert "resident-2" not in str(mine)
    seen = await hands.get("resident-1", f"/v1/orders/{mine['id']}")
    assert "possible_duplicates" not in seen.json()


async def test_who_may_see_them_is_told_the_numbers_and_the_reasons(hands: Hands, clock):
    first = await _lamp(hands, "resident-1")
    clock.pass_(hours=3)
    [hint] = (await _lamp(hands, "grid-1", AGAIN))["possible_duplicates"]
    assert (hint["id"], hint["number"]) == (first["id"], first["number"])
    assert hint["why"][:3] == ["同一事项", "同一网格", "相隔3小时"]


async def test_a_double_tap_without_its_key_names_the_first(hands: Hands, clock):
    text = "李奶奶周三要去医院复查，请帮忙找人陪同。"
    first = await hands.file("resident-1", text=text)
    clock.pass_(minutes=2)
    [hint] = (await hands.file("resident-1", text=text))["possible_duplicates"]
    assert hint == {
        "id": first["id"],
        "number": first["number"],
        "why": ["同一人2分钟内提交了相同内容"],
        "score": 1.0,
    }
    clock.pass_(days=3)
    assert (await hands.file("resident-2", text=text))["possible_duplicates"] == [], "two patients"


async def test_a_hint_is_no_block_and_a_replay_says_the_same(hands: Hands):
    body = {"item_code": "0904", "text": LAMP}
    await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=uuid4().hex)
    key = uuid4().hex
    filed = await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=key)
    again = await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=key)
    assert filed.status_code == again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(filed.json()["possible_duplicates"]) == 1
    assert again.json() == filed.json()


async def test_points_say_how_far_and_what_is_too_far(hands: Hands, clock):
    first = await _lamp(hands, "resident-1", location=HERE)
    clock.pass_(minutes=30)
    [hint] = (await _lamp(hands, "grid-1", AGAIN, location=NEAR))["possible_duplicates"]
    assert hint["id"] == first["id"]
    assert hint["why"][1] == "相距约30米"
    clock.pass_(minutes=30)
    assert (await _lamp(hands, "grid-1", AGAIN + "请派人。", location=FAR))["possible_duplicates"] == []


async def test_a_complaint_about_a_person_is_not_even_counted(hands: Hands, clock):
    text = "楼下养的大狗没拴绳，追着孩子跑。"
    await _lamp(hands, "resident-2", text, item_code="0804")
    clock.pass_(hours=1)
    mine = await _lamp(hands, "resident-1", text, item_code="0804")
    assert mine["possible_duplicates"] == []
    clock.pass_(hours=1)
    seen = await _lamp(hands, "dispatcher-1", text, item_code="0804")
    assert len(seen["possible_duplicates"]) == 2


async def test_what_is_over_or_elsewhere_is_no_duplicate(hands: Hands, clock):
    cancelled = await _lamp(hands, "resident-1")
    await hands.move("resident-1", cancelled, "cancel")
    await hands.file("resident-3", item_code="0904", text=LAMP)
    clock.pass_(hours=1)
    assert (await _lamp(hands, "resident-2"))["possible_duplicates"] == []


async def test_two_taps_at_the_same_instant_both_file_and_one_names_the_other(hands: Hands):
    both = await asyncio.gather(*(_lamp(hands, "resident-1") for _ in range(2)))
    told = [order["possible_duplicates"] for order in both]
    named = {hint["id"] for hints in told for hint in hints}
    assert named
    assert named <= {order["id"] for order in both}


async def _told(hands: Hands, login: str, order: dict, **params) -> list[dict]:
    answer = await hands.get(login, f"/v1/orders/{order['id']}/duplicates", **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_dispatcher_sees_candidates_the_likeliest_first_and_whose_children_they_are(
    hands: Hands, clock
):
    first = await _lamp(hands, "resident-1")
    clock.pass_(hours=1)
    merged = await _lamp(hands, "resident-2")
    await hands.move("dispatcher-1", merged, "merge", parent_id=first["id"])
    clock.pass_(hours=1)
    mine = await _lamp(hands, "member-1", AGAIN)
    clock.pass_(hours=1)
    later = await _lamp(hands, "member-2", AGAIN)
    await _lamp(hands, "member-2", "门禁刷卡没反应，进不了单元门。")
    items = await _told(hands, "dispatcher-1", mine)
    assert {item["id"] for item in items} == {first["id"], merged["id"], later["id"]}
    assert [item["score"] for item in items] == sorted((item["score"] for item in items), reverse=True)
    assert items[0]["id"] == later["id"]
    told = {item["id"]: item for item in items}
    assert told[merged["id"]]["parent"] == {"id": first["id"], "number": first["number"]}
    assert told[merged["id"]]["state_label"] == "已并单"
    assert told[first["id"]]["parent"] is None
    assert told[first["id"]]["why"][:3] == ["同一事项", "同一网格", "相隔2小时"]
    assert len(await _told(hands, "dispatcher-1", mine, limit=1)) == 1
    merge = await hands.try_("dispatcher-1", mine, "merge", parent_id=told[first["id"]]["id"])
    assert merge.status_code == 200


async def test_candidates_and_clusters_show_nobodys_number(hands: Hands):
    order = await _lamp(hands, "resident-1", f"{LAMP}联系13800001111。")
    other = await _lamp(hands, "resident-2", f"{LAMP}打我手机13900002222。")
    for login in ("dispatcher-1", "street-1"):
        [item] = await _told(hands, login, order)
        assert item["id"] == other["id"]
        assert "13900002222" not in item["text"]
        clusters = await hands.get(login, "/v1/orders/clusters")
        assert clusters.json()["items"]
        assert "13800001111" not in clusters.text


async def test_only_who_dispatches_there_is_told(hands: Hands):
    order = await _lamp(hands, "resident-1")
    await _lamp(hands, "resident-2", AGAIN)
    path = f"/v1/orders/{order['id']}/duplicates"
    for login, status in (
        ("secretary-1", 200),
        ("street-1", 200),
        ("district-1", 200),
        ("resident-1", 403),
        ("grid-1", 403),
        ("supervisor-1", 403),
        ("resident-2", 404),
        ("dispatcher-2", 404),
        ("admin-1", 404),
    ):
        assert (await hands.get(login, path)).status_code == status, login


async def _groups(hands: Hands, login: str, **params) -> list[list[str]]:
    answer = await hands.get(login, "/v1/orders/clusters", **params)
    assert answer.status_code == 200, answer.text
    return [[order["id"] for order in item["orders"]] for item in answer.json()["items"]]


async def test_open_orders_that_belong_together_are_one_cluster(hands: Hands, clock):
    lamps = []
    for login, text in (
        ("resident-1", LAMP),
        ("resident-2", AGAIN),
        ("member-1", "三楼楼道灯不亮，看不见路。"),
    ):
        lamps.append((await _lamp(hands, login, text))["id"])
        clock.pass_(hours=1)
    await _lamp(hands, "member-2", "门禁刷卡没反应，进不了单元门。")
    lone = await hands.file("resident-3", item_code="0904", text=LAMP)
    assert await _groups(hands, "dispatcher-1") == [lamps]
    assert await _groups(hands, "district-1") == [lamps]
    assert await _groups(hands, "dispatcher-2") == []
    assert lone["id"] not in str(await _groups(hands, "street-1"))
    places = hands.town.places
    assert await _groups(hands, "street-1", place_id=str(places["grid-11"])) == [lamps]
    assert await _groups(hands, "street-1", place_id=str(places["grid-12"])) == []
    [item] = (await hands.get("dispatcher-1", "/v1/orders/clusters")).json()["items"]
    assert item["households"] == 3
    assert item["why"]
    await hands.move("resident-1", lamps[0], "cancel")
    assert await _groups(hands, "dispatcher-1") == [lamps[1:]], "only what is open"
    clock.pass_(days=31)
    assert await _groups(hands, "dispatcher-1") == []


async def test_clusters_are_for_those_who_dispatch(hands: Hands):
    for login in ("resident-1", "grid-1", "supervisor-1", "member-1", "admin-1"):
        answer = await hands.get(login, "/v1/orders/clusters")
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN"), login


async def test_hints_cost_no_statement_more(hands: Hands, counted: list[str], database: Database):
    async def spent() -> int:
        counted.clear()
        await _lamp(hands, "resident-1")
        return len(counted)

    first = await _lamp(hands, "resident-1")  # the first one reads calendar and limits
    await hands.move("resident-1", first, "cancel")
    alone = await spent()
    for login in ("resident-2", "member-1", "grid-1"):
        await _lamp(hands, login, AGAIN)
    assert await spent() == alone
    if database.url.get_backend_name() == "postgresql":
        assert alone == 4


async def test_candidates_and_clusters_cost_the_same_for_many(hands: Hands, counted: list[str]):
    order = await _lamp(hands, "resident-1")

    async def spent(path: str) -> int:
        counted.clear()
        assert (await hands.get("dispatcher-1", path)).status_code == 200
        return len(counted)

    paths = (f"/v1/orders/{order['id']}/duplicates", "/v1/orders/clusters")
    await hands.get("dispatcher-1", "/v1/me/badges")
    few = [await spent(path) for path in paths]
    for _ in range(6):
        await _lamp(hands, "resident-2", AGAIN)
    assert [await spent(path) for path in paths] == few == [2, 1]
