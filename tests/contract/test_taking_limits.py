"""Nobody hoards: active limits, cool-down, fair window, appointments that overlap."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from dispatch.dispatching.actions import winning
from dispatch.orders.tables import takes
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands


async def ruled(hands: Hands, item_code: str = "*", **values: Any) -> dict[str, Any]:
    """Set what the tenant says about taking."""
    headers = hands.town["admin-1"].headers
    answer = await hands.client.put(f"/v1/taking/rules/{item_code}", json=values, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def word(hands: Hands, login: str, order: dict[str, Any]) -> str:
    """What one is told on taking; on 503 one takes again, as Retry-After says."""
    for _ in range(30):
        answer = await hands.try_(login, order, "take")
        if answer.status_code != 503:
            told = answer.json()
            return told.get("why") or told.get("outcome") or told["code"]
        await asyncio.sleep(0.2)
    raise AssertionError("busy for ever")


async def active(hands: Hands, login: str) -> int:
    town = hands.town
    mine = select(func.count()).where(
        takes.c.tenant_id == town.tenant_id,
        takes.c.taker_id == (town[login].body_id or town[login].id),
        takes.c.state == "active",
    )
    return int((await town.rows(mine))[0][0])


async def many(hands: Hands, count: int, **more: Any) -> list[dict[str, Any]]:
    return [await hands.open_(**more) for _ in range(count)]


async def test_of_ten_orders_taken_at_once_with_a_limit_of_two_two_are_held(hands: Hands):
    await ruled(hands, member_limit=2)
    orders = await many(hands, 10)
    told = Counter(await asyncio.gather(*(word(hands, "member-1", order) for order in orders)))
    assert told == {"taken": 2, "TAKE_LIMIT_REACHED": 8}
    assert await active(hands, "member-1") == 2
    await assert_books(hands.town)


async def test_without_the_second_look_under_the_lock_the_limit_does_not_hold(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
):
    """The positive control: what was read before somebody else took with the same hands is not to be trusted."""
    if hands.town.database.url.get_backend_name() == "sqlite":
        return  # its writers take turns: nothing that was read can have changed

    async def nothing_new(db: Any, actor: Any, party: Any, *, at: Any) -> Any:
        serves = {"member_state": "active", "body_retired_at": None}
        return SimpleNamespace(
            taking_rules=[], load_held=[], load_lately=0, load_back=[], load_staffed=[], **serves
        )

    monkeypatch.setattr(winning, "load_now", nothing_new)
    await ruled(hands, member_limit=2)
    orders = await many(hands, 10)
    told = Counter(await asyncio.gather(*(word(hands, "member-1", order) for order in orders)))
    assert told["taken"] > 2


async def test_a_unit_and_a_team_have_a_limit_of_their_own(hands: Hands):
    await ruled(hands, member_limit=1, body_limit=2)
    orders = await many(hands, 5, slots_min=1, slots_max=3)
    for login, most in (("unit-1", 2), ("team-1", 2), ("member-1", 1)):
        told = Counter(await asyncio.gather(*(word(hands, login, order) for order in orders)))
        assert told["taken"] == most, (login, told)
        assert told["TAKE_LIMIT_REACHED"] == 5 - most, (login, told)


async def test_an_items_own_limit_counts_that_item_beside_the_limit_of_all(hands: Hands):
    await ruled(hands, member_limit=3)
    await ruled(hands, "0102", member_limit=1)
    first, second = await many(hands, 2)
    other = await hands.accepted(item_code="0801")
    other = await hands.move("dispatcher-1", other, "dispatch", mode="open")
    assert await word(hands, "member-1", first) == "taken"
    refused = await hands.try_("member-1", second, "take")
    assert (refused.status_code, refused.json()["limit"]) == (409, 1)
    assert await word(hands, "member-1", other) == "taken"


async def test_what_is_finished_or_given_back_makes_room(hands: Hands):
    await ruled(hands, member_limit=1)
    first, second, third = await many(hands, 3)
    assert await word(hands, "member-1", first) == "taken"
    assert await word(hands, "member-1", second) == "TAKE_LIMIT_REACHED"
    await hands.move("member-1", first, "finish", result="已办好。", closing="solved")
    assert await word(hands, "member-1", second) == "taken"
    await hands.move("member-1", second, "release", reason_code="other")
    assert await word(hands, "member-1", third) == "taken"


async def test_an_assignment_knows_no_limit_and_an_offer_does(hands: Hands):
    await ruled(hands, body_limit=1, member_limit=1)
    unit = [{"kind": "unit", "id": str(hands.town.bodies["unit-1"])}]
    member = [{"kind": "member", "id": str(hands.town["member-1"].id)}]
    for _ in range(3):
        order = await hands.accepted()
        await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=unit)
        assert await word(hands, "unit-1", order) == "taken"
    for expected in ("taken", "TAKE_LIMIT_REACHED"):
        order = await hands.accepted()
        await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=member)
        assert await word(hands, "member-1", order) == expected


async def test_who_takes_and_gives_back_again_and_again_rests(hands: Hands, clock: Clock):
    await ruled(hands, cool_after=3, cool_seconds=3600)
    order, other = await many(hands, 2)
    for _ in range(3):
        assert await word(hands, "member-1", order) == "taken"
        await hands.move("member-1", order, "release", reason_code="other")
        clock.pass_(minutes=10)
    refused = await hands.try_("member-1", other, "take")
    assert (refused.status_code, refused.json()["code"]) == (409, "COOLING_DOWN")
    assert refused.json()["until"] == "2026-11-22T02:30:00+00:00"  # an hour after the first of the three
    assert await word(hands, "member-2", order) == "taken"
    clock.pass_(minutes=29, seconds=59)
    assert await word(hands, "member-1", other) == "COOLING_DOWN"
    clock.pass_(seconds=1)
    assert await word(hands, "member-1", other) == "taken"
    await assert_books(hands.town)


async def test_an_approved_return_is_no_giving_back(hands: Hands):
    await ruled(hands, cool_after=1, cool_seconds=3600)
    order, other = await hands.taken("member-1"), await hands.open_()
    asked = await hands.post(
        "member-1",
        f"/v1/orders/{order['id']}/requests",
        {"kind": "return", "reason_code": "other", "text": "突发高烧，去不了。"},
    )
    await hands.post("dispatcher-1", f"/v1/requests/{asked.json()['id']}/approve", {"text": "同意"})
    assert await word(hands, "member-1", other) == "taken"


async def test_who_rests_is_no_candidate_and_is_told_why(hands: Hands):
    await ruled(hands, cool_after=1, cool_seconds=3600)
    order = await hands.taken("member-1")
    await hands.move("member-1", order, "release", reason_code="other")
    fresh = await hands.accepted()
    found = (await hands.get("dispatcher-1", f"/v1/orders/{fresh['id']}/candidates", limit=50)).json()[
        "items"
    ]
    against = {line["id"]: line["why_not"] for line in found}
    assert "cooling_down" in against[str(hands.town["member-1"].id)]
    assert "cooling_down" not in against[str(hands.town["member-2"].id)]


async def test_a_candidate_at_the_limit_of_taking_is_not_offered_more(hands: Hands):
    await ruled(hands, member_limit=1)
    await hands.taken("member-1")
    fresh = await hands.accepted()
    found = (await hands.get("dispatcher-1", f"/v1/orders/{fresh['id']}/candidates", limit=50)).json()[
        "items"
    ]
    against = {line["id"]: line["why_not"] for line in found}
    assert "at_capacity" in against[str(hands.town["member-1"].id)]
    assert "at_capacity" not in against[str(hands.town["member-2"].id)]


async def test_in_the_fair_window_those_who_took_little_go_first(hands: Hands, clock: Clock):
    await ruled(hands, fair_seconds=600, fair_takes=2)
    for _ in range(2):
        await hands.move(
            "member-1", await hands.taken("member-1"), "finish", result="已办好。", closing="solved"
        )
        clock.pass_(minutes=1)
    first, second = await many(hands, 2)
    refused = await hands.try_("member-1", first, "take")
    assert (refused.json()["code"], refused.json()["why"]) == ("NOT_ELIGIBLE", "fair_window")
    assert refused.json()["until"] == "2026-11-22T01:42:00+00:00"
    assert await word(hands, "member-2", first) == "taken"
    clock.pass_(minutes=10)
    assert await word(hands, "member-1", second) == "taken"


async def test_the_fair_window_is_off_until_a_tenant_sets_it(hands: Hands):
    for order in await many(hands, 4):
        assert await word(hands, "member-1", order) == "taken"


APPOINTMENTS = {
    "morning": ("2026-11-25T08:00:00+08:00", "2026-11-25T12:00:00+08:00"),
    "late morning": ("2026-11-25T11:00:00+08:00", "2026-11-25T13:00:00+08:00"),
    "noon": ("2026-11-25T12:00:00+08:00", "2026-11-25T13:00:00+08:00"),
    "any day": ("2026-11-24T08:00:00+08:00", "2026-11-28T18:00:00+08:00"),
}


async def appointed(hands: Hands, name: str) -> dict[str, Any]:
    start, end = APPOINTMENTS[name]
    order = await hands.accepted(wanted_from=start, wanted_to=end)
    return await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=1, slots_max=2)


async def test_an_appointment_that_overlaps_one_in_hand_is_refused(hands: Hands):
    assert await word(hands, "member-1", await appointed(hands, "morning")) == "taken"
    assert await word(hands, "member-1", await appointed(hands, "late morning")) == "appointment_overlaps"
    assert await word(hands, "member-1", await appointed(hands, "noon")) == "taken"  # one after the other
    assert await word(hands, "member-1", await appointed(hands, "any day")) == "taken"  # any hour will do
    assert await word(hands, "member-2", await appointed(hands, "late morning")) == "taken"
    for _ in range(2):  # a body may be in two places
        assert await word(hands, "team-1", await appointed(hands, "morning")) == "taken"


async def test_two_overlapping_appointments_at_once_leave_one(hands: Hands):
    orders = [await appointed(hands, name) for name in ("morning", "late morning")]
    told = await asyncio.gather(*(word(hands, "member-1", order) for order in orders))
    assert sorted(told) == ["appointment_overlaps", "taken"]


async def test_whom_a_body_put_on_an_appointment_is_not_free(hands: Hands):
    helper = await hands.town.person("helper-1", hands.town["member-1"].role, "community-1", of="unit-1")
    order = await appointed(hands, "morning")
    await hands.move("unit-1", order, "take")
    await hands.move("unit-1", order, "staff", member_ids=[str(helper.id)])
    assert await word(hands, "helper-1", await appointed(hands, "late morning")) == "appointment_overlaps"


async def test_a_tenant_may_let_appointments_overlap(hands: Hands):
    await ruled(hands, overlaps=True)
    for name in ("morning", "late morning"):
        assert await word(hands, "member-1", await appointed(hands, name)) == "taken"


async def test_rules_are_replaced_whole_by_whoever_sets_them_and_read_by_all(hands: Hands):
    first = (await ruled(hands, member_limit=3, cool_after=0))["version"]
    told = await ruled(hands, member_limit=4)
    assert (told["version"], told["member_limit"], told["cool_after"]) == (first + 1, 4, None)
    path, headers = "/v1/taking/rules/*", hands.town["admin-1"].headers
    stale = await hands.client.put(path, json={}, headers={**headers, "If-Match": f'"{first}"'})
    assert (stale.status_code, stale.json()["version"]) == (412, first + 1)
    refused = await hands.client.put(path, json={}, headers=hands.town["dispatcher-1"].headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    nowhere = await hands.client.put("/v1/taking/rules/9999", json={}, headers=headers)
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "ITEM_NOT_FOUND")
    seen = (await hands.get("member-1", "/v1/taking/rules")).json()["items"]
    assert [(rule["item_code"], rule["member_limit"]) for rule in seen] == [("*", 4)]
