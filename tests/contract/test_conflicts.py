"""peers.md §5.3, 77 and §5.7, 131: nobody serves the own household, nobody meets a complaint about himself."""

import asyncio

import pytest
from sqlalchemy import select

from dispatch.db.sealed import private
from dispatch.domain.household import address_key
from dispatch.orders.tables import takes
from tests.contract.test_candidates import line, lives
from tests.town import Hands


async def refused(hands: Hands, login: str, order: dict) -> tuple[int, str, str | None]:
    answer = await hands.try_(login, order, "take")
    told = answer.json()
    return answer.status_code, told.get("outcome") or told["code"], told.get("why")


UNTOLD = (409, "NOT_ELIGIBLE", "conflict_of_interest")


@pytest.fixture
async def at_one_door(hands: Hands) -> str:
    """member-1 lives with resident-1, in two ways of knowing it."""
    door = await hands.town.place("door-1", "household", "grid-11")
    for login in ("resident-1", "member-1"):
        await lives(hands, login, home_place_id=door)
    return "member-1"


async def test_the_household_concerned_can_neither_see_nor_take_nor_be_offered_it(
    hands: Hands, at_one_door: str
):
    order = await hands.open_()
    pool = (await hands.get("member-1", "/v1/orders", view="pool")).json()["items"]
    assert order["id"] not in [item["id"] for item in pool]
    assert await refused(hands, "member-1", order) == UNTOLD
    assert (await refused(hands, "member-2", order))[:2] == (200, "taken")

    named = await hands.accepted()
    target = [{"kind": "member", "id": str(hands.town["member-1"].id)}]
    answer = await hands.try_("dispatcher-1", named, "dispatch", mode="offer", targets=target)
    assert (answer.status_code, answer.json()["code"], answer.json()["why"]) == (
        422,
        "TARGET_NOT_ALLOWED",
        "conflict_of_interest",
    ), answer.text
    assert (await hands.get("dispatcher-1", f"/v1/orders/{named['id']}")).json()["state"] == "accepted"


async def test_the_same_door_is_known_by_its_address_too(hands: Hands):
    key = private(hands.town.tenant_id, address_key(hands.town.places["community-1"], "5栋1单元302"))
    await lives(hands, "member-1", address_key=key)
    order = await hands.accepted(address="5号楼1单元302室")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    assert await refused(hands, "member-1", order) == UNTOLD
    await lives(hands, "resident-2", address_key=key)
    other = await hands.open_("resident-2")
    assert await refused(hands, "member-1", other) == UNTOLD
    for left in (order, other):
        assert (await hands.get("member-1", f"/v1/orders/{left['id']}")).status_code == 404


async def test_the_same_door_is_known_however_its_address_is_written(hands: Hands):
    key = private(hands.town.tenant_id, address_key(hands.town.places["community-1"], "3栋2单元501"))
    await lives(hands, "member-1", address_key=key)
    for said in ("幸福路18号3栋2单元501室", "三栋二单元五零一", "3栋2单元501（5楼）"):
        order = await hands.accepted(address=said)
        assert "same_household" in (await line(hands, order, "member-1"))["why_not"], said
        await hands.move("dispatcher-1", order, "dispatch", mode="open")
        assert await refused(hands, "member-1", order) == UNTOLD, said


async def test_orders_of_the_own_household_close_no_others(hands: Hands, at_one_door: str):
    await hands.open_("resident-1")
    other = await hands.open_("resident-2")
    assert (await hands.get(at_one_door, f"/v1/orders/{other['id']}")).status_code == 200
    assert (await refused(hands, at_one_door, other))[:2] == (200, "taken")


async def test_an_offer_made_before_somebody_moved_in_cannot_be_taken_after(hands: Hands):
    order = await hands.accepted()
    target = [{"kind": "member", "id": str(hands.town["member-1"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=target)
    door = await hands.town.place("door-2", "household", "grid-11")
    for login in ("resident-1", "member-1"):
        await lives(hands, login, home_place_id=door)
    assert await refused(hands, "member-1", order) == UNTOLD


async def test_a_neighbour_of_the_same_grid_or_community_is_no_household(hands: Hands):
    for login in ("resident-1", "member-1"):
        await lives(hands, login, home_place_id=hands.town.places["grid-11"])
    order = await hands.open_()
    assert (await refused(hands, "member-1", order))[:2] == (200, "taken")


async def test_nobody_takes_what_was_asked_for_oneself(hands: Hands):
    order = await hands.open_("member-1")
    seen = (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()
    assert "take" not in [move["move"] for move in seen["moves"]]
    assert await refused(hands, "member-1", order) == UNTOLD


async def test_of_many_at_once_those_of_the_household_never_win(hands: Hands, at_one_door: str):
    order = await hands.open_(slots_min=3, slots_max=3)
    logins = ["member-1", "member-2", "member-3", "team-1"]
    told = dict(
        zip(logins, await asyncio.gather(*(refused(hands, login, order) for login in logins)), strict=True)
    )
    assert told.pop("member-1") in (UNTOLD, (409, "SLOT_TAKEN", None))
    assert [word for _, word, _ in told.values()] == ["taken"] * 3
    rows = select(takes.c.taker_id).where(takes.c.tenant_id == hands.town.tenant_id)
    assert hands.town["member-1"].id not in {row.taker_id for row in await hands.town.rows(rows)}
