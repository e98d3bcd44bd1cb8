"""Verdicts: whose word it is, until when, and on which work."""

from typing import Any

from dispatch.db.engine import Database
from dispatch.people import actions as people
from tests.contract.ledger import assert_books
from tests.contract.test_requests import decide, now
from tests.town import Clock, Hands

HAPPY = {"score": 5, "solved": True, "contacted": True}
UNHAPPY = {"score": 1, "solved": False, "contacted": True}
CALL = {"channel": "phone", "at": "2026-11-22T09:20:00+08:00", "note": "电话回访"}


async def merged(hands: Hands, clock: Clock) -> tuple[dict[str, Any], dict[str, Any]]:
    parent = await hands.accepted("resident-1")
    clock.pass_(minutes=1)
    child = await hands.accepted("resident-2")
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    return parent, child


async def test_a_childs_verdict_comes_within_a_day_of_its_parents_closing(hands: Hands, clock: Clock):
    parent, child = await merged(hands, clock)
    await hands.move("dispatcher-1", parent, "resolve", result="已处理。", closing="solved")
    await hands.move("resident-1", parent, "rate", **HAPPY)
    clock.pass_(hours=24, seconds=1)
    late = await hands.try_("resident-2", child, "rate", **UNHAPPY)
    assert (late.status_code, late.json()["code"]) == (409, "RATING_CLOSED")
    assert (await now(hands, parent))["requests"] == []


async def test_a_verdict_given_as_anothers_child_is_none_on_what_was_done_later(hands: Hands, clock: Clock):
    parent, child = await merged(hands, clock)
    await hands.move("dispatcher-1", parent, "resolve", result="已处理。", closing="solved")
    await hands.move("resident-2", child, "rate", **UNHAPPY)
    await hands.move("dispatcher-1", child, "unmerge", text="是另一盏灯")
    clock.pass_(days=3)
    await hands.move("dispatcher-1", child, "resolve", result="已修好。", closing="solved")
    assert (await now(hands, child, "resident-2"))["rating"] is None
    rated = await hands.move("resident-2", child, "rate", **HAPPY)
    assert (rated["state"], rated["rating"]["score"]) == ("closed", 5)
    await assert_books(hands.town)


async def test_a_filer_may_correct_what_staff_heard_and_takes_its_wish_back(hands: Hands, clock: Clock):
    parent, child = await merged(hands, clock)
    await hands.move("dispatcher-1", parent, "dispatch", mode="open")
    await hands.move("member-1", parent, "take")
    await hands.move("member-1", parent, "finish", result="已更换。", closing="solved")
    await hands.move("dispatcher-1", child, "rate", **UNHAPPY, follow_up=CALL)
    corrected = await hands.move("resident-2", child, "rate", **HAPPY)
    assert (corrected["rating"]["score"], corrected["rating"]["by"]) == (5, "filer")
    assert [request["status"] for request in (await now(hands, parent))["requests"]] == ["withdrawn"]


async def test_a_call_back_is_staffs_record_and_lies_in_the_past(hands: Hands):
    order = await hands.done()
    own = await hands.try_("resident-1", order, "rate", **HAPPY, follow_up=CALL)
    early = await hands.try_(
        "secretary-1", order, "rate", **HAPPY, follow_up={**CALL, "at": "2030-01-01T00:00:00Z"}
    )
    assert [answer.status_code for answer in (own, early)] == [422, 422]
    assert own.json()["errors"][0]["loc"] == ["body", "follow_up"]
    assert early.json()["errors"][0]["loc"] == ["body", "follow_up", "at"]
    assert (await now(hands, order))["state"] == "done"


async def test_a_taker_of_an_earlier_round_does_not_key_the_verdict_either(hands: Hands):
    order = await hands.accepted()
    grid = [{"kind": "staff", "id": str(hands.town["secretary-1"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=grid)
    await hands.move("secretary-1", order, "take")
    await hands.move("secretary-1", order, "finish", result="已办。", closing="solved")
    rated = await hands.move("resident-1", order, "rate", **UNHAPPY)
    await decide(hands, "dispatcher-1", rated["requests"][0]["id"])
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "finish", result="又办了一次。", closing="solved")
    refused = await hands.try_("secretary-1", order, "rate", **HAPPY, follow_up=CALL)
    assert (refused.status_code, refused.json()["code"]) == (403, "NOT_YOUR_RATING")
    assert (await hands.move("dispatcher-1", order, "rate", **HAPPY, follow_up=CALL))["state"] == "closed"


async def test_staff_whose_grant_ended_do_not_go_on_by_themselves(
    hands: Hands, database: Database, clock: Clock
):
    town = hands.town
    order = await hands.accepted()
    targets = [{"kind": "staff", "id": str(town["grid-1"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=targets)
    await hands.move("grid-1", order, "take")
    await hands.move("grid-1", order, "finish", result="已办。", closing="solved")
    async with database.writing() as db:
        await people.revoke_grant(db, town.tenant_id, town["grid-1"].grant_id, at=clock.now)
    again = {"reason_code": "other", "text": "再办", "same_takers": True}
    assert (await hands.move("dispatcher-1", order, "redo", **again))["state"] == "redo"


async def test_tries_of_several_takers_at_one_time_are_one_try(hands: Hands, clock: Clock):
    order = await hands.taken("member-1", slots_min=1, slots_max=3)
    for login in ("member-2", "member-3"):
        await hands.move(login, order, "take")
    for login in ("member-1", "member-2", "member-3"):
        await hands.move(login, order, "contact", reached=False)
    ended = {"result": "联系不上。", "closing": "explained"}
    refused = await hands.try_("member-1", order, "finish", **ended)
    assert (refused.status_code, refused.json()["code"]) == (409, "FINISH_NOT_ALLOWED")
    for login in ("member-2", "member-3"):
        clock.pass_(hours=1)
        await hands.move(login, order, "contact", reached=False)
    done = await hands.move("member-1", order, "finish", **ended)
    assert [take["lead"] for take in done["takes"]] == [True, False, False]


async def test_what_is_done_on_the_spot_keeps_the_item_that_was_fixed(hands: Hands):
    order = await hands.accepted()
    refused = await hands.try_(
        "dispatcher-1", order, "resolve", result="已办。", closing="solved", item_code="0201"
    )
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "item_code"])
    fresh = await hands.file()
    done = await hands.move(
        "dispatcher-1", fresh, "resolve", result="已办。", closing="solved", item_code="0201"
    )
    assert done["item"]["code"] == "0201"
