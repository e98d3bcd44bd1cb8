"""Units and teams register, are approved by the party organisation, renew, and go."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.people import actions as people
from dispatch.people.tables import bodies, grants
from dispatch.registering import timers
from dispatch.wiring import REACTIONS
from tests.contract.test_checkin import call, good, problem, told_of
from tests.town import T0, Clock, Hands

LIAISON = {"name": "李敏", "phone": "13800001111", "duty": "党办主任"}


def agreement(hands: Hands, place: str = "community-1", **more: Any) -> dict[str, Any]:
    told = {"kind": "unit", "name": "市第二人民医院", "place_id": str(hands.town.places[place])}
    return {**told, "document": "共建协议〔2026〕12号", "liaisons": [LIAISON], **more}


async def registered(hands: Hands, login: str = "resident-1", by: str = "secretary-1", **more: Any) -> dict:
    filed = await good(hands, login, "POST", "/registrations", agreement(hands, **more))
    told: dict = await good(hands, by, "POST", f"/registrations/{filed['id']}/approve")
    return told


async def test_a_unit_registers_is_approved_with_a_receipt_and_its_filer_acts_for_it(
    hands: Hands, database: Database, clock: Clock
):
    filed = await good(hands, "resident-1", "POST", "/registrations", agreement(hands))
    assert (filed["state_label"], filed["from_on"], filed["until_on"]) == (
        "待审核",
        "2026-11-22",
        "2027-11-22",
    )
    path = f"/registrations/{filed['id']}/approve"
    assert await problem(hands, "dispatcher-1", "POST", path) == (403, "ROLE_FORBIDDEN")
    assert await problem(hands, "dispatcher-2", "POST", path) == (404, "REGISTRATION_NOT_FOUND")
    assert await problem(hands, "resident-1", "POST", path) == (403, "OWN_CHECKIN")
    told = await good(hands, "secretary-1", "POST", path)
    assert (told["state"], told["receipt"]) == ("approved", "H20261122-000001")
    role = select(grants.c.role).where(
        grants.c.tenant_id == hands.town.tenant_id, grants.c.body_id == UUID(told["body_id"])
    )
    assert [row.role for row in await hands.town.rows(role)] == ["unit_admin"]
    listed = await good(
        hands,
        "dispatcher-1",
        "GET",
        f"/belongings?place_id={hands.town.places['community-1']}&kind=registration",
    )
    assert [line["party"]["name"] for line in listed["items"]] == ["市第二人民医院"]
    await relay(database, clock.now + timedelta(seconds=1), REACTIONS)
    assert await told_of(hands, "secretary-1") == ["registration.filed"]
    assert await told_of(hands, "resident-1") == ["registration.approved"]
    order = await hands.accepted("resident-2")
    found = await good(hands, "dispatcher-1", "GET", f"/orders/{order['id']}/candidates?limit=50")
    assert "市第二人民医院" in {line["name"] for line in found["items"]}


async def test_a_street_registers_teams_and_liaisons_are_named_to_those_who_call(hands: Hands):
    told = await registered(hands, "resident-2", "street-1", kind="team", name="邻里互助队", place="street-1")
    assert (told["until_on"], told["liaisons"]) == ("2027-05-22", [LIAISON])
    path = f"/registrations/{told['id']}"
    assert await problem(hands, "dispatcher-1", "GET", path) == (404, "REGISTRATION_NOT_FOUND")
    other = await registered(hands)
    seen = await good(hands, "dispatcher-1", "GET", f"/registrations/{other['id']}")
    assert seen["liaisons"] == [{"name": "*敏", "phone": "138******11", "duty": "党办主任"}]
    listed = await good(hands, "street-1", "GET", "/registrations?kind=team")
    assert [line["id"] for line in listed["items"]] == [told["id"]]


async def test_at_the_counter_staff_file_for_a_unit_and_gain_nothing(hands: Hands):
    await registered(hands, "dispatcher-1")
    held = select(grants.c.role).where(
        grants.c.tenant_id == hands.town.tenant_id, grants.c.account_id == hands.town["dispatcher-1"].id
    )
    assert [row.role for row in await hands.town.rows(held)] == ["dispatcher"]


async def test_a_returned_one_tells_why_and_a_second_one_of_a_body_waits_for_the_first(hands: Hands):
    body_id = str(hands.town.bodies["unit-1"])
    filed = await good(hands, "unit-1", "POST", "/registrations", agreement(hands, body_id=body_id))
    again = agreement(hands, body_id=body_id)
    assert await problem(hands, "unit-1", "POST", "/registrations", again) == (409, "REQUEST_PENDING")
    path = f"/registrations/{filed['id']}"
    await good(hands, "secretary-1", "POST", f"{path}/return", {"text": "请补盖章的协议。"})
    assert (await good(hands, "unit-1", "GET", path))["reason"] == "请补盖章的协议。"
    assert await problem(hands, "secretary-1", "POST", f"{path}/approve") == (409, "CHECKIN_DECIDED")
    assert await problem(hands, "unit-1", "POST", f"{path}/withdraw") == (409, "CHECKIN_DECIDED")
    filed = await good(hands, "unit-1", "POST", "/registrations", again)
    told = await good(hands, "unit-1", "POST", f"/registrations/{filed['id']}/withdraw")
    assert told["state"] == "withdrawn"


async def test_nobody_registers_for_anothers_body_or_for_senseless_days(hands: Hands):
    mine = agreement(hands, body_id=str(hands.town.bodies["unit-1"]))
    assert await problem(hands, "resident-1", "POST", "/registrations", mine) == (403, "ROLE_FORBIDDEN")
    for days in (
        {"from_on": "2026-12-01", "until_on": "2026-12-01"},
        {"from_on": "2026-01-01", "until_on": "2026-11-22"},
        {"from_on": "2026-12-01", "until_on": "2036-12-01"},
    ):
        answer = await call(hands, "resident-1", "POST", "/registrations", agreement(hands, **days))
        assert (answer.status_code, answer.json()["errors"][0]["loc"][1]) == (422, "until_on")
    answer = await call(hands, "resident-1", "POST", "/registrations", agreement(hands, "grid-11"))
    assert (answer.status_code, answer.json()["errors"][0]["loc"][1]) == (422, "place_id")


async def test_agreements_of_one_body_never_overlap_and_a_renewal_follows(hands: Hands):
    first = await registered(hands, from_on="2026-11-22", until_on="2027-11-22")
    body_id = first["body_id"]
    overlapping = agreement(hands, body_id=body_id, from_on="2027-11-01", until_on="2028-11-01")
    assert await problem(hands, "resident-1", "POST", "/registrations", overlapping) == (
        409,
        "PERIODS_OVERLAP",
    )
    renewed = await registered(hands, body_id=body_id, from_on="2027-11-22", until_on="2028-11-22")
    assert renewed["body_id"] == body_id


async def test_two_approvals_at_once_make_one_body(hands: Hands):
    filed = await good(hands, "resident-1", "POST", "/registrations", agreement(hands))
    path = f"/registrations/{filed['id']}/approve"
    answers = await asyncio.gather(*(call(hands, who, "POST", path) for who in ("secretary-1", "street-1")))
    assert sorted(answer.json().get("code", "") for answer in answers) == ["", "CHECKIN_DECIDED"]
    made = select(bodies.c.id).where(
        bodies.c.tenant_id == hands.town.tenant_id, bodies.c.name == "市第二人民医院"
    )
    assert len(await hands.town.rows(made)) == 1


async def test_a_body_leaves_by_its_own_word_once_its_hands_are_empty(hands: Hands):
    told = await registered(hands)
    body_id = told["body_id"]
    path = f"/bodies/{body_id}/leave"
    order = await hands.accepted("resident-2")
    await hands.move(
        "dispatcher-1", order, "dispatch", mode="assign", targets=[{"kind": "unit", "id": body_id}]
    )
    taken = await call(hands, "resident-1", "POST", f"/orders/{order['id']}/take")
    assert taken.status_code == 200, taken.text
    assert await problem(hands, "resident-1", "POST", path) == (409, "TAKES_IN_HAND")
    assert await problem(hands, "member-1", "POST", path) == (403, "ROLE_FORBIDDEN")
    finish = {"result": "已完成。", "closing": "solved"}
    done = await call(hands, "resident-1", "POST", f"/orders/{order['id']}/finish", finish)
    assert done.status_code == 200, done.text
    assert (await good(hands, "resident-1", "POST", path))["state"] == "ended"
    place = hands.town.places["community-1"]
    listed = await good(hands, "dispatcher-1", "GET", f"/belongings?place_id={place}&kind=registration")
    assert listed["items"] == []


async def passed(hands: Hands, database: Database, day: date) -> None:
    at, zone = datetime.combine(day, T0.timetz()), ZoneInfo("Asia/Shanghai")
    for step in (timers.remind, timers.start, timers.lapse):
        async with database.writing() as db:
            await step(db, hands.town.tenant_id, zone, at=at)


async def test_an_agreement_is_brought_to_mind_once_and_a_body_without_another_leaves_after_the_grace(
    hands: Hands, database: Database
):
    told = await registered(hands, until_on="2027-05-23")
    retired = select(bodies.c.retired_at).where(
        bodies.c.tenant_id == hands.town.tenant_id, bodies.c.name == "市第二人民医院"
    )
    for day in (date(2027, 4, 1), date(2027, 4, 24), date(2027, 4, 25), date(2027, 6, 4)):
        await passed(hands, database, day)
    assert await told_of(hands, "resident-1") == ["registration.renew"]
    assert (await hands.town.rows(retired))[0].retired_at is None
    await passed(hands, database, date(2027, 6, 6))
    assert (await hands.town.rows(retired))[0].retired_at is not None
    assert await told_of(hands, "resident-1") == ["registration.renew", "registration.over"]
    assert (await good(hands, "secretary-1", "GET", f"/registrations/{told['id']}"))["state"] == "ended"


async def test_a_renewed_body_stays_when_its_first_agreement_ends(hands: Hands, database: Database):
    told = await registered(hands, until_on="2027-05-23")
    await registered(hands, body_id=told["body_id"], from_on="2027-05-23", until_on="2028-05-23")
    await passed(hands, database, date(2027, 6, 30))
    retired = select(bodies.c.retired_at).where(
        bodies.c.tenant_id == hands.town.tenant_id, bodies.c.name == "市第二人民医院"
    )
    assert (await hands.town.rows(retired))[0].retired_at is None
    assert (await good(hands, "secretary-1", "GET", f"/registrations/{told['id']}"))["state"] == "ended"


async def body_of(hands: Hands, told: dict) -> Any:
    columns = (bodies.c.place_id, bodies.c.name, bodies.c.retired_at)
    mine = bodies.c.tenant_id == hands.town.tenant_id, bodies.c.id == UUID(told["body_id"])
    return (await hands.town.rows(select(*columns).where(*mine)))[0]


async def renewal(hands: Hands, told: dict, place: str = "community-1", **more: Any) -> dict[str, Any]:
    days = {"from_on": "2027-05-23", "until_on": "2028-05-23"}
    again = agreement(hands, place, **{"body_id": told["body_id"], **days, **more})
    filed: dict[str, Any] = await good(hands, "resident-1", "POST", "/registrations", again)
    return filed


async def test_staff_file_for_no_body_that_serves_elsewhere(hands: Hands):
    told = await registered(hands, until_on="2027-05-23")
    await hands.town.person("dispatcher-3", Role.DISPATCHER, "community-3")
    days = {"from_on": "2027-05-23", "until_on": "2028-05-23"}
    taken_over = agreement(hands, "community-3", body_id=told["body_id"], name="被改名", **days)
    asked = ("POST", "/registrations", taken_over)
    assert await problem(hands, "dispatcher-3", *asked) == (403, "ROLE_FORBIDDEN")
    moved = agreement(hands, "community-2", body_id=told["body_id"], **days)
    for neighbour in ("dispatcher-1", "dispatcher-2"):
        assert await problem(hands, neighbour, "POST", "/registrations", moved) == (403, "ROLE_FORBIDDEN")
    await good(hands, "street-1", "POST", "/registrations", moved)


async def test_a_move_holds_from_its_first_day_and_not_from_its_approval(hands: Hands, database: Database):
    told = await registered(hands, until_on="2027-05-23")
    moving = await renewal(hands, told, "community-2", name="新名医院")
    await good(hands, "street-1", "POST", f"/registrations/{moving['id']}/approve")
    here, there = hands.town.places["community-1"], hands.town.places["community-2"]

    async def seen() -> tuple[Any, ...]:
        body = await body_of(hands, told)
        listed = []
        for login, place in (("dispatcher-1", here), ("dispatcher-2", there)):
            path = f"/belongings?place_id={place}&kind=registration&on=2027-05-23"
            listed += [line["party"]["name"] for line in (await good(hands, login, "GET", path))["items"]]
        return body.place_id, body.name, body.retired_at, listed

    before = (here, "市第二人民医院", None, ["市第二人民医院"])
    assert await seen() == before
    await passed(hands, database, date(2027, 5, 22))
    assert await seen() == before
    for _ in range(2):
        await passed(hands, database, date(2027, 5, 23))
        assert await seen() == (there, "新名医院", None, ["新名医院"])
    assert (await good(hands, "secretary-1", "GET", f"/registrations/{told['id']}"))["state"] == "ended"


async def test_a_new_body_serves_from_the_first_day_of_its_agreement(hands: Hands, database: Database):
    told = await registered(hands, from_on="2026-12-01", until_on="2027-12-01")
    assert (await body_of(hands, told)).retired_at is not None
    await passed(hands, database, date(2026, 11, 30))
    assert (await body_of(hands, told)).retired_at is not None
    await passed(hands, database, date(2026, 12, 1))
    assert (await body_of(hands, told)).retired_at is None


@pytest.mark.parametrize("answer", ["return", "withdraw"])
async def test_a_renewal_that_only_waits_keeps_no_body_in_service(
    hands: Hands, database: Database, answer: str
):
    told = await registered(hands, until_on="2027-05-23")
    waiting = await renewal(hands, told)
    await passed(hands, database, date(2027, 5, 24))
    assert (await good(hands, "secretary-1", "GET", f"/registrations/{told['id']}"))["state"] == "approved"
    by, text = ("secretary-1", {"text": "缺协议"}) if answer == "return" else ("resident-1", None)
    await good(hands, by, "POST", f"/registrations/{waiting['id']}/{answer}", text)
    await passed(hands, database, date(2027, 6, 30))
    assert (await body_of(hands, told)).retired_at is not None
    assert (await good(hands, "secretary-1", "GET", f"/registrations/{told['id']}"))["state"] == "ended"


async def test_what_waits_or_begins_later_brings_a_body_back_after_a_gap(
    hands: Hands, database: Database, clock: Clock
):
    told = await registered(hands, until_on="2027-05-23")
    waiting = await renewal(hands, told, from_on="2027-09-01", until_on="2028-09-01")
    await passed(hands, database, date(2027, 6, 30))
    assert (await body_of(hands, told)).retired_at is not None
    await good(hands, "secretary-1", "POST", f"/registrations/{waiting['id']}/approve")
    await passed(hands, database, date(2027, 8, 31))
    assert (await body_of(hands, told)).retired_at is not None
    await passed(hands, database, date(2027, 9, 1))
    assert (await body_of(hands, told)).retired_at is None


async def test_approving_a_renewal_gives_nobody_back_a_role_that_was_taken(hands: Hands, database: Database):
    told = await registered(hands, until_on="2027-05-23")
    waiting = await renewal(hands, told)
    mine = grants.c.tenant_id == hands.town.tenant_id, grants.c.body_id == UUID(told["body_id"])
    held = await hands.town.rows(select(grants.c.id).where(*mine))
    async with database.writing() as db:
        await people.revoke_grant(db, hands.town.tenant_id, held[0].id, at=hands.town.made)
    await good(hands, "secretary-1", "POST", f"/registrations/{waiting['id']}/approve")
    after = await hands.town.rows(select(grants.c.id, grants.c.valid_to).where(*mine))
    assert [row.id for row in after] == [held[0].id]
    assert after[0].valid_to is not None
