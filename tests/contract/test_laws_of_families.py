"""Duplicates: what may follow what, how a family ends, and what its members read."""

import asyncio

import pytest
from sqlalchemy import select

from dispatch.domain.order import State
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import order_steps
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.contract.states import DONE, HAPPY, WHY, States, traces
from tests.town import Hands


async def _family(hands: Hands, *logins: str) -> tuple[dict, list[dict]]:
    """An accepted order and the duplicates that follow it."""
    parent = await hands.accepted("resident-1", item_code="0904", text="路灯坏了。")
    children = [await hands.file(login, item_code="0904", text="路灯不亮。") for login in logins]
    for child in children:
        await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    return parent, children


async def test_an_order_is_not_merged_into_itself(hands: Hands):
    order = await hands.file()
    before = await traces(hands.town)
    answer = await hands.try_("dispatcher-1", order, "merge", parent_id=order["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "MERGE_IMPOSSIBLE")
    assert await traces(hands.town) == before


@pytest.mark.parametrize("rests", [State.REJECTED, State.MERGED, State.CANCELLED, State.CLOSED])
async def test_an_order_is_not_merged_into_one_at_rest(hands: Hands, rests: State):
    parent, order = await States(hands).at(rests), await hands.file("resident-2")
    before = await traces(hands.town)
    answer = await hands.try_("dispatcher-1", order, "merge", parent_id=parent["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "MERGE_IMPOSSIBLE")
    assert await traces(hands.town) == before


async def test_an_order_is_not_merged_into_one_that_the_dispatcher_does_not_see(hands: Hands):
    theirs, order = await hands.file("resident-3"), await hands.file()
    before = await traces(hands.town)
    answer = await hands.try_("dispatcher-1", order, "merge", parent_id=theirs["id"])
    assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")
    assert await traces(hands.town) == before


async def test_a_familys_end_is_one_step_of_the_parent_and_each_filer_reads_it_once(
    hands: Hands, clock, database
):
    parent, children = await _family(hands, "resident-2", "secretary-1")
    await hands.move("dispatcher-1", parent, "resolve", **DONE)
    closed = await hands.move("resident-1", parent, "rate", **HAPPY)
    assert closed["state"] == "closed"
    for login, child in zip(("resident-2", "secretary-1"), children, strict=True):
        seen = (await hands.get(login, f"/v1/orders/{child['id']}")).json()
        assert (seen["state"], seen["effective_state"]) == ("merged", "closed")
    steps = select(order_steps.c.order_id).where(
        order_steps.c.tenant_id == hands.town.tenant_id, order_steps.c.move == "close"
    )
    assert len(await hands.town.rows(steps)) == 1
    await relay(database, clock.now, REACTIONS)
    told = await hands.town.rows(
        select(notices.c.cause, notices.c.event).where(
            notices.c.tenant_id == hands.town.tenant_id,
            notices.c.account_id == hands.town["resident-2"].id,
        )
    )
    assert len({row.cause for row in told}) == len(told), "nothing is told twice"
    assert sum(row.event == "resolve" for row in told) == 1
    await assert_books(hands.town)


async def test_the_last_child_that_goes_or_judges_does_not_end_its_parent(hands: Hands):
    parent, (one, other) = await _family(hands, "resident-2", "secretary-1")
    answers = await asyncio.gather(
        hands.try_("dispatcher-1", one, "unmerge", text="单独办理"),
        hands.try_("district-1", other, "unmerge", text="单独办理"),
    )
    for child, answer in zip((one, other), answers, strict=True):
        if answer.status_code != 200:  # a busy row: nothing was written, and it may be tried again
            await hands.move("dispatcher-1", child, "unmerge", text="单独办理")
    now = (await hands.get("dispatcher-1", f"/v1/orders/{parent['id']}")).json()
    assert (now["state"], now["children_count"]) == ("accepted", 0)
    assert (await hands.move("dispatcher-1", parent, "cancel", **WHY))["state"] == "cancelled"
    await assert_books(hands.town)


async def test_of_the_last_two_children_that_judge_at_once_neither_closes_the_parent(hands: Hands):
    parent, children = await _family(hands, "resident-2", "member-2")
    await hands.move("dispatcher-1", parent, "resolve", **DONE)
    answers = await asyncio.gather(
        *(
            hands.try_(login, child, "rate", **HAPPY)
            for login, child in zip(("resident-2", "member-2"), children, strict=True)
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 503}
    now = (await hands.get("dispatcher-1", f"/v1/orders/{parent['id']}")).json()
    assert (now["state"], now["children_count"]) == ("done", 2)
    await assert_books(hands.town)
