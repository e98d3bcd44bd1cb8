"""报到: a member fills the form, the community answers, and what follows from it."""

import io
import json
import zipfile
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import select, update

from dispatch.checkin import timers
from dispatch.checkin.tables import checkins
from dispatch.db.engine import Database
from dispatch.db.sealed import private
from dispatch.domain.household import address_key
from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.people import actions as people
from dispatch.people.tables import accounts, grants, members
from dispatch.privacy.timers import make_exports
from dispatch.wiring import REACTIONS
from tests.contract.test_candidates import checks_in
from tests.town import T0, Clock, Hands


async def headers(hands: Hands, login: str) -> dict[str, str]:
    """A token for the account's grants as they are now, under the newest that stands."""
    town = hands.town
    mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == town[login].id
    version = (await town.rows(select(accounts.c.grants_version).where(*mine)))[0].grants_version
    held = select(grants.c.id).where(
        grants.c.tenant_id == town.tenant_id,
        grants.c.account_id == town[login].id,
        grants.c.valid_to.is_(None),
    )
    newest = (await town.rows(held.order_by(grants.c.valid_from.desc(), grants.c.id.desc())))[0].id
    return {
        "Authorization": f"Bearer {town.token(town[login].id, version)}",
        "X-Acting-Grant": str(newest),
    }


async def call(
    hands: Hands, login: str, method: str, path: str, body: Any = None, **more: str
) -> httpx.Response:
    sent = {**await headers(hands, login), **{name.replace("_", "-"): value for name, value in more.items()}}
    return (
        await hands.client.request(
            method, f"/v1{path}", json=body if body is not None or method == "GET" else {}, headers=sent
        )
        if method != "DELETE"
        else await hands.client.delete(f"/v1{path}", headers=sent)
    )


async def good(hands: Hands, login: str, method: str, path: str, body: Any = None, **more: str) -> Any:
    answer = await call(hands, login, method, path, body, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


def form(hands: Hands, community: str = "community-1", **more: Any) -> dict[str, Any]:
    return {
        "community_id": str(hands.town.places[community]),
        "items": ["elder_care", "home_repair"],
        "skills": [{"code": "electrician", "name": "持证电工", "proof": "T430", "expires_on": "2028-05-31"}],
        "after_hours": True,
        "languages": ["普通话", "湘语"],
        **more,
    }


async def filed(hands: Hands, login: str = "resident-1", **more: Any) -> dict[str, Any]:
    told = await good(hands, login, "PUT", "/me/checkin", form(hands, **more))
    checkin: dict[str, Any] = told["checkin"]
    return checkin


async def enrolled(hands: Hands, login: str = "resident-1", by: str = "dispatcher-1", **more: Any) -> dict:
    checkin = await filed(hands, login, **more)
    told: dict = await good(hands, by, "POST", f"/checkins/{checkin['id']}/approve")
    return told


async def problem(hands: Hands, *asked: Any, **more: str) -> tuple[int, str]:
    answer = await call(hands, *asked, **more)
    return answer.status_code, answer.json()["code"]


async def test_a_form_is_filed_approved_with_a_receipt_and_the_member_is_active_there(hands: Hands):
    town = hands.town
    checkin = await filed(hands, home_place_id=str(town.places["grid-11"]), address="3栋2单元501")
    assert (checkin["kind"], checkin["state_label"], checkin["receipt"]) == ("new", "待审核", None)
    assert (await good(hands, "resident-1", "GET", "/me/checkin"))["member"] is None

    listed = await good(hands, "dispatcher-1", "GET", "/checkins?state=filed")
    assert [line["id"] for line in listed["items"]] == [checkin["id"]]
    told = await good(hands, "dispatcher-1", "POST", f"/checkins/{checkin['id']}/approve")
    assert (told["state"], told["receipt"]) == ("approved", "H20261122-000001")
    assert told["form"]["address"] is None

    mine = await good(hands, "resident-1", "GET", "/me/checkin")
    member = mine["member"]
    assert (member["state"], member["renew_by"]) == ("active", "2027-05-22")
    assert member["grid_id"] == str(town.places["grid-11"])
    assert {time["weekday"] for time in member["free_times"]} == set(range(1, 8))
    assert mine["checkin"]["form"]["address"] == "3栋2单元501"
    assert [(line["kind"], line["of"]["name"], line["until_at"]) for line in mine["history"]] == [
        ("checkin", "community-1", None)
    ]
    key = private(town.tenant_id, address_key(town.places["community-1"], "三号楼2单元501室"))
    lives = select(accounts.c.id).where(accounts.c.tenant_id == town.tenant_id, accounts.c.address_key == key)
    assert [row.id for row in await town.rows(lives)] == [town["resident-1"].id]


async def test_a_member_with_a_grid_is_the_audience_of_the_grid_and_of_what_lies_above(hands: Hands):
    town = hands.town
    await enrolled(hands, "resident-2", home_place_id=str(town.places["grid-11"]))
    await enrolled(hands, "resident-3", home_place_id=str(town.places["grid-12"]))
    for ring, sees in (("grid-11", {"resident-2"}), ("community-1", {"resident-2", "resident-3"})):
        order = await hands.accepted("resident-1", place_id=str(town.places["grid-11"]))
        await hands.move("dispatcher-1", order, "dispatch", mode="open", ring_place_id=str(town.places[ring]))
        for login in ("resident-2", "resident-3"):
            pool = await good(hands, login, "GET", "/orders?view=pool&limit=50")
            assert (order["id"] in {line["id"] for line in pool["items"]}) == (login in sees), (ring, login)
    order = await hands.accepted("resident-1", place_id=str(town.places["grid-11"]))
    found = await good(
        hands,
        "dispatcher-1",
        "GET",
        f"/orders/{order['id']}/candidates?limit=50&ring_place_id={town.places['grid-11']}",
    )
    can = {line["name"]: line for line in found["items"]}
    assert can["resident-2"]["eligible"]
    assert "outside_ring" in can["resident-3"]["why_not"]


async def test_a_form_is_returned_with_a_reason_and_may_be_filed_again(hands: Hands):
    checkin = await filed(hands)
    path = f"/checkins/{checkin['id']}/return"
    await good(hands, "dispatcher-1", "POST", path, {"text": "电工证已过期，请补充新证。"})
    mine = (await good(hands, "resident-1", "GET", "/me/checkin"))["checkin"]
    assert (mine["state"], mine["reason"]) == ("returned", "电工证已过期，请补充新证。")
    assert await problem(hands, "dispatcher-1", "POST", f"/checkins/{checkin['id']}/approve") == (
        409,
        "CHECKIN_DECIDED",
    )
    again = await filed(hands)
    assert again["id"] != checkin["id"]
    assert (await filed(hands, items=["tutoring"]))["id"] == again["id"], "it replaces the one that waits"


async def test_street_and_district_read_members_by_masked_name_wherever_they_stand(hands: Hands):
    await checks_in(hands, "member-1", "elder_care")
    checkin = await filed(hands)
    order = await hands.accepted("resident-2")

    async def names(login: str) -> list[set[str]]:
        listed = (await good(hands, login, "GET", "/checkins?state=filed"))["items"]
        one = await good(hands, login, "GET", f"/checkins/{checkin['id']}")
        found = (await good(hands, login, "GET", f"/orders/{order['id']}/candidates?limit=50"))["items"]
        ran = (await good(hands, login, "POST", "/matching/run", {"dry_run": True}))["items"]
        people = [*found, *(who for line in ran for who in line["takers"])]
        assert any(line["takers"] for line in ran)
        return [
            {line["name"] for line in listed} | {one["name"]},
            {line["name"] for line in people if line["kind"] == "member"},
            {line["name"] for line in found if line["kind"] == "unit"},
        ]

    filers, candidates, units = await names("dispatcher-1")
    assert (filers, "member-1" in candidates, "unit-1" in units) == ({"resident-1"}, True, True)
    for login in ("street-1", "district-1"):
        filers, candidates, units = await names(login)
        assert (filers, "unit-1" in units) == ({"r********1"}, True)
        assert candidates
        assert all("*" in name for name in candidates)
    mine = await good(hands, "resident-1", "GET", "/me/checkin")
    assert mine["checkin"]["name"] == "resident-1"


async def test_only_those_who_look_after_the_community_decide_and_nobody_on_himself(hands: Hands):
    checkin = await filed(hands)
    path = f"/checkins/{checkin['id']}/approve"
    assert await problem(hands, "dispatcher-2", "POST", path) == (404, "CHECKIN_NOT_FOUND")
    assert await problem(hands, "resident-1", "POST", path) == (403, "OWN_CHECKIN")
    assert await problem(hands, "member-1", "GET", "/checkins") == (403, "ROLE_FORBIDDEN")
    own = await filed(hands, "dispatcher-1")
    assert await problem(hands, "dispatcher-1", "POST", f"/checkins/{own['id']}/approve") == (
        403,
        "OWN_CHECKIN",
    )
    assert (await call(hands, "street-1", "POST", f"/checkins/{own['id']}/approve")).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"items": ["astrology"]}, "items"),
        ({"items": ["tutoring", "tutoring"]}, "items"),
        (
            {"after_hours": False, "free_times": [{"weekday": 1, "from": "10:00", "to": "09:00"}]},
            "free_times",
        ),
        (
            {
                "after_hours": False,
                "free_times": [
                    {"weekday": 1, "from": "09:00", "to": "11:00"},
                    {"weekday": 1, "from": "10:00", "to": "12:00"},
                ],
            },
            "free_times",
        ),
        ({"most_a_day": 3, "most_a_week": 2}, "most_a_week"),
        ({"born_on": "2030-01-01"}, "born_on"),
    ],
)
async def test_a_senseless_form_is_refused_by_field_and_changes_nothing(
    hands: Hands, wrong: dict, field: str
):
    answer = await call(hands, "resident-1", "PUT", "/me/checkin", form(hands, **wrong))
    assert (answer.status_code, answer.json()["errors"][0]["loc"][1]) == (422, field), answer.text
    assert (await good(hands, "resident-1", "GET", "/me/checkin"))["checkin"] is None


async def test_if_match_holds_against_a_form_filed_from_another_device(hands: Hands):
    await filed(hands)
    path = "/me/checkin"
    answer = await call(hands, "resident-1", "PUT", path, form(hands), If_Match='"0"')
    assert (answer.status_code, answer.json()["version"]) == (412, 1)
    assert (await good(hands, "resident-1", "PUT", path, form(hands), If_Match='"1"'))["checkin"][
        "version"
    ] == 2


@pytest.mark.parametrize("decision", ["approve", "return"])
async def test_if_match_holds_against_deciding_on_a_form_that_was_not_seen(hands: Hands, decision: str):
    checkin = await filed(hands)
    await filed(hands, skills=[{"code": "doctor", "name": "医师", "proof": "X1"}])
    path, body = f"/checkins/{checkin['id']}/{decision}", {"text": "缺证"} if decision == "return" else {}
    answer = await call(hands, "dispatcher-1", "POST", path, body, If_Match='"1"')
    assert (answer.status_code, answer.json()["version"]) == (412, 2)
    told = await good(hands, "dispatcher-1", "POST", path, body, If_Match='"2"')
    assert told["state"] == {"approve": "approved", "return": "returned"}[decision]


async def test_an_approval_judges_what_stands_now_and_not_when_it_was_filed(hands: Hands):
    town = hands.town
    moving = await filed(hands, "resident-3", community="community-2")
    assert moving["kind"] == "new"
    async with town.database.writing() as db:
        id, there = town["resident-3"].id, town.places["community-1"]
        await people.add_member(db, town.tenant_id, id, there, at=town.made)
    order = await hands.open_()
    taken = await call(hands, "resident-3", "POST", f"/orders/{order['id']}/take")
    assert taken.status_code == 200, taken.text
    path = f"/checkins/{moving['id']}/approve"
    assert await problem(hands, "dispatcher-2", "POST", path) == (409, "TAKES_IN_HAND")
    finish = {"result": "已陪同复查并送回家。", "closing": "solved"}
    done = await call(hands, "resident-3", "POST", f"/orders/{order['id']}/finish", finish)
    assert done.status_code == 200, done.text
    assert (await good(hands, "dispatcher-2", "POST", path))["kind"] == "transfer"


async def test_a_unit_that_left_service_meanwhile_takes_nobody_in(hands: Hands):
    town = hands.town
    checkin = await filed(hands, unit_id=str(town.bodies["unit-1"]))
    async with town.database.writing() as db:
        await people.retire_body(db, town.tenant_id, town.bodies["unit-1"], at=town.made)
    path = f"/checkins/{checkin['id']}/approve"
    assert await problem(hands, "dispatcher-1", "POST", path) == (404, "BODY_NOT_FOUND")
    assert (await good(hands, "resident-1", "GET", "/me/checkin"))["checkin"]["state"] == "filed"


async def test_another_community_is_a_transfer_and_the_past_stays(hands: Hands, clock: Clock):
    await enrolled(hands)
    clock.pass_(days=40)
    checkin = await filed(hands, community="community-2")
    assert checkin["kind"] == "transfer"
    assert (await good(hands, "resident-1", "GET", "/me/checkin"))["member"]["state"] == "active"
    await good(hands, "dispatcher-2", "POST", f"/checkins/{checkin['id']}/approve")
    mine = await good(hands, "resident-1", "GET", "/me/checkin")
    assert mine["member"]["community_id"] == str(hands.town.places["community-2"])
    assert [line["of"]["name"] for line in mine["history"]] == ["community-2", "community-1"]
    assert mine["history"][0]["from_at"] == mine["history"][1]["until_at"]

    async def there(login: str, place: str, on: str) -> list[str]:
        path = f"/belongings?place_id={hands.town.places[place]}&on={on}"
        told = await good(hands, login, "GET", path)
        return [line["party"]["name"] for line in told["items"]]

    assert await there("dispatcher-1", "community-1", "2026-12-31") == ["resident-1"]
    assert await there("dispatcher-1", "community-1", "2027-01-01") == []
    assert await there("dispatcher-2", "community-2", "2027-01-01") == ["resident-1"]
    assert await there("street-1", "street-1", "2027-01-01") == ["r********1"], "masked"
    assert await there("street-1", "street-1", "2026-11-21") == []
    forbidden = f"/belongings?place_id={hands.town.places['community-2']}"
    assert await problem(hands, "dispatcher-1", "GET", forbidden) == (403, "ROLE_FORBIDDEN")


async def test_who_holds_an_order_neither_leaves_nor_moves(hands: Hands):
    order = await hands.taken("member-1")
    assert await problem(hands, "member-1", "POST", "/me/checkin/leave") == (409, "TAKES_IN_HAND")
    moving = await filed(hands, "member-1", community="community-2")
    path = f"/checkins/{moving['id']}/approve"
    assert await problem(hands, "dispatcher-2", "POST", path) == (409, "TAKES_IN_HAND")
    ending = f"/members/{hands.town['member-1'].id}/end"
    assert await problem(hands, "dispatcher-1", "POST", ending) == (409, "TAKES_IN_HAND")
    await hands.move("member-1", order, "finish", result="已陪同复查并送回家。", closing="solved")
    await good(hands, "dispatcher-2", "POST", path)


async def test_who_leaves_sees_no_pool_and_the_record_stays(hands: Hands):
    await enrolled(hands, "member-1")
    told = await good(hands, "member-1", "POST", "/me/checkin/leave")
    assert told["member"]["state"] == "ended"
    gone = select(grants.c.valid_to).where(
        grants.c.tenant_id == hands.town.tenant_id,
        grants.c.account_id == hands.town["member-1"].id,
        grants.c.role == Role.MEMBER,
    )
    assert all(row.valid_to is not None for row in await hands.town.rows(gone))


async def test_who_left_and_holds_no_other_role_may_check_in_again(hands: Hands):
    """Whether the member or the community ended it: what is one's own needs no grant."""
    town = hands.town

    async def asks(login: str, method: str, path: str, body: Any) -> httpx.Response:
        mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == town[login].id
        version = (await town.rows(select(accounts.c.grants_version).where(*mine)))[0].grants_version
        token = {"Authorization": f"Bearer {town.token(town[login].id, version)}"}
        return await hands.client.request(method, f"/v1{path}", json=body, headers=token)

    await good(hands, "member-1", "POST", "/me/checkin/leave")
    await good(hands, "dispatcher-1", "POST", f"/members/{town['member-2'].id}/end")
    for login in ("member-1", "member-2"):
        again = await asks(login, "PUT", "/me/checkin", form(hands))
        assert again.status_code == 200, again.text
        withdrawn = await asks(login, "POST", "/me/checkin/withdraw", {})
        assert withdrawn.json()["checkin"]["state"] == "withdrawn"
        refused = await asks(login, "POST", "/me/checkin/renew", {})
        assert (refused.status_code, refused.json()["code"]) == (409, "NOT_CHECKED_IN")
        again = await asks(login, "PUT", "/me/checkin", form(hands))
        path = f"/checkins/{again.json()['checkin']['id']}/approve"
        await good(hands, "dispatcher-1", "POST", path)
        assert (await good(hands, login, "GET", "/me/checkin"))["member"]["state"] == "active"


async def test_the_community_ends_a_membership_of_its_own_only(hands: Hands):
    path = f"/members/{hands.town['member-1'].id}/end"
    assert await problem(hands, "dispatcher-2", "POST", path) == (404, "ACCOUNT_NOT_FOUND")
    assert await good(hands, "dispatcher-1", "POST", path) == {
        "account_id": str(hands.town["member-1"].id),
        "state": "ended",
    }
    assert await problem(hands, "dispatcher-1", "POST", path) == (404, "ACCOUNT_NOT_FOUND")


async def candidate(hands: Hands, order: dict, login: str) -> dict:
    found = await good(hands, "dispatcher-1", "GET", f"/orders/{order['id']}/candidates?limit=50")
    return next(line for line in found["items"] if line["id"] == str(hands.town[login].id))


async def test_on_leave_a_member_is_not_offered_and_after_it_again(hands: Hands, clock: Clock):
    await enrolled(hands, "member-1")
    order = await hands.accepted()
    assert (await candidate(hands, order, "member-1"))["eligible"]
    told = await good(
        hands, "member-1", "POST", "/me/leaves", {"first_day": "2026-11-23", "last_day": "2026-11-24"}
    )
    assert told["member"]["leaves"] == [{"first_day": "2026-11-23", "last_day": "2026-11-24"}]
    assert (await candidate(hands, order, "member-1"))["eligible"], "not yet"
    wanted = {"wanted_from": "2026-11-24T09:00:00+08:00", "wanted_to": "2026-11-24T11:00:00+08:00"}
    ahead = await hands.accepted(**wanted)
    assert "on_leave" in (await candidate(hands, ahead, "member-1"))["why_not"], "away on the wanted day"
    clock.pass_(days=1)
    assert (await candidate(hands, order, "member-1"))["why_not"] == ["on_leave"]
    overlapping = {"first_day": "2026-11-24", "last_day": "2026-11-30"}
    answer = await call(hands, "member-1", "POST", "/me/leaves", overlapping)
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (422, "与已有的请假重叠")
    told = await good(hands, "member-1", "DELETE", "/me/leaves/2026-11-23")
    assert told["member"]["leaves"] == []
    assert (await candidate(hands, order, "member-1"))["eligible"]


async def test_a_members_own_limit_counts_what_is_taken_and_what_waits_for_an_answer(
    hands: Hands, clock: Clock
):
    await enrolled(hands, "member-1", most_a_day=1)
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town["member-1"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets)
    other = await hands.accepted("resident-2")
    assert (await candidate(hands, other, "member-1"))["why_not"] == ["own_limit"]
    await hands.post("member-1", f"/v1/orders/{order['id']}/take")
    taken = await call(hands, "member-1", "POST", f"/orders/{order['id']}/take")
    assert taken.status_code == 200, taken.text
    assert (await candidate(hands, other, "member-1"))["why_not"] == ["own_limit"]
    clock.pass_(hours=25)
    assert (await candidate(hands, other, "member-1"))["eligible"]


async def test_hours_and_limits_are_the_members_own_and_hold_at_once(hands: Hands):
    await enrolled(hands)
    body = {"free_times": [{"weekday": 6, "from": "09:00", "to": "12:00"}], "most_a_week": 2}
    member = (await good(hands, "resident-1", "PUT", "/me/checkin/hours", body))["member"]
    assert (member["free_times"], member["most_a_week"], member["languages"]) == (body["free_times"], 2, [])
    assert await problem(hands, "resident-2", "PUT", "/me/checkin/hours", body) == (409, "NOT_CHECKED_IN")


async def passed(hands: Hands, database: Database, clock: Clock, day: date) -> None:
    clock.now = datetime.combine(day, T0.timetz())
    zone = ZoneInfo("Asia/Shanghai")
    async with database.writing() as db:
        await timers.remind(db, hands.town.tenant_id, zone, at=clock.now, limit=200)
    async with database.writing() as db:
        await timers.lapse(db, hands.town.tenant_id, zone, at=clock.now, limit=200)


async def told_of(hands: Hands, login: str) -> list[str]:
    mine = notices.c.tenant_id == hands.town.tenant_id, notices.c.account_id == hands.town[login].id
    rows = await hands.town.rows(select(notices.c.event).where(*mine).order_by(notices.c.created_at))
    return [row.event for row in rows]


async def test_renewal_is_reminded_once_lapses_after_ten_working_days_and_one_word_lifts_it(
    hands: Hands, database: Database, clock: Clock
):
    await enrolled(hands)  # until 2027-05-22, a Saturday
    await passed(hands, database, clock, date(2027, 5, 7))
    assert await told_of(hands, "resident-1") == []
    for day in (8, 9, 23):
        await passed(hands, database, clock, date(2027, 5, day))
    assert await told_of(hands, "resident-1") == ["checkin.renew"]
    await passed(hands, database, clock, date(2027, 6, 4))
    assert (await good(hands, "resident-1", "GET", "/me/checkin"))["member"]["state"] == "active"
    await passed(hands, database, clock, date(2027, 6, 6))
    await passed(hands, database, clock, date(2027, 6, 7))
    assert await told_of(hands, "resident-1") == ["checkin.renew", "checkin.lapsed"]
    mine = await good(hands, "resident-1", "GET", "/me/checkin")
    assert (mine["member"]["state"], mine["member"]["state_label"]) == ("lapsed", "未续报")
    order = await hands.accepted("resident-2")
    found = await good(hands, "dispatcher-1", "GET", f"/orders/{order['id']}/candidates?limit=50")
    mine = next(line for line in found["items"] if line["name"] == "resident-1")
    assert mine["why_not"][0] == "suspended"
    told = await good(hands, "resident-1", "POST", "/me/checkin/renew")
    assert (told["member"]["state"], told["member"]["renew_by"]) == ("active", "2027-12-07")


async def test_one_word_twice_is_one_renewal(hands: Hands, clock: Clock):
    await enrolled(hands)
    clock.pass_(days=170)
    told = [await good(hands, "resident-1", "POST", "/me/checkin/renew") for _ in range(3)]
    assert {one["member"]["renew_by"] for one in told} == {"2027-11-22"}


async def test_a_leave_too_many_is_refused_and_none_is_dropped(hands: Hands):
    await enrolled(hands)
    for n in range(20):
        day = (date(2026, 12, 10) + timedelta(days=2 * n)).isoformat()
        await good(hands, "resident-1", "POST", "/me/leaves", {"first_day": day, "last_day": day})
    one = {"first_day": "2026-11-22", "last_day": "2026-11-25"}
    answer = await call(hands, "resident-1", "POST", "/me/leaves", one)
    assert (answer.status_code, answer.json()["errors"][0]["loc"][1]) == (422, "first_day")
    assert len((await good(hands, "resident-1", "GET", "/me/checkin"))["member"]["leaves"]) == 20


async def test_a_guardians_consent_of_a_day_to_come_is_none(hands: Hands):
    town = hands.town
    minor = form(hands, born_on="2012-01-01", guardian_consent_on="2099-01-01", skills=[])
    answer = await call(hands, "resident-1", "PUT", "/me/checkin", minor)
    assert (answer.status_code, answer.json()["errors"][0]["loc"][1]) == (422, "guardian_consent_on")
    await enrolled(hands, born_on="2012-01-01", guardian_consent_on="2026-11-22", skills=[])
    order = await hands.accepted("resident-2")
    assert "no_guardian_consent" not in (await candidate(hands, order, "resident-1"))["why_not"]
    mine = members.c.tenant_id == town.tenant_id, members.c.account_id == town["resident-1"].id
    async with town.database.writing() as db:
        await db.execute(update(members).where(*mine).values(guardian_consent_on=date(2099, 1, 1)))
    assert "no_guardian_consent" in (await candidate(hands, order, "resident-1"))["why_not"]


async def test_who_was_suspended_otherwise_is_not_brought_back_by_renewing(hands: Hands):
    await enrolled(hands)
    mine = members.c.tenant_id == hands.town.tenant_id, members.c.account_id == hands.town["resident-1"].id
    async with hands.town.database.writing() as db:
        await db.execute(update(members).where(*mine).values(state="suspended"))
    told = await good(hands, "resident-1", "POST", "/me/checkin/renew")
    assert told["member"]["state"] == "suspended"


async def test_no_form_lifts_a_suspension_that_somebody_decided(hands: Hands):
    town = hands.town
    async with town.database.writing() as db:
        await people.suspend_member(db, town.tenant_id, town["member-1"].id)
    checkin = await filed(hands, "member-1")
    await good(hands, "dispatcher-1", "POST", f"/checkins/{checkin['id']}/approve")
    assert (await good(hands, "member-1", "GET", "/me/checkin"))["member"]["state"] == "suspended"


async def test_the_desk_and_the_member_are_told_once(hands: Hands, database: Database, clock: Clock):
    await enrolled(hands)
    for _ in range(2):
        await relay(database, clock.now + timedelta(seconds=1), REACTIONS)
    assert await told_of(hands, "dispatcher-1") == ["checkin.filed"]
    assert await told_of(hands, "resident-1") == ["checkin.approved"]
    listed = await good(hands, "resident-1", "GET", "/me/notices")
    assert listed["items"][0]["text"].endswith("回执号H20261122-000001。")
    assert listed["items"][0]["order_id"] is None


async def test_approving_twice_with_a_key_answers_again_and_gives_one_receipt(hands: Hands):
    checkin = await filed(hands)
    path, key = f"/checkins/{checkin['id']}/approve", {"Idempotency_Key": "once-and-again"}
    first = await good(hands, "dispatcher-1", "POST", path, **key)
    answer = await call(hands, "dispatcher-1", "POST", path, **key)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (200, "true")
    assert answer.json()["receipt"] == first["receipt"]


async def test_what_changes_neither_place_nor_grid_ends_no_session(hands: Hands):
    await enrolled(hands)
    token = await headers(hands, "resident-1")
    await enrolled(hands, items=["tutoring"])
    assert (await hands.client.get("/v1/me/checkin", headers=token)).status_code == 200
    await enrolled(hands, home_place_id=str(hands.town.places["grid-11"]))
    refused = await hands.client.get("/v1/me/checkin", headers=token)
    assert refused.json()["code"] == "AUTH_TOKEN_REVOKED"


async def test_withdrawing_leaves_what_stands_alone(hands: Hands):
    await enrolled(hands)
    await filed(hands, items=["tutoring"])
    told = await good(hands, "resident-1", "POST", "/me/checkin/withdraw")
    assert (told["checkin"]["state"], told["member"]["items"]) == ("withdrawn", ["elder_care", "home_repair"])
    assert (await good(hands, "resident-1", "POST", "/me/checkin/withdraw"))["checkin"][
        "state"
    ] == "withdrawn"
    assert await problem(hands, "resident-2", "POST", "/me/checkin/withdraw") == (404, "CHECKIN_NOT_FOUND")


async def test_who_is_forgotten_leaves_no_form_and_the_counts_of_the_past_stay(
    hands: Hands, database: Database, clock: Clock
):
    town = hands.town
    await enrolled(hands, address="3栋2单元501", most_a_day=1)
    clock.pass_(days=3)
    asked = await call(hands, "resident-1", "POST", "/me/deletion")
    assert asked.json()["status"] == "done", asked.text
    mine = checkins.c.tenant_id == town.tenant_id, checkins.c.account_id == town["resident-1"].id
    assert [(row.form, row.state) for row in await town.rows(select(checkins).where(*mine))] == [
        (None, "approved")
    ]
    row = (
        await town.rows(
            select(members.c.leaves, members.c.languages, members.c.most_a_day, members.c.state).where(
                members.c.tenant_id == town.tenant_id, members.c.account_id == town["resident-1"].id
            )
        )
    )[0]
    assert tuple(row) == ([], [], None, "ended")
    for on, count in (("2026-11-23", 1), ("2026-11-25", 0)):
        path = f"/belongings?place_id={town.places['community-1']}&on={on}"
        assert len((await good(hands, "dispatcher-1", "GET", path))["items"]) == count


async def test_the_file_of_ones_own_data_holds_the_forms_and_the_periods(
    hands: Hands, database: Database, clock: Clock
):
    await enrolled(hands, address="3栋2单元501")
    export = await good(hands, "resident-1", "POST", "/me/exports")
    await make_exports(database, clock.now)
    answer = await call(hands, "resident-1", "GET", f"/me/exports/{export['id']}/file")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        account = json.loads(packed.read("account.json"))
    assert account["checkins"][0]["form"]["address"] == "3栋2单元501"
    assert [line["of"] for line in account["belongings"]] == ["community-1"]


async def test_a_day_beyond_the_calendar_is_refused_and_breaks_nothing(hands: Hands):
    await enrolled(hands)
    place = hands.town.places["community-1"]
    liaison = {"name": "李敏", "phone": "13800001111"}
    agreement = {"kind": "unit", "name": "医院", "place_id": str(place), "liaisons": [liaison]}
    asked = [
        ("GET", f"/belongings?place_id={place}&on={{}}", None),
        ("POST", "/registrations", {**agreement, "from_on": "{}"}),
        ("POST", "/me/leaves", {"first_day": "{}", "last_day": "{}"}),
        ("PUT", "/me/checkin", form(hands, born_on="{}")),
    ]
    for day in ("0001-01-01", "1899-12-31", "2200-01-01", "9997-01-01", "9999-12-31"):
        for method, path, body in asked:
            told = json.loads(json.dumps(body).replace("{}", day))
            answer = await call(hands, "resident-1", method, path.replace("{}", day), told)
            assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED"), (day, path)
    there = f"/belongings?place_id={place}&on=2199-12-31"
    assert (await call(hands, "dispatcher-1", "GET", there)).status_code == 200
