"""Offers and slots: everybody asked has a time of his own, a free slot is free, the pool holds what can be taken."""

from typing import Any
from uuid import uuid4

import pytest

from dispatch.db.engine import Database
from dispatch.dispatching.actions import taking
from dispatch.domain.people import Role
from tests.contract.ledger import assert_books
from tests.contract.test_requests import asked, decide, now
from tests.town import Clock, Hands


async def offered(hands: Hands, *logins: str, **more: Any) -> dict[str, Any]:
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in logins]
    return await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets, **more)


async def pool(hands: Hands, login: str) -> list[str]:
    return [item["id"] for item in (await hands.get(login, "/v1/orders", view="pool")).json()["items"]]


async def test_who_is_asked_after_a_take_has_a_time_of_his_own(hands: Hands, clock: Clock):
    order = await offered(hands, "member-1", "member-2", slots_min=2, expires_in_seconds=3600)
    clock.pass_(minutes=50)
    first = await hands.move("member-1", order, "take")
    assert [target["state"] for target in first["order"]["dispatches"][0]["targets"]] == ["taken", "asked"]
    clock.pass_(minutes=55)
    assert (await hands.move("member-2", order, "take"))["outcome"] == "taken"
    await assert_books(hands.town)


async def test_who_is_asked_after_a_return_has_a_time_of_his_own(hands: Hands, clock: Clock):
    order = await offered(hands, "member-1", "member-2", expires_in_seconds=3600)
    await hands.move("member-1", order, "take")
    clock.pass_(minutes=50)
    await decide(hands, "dispatcher-1", await asked(hands, "member-1", order, "return"))
    clock.pass_(minutes=55)
    assert (await hands.move("member-2", order, "take"))["outcome"] == "taken"
    await assert_books(hands.town)


async def test_a_dispatch_with_a_free_slot_is_not_filled_after_its_time_either(hands: Hands, clock: Clock):
    order = await hands.taken("member-1", slots_min=1, slots_max=2, expires_in_seconds=3600)
    await hands.move("member-2", order, "take")
    clock.pass_(hours=2)
    after = await hands.move("member-2", order, "release", reason_code="other")
    assert "gone" in after or after["dispatches"][0]["state"] == "running"
    assert (await hands.try_("member-3", order, "take")).json()["code"] == "ORDER_CLOSED"
    await assert_books(hands.town)


async def test_the_pool_holds_only_what_its_reader_can_take(hands: Hands):
    order = await hands.taken("member-1", slots_min=1, slots_max=3)
    assert (await pool(hands, "member-1"), await pool(hands, "member-2")) == ([], [order["id"]])
    await decide(hands, "dispatcher-1", await asked(hands, "member-1", order, "return"))
    assert (await pool(hands, "member-1"), await pool(hands, "member-2")) == ([], [order["id"]])
    await hands.move("member-2", order, "take")
    await decide(hands, "street-1", await asked(hands, "member-2", order, "park", until="2027-01-31"))
    assert (await now(hands, order))["state"] == "paused"
    assert await pool(hands, "member-3") == []


async def test_whoever_never_was_asked_cannot_tell_an_order_from_none_by_taking_as_another(hands: Hands):
    order = await hands.file()
    body = {"as": {"kind": "unit", "id": str(uuid4())}}
    tried = [await hands.try_("resident-3", id, "take", **body) for id in (order["id"], str(uuid4()))]
    assert [(answer.status_code, answer.json()["code"]) for answer in tried] == [(404, "ORDER_NOT_FOUND")] * 2
    seen = await hands.try_("resident-1", order["id"], "take", **body)
    assert (seen.status_code, seen.json()["code"]) == (403, "ROLE_FORBIDDEN")


async def test_who_is_staffed_while_taking_is_on_the_order_once(
    hands: Hands, database: Database, monkeypatch: pytest.MonkeyPatch
):
    if database.url.get_backend_name() == "sqlite":
        return  # one writer at a time: nothing comes between
    person = await hands.town.person("worker-1", Role.MEMBER, "community-1", of="unit-1")
    order = await hands.open_(slots_min=1, slots_max=3)
    await hands.move("unit-1", order, "take")
    honest, staffed = taking.win, []

    async def slow(*args: Any, **more: Any) -> Any:
        if not staffed:
            staffed.append(await hands.try_("unit-1", order, "staff", member_ids=[str(person.id)]))
        return await honest(*args, **more)

    monkeypatch.setattr(taking, "win", slow)
    late = await hands.try_("worker-1", order, "take")
    assert (staffed[0].status_code, late.status_code, late.json()["code"]) == (200, 409, "NOT_ELIGIBLE")
    takes = (await now(hands, order))["takes"]
    assert [(take["taker"]["kind"], take["people"]) for take in takes] == [("unit", [str(person.id)])]
    await assert_books(hands.town)
