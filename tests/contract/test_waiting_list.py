"""Whoever finds an order full stands in line; the place that comes free is kept for the first, for a while."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dispatch.dispatching.actions import winning
from dispatch.domain.people import Role
from dispatch.orders import log
from tests.contract.ledger import assert_books
from tests.contract.test_taking_limits import ruled, word
from tests.town import Clock, Hands, time_works


async def waits(hands: Hands, login: str, order: dict[str, Any], path: str = "wait") -> Any:
    return await hands.post(login, f"/v1/orders/{order['id']}/{path}")


async def place(hands: Hands, login: str, order: dict[str, Any]) -> int:
    answer = await waits(hands, login, order)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["place"])


async def full(hands: Hands, *line: str, slots: int = 1) -> dict[str, Any]:
    """An order taken by member-1 (and more of a crowd), with some in line."""
    await ruled(hands, member_limit=100, cool_after=0, wait_seconds=1800)
    order = await hands.taken("member-1", slots_min=1, slots_max=slots)
    for nth, login in enumerate(line, start=1):
        assert await place(hands, login, order) == nth
    return order


async def free(hands: Hands, order: dict[str, Any], login: str = "member-1") -> None:
    await hands.move(login, order, "release", reason_code="other")


async def test_of_thirty_for_three_slots_three_win_and_the_rest_stand_in_an_ordered_line(hands: Hands):
    await ruled(hands, member_limit=100)
    order = await hands.open_(slots_min=3, slots_max=3)
    crowd = await hands.town.crowd(12)
    told = await asyncio.gather(*(word(hands, login, order) for login in crowd))
    assert Counter(told) == {"taken": 3, "SLOT_TAKEN": 9}
    left = [login for login, said in zip(crowd, told, strict=True) if said != "taken"]
    answers = await asyncio.gather(*(waits(hands, login, order) for login in left))
    assert {answer.status_code for answer in answers} <= {200, 409}, [a.text for a in answers]
    for login in left:
        await place(hands, login, order)  # whoever was refused in the rush asks again
    assert sorted([await place(hands, login, order) for login in left]) == list(range(1, 10))
    await assert_books(hands.town)


async def test_the_place_that_comes_free_is_kept_for_the_first_in_line(hands: Hands):
    order = await full(hands, "member-2", "member-3")
    await free(hands, order)
    assert await word(hands, "team-1", order) == "SLOT_TAKEN"  # quicker, and not in line
    assert await word(hands, "member-3", order) == "SLOT_TAKEN"
    assert (await waits(hands, "member-2", order)).json()["until"]
    assert (await hands.get("member-3", "/v1/orders", view="pool")).json()["items"] == []
    assert await word(hands, "member-2", order) == "taken"
    assert await place(hands, "member-3", order) == 1
    await assert_books(hands.town)


async def test_who_does_not_come_in_time_loses_the_place_to_the_next(hands: Hands, clock: Clock):
    order = await full(hands, "member-2", "member-3")
    await free(hands, order)
    clock.pass_(seconds=1801)
    await time_works(hands.town, clock.now)
    lines = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert lines[-1]["text"] == "候补未按时接单，名额转给下一位。"
    assert await word(hands, "member-2", order) == "SLOT_TAKEN"
    assert await word(hands, "member-3", order) == "taken"
    await assert_books(hands.town)


async def test_when_nobody_of_the_line_comes_the_order_is_open_to_all_again(hands: Hands, clock: Clock):
    order = await full(hands, "member-2")
    await free(hands, order)
    clock.pass_(seconds=1801)
    await time_works(hands.town, clock.now)
    assert await word(hands, "team-1", order) == "taken"
    await assert_books(hands.town)


async def test_a_place_of_a_team_at_work_is_kept_too(hands: Hands, clock: Clock):
    order = await full(hands, slots=2)
    await hands.move("team-1", order, "take")
    assert await place(hands, "member-2", order) == 1
    assert await place(hands, "member-3", order) == 2
    await hands.move("member-1", order, "start")
    await free(hands, order, "team-1")
    clock.pass_(seconds=1801)
    await time_works(hands.town, clock.now)
    assert await word(hands, "unit-1", order) == "SLOT_TAKEN"
    assert await word(hands, "member-3", order) == "taken"
    await assert_books(hands.town)


async def test_who_leaves_the_line_makes_room_and_who_gives_a_kept_place_up_passes_it_on(hands: Hands):
    order = await full(hands, "member-2", "member-3", "team-1")
    assert (await waits(hands, "member-2", order, "wait/leave")).json() == {"place": None, "until": None}
    assert await place(hands, "member-3", order) == 1
    await free(hands, order)
    await waits(hands, "member-3", order, "wait/leave")
    assert await word(hands, "team-1", order) == "taken"
    gone = await waits(hands, "member-2", order, "wait/leave")
    assert (gone.status_code, gone.json()["code"]) == (409, "NOT_IN_LINE")
    await assert_books(hands.town)


async def test_who_leaves_while_a_place_comes_free_has_none_kept(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
):
    if hands.town.database.url.get_backend_name() == "sqlite":
        return  # its writers take turns: nothing comes between
    order = await full(hands, "member-2", "member-3")
    honest, left = log.record, []

    async def slow(*args: Any, **more: Any) -> bool:
        if not left:
            left.append(await waits(hands, "member-2", order, "wait/leave"))
        return await honest(*args, **more)

    monkeypatch.setattr(log, "record", slow)
    await free(hands, order)
    assert left[0].status_code == 200
    assert await word(hands, "member-3", order) == "taken"
    await assert_books(hands.town)


async def test_no_place_is_kept_for_who_serves_no_more(hands: Hands):
    await hands.town.body("unit-2", "unit", "community-1")
    await hands.town.person("unit-2", Role.UNIT_ADMIN, body="unit-2")
    order = await full(hands, "member-2", "unit-2", "member-3", "team-1")
    assert (await hands.post("member-2", "/v1/me/checkin/leave")).status_code == 200
    assert (await hands.post("unit-2", f"/v1/bodies/{hands.town.bodies['unit-2']}/leave")).status_code == 200
    await hands.town.member_state("member-3", "suspended")
    await free(hands, order)
    assert await word(hands, "unit-1", order) == "SLOT_TAKEN"
    assert await word(hands, "team-1", order) == "taken"
    await assert_books(hands.town)


async def test_nobody_waits_for_what_can_be_taken_or_is_not_his(hands: Hands):
    order = await hands.open_()
    early = await waits(hands, "member-1", order)
    assert (early.status_code, early.json()["code"]) == (409, "PLACES_FREE")
    await hands.move("member-1", order, "take")
    own = await waits(hands, "member-1", order)
    assert (own.status_code, own.json()["why"]) == (409, "already_on_order")
    assert (await waits(hands, "member-21", order)).status_code == 404
    await hands.move("member-1", order, "finish", result="已办好。", closing="solved")
    assert (await waits(hands, "member-2", order)).status_code == 404


async def test_who_waits_is_the_dispatchers_to_know_alone(hands: Hands):
    order = await full(hands, "member-2", "member-3")
    seen = {}
    for login in ("dispatcher-1", "resident-1", "member-1"):
        told = (await hands.get(login, f"/v1/orders/{order['id']}")).json()
        seen[login] = [target["state"] for target in told["dispatches"][0]["targets"]]
    assert seen == {"dispatcher-1": ["waiting", "waiting"], "resident-1": [], "member-1": []}


async def test_a_stranger_in_the_rush_never_gets_the_place_that_is_kept(hands: Hands):
    for _ in range(4):
        order = await full(hands, "member-2")
        rush = [word(hands, login, order) for login in ("member-3", "team-1", "unit-1")]
        _, *told = await asyncio.gather(free(hands, order), *rush)
        assert "taken" not in told
        assert await word(hands, "member-2", order) == "taken"
    await assert_books(hands.town)


async def test_without_counting_what_is_kept_the_place_is_given_to_whoever_comes(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
):
    """The positive control."""
    honest = winning._slot_guard

    def careless(tenant_id: int, held: Any, party: Any, *, at: Any) -> Any:
        guard = honest(tenant_id, held, party, at=at)
        return replace(guard, holds=tuple(c for c in guard.holds if "slots_held" not in str(c)))

    monkeypatch.setattr(winning, "_slot_guard", careless)
    monkeypatch.setattr("dispatch.dispatching.actions.taking.take_refusal", lambda life, who, *, at: None)
    order = await full(hands, "member-2")
    await free(hands, order)
    assert await word(hands, "member-3", order) == "taken"
