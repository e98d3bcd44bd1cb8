"""单位接单: a unit takes, splits among its people, stays answerable, and sees its own people's work."""

from typing import Any
from uuid import uuid4

from dispatch.domain.people import Role
from tests.town import Clock, Hands


async def _unit_with_people(hands: Hands) -> dict[str, str]:
    """Two people of unit-1, and another unit with one of its own; ids by login."""
    town = hands.town
    await town.body("unit-2", "unit", "community-1")
    await town.person("unit-2", Role.UNIT_ADMIN, body="unit-2")
    for login, unit in (("worker-1", "unit-1"), ("worker-2", "unit-1"), ("worker-3", "unit-2")):
        await town.person(login, Role.RESIDENT, "community-1", of=unit)
    return {login: str(town[login].id) for login in ("worker-1", "worker-2", "worker-3")}


async def _listed(hands: Hands, login: str, **params: Any) -> dict[str, list[str]]:
    """Whom the unit's list names for each order, by the order's id."""
    answer = await hands.get(login, "/v1/orders", view="unit", **params)
    assert answer.status_code == 200, answer.text
    return {item["id"]: [one["name"] for one in item["assigned"]] for item in answer.json()["items"]}


async def _work(hands: Hands, login: str, unit: str) -> Any:
    return await hands.get(login, f"/v1/units/{hands.town.bodies[unit]}/work")


async def test_a_unit_takes_splits_among_its_people_and_stays_answerable(hands: Hands):
    who = await _unit_with_people(hands)
    order = await hands.taken("unit-1", kinds=["unit"])
    await hands.move("unit-1", order, "staff", member_ids=[who["worker-1"], who["worker-2"]])
    seen = (await hands.get("unit-1", f"/v1/orders/{order['id']}")).json()
    assert [(t["taker"]["kind"], t["lead"], len(t["people"])) for t in seen["takes"]] == [("unit", True, 2)]
    others = await hands.try_("unit-1", order, "staff", member_ids=[who["worker-3"]])
    assert others.status_code in (409, 422), others.text
    deadlines = (await hands.get("unit-1", f"/v1/orders/{order['id']}/deadlines")).json()["items"]
    finish = next(line for line in deadlines if line["clock"] == "finish")
    assert finish["owner"]["kind"] == "unit"
    await hands.move("worker-1", order, "contact", reached=True)
    done = await hands.move("unit-1", order, "finish", result="已修好。", closing="solved")
    assert done["state"] == "done"


async def test_a_unit_sees_who_does_what_of_its_own_and_nothing_of_another_unit(hands: Hands):
    who = await _unit_with_people(hands)
    first = await hands.taken("unit-1", kinds=["unit"])
    second = await hands.taken("unit-1", kinds=["unit"])
    theirs = await hands.taken("unit-2", kinds=["unit"])
    await hands.move("unit-1", first, "staff", member_ids=[who["worker-1"]])
    await hands.move("unit-2", theirs, "staff", member_ids=[who["worker-3"]])
    await hands.taken("member-1")
    assert await _listed(hands, "unit-1") == {first["id"]: ["worker-1"], second["id"]: []}
    assert await _listed(hands, "unit-2") == {theirs["id"]: ["worker-3"]}
    assert await _listed(hands, "unit-1", member_id=who["worker-1"]) == {first["id"]: ["worker-1"]}
    assert await _listed(hands, "unit-1", member_id=who["worker-3"]) == {}
    assert await _listed(hands, "worker-1") == {}
    assert await _listed(hands, "dispatcher-1") == {}
    queue = (await hands.get("dispatcher-1", "/v1/orders", view="queue")).json()["items"]
    assert [item["assigned"] for item in queue] == [[]] * 4


async def test_a_unit_reads_how_much_is_open_done_and_overdue_by_member(hands: Hands, clock: Clock):
    who = await _unit_with_people(hands)
    orders = [await hands.taken("unit-1", kinds=["unit"]) for _ in range(3)]
    await hands.move("unit-1", orders[0], "staff", member_ids=[who["worker-1"]])
    await hands.move("unit-1", orders[1], "staff", member_ids=[who["worker-1"], who["worker-2"]])
    await hands.move("unit-1", orders[0], "finish", result="已办好。", closing="solved")
    clock.pass_(days=60)
    told = (await _work(hands, "unit-1", "unit-1")).json()
    assert told["total"] == {"open": 2, "done": 1, "overdue": 2}
    assert told["unassigned"] == {"open": 1, "done": 0, "overdue": 1}
    assert [(m["name"], m["open"], m["done"], m["overdue"]) for m in told["members"]] == [
        ("worker-1", 1, 1, 1),
        ("worker-2", 1, 0, 1),
    ]


async def test_the_work_of_a_unit_is_read_by_who_acts_for_it_and_by_nobody_else(hands: Hands):
    await _unit_with_people(hands)
    assert (await _work(hands, "unit-1", "unit-1")).status_code == 200
    for login in ("unit-2", "worker-1", "dispatcher-1", "district-1", "resident-1"):
        answer = await _work(hands, login, "unit-1")
        assert (answer.status_code, answer.json()["code"]) == (404, "BODY_NOT_FOUND"), login


async def test_a_member_is_asked_for_in_the_list_of_the_unit_only(hands: Hands):
    answer = await hands.get("unit-1", "/v1/orders", member_id=str(uuid4()))
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
