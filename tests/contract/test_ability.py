"""Qualification, age and a guardian's consent count whoever gives the place (product decision §4, "eligibility first")."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete

from dispatch.people.tables import members
from tests.contract.test_candidates import checks_in
from tests.contract.test_handovers import answered, asked, takers
from tests.contract.test_next_take import next_
from tests.contract.test_taking_limits import word
from tests.contract.test_waiting_list import waits
from tests.town import Hands

ELECTRICIAN = {"code": "electrician", "name": "电工", "proof": "T1"}
EXPIRED = {**ELECTRICIAN, "expires_on": "2026-11-21"}
LAST_DAY = {**ELECTRICIAN, "expires_on": "2026-11-22"}
MINOR = date(2012, 1, 1)


async def opened(hands: Hands, item_code: str = "0201", **more: Any) -> dict[str, Any]:
    order = await hands.accepted(item_code=item_code)
    return await hands.move("dispatcher-1", order, "dispatch", mode="open", **more)


@pytest.mark.parametrize(
    ("item_code", "told", "said"),
    [
        ("0201", {}, "no_qualification"),
        ("0201", {"skills": [{"code": "locksmith", "name": "锁匠"}]}, "no_qualification"),
        ("0201", {"skills": [EXPIRED]}, "qualification_expired"),
        ("0201", {"skills": [LAST_DAY]}, "taken"),
        ("0503", {"born_on": MINOR, "guardian_consent_on": date(2026, 1, 1)}, "under_age"),
        ("0102", {"born_on": MINOR}, "no_guardian_consent"),
        ("0102", {"born_on": MINOR, "guardian_consent_on": date(2026, 1, 1)}, "taken"),
        ("0102", {}, "taken"),
    ],
)
async def test_whoever_takes_what_is_open_must_be_able_to(hands: Hands, item_code: str, told: Any, said: str):
    await checks_in(hands, "member-1", **told)
    order = await opened(hands, item_code)
    assert await word(hands, "member-1", order) == said


async def test_the_tenants_own_demand_counts(hands: Hands):
    headers = hands.town["admin-1"].headers
    rule = {"qualifications": ["plumber"]}
    answer = await hands.client.put("/v1/matching/rules/0201", json=rule, headers=headers)
    assert answer.status_code == 200, answer.text
    await checks_in(hands, "member-1", skills=[ELECTRICIAN])
    await checks_in(hands, "member-2", skills=[{"code": "plumber", "name": "水工"}])
    order = await opened(hands)
    assert await word(hands, "member-1", order) == "no_qualification"
    assert await word(hands, "member-2", order) == "taken"


async def test_who_never_checked_in_takes_what_demands_nothing(hands: Hands):
    async with hands.town.database.writing() as db:
        mine = members.c.account_id == hands.town["member-1"].id
        await db.execute(delete(members).where(members.c.tenant_id == hands.town.tenant_id, mine))
    assert await word(hands, "member-1", await opened(hands, "0102")) == "taken"
    assert await word(hands, "member-1", await opened(hands)) == "no_qualification"


async def test_the_next_order_is_one_that_the_taker_is_able_to_do(hands: Hands):
    await checks_in(hands, "member-1")
    for _ in range(2):
        await opened(hands)
    plain = await opened(hands, "0102")
    assert (await next_(hands, "member-1")).json()["order"]["id"] == plain["id"]
    assert (await next_(hands, "member-1")).json()["code"] == "NOTHING_OPEN"
    await checks_in(hands, "member-2", skills=[ELECTRICIAN])
    assert (await next_(hands, "member-2")).status_code == 200


async def test_a_handover_and_the_line_ask_for_it_too(hands: Hands):
    for login, skills in (("member-1", [ELECTRICIAN]), ("member-2", []), ("member-3", [])):
        await checks_in(hands, login, skills=skills)
    order = await opened(hands)
    assert await word(hands, "member-1", order) == "taken"
    line = await waits(hands, "member-3", order)
    assert (line.status_code, line.json()["why"]) == (409, "no_qualification")
    handover = await asked(hands, order)
    no = await answered(hands, "member-2", handover)
    assert (no.status_code, no.json()["code"], no.json()["why"]) == (409, "NOT_ELIGIBLE", "no_qualification")
    assert await takers(hands, order) == [("member-1", "active", True)]
    await checks_in(hands, "member-2", skills=[ELECTRICIAN])
    assert (await answered(hands, "member-2", handover)).status_code == 200


async def test_whom_a_dispatcher_names_the_dispatcher_vouches_for(hands: Hands):
    await checks_in(hands, "member-1")
    order = await hands.accepted(item_code="0201")
    target = [{"kind": "member", "id": str(hands.town["member-1"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=target)
    assert await word(hands, "member-1", order) == "taken"
