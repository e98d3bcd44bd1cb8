"""资源清单, 需求清单, 双向认领: what is published, who sees and claims it, and what becomes of a claim."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update

from dispatch.domain.listings import ClaimState
from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.people.tables import bodies
from dispatch.wiring import REACTIONS
from tests.claiming import HALL, NEED, RICE, WEEK, act_on, claim, hours, publish, try_claim
from tests.town import T0, Clock, Hands


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def _listed(hands: Hands, login: str, **params: Any) -> set[str]:
    answer = await hands.get(login, "/v1/listings", **params)
    assert answer.status_code == 200, answer.text
    return {item["title"] for item in answer.json()["items"]}


async def test_who_left_service_lists_nothing_that_can_be_claimed(hands: Hands):
    """Its venue stays readable to who has its id, and is back with the body."""
    town = hands.town
    hall = await publish(hands, **HALL)
    mine = bodies.c.tenant_id == town.tenant_id, bodies.c.id == town.bodies["unit-1"]
    for retired_at, listed in ((town.made, False), (None, True)):
        async with town.database.writing() as db:
            await db.execute(update(bodies).where(*mine).values(retired_at=retired_at))
        assert (hall["title"] in await _listed(hands, "dispatcher-1")) == listed
        answer = await try_claim(hands, "dispatcher-1", hall, **hours(9, 11))
        assert _code(answer) == (409, "LISTING_CLOSED") if not listed else answer.status_code == 201
        assert (await hands.get("dispatcher-1", f"/v1/listings/{hall['id']}")).status_code == 200


async def test_a_unit_offers_and_the_community_claims_and_both_know_how_it_ended(hands: Hands, clock: Clock):
    hall = await publish(hands, **HALL, seats=80, spot="柳溪路12号", terms="用后打扫。")
    assert (hall["publisher"]["name"], hall["kind_label"], hall["own"]) == ("unit-1", "场地", True)
    made = await claim(hands, "dispatcher-1", hall, **hours(9, 11))
    assert (made["claimant"]["name"], made["state_label"]) == ("community-1", "待确认")
    assert [move["act"] for move in made["moves"]] == ["cancel"]
    confirmed = (await act_on(hands, "unit-1", made, "confirm")).json()
    assert (confirmed["state"], confirmed["starts_at"][11:16]) == ("confirmed", "09:00")
    assert [(move["act"], move["needs"]) for move in confirmed["moves"]] == [
        ("cancel", ["reason"]),
        ("deliver", ["note"]),
    ]
    early = await act_on(hands, "unit-1", made, "deliver", note="来了五十八人。")
    assert _code(early) == (422, "VALIDATION_FAILED")
    clock.pass_(days=4)
    ended = (await act_on(hands, "dispatcher-1", made, "deliver", note="来了五十八人。")).json()
    assert (ended["state_label"], ended["note"], ended["moves"]) == ("已兑现", "来了五十八人。", [])


async def test_a_unit_claims_part_of_a_demand_and_another_the_rest(hands: Hands):
    await hands.town.body("unit-2", "unit", "community-1")
    await hands.town.person("unit-2", Role.UNIT_ADMIN, body="unit-2")
    order = await hands.accepted()
    demand = await publish(
        hands, "dispatcher-1", **{**RICE, "side": "demand", "quantity": 30}, order_id=order["id"]
    )
    assert (demand["left"], demand["order_id"]) == (30, order["id"])
    first = await claim(hands, "unit-1", demand, quantity=20)
    seen = (await hands.get("unit-2", f"/v1/listings/{demand['id']}")).json()
    assert (seen["left"], seen["order_id"]) == (10, None)
    much = await try_claim(hands, "unit-2", demand, quantity=11)
    assert (_code(much), much.json()["left"]) == ((409, "NOT_ENOUGH_LEFT"), 10)
    await claim(hands, "unit-2", demand, quantity=10)
    assert (await act_on(hands, "dispatcher-1", first, "confirm")).json()["state"] == "confirmed"
    assert _code(await try_claim(hands, "unit-1", demand)) in {
        (409, "NOT_ENOUGH_LEFT"),
        (409, "ALREADY_CLAIMED"),
    }


async def test_who_has_an_open_claim_does_not_claim_again(hands: Hands):
    rice = await publish(hands, **RICE)
    await claim(hands, "dispatcher-1", rice, quantity=2)
    assert _code(await try_claim(hands, "dispatcher-1", rice)) == (409, "ALREADY_CLAIMED")


async def test_what_is_declined_or_cancelled_can_be_claimed_again(hands: Hands):
    rice = await publish(hands, **RICE)
    for act, login, said in (
        ("decline", "unit-1", {"reason": "已另有安排。"}),
        ("cancel", "dispatcher-1", {}),
    ):
        made = await claim(hands, "dispatcher-1", rice, quantity=10)
        assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 0
        assert (await act_on(hands, login, made, act, **said)).status_code == 200
        assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 10
    given = await claim(hands, "dispatcher-1", rice, quantity=4)
    await act_on(hands, "unit-1", given, "confirm")
    await act_on(hands, "unit-1", given, "deliver", note="已送到。")
    assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 6


async def test_each_side_does_what_is_its_own_and_strangers_do_not_know_of_it(hands: Hands):
    rice = await publish(hands, **RICE)
    made = await claim(hands, "dispatcher-1", rice)
    assert _code(await act_on(hands, "dispatcher-1", made, "confirm")) == (403, "ROLE_FORBIDDEN")
    assert _code(await act_on(hands, "unit-1", made, "cancel")) == (403, "ROLE_FORBIDDEN")
    for login in ("member-1", "resident-1", "dispatcher-2", "team-1", "street-2", "reporter-1"):
        assert _code(await hands.get(login, f"/v1/claims/{made['id']}")) == (404, "CLAIM_NOT_FOUND"), login
        assert (await hands.get(login, "/v1/claims")).json()["items"] == []
    for login in ("unit-1", "dispatcher-1", "secretary-1", "street-1", "district-1"):
        assert [c["id"] for c in (await hands.get(login, "/v1/claims")).json()["items"]] == [made["id"]]
    assert _code(await act_on(hands, "unit-1", made, "decline")) == (422, "VALIDATION_FAILED")
    await act_on(hands, "unit-1", made, "confirm")
    again = await act_on(hands, "unit-1", made, "confirm")
    assert (_code(again), again.json()["state"]) == ((409, "CLAIM_MOVED"), "confirmed")
    assert _code(await act_on(hands, "unit-1", made, "cancel")) == (422, "VALIDATION_FAILED")
    assert (await act_on(hands, "street-1", made, "cancel", reason="活动改期。")).json()[
        "state"
    ] == "cancelled"


async def test_a_list_reaches_whom_it_is_published_for(hands: Hands):
    town = hands.town
    await publish(hands, **{**HALL, "title": "本社区的"})
    await publish(hands, **{**HALL, "title": "全街道的"}, audience_place_id=str(town.places["street-1"]))
    here, street = {"本社区的", "全街道的"}, {"全街道的"}
    reach = {"dispatcher-1": here, "resident-1": here, "member-1": here, "grid-1": here, "team-1": here}
    reach |= {"dispatcher-2": street, "resident-3": street, "street-1": street}
    reach |= {"street-2": set(), "department-1": set()}
    for login, titles in reach.items():
        assert await _listed(hands, login) == titles, login
    assert await _listed(hands, "street-1", mine="true") == here
    assert await _listed(hands, "unit-1", mine="true") == here
    assert await _listed(hands, "team-1", mine="true") == set()
    assert await _listed(hands, "dispatcher-1", side="demand") == set()
    abroad = await hands.post(
        "unit-1",
        "/v1/listings",
        {"side": "resource", **HALL, "audience_place_id": str(town.places["street-2"])},
    )
    assert _code(abroad) == (422, "VALIDATION_FAILED")


async def test_who_publishes_and_claims_what(hands: Hands):
    for login in ("resident-1", "member-1", "grid-1", "admin-1", "supervisor-1"):
        assert _code(await hands.post(login, "/v1/listings", {"side": "resource", **RICE})) == (
            403,
            "ROLE_FORBIDDEN",
        )
    assert _code(await hands.post("unit-1", "/v1/listings", NEED)) == (403, "ROLE_FORBIDDEN")
    rice = await publish(hands, **RICE)
    need = await publish(hands, "dispatcher-1", **NEED)
    assert _code(await try_claim(hands, "unit-1", rice)) == (409, "OWN_LISTING")
    assert _code(await try_claim(hands, "resident-1", rice)) == (403, "ROLE_FORBIDDEN")
    assert _code(await try_claim(hands, "secretary-1", need)) == (403, "ROLE_FORBIDDEN")
    assert _code(await try_claim(hands, "dispatcher-2", rice)) == (404, "LISTING_NOT_FOUND")
    assert (await claim(hands, "team-1", rice))["claimant"]["name"] == "team-1"
    assert (await claim(hands, "provider-1", need))["listing"]["side"] == "demand"
    shared = await publish(hands, "dispatcher-1", **HALL)
    assert (await claim(hands, "unit-1", shared, **hours(9, 10)))["publisher"]["name"] == "community-1"


async def test_a_retired_unit_promises_nothing_more(hands: Hands):
    town = hands.town
    need = await publish(hands, "dispatcher-1", **NEED)
    async with town.database.writing() as db:
        mine = (bodies.c.tenant_id == town.tenant_id, bodies.c.id == town.bodies["unit-1"])
        await db.execute(update(bodies).where(*mine).values(retired_at=T0))
    published = await hands.post("unit-1", "/v1/listings", {"side": "resource", **RICE})
    assert _code(published) == _code(await try_claim(hands, "unit-1", need)) == (403, "ROLE_FORBIDDEN")


async def test_what_is_withdrawn_is_off_the_list_its_requests_are_declined_and_promises_stay(hands: Hands):
    await hands.town.person("team-2", Role.TEAM_LEAD, body="team-1")
    rice = await publish(hands, **RICE)
    kept = await claim(hands, "dispatcher-1", rice, quantity=3)
    await act_on(hands, "unit-1", kept, "confirm")
    waiting = await claim(hands, "team-1", rice, quantity=4)
    assert _code(await hands.post("dispatcher-1", f"/v1/listings/{rice['id']}/withdraw")) == (
        403,
        "ROLE_FORBIDDEN",
    )
    for _ in range(2):
        gone = (await hands.post("unit-1", f"/v1/listings/{rice['id']}/withdraw")).json()
        assert (gone["state"], gone["left"]) == ("withdrawn", 7)
    assert await _listed(hands, "dispatcher-1") == set()
    declined = (await hands.get("team-2", f"/v1/claims/{waiting['id']}")).json()
    assert (declined["state"], declined["reason"]) == ("declined", "发布方已撤下。")
    assert (await hands.get("unit-1", f"/v1/claims/{kept['id']}")).json()["state"] == "confirmed"
    assert _code(await try_claim(hands, "team-1", rice)) == (409, "LISTING_CLOSED")


async def test_a_listing_ends_with_its_last_day_in_local_time(hands: Hands, clock: Clock):
    today = (T0 + timedelta(hours=8)).date()
    rice = await publish(hands, **RICE, ends_on=today.isoformat())
    assert await _listed(hands, "dispatcher-1") == {"大米"}
    clock.pass_(days=1)
    assert await _listed(hands, "dispatcher-1") == set()
    assert await _listed(hands, "unit-1", mine="true") == {"大米"}
    assert _code(await try_claim(hands, "dispatcher-1", rice)) == (409, "LISTING_CLOSED")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({**RICE, "quantity": None}, "quantity"),
        ({**HALL, "quantity": 3}, "quantity"),
        ({**RICE, "opening_hours": WEEK}, "opening_hours"),
        ({**RICE, "starts_on": "2026-12-02", "ends_on": "2026-12-01"}, "ends_on"),
        ({**HALL, "opening_hours": [{"weekday": 1, "from": "18:00", "to": "09:00"}]}, "opening_hours"),
        ({**HALL, "opening_hours": [{"weekday": 8, "from": "09:00", "to": "18:00"}]}, "weekday"),
        ({**RICE, "order_id": str(uuid4())}, "order_id"),
    ],
)
async def test_a_listing_says_what_fits_its_kind(hands: Hands, said: dict[str, Any], field: str):
    sent = {name: value for name, value in said.items() if value is not None}
    answer = await hands.post("unit-1", "/v1/listings", {"side": "resource", **sent})
    assert _code(answer) == (422, "VALIDATION_FAILED")
    assert field in answer.json()["errors"][0]["loc"]


async def test_a_demand_is_tied_only_to_an_order_that_its_publisher_sees(hands: Hands):
    theirs = await hands.file("resident-3")
    answer = await hands.post("dispatcher-1", "/v1/listings", {**NEED, "order_id": theirs["id"]})
    assert _code(answer) == (404, "ORDER_NOT_FOUND")


async def test_a_repeated_request_is_answered_and_not_done_again(hands: Hands):
    rice = await publish(hands, **RICE)
    key = {"Idempotency_Key": uuid4().hex}
    path, body = f"/v1/listings/{rice['id']}/claim", {"purpose": "慰问。", "quantity": 2}
    first, again = [await hands.post("dispatcher-1", path, body, **key) for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 8


async def test_both_sides_are_told_once_and_who_acted_is_not(hands: Hands, clock: Clock):
    rice = await publish(hands, **RICE)
    made = await claim(hands, "dispatcher-1", rice)
    await act_on(hands, "unit-1", made, "confirm")
    for _ in range(2):
        await relay(hands.town.database, clock.now, REACTIONS)

    async def told(login: str) -> list[tuple[str, str]]:
        items = (await hands.get(login, "/v1/me/notices")).json()["items"]
        assert all(item["order_id"] is None for item in items)
        return sorted((item["event"], item["claim_id"]) for item in items)

    assert await told("unit-1") == [("claim.requested", made["id"])]
    assert await told("dispatcher-1") == [("claim.confirmed", made["id"])]
    assert len(await told("secretary-1")) == 2
    assert await told("member-1") == await told("dispatcher-2") == []


async def test_counts_add_up_by_unit_and_community_and_reach_no_further_than_the_scope(hands: Hands):
    rice = await publish(hands, **RICE)
    await publish(hands, "dispatcher-1", **NEED)
    first = await claim(hands, "dispatcher-1", rice)
    await act_on(hands, "unit-1", first, "confirm")
    await act_on(hands, "unit-1", first, "deliver", note="已送到。")
    await claim(hands, "team-1", rice)

    async def counted(login: str, **params: Any) -> dict[str, tuple[int, ...]]:
        items = (await hands.get(login, "/v1/claims/counts", **params)).json()["items"]
        names = ("resources", "demands", "claimed", "confirmed", "delivered")
        return {item["body_name"] or item["place_name"]: tuple(item[n] for n in names) for item in items}

    everything = {"community-1": (0, 1, 1, 1, 1), "team-1": (0, 0, 1, 0, 0), "unit-1": (1, 0, 0, 0, 0)}
    assert await counted("dispatcher-1") == await counted("street-1") == everything
    assert await counted("unit-1") == {"unit-1": (1, 0, 0, 0, 0)}
    assert await counted("dispatcher-2") == await counted("resident-1") == {}
    assert await counted("street-1", ends_at=T0.isoformat()) == {}


# --- a venue's times ------------------------------------------------------------------------


async def test_a_venue_is_booked_within_its_hours_and_days_and_within_one_day(hands: Hands):
    hall = await publish(hands, **HALL, starts_on="2026-11-20", ends_on="2099-12-31")
    shut = {"8:30": hours(8.5, 10), "18:30": hours(17, 18.5), "night": hours(20, 22)}
    for name, time in shut.items():
        answer = await try_claim(hands, "dispatcher-1", hall, **time)
        assert (_code(answer), answer.json()["why"]) == ((409, "VENUE_SHUT"), "hours"), name
    for time in (hours(17, 33), hours(11, 10), hours(9, 10, day=-2), hours(9, 10, day=300), {}):
        assert _code(await try_claim(hands, "dispatcher-1", hall, **time)) == (422, "VALIDATION_FAILED")
    assert (await try_claim(hands, "dispatcher-1", hall, **hours(9, 18))).status_code == 201
    brief = await publish(
        hands, **{**HALL, "title": "明天为止"}, ends_on=(T0 + timedelta(days=1)).date().isoformat()
    )
    late = await try_claim(hands, "dispatcher-1", brief, **hours(9, 10))
    assert (_code(late), late.json()["why"]) == ((409, "VENUE_SHUT"), "days")


async def test_what_was_given_back_can_be_booked_again_and_the_diary_names_nobody(hands: Hands):
    hall = await publish(hands, **HALL)
    first = await claim(hands, "dispatcher-1", hall, **hours(9, 11))
    assert _code(await try_claim(hands, "team-1", hall, **hours(10, 12))) == (409, "VENUE_TAKEN")
    await claim(hands, "team-1", hall, **hours(11, 12))
    diary = (await hands.get("resident-1", f"/v1/listings/{hall['id']}/booked")).json()["items"]
    assert [(item["starts_at"][11:16], item["ends_at"][11:16]) for item in diary] == [
        ("09:00", "11:00"),
        ("11:00", "12:00"),
    ]
    assert set(diary[0]) == {"starts_at", "ends_at", "state"}
    await act_on(hands, "dispatcher-1", first, "cancel")
    assert (await claim(hands, "team-1", hall, **hours(9, 11)))["state"] == ClaimState.REQUESTED


async def test_a_request_whose_time_is_over_is_not_confirmed(hands: Hands, clock: Clock):
    hall = await publish(hands, **HALL)
    made = await claim(hands, "dispatcher-1", hall, **hours(9, 11))
    clock.pass_(days=5)
    assert _code(await act_on(hands, "unit-1", made, "confirm")) == (409, "TOO_LATE")
