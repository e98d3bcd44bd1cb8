"""Who could take an order, as its dispatcher sees it."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update

from dispatch.db.engine import Database
from dispatch.db.sealed import private
from dispatch.domain.household import address_key
from dispatch.domain.people import Role
from dispatch.people.tables import accounts, members
from tests.town import T0, Hands

WEEKDAY_MORNINGS = [{"weekday": day, "from": "08:00", "to": "12:00"} for day in range(1, 6)]


async def checks_in(hands: Hands, login: str, *items: str, **values: Any) -> None:
    """What the member says on checking in; of skills nothing, unless it is told."""
    told = {"items": list(items), "skills": [], **values}
    await write(hands, members, members.c.account_id, hands.town[login].id, **told)


async def lives(hands: Hands, login: str, **values: Any) -> None:
    await write(hands, accounts, accounts.c.id, hands.town[login].id, **values)


async def write(hands: Hands, table: Any, column: Any, id: Any, **values: Any) -> None:
    async with hands.town.database.writing() as db:
        await db.execute(
            update(table)
            .where(table.c.tenant_id == hands.town.tenant_id, column == UUID(str(id)))
            .values(**values)
        )


async def asked(hands: Hands, order: dict, login: str = "dispatcher-1", **params: Any) -> list[dict]:
    answer = await hands.get(login, f"/v1/orders/{order['id']}/candidates", **params)
    assert answer.status_code == 200, answer.text
    items: list[dict] = answer.json()["items"]
    return items


async def recuse(hands: Hands, order: dict, kind: str, id: UUID) -> None:
    answer = await hands.post(
        "dispatcher-1", f"/v1/orders/{order['id']}/recusals", {"kind": kind, "id": str(id)}
    )
    assert answer.status_code == 200, answer.text


async def line(hands: Hands, order: dict, login: str, **params: Any) -> dict:
    found = await asked(hands, order, limit=50, **params)
    return next(item for item in found if item["id"] == str(hands.town[login].id))


def point(metres_north: float) -> dict:
    place = {"lng": 112.6, "lat": 26.9 + metres_north / 111_320}
    return {**place, "crs": "wgs84", "wgs84": place}


async def test_the_best_come_first_with_reasons_and_the_others_after_them_with_why_not(hands: Hands):
    await checks_in(hands, "member-1", "elder_care", location=point(300), free_times=WEEKDAY_MORNINGS)
    await checks_in(hands, "member-2", "elder_care", location=point(4000), free_times=WEEKDAY_MORNINGS)
    await checks_in(hands, "member-3", "tutoring", location=point(10), free_times=WEEKDAY_MORNINGS)
    order = await hands.accepted(
        location={"lng": 112.6, "lat": 26.9, "crs": "wgs84"},
        wanted_from="2026-11-25T09:00:00+08:00",
        wanted_to="2026-11-25T11:00:00+08:00",
    )
    found = await asked(hands, order)
    assert [item["name"] for item in found[:2]] == ["member-1", "member-2"]
    best = found[0]
    assert best["eligible"]
    assert best["why_not"] == []
    assert best["score"] > found[1]["score"] > 0
    assert best["reasons"][:3] == [
        "报到时选了“助老陪护”，对得上“陪同就医/陪诊”",
        "住得近：约300米",
        "周三上午9点到11点有空",
    ]
    assert {item["kind"] for item in found} == {"member", "team", "unit"}
    ranks = [item["eligible"] for item in found]
    assert ranks == sorted(ranks, reverse=True)
    third = await line(hands, order, "member-3")
    assert (third["eligible"], third["why_not"], third["score"], third["reasons"]) == (
        False,
        ["not_checked_in"],
        0,
        [],
    )


async def test_every_filter_has_its_word(hands: Hands, database: Database):
    town = hands.town
    await checks_in(hands, "member-1", "elder_care", "home_repair", free_times=WEEKDAY_MORNINGS)
    order = await hands.accepted(
        wanted_from="2026-11-25T19:00:00+08:00", wanted_to="2026-11-25T20:00:00+08:00"
    )
    assert (await line(hands, order, "member-1"))["why_not"] == ["not_free"]
    plain = await hands.accepted()
    assert (await line(hands, plain, "member-1"))["eligible"]
    assert (await line(hands, plain, "member-21"))["why_not"] == ["outside_ring", "not_checked_in"]
    wider = {"ring_place_id": str(town.places["street-1"])}
    assert (await line(hands, plain, "member-21", **wider))["why_not"] == ["not_checked_in"]

    await town.member_state("member-1", "suspended")
    assert (await line(hands, plain, "member-1"))["why_not"] == ["suspended"]
    await town.member_state("member-1", "active")

    electric = await hands.accepted(item_code="0201")
    assert (await line(hands, electric, "member-1"))["why_not"] == ["no_qualification"]
    today = T0.date()
    skill = {"code": "electrician", "name": "持证电工", "proof": "证书"}
    await checks_in(
        hands,
        "member-1",
        "home_repair",
        skills=[{**skill, "expires_on": (today - timedelta(days=1)).isoformat()}],
    )
    assert (await line(hands, electric, "member-1"))["why_not"] == ["qualification_expired"]
    await checks_in(hands, "member-1", "home_repair", skills=[{**skill, "expires_on": today.isoformat()}])
    told = await line(hands, electric, "member-1")
    assert told["eligible"]
    assert f"有资质：持证电工，有效期到{today.year}年{today.month}月{today.day}日" in told["reasons"]

    await checks_in(hands, "member-1", "elder_care", "tutoring", born_on=date(2010, 5, 1))
    lesson = await hands.accepted(item_code="0501")
    assert (await line(hands, lesson, "member-1"))["why_not"] == ["under_age", "no_guardian_consent"]
    await checks_in(hands, "member-1", "elder_care", born_on=date(2010, 5, 1), guardian_consent_on=today)
    assert (await line(hands, plain, "member-1"))["eligible"]

    alone = await hands.accepted(item_code="0111")
    assert {"staff_only"} <= set((await line(hands, alone, "member-1"))["why_not"])


async def test_the_same_household_is_found_by_place_by_address_and_by_the_beneficiary(hands: Hands):
    town = hands.town
    door = await town.place("door-5", "household", "grid-11")
    await checks_in(hands, "member-1", "elder_care")
    order = await hands.accepted(place_id=str(door))
    assert (await line(hands, order, "member-1"))["eligible"]
    await lives(hands, "member-1", home_place_id=door)
    assert (await line(hands, order, "member-1"))["why_not"] == ["same_household"]

    await checks_in(hands, "member-2", "elder_care")
    written = await hands.accepted(address="3栋2单元501")
    assert (await line(hands, written, "member-2"))["eligible"]
    key = private(town.tenant_id, address_key(town.places["community-1"], "三栋2单元501室"))
    await lives(hands, "member-2", address_key=key)
    assert (await line(hands, written, "member-2"))["why_not"] == ["same_household"]

    await checks_in(hands, "member-3", "elder_care")
    elsewhere = await hands.accepted("resident-2")
    await lives(hands, "resident-2", home_place_id=door)
    await lives(hands, "member-3", home_place_id=door)
    assert (await line(hands, elsewhere, "member-3"))["why_not"] == ["same_household"]


async def test_the_one_complained_about_and_who_returned_or_said_no_are_not_offered(hands: Hands):
    for login in ("member-1", "member-2", "member-3"):
        await checks_in(hands, login, "elder_care")
    order = await hands.accepted()
    await recuse(hands, order, "person", hands.town["member-1"].id)
    assert (await line(hands, order, "member-1"))["why_not"] == ["conflict_of_interest"]

    target = [{"kind": "member", "id": str(hands.town["member-2"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=target)
    await hands.move("member-2", order, "decline")
    assert (await line(hands, order, "member-2"))["why_not"] == ["said_no"]

    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-3", order, "take")
    assert (await line(hands, order, "member-3"))["why_not"] == ["already_on_order"]


async def test_a_body_that_an_order_keeps_out_is_no_candidate_nor_are_its_people(hands: Hands):
    town = hands.town
    worker = await town.person("worker-1", Role.MEMBER, "community-1", of="unit-1")
    for login in ("worker-1", "member-1"):
        await checks_in(hands, login, "elder_care")
    order = await hands.accepted()
    await recuse(hands, order, "unit", town.bodies["unit-1"])
    told = {item["id"]: item["why_not"] for item in await asked(hands, order, limit=50)}
    for id in (worker.id, town.bodies["unit-1"]):
        assert told[str(id)][0] == "conflict_of_interest"
        kind = "member" if id == worker.id else "unit"
        target = [{"kind": kind, "id": str(id)}]
        answer = await hands.try_("dispatcher-1", order, "dispatch", mode="offer", targets=target)
        assert (answer.status_code, answer.json()["why"]) == (422, "recused")
    assert told[str(town["member-1"].id)] == []
    ran = await hands.post("dispatcher-1", "/v1/matching/run", {"dry_run": True})
    assert [taker["id"] for item in ran.json()["items"] for taker in item["takers"]] == [
        str(town["member-1"].id)
    ]


async def test_what_somebody_has_in_hand_and_behind_counts(hands: Hands):
    for login in ("member-1", "member-2"):
        await checks_in(hands, login, "elder_care", free_times=WEEKDAY_MORNINGS)
    done = await hands.done("member-1")
    await hands.move("resident-1", done, "rate", score=5, solved=True, contacted=True)
    again = await hands.accepted()
    first, second = (await asked(hands, again))[:2]
    assert first["name"] == "member-1", "the same resident, the same helper"
    assert "以前帮过这位居民1次，彼此熟悉" in first["reasons"]
    assert "以往1次评价，平均5.0分" in first["reasons"]
    assert first["parts"]["continuity"] == 0.5
    assert second["name"] == "member-2"
    for _ in range(3):
        await hands.taken("member-1")
    told = await line(hands, again, "member-1")
    assert told["why_not"] == ["at_capacity"]


async def test_only_its_dispatchers_see_who_could_take_an_order(hands: Hands):
    order = await hands.open_()
    path = f"/v1/orders/{order['id']}/candidates"
    for login, status in (
        ("secretary-1", 200),
        ("street-1", 200),
        ("district-1", 200),
        ("grid-1", 404),
        ("resident-1", 403),
        ("member-1", 403),
        ("supervisor-1", 403),
        ("dispatcher-2", 404),
        ("resident-2", 404),
    ):
        assert (await hands.get(login, path)).status_code == status, login
    for wrong in (
        {"limit": 0},
        {"limit": 51},
        {"kind": "member"},
        {"ring_place_id": str(hands.town.places["grid-31"])},
    ):
        assert (await hands.get("dispatcher-1", path, **wrong)).status_code == 422, wrong


async def test_the_number_of_statements_does_not_grow_with_the_candidates(hands: Hands, counted: list[str]):
    order = await hands.accepted()
    counted.clear()
    await asked(hands, order)
    few = len(counted)
    await hands.town.crowd(60)
    counted.clear()
    assert len(await asked(hands, order, limit=50)) == 50
    assert len(counted) == few <= 7, counted
