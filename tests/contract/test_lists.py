"""Lists: every filter includes and excludes, pages hold still, mirrors can follow."""

import pytest

from tests.town import Hands


async def _ids(hands: Hands, login: str, **params) -> list[str]:
    answer = await hands.get(login, "/v1/orders", **params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_every_view_shows_its_own_and_nothing_else(hands: Hands):
    mine = await hands.file("resident-1")
    open_ = await hands.open_("resident-2")
    taken = await hands.taken("member-1")
    other = await hands.file("resident-3")
    assert await _ids(hands, "resident-2", view="mine") == [open_["id"]]
    assert await _ids(hands, "dispatcher-1", view="queue") == [mine["id"], open_["id"], taken["id"]]
    assert await _ids(hands, "dispatcher-2", view="queue") == [other["id"]]
    assert await _ids(hands, "member-2", view="pool") == [open_["id"]]
    assert await _ids(hands, "member-21", view="pool") == []
    assert await _ids(hands, "member-1", view="taken") == [taken["id"]]
    assert await _ids(hands, "member-2", view="taken") == []
    assert await _ids(hands, "member-1") == [taken["id"], open_["id"]]
    assert await _ids(hands, "street-1") == [other["id"], taken["id"], open_["id"], mine["id"]]
    assert await _ids(hands, "street-2") == []
    assert await _ids(hands, "admin-1") == []
    assert set(await _ids(hands, "grid-1")) == set()


async def test_every_filter_includes_and_excludes(hands: Hands, clock):
    first = await hands.file("resident-1", item_code="0201")
    border = clock.pass_(hours=1)
    second = await hands.accepted("resident-1", item_code="0102")
    third = await hands.file("resident-3")
    ids = {"first": first["id"], "second": second["id"], "third": third["id"]}

    async def found(**params) -> set[str]:
        told = await _ids(hands, "district-1", **params)
        return {name for name, id in ids.items() if id in told}

    assert await found(state="accepted") == {"second"}
    assert await found(state=["accepted", "submitted"]) == {"first", "second", "third"}
    assert await found(item_code="0201") == {"first"}
    places = hands.town.places
    assert await found(place_id=str(places["community-1"])) == {"first", "second"}
    assert await found(place_id=str(places["street-1"])) == {"first", "second", "third"}
    assert await found(place_id=str(places["district"])) == {"first", "second", "third"}
    assert await found(place_id=str(places["street-2"])) == set()
    assert await found(created_to=border.isoformat()) == {"first"}
    assert await found(created_from=border.isoformat()) == {"second", "third"}


async def test_pages_hold_still_while_orders_come_in(hands: Hands, clock):
    expected = []
    for _ in range(7):
        clock.pass_(seconds=1)
        expected.append((await hands.file())["id"])
    told, cursor = [], None
    for _ in range(10):
        answer = (
            await hands.get("dispatcher-1", "/v1/orders", limit=2, **({"cursor": cursor} if cursor else {}))
        ).json()
        told += [item["id"] for item in answer["items"]]
        await hands.file("resident-2")
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert told == expected[::-1]


@pytest.mark.parametrize("limit", ["0", "-1", "1000000000", "abc", "1.0"])
async def test_a_senseless_limit_is_refused(hands: Hands, limit: str):
    assert (await hands.get("dispatcher-1", "/v1/orders", limit=limit)).status_code == 422


async def test_a_cursor_belongs_to_its_list(hands: Hands):
    for _ in range(2):
        await hands.file()
    cursor = (await hands.get("dispatcher-1", "/v1/orders", limit=1)).json()["next_cursor"]
    refused = await hands.get("dispatcher-1", "/v1/orders", limit=1, cursor=cursor, state="open")
    assert refused.json()["code"] == "CURSOR_INVALID"
    unknown = await hands.get("dispatcher-1", "/v1/orders", page=2)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "UNKNOWN_PARAMETER")
    assert unknown.json()["errors"][0]["loc"] == ["query", "page"]


async def test_a_mirror_that_harvests_reaches_equality(hands: Hands, clock):
    mirror: dict[str, int] = {}

    async def harvest(since) -> None:
        cursor = None
        while True:
            params = {"view": "pool", "updated_since": since.isoformat(), "limit": 2}
            answer = (
                await hands.get("member-2", "/v1/orders", **params, **({"cursor": cursor} if cursor else {}))
            ).json()
            for item in answer["items"]:
                mirror.pop(item["id"], None) if item.get("deleted") else mirror.update(
                    {item["id"]: item["version"]}
                )
            cursor = answer["next_cursor"]
            if cursor is None:
                return

    start = clock.now
    orders = [await hands.open_() for _ in range(3)]
    await harvest(start)
    assert mirror == {}, "two seconds behind"
    clock.pass_(seconds=3)
    await harvest(start)
    assert set(mirror) == {order["id"] for order in orders}
    since = clock.now
    await hands.move("member-1", orders[0], "take")
    await hands.move("dispatcher-1", orders[1], "recall", reason_code="other")
    await hands.move("dispatcher-1", orders[2], "urge", text="请尽快")
    clock.pass_(seconds=3)
    await harvest(since)
    pool = (await hands.get("member-2", "/v1/orders", view="pool")).json()["items"]
    assert mirror == {item["id"]: item["version"] for item in pool}
    assert len(pool) == 1


async def test_whoever_was_named_learns_that_the_order_has_gone(hands: Hands, clock):
    town = hands.town
    order, studied = await hands.accepted(), await hands.accepted()
    member = [{"kind": "member", "id": str(town["member-1"].id)}]
    called = [{"kind": "department", "id": str(town.bodies["department-1"])}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=member)
    await hands.move("dispatcher-1", studied, "escalate", level="street", text="提请研究")
    await hands.move("street-1", studied, "deliberate", decision="请部门到场。", bodies=called)
    clock.pass_(seconds=3)
    since = clock.now
    await hands.move("member-1", order, "decline")
    await hands.move("street-1", studied, "resolve", result="已处理。", closing="solved")
    clock.pass_(seconds=3)
    for login, gone in (("member-1", order), ("department-1", studied)):
        told = (await hands.get(login, "/v1/orders", updated_since=since.isoformat())).json()["items"]
        assert told == [{"id": gone["id"], "deleted": True}]
