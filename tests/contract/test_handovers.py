"""A take passes to another only with that one's consent, and by the rules of every take."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import give_backs
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.contract.test_taking_limits import ruled, word
from tests.town import Clock, Hands, time_works


def person(hands: Hands, login: str) -> dict[str, str]:
    return {"kind": "member", "id": str(hands.town[login].id)}


async def asked(
    hands: Hands, order: dict[str, Any], to: str = "member-2", by: str = "member-1"
) -> dict[str, Any]:
    body = {"taker": person(hands, to), "text": "我周三出差，请致电13800138000。"}
    answer = await hands.post(by, f"/v1/orders/{order['id']}/handover", body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def answered(hands: Hands, login: str, handover: dict[str, Any], word_: str = "accept") -> Any:
    return await hands.post(login, f"/v1/handovers/{handover['id']}/{word_}")


async def takers(hands: Hands, order: dict[str, Any]) -> list[tuple[str, str, bool]]:
    told = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    names = {str(who.id): login for login, who in hands.town.people.items()}
    return sorted((names[take["taker"]["id"]], take["state"], take["lead"]) for take in told["takes"])


async def test_with_consent_the_place_the_lead_and_the_state_go_over_in_one_change(hands: Hands):
    order = await hands.taken("member-1")
    await hands.move("member-1", order, "start")
    handover = await asked(hands, order)
    assert await takers(hands, order) == [("member-1", "active", True)]  # nothing has passed yet
    told = await answered(hands, "member-2", handover)
    assert told.status_code == 200, told.text
    assert (told.json()["outcome"], told.json()["order"]["state"]) == ("taken", "in_service")
    assert told.json()["take"]["lease_until"]
    assert await takers(hands, order) == [("member-1", "released", False), ("member-2", "active", True)]
    assert (await hands.try_("member-1", order, "progress", text="我还在")).status_code in (403, 404)
    lines = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert [line["text"] for line in lines[-2:]] == ["将接单移交给他人。", "接了单。"]
    await hands.move("member-2", order, "finish", result="已陪同复查。", closing="solved")
    assert await assert_books(hands.town) == 1


async def test_whoever_is_asked_is_told_and_knows_no_more_than_before_a_take(hands: Hands, clock: Clock):
    order = await hands.taken("member-1")
    await asked(hands, order)
    await relay(hands.town.database, clock.now, REACTIONS)
    told = select(notices.c.text).where(
        notices.c.tenant_id == hands.town.tenant_id, notices.c.account_id == hands.town["member-2"].id
    )
    assert any("请您接手" in row.text for row in await hands.town.rows(told))
    (seen,) = (await hands.get("member-2", "/v1/handovers")).json()["items"]
    assert seen["order"]["number"] == order["number"]
    assert "13800138000" not in seen["text"]
    assert (await hands.get("member-2", f"/v1/orders/{order['id']}")).status_code == 404
    assert (await hands.get("member-3", "/v1/handovers")).json()["items"] == []


async def test_without_consent_nothing_passes(hands: Hands, clock: Clock):
    order = await hands.taken("member-1")
    handover = await asked(hands, order)
    stranger = await answered(hands, "member-3", handover)
    assert (stranger.status_code, stranger.json()["code"]) == (404, "HANDOVER_NOT_FOUND")
    assert (await answered(hands, "member-2", handover, "decline")).json()["state"] == "declined"
    late = await answered(hands, "member-2", handover)
    assert (late.status_code, late.json()["code"]) == (409, "HANDOVER_ENDED")
    await relay(hands.town.database, clock.now, REACTIONS)
    told = select(notices.c.text).where(
        notices.c.tenant_id == hands.town.tenant_id, notices.c.account_id == hands.town["member-1"].id
    )
    assert any("对方不便接手" in row.text for row in await hands.town.rows(told))
    again = await asked(hands, order, "member-3")
    assert (await answered(hands, "member-1", again, "withdraw")).json()["state"] == "withdrawn"
    gone = await answered(hands, "member-3", again)
    assert gone.json()["code"] == "HANDOVER_ENDED"
    assert await takers(hands, order) == [("member-1", "active", True)]


async def test_one_is_asked_at_a_time(hands: Hands):
    order = await hands.taken("member-1")
    await asked(hands, order)
    second = await hands.post(
        "member-1", f"/v1/orders/{order['id']}/handover", {"taker": person(hands, "member-3")}
    )
    assert (second.status_code, second.json()["code"]) == (409, "HANDOVER_PENDING")


async def test_only_the_taker_hands_over_and_what_was_assigned_is_returned(hands: Hands):
    order = await hands.taken("member-1")
    for login in ("member-2", "dispatcher-1"):
        answer = await hands.post(
            login, f"/v1/orders/{order['id']}/handover", {"taker": person(hands, "member-3")}
        )
        assert answer.status_code in (403, 404), login
    unit = [{"kind": "unit", "id": str(hands.town.bodies["unit-1"])}]
    assigned = await hands.accepted()
    await hands.move("dispatcher-1", assigned, "dispatch", mode="assign", targets=unit)
    await hands.move("unit-1", assigned, "take")
    answer = await hands.post(
        "unit-1", f"/v1/orders/{assigned['id']}/handover", {"taker": person(hands, "member-1")}
    )
    assert answer.json()["code"] == "RETURN_INSTEAD"


async def test_the_rules_of_taking_hold_for_whoever_consents(hands: Hands):
    await ruled(hands, member_limit=1)
    order, own = await hands.taken("member-1"), await hands.taken("member-2")
    handover = await asked(hands, order)
    full = await answered(hands, "member-2", handover)
    assert (full.status_code, full.json()["code"]) == (409, "TAKE_LIMIT_REACHED")
    await hands.move("member-2", own, "finish", result="已办好。", closing="solved")
    assert (await answered(hands, "member-2", handover)).status_code == 200
    nobody = await hands.town.rows(select(give_backs).where(give_backs.c.tenant_id == hands.town.tenant_id))
    assert nobody == []  # handing over is no giving back
    await assert_books(hands.town)


async def test_of_a_consent_and_a_withdrawal_at_once_one_counts(hands: Hands):
    for _ in range(4):
        order = await hands.taken("member-1")
        handover = await asked(hands, order)
        yes, no = await asyncio.gather(
            answered(hands, "member-2", handover), answered(hands, "member-1", handover, "withdraw")
        )
        assert sorted((yes.status_code, no.status_code)) == [200, 409], (yes.text, no.text)
        holder = "member-2" if yes.status_code == 200 else "member-1"
        assert (holder, "active", True) in await takers(hands, order)
    await assert_books(hands.town)


async def test_a_consent_after_the_giver_has_left_finds_nothing(hands: Hands):
    order = await hands.taken("member-1")
    handover = await asked(hands, order)
    await hands.move("member-1", order, "release", reason_code="other")
    late = await answered(hands, "member-2", handover)
    assert (late.status_code, late.json()["code"]) == (409, "HANDOVER_ENDED")
    assert await word(hands, "member-2", order) == "taken"
    await assert_books(hands.town)


async def asking(hands: Hands, login: str = "member-2") -> list[str]:
    return [line["state"] for line in (await hands.get(login, "/v1/handovers")).json()["items"]]


ENDS: list[tuple[str, str, dict[str, Any]]] = [
    ("member-1", "release", {"reason_code": "other"}),
    ("member-1", "finish", {"result": "已陪同复查。", "closing": "solved"}),
    ("dispatcher-1", "cancel", {"reason_code": "other"}),
]


@pytest.mark.parametrize(("login", "move", "body"), ENDS)
async def test_what_one_asked_for_ends_with_the_take(hands: Hands, login: str, move: str, body: Any):
    order = await hands.taken("member-1")
    handover = await asked(hands, order)
    await hands.move(login, order, move, **body)
    assert await asking(hands) == ["withdrawn"]
    late = await answered(hands, "member-2", handover)
    assert (late.status_code, late.json()["code"]) == (409, "HANDOVER_ENDED")


async def test_a_handover_does_not_come_back_when_the_giver_takes_again(hands: Hands):
    order = await hands.taken("member-1")
    handover = await asked(hands, order)
    await hands.move("member-1", order, "release", reason_code="other")
    assert await word(hands, "member-1", order) == "taken"
    late = await answered(hands, "member-2", handover)
    assert (late.status_code, late.json()["code"]) == (409, "HANDOVER_ENDED")
    assert await takers(hands, order) == [("member-1", "active", True)]
    await asked(hands, order, "member-3")  # and another may be asked
    await assert_books(hands.town)


async def test_a_take_that_lapses_and_one_that_is_returned_end_what_was_asked(hands: Hands, clock: Clock):
    await ruled(hands, lease_seconds=3600, member_limit=10)
    lapsed = await hands.taken("member-1")
    await asked(hands, lapsed)
    clock.pass_(days=30)
    await time_works(hands.town, clock.now)
    assert await asking(hands) == ["withdrawn"]
    returned = await hands.taken("member-1")
    await asked(hands, returned, "member-3")
    body = {"kind": "return", "reason_code": "not_our_duty", "text": "这件事我办不了。"}
    request = (await hands.post("member-1", f"/v1/orders/{returned['id']}/requests", body)).json()
    told = await hands.post("dispatcher-1", f"/v1/requests/{request['id']}/approve", {})
    assert told.status_code == 200, (request, told.text)
    assert await asking(hands, "member-3") == ["withdrawn"]


async def test_who_consents_twice_is_told_that_it_is_his(hands: Hands):
    order = await hands.taken("member-1")
    handover = await asked(hands, order)
    told = [(await answered(hands, "member-2", handover)).json()["outcome"] for _ in range(2)]
    assert told == ["taken", "already_yours"]
