"""资源清单, 需求清单, 双向认领: what is published, who sees and claims it, and what becomes of a claim."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.listings import HOLDS, Act, ClaimState
from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import ClaimMoved, VenueTaken
from dispatch.jobs.relay import relay
from dispatch.people import queries as people
from dispatch.resources import actions
from dispatch.resources.tables import claims, listings
from dispatch.wiring import REACTIONS
from tests.town import T0, Clock, Hands

Verb = Callable[[AsyncConnection], Awaitable[Any]]
WEEK = [{"weekday": day, "from": "09:00", "to": "18:00"} for day in range(1, 8)]
HALL = {"kind": "venue", "title": "图书馆报告厅", "text": "可容纳八十人。", "opening_hours": WEEK}
RICE = {"kind": "goods", "title": "大米", "text": "五公斤装。", "quantity": 10, "measure": "袋"}
NEED = {"side": "demand", "kind": "expertise", "title": "健康讲座讲师", "text": "每月一次。"}


async def _publish(hands: Hands, login: str = "unit-1", **said: Any) -> dict[str, Any]:
    answer = await hands.post(login, "/v1/listings", {"side": "resource", **said})
    assert answer.status_code == 201, answer.text
    listing: dict[str, Any] = answer.json()
    return listing


async def _try(hands: Hands, login: str, listing: dict[str, Any], **said: Any) -> httpx.Response:
    body = {"purpose": "社区活动。", **said}
    return await hands.post(login, f"/v1/listings/{listing['id']}/claim", body)


async def _claim(hands: Hands, login: str, listing: dict[str, Any], **said: Any) -> dict[str, Any]:
    answer = await _try(hands, login, listing, **said)
    assert answer.status_code == 201, answer.text
    claim: dict[str, Any] = answer.json()
    return claim


async def _act(hands: Hands, login: str, claim: dict[str, Any], act: str, **said: Any) -> httpx.Response:
    return await hands.post(login, f"/v1/claims/{claim['id']}/{act}", said)


def _hours(begins: float, ends: float, day: int = 3) -> dict[str, str]:
    """A time of a day to come, in local hours."""
    midnight = T0.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=day, hours=-8)
    times = {"starts_at": begins, "ends_at": ends}
    return {name: (midnight + timedelta(hours=hour)).isoformat() for name, hour in times.items()}


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def _listed(hands: Hands, login: str, **params: Any) -> set[str]:
    answer = await hands.get(login, "/v1/listings", **params)
    assert answer.status_code == 200, answer.text
    return {item["title"] for item in answer.json()["items"]}


async def test_a_unit_offers_and_the_community_claims_and_both_know_how_it_ended(hands: Hands, clock: Clock):
    hall = await _publish(hands, **HALL, seats=80, spot="柳溪路12号", terms="用后打扫。")
    assert (hall["publisher"]["name"], hall["kind_label"], hall["own"]) == ("unit-1", "场地", True)
    claim = await _claim(hands, "dispatcher-1", hall, **_hours(9, 11))
    assert (claim["claimant"]["name"], claim["state_label"]) == ("community-1", "待确认")
    assert [move["act"] for move in claim["moves"]] == ["cancel"]
    confirmed = (await _act(hands, "unit-1", claim, "confirm")).json()
    assert (confirmed["state"], confirmed["starts_at"][11:16]) == ("confirmed", "09:00")
    assert [(move["act"], move["needs"]) for move in confirmed["moves"]] == [
        ("cancel", ["reason"]),
        ("deliver", ["note"]),
    ]
    early = await _act(hands, "unit-1", claim, "deliver", note="来了五十八人。")
    assert _code(early) == (422, "VALIDATION_FAILED")
    clock.pass_(days=4)
    ended = (await _act(hands, "dispatcher-1", claim, "deliver", note="来了五十八人。")).json()
    assert (ended["state_label"], ended["note"], ended["moves"]) == ("已兑现", "来了五十八人。", [])


async def test_a_unit_claims_part_of_a_demand_and_another_the_rest(hands: Hands):
    await hands.town.body("unit-2", "unit", "community-1")
    await hands.town.person("unit-2", Role.UNIT_ADMIN, body="unit-2")
    order = await hands.accepted()
    demand = await _publish(
        hands, "dispatcher-1", **{**RICE, "side": "demand", "quantity": 30}, order_id=order["id"]
    )
    assert (demand["left"], demand["order_id"]) == (30, order["id"])
    first = await _claim(hands, "unit-1", demand, quantity=20)
    seen = (await hands.get("unit-2", f"/v1/listings/{demand['id']}")).json()
    assert (seen["left"], seen["order_id"]) == (10, None)
    much = await _try(hands, "unit-2", demand, quantity=11)
    assert (_code(much), much.json()["left"]) == ((409, "NOT_ENOUGH_LEFT"), 10)
    await _claim(hands, "unit-2", demand, quantity=10)
    assert (await _act(hands, "dispatcher-1", first, "confirm")).json()["state"] == "confirmed"
    assert _code(await _try(hands, "unit-1", demand)) in {(409, "NOT_ENOUGH_LEFT"), (409, "ALREADY_CLAIMED")}


async def test_who_has_an_open_claim_does_not_claim_again(hands: Hands):
    rice = await _publish(hands, **RICE)
    await _claim(hands, "dispatcher-1", rice, quantity=2)
    assert _code(await _try(hands, "dispatcher-1", rice)) == (409, "ALREADY_CLAIMED")


async def test_what_is_declined_or_cancelled_can_be_claimed_again(hands: Hands):
    rice = await _publish(hands, **RICE)
    for act, login, said in (
        ("decline", "unit-1", {"reason": "已另有安排。"}),
        ("cancel", "dispatcher-1", {}),
    ):
        claim = await _claim(hands, "dispatcher-1", rice, quantity=10)
        assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 0
        assert (await _act(hands, login, claim, act, **said)).status_code == 200
        assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 10
    given = await _claim(hands, "dispatcher-1", rice, quantity=4)
    await _act(hands, "unit-1", given, "confirm")
    await _act(hands, "unit-1", given, "deliver", note="已送到。")
    assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 6


async def test_each_side_does_what_is_its_own_and_strangers_do_not_know_of_it(hands: Hands):
    rice = await _publish(hands, **RICE)
    claim = await _claim(hands, "dispatcher-1", rice)
    assert _code(await _act(hands, "dispatcher-1", claim, "confirm")) == (403, "ROLE_FORBIDDEN")
    assert _code(await _act(hands, "unit-1", claim, "cancel")) == (403, "ROLE_FORBIDDEN")
    for login in ("member-1", "resident-1", "dispatcher-2", "team-1", "street-2", "reporter-1"):
        assert _code(await hands.get(login, f"/v1/claims/{claim['id']}")) == (404, "CLAIM_NOT_FOUND"), login
        assert (await hands.get(login, "/v1/claims")).json()["items"] == []
    for login in ("unit-1", "dispatcher-1", "secretary-1", "street-1", "district-1"):
        assert [c["id"] for c in (await hands.get(login, "/v1/claims")).json()["items"]] == [claim["id"]]
    assert _code(await _act(hands, "unit-1", claim, "decline")) == (422, "VALIDATION_FAILED")
    await _act(hands, "unit-1", claim, "confirm")
    again = await _act(hands, "unit-1", claim, "confirm")
    assert (_code(again), again.json()["state"]) == ((409, "CLAIM_MOVED"), "confirmed")
    assert _code(await _act(hands, "unit-1", claim, "cancel")) == (422, "VALIDATION_FAILED")
    assert (await _act(hands, "street-1", claim, "cancel", reason="活动改期。")).json()[
        "state"
    ] == "cancelled"


async def test_a_list_reaches_whom_it_is_published_for(hands: Hands):
    town = hands.town
    await _publish(hands, **{**HALL, "title": "本社区的"})
    await _publish(hands, **{**HALL, "title": "全街道的"}, audience_place_id=str(town.places["street-1"]))
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
    rice = await _publish(hands, **RICE)
    need = await _publish(hands, "dispatcher-1", **NEED)
    assert _code(await _try(hands, "unit-1", rice)) == (409, "OWN_LISTING")
    assert _code(await _try(hands, "resident-1", rice)) == (403, "ROLE_FORBIDDEN")
    assert _code(await _try(hands, "secretary-1", need)) == (403, "ROLE_FORBIDDEN")
    assert _code(await _try(hands, "dispatcher-2", rice)) == (404, "LISTING_NOT_FOUND")
    assert (await _claim(hands, "team-1", rice))["claimant"]["name"] == "team-1"
    assert (await _claim(hands, "provider-1", need))["listing"]["side"] == "demand"
    shared = await _publish(hands, "dispatcher-1", **HALL)
    assert (await _claim(hands, "unit-1", shared, **_hours(9, 10)))["publisher"]["name"] == "community-1"


async def test_what_is_withdrawn_is_off_the_list_its_requests_are_declined_and_promises_stay(hands: Hands):
    await hands.town.person("team-2", Role.TEAM_LEAD, body="team-1")
    rice = await _publish(hands, **RICE)
    kept = await _claim(hands, "dispatcher-1", rice, quantity=3)
    await _act(hands, "unit-1", kept, "confirm")
    waiting = await _claim(hands, "team-1", rice, quantity=4)
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
    assert _code(await _try(hands, "team-1", rice)) == (409, "LISTING_CLOSED")


async def test_a_listing_ends_with_its_last_day_in_local_time(hands: Hands, clock: Clock):
    today = (T0 + timedelta(hours=8)).date()
    rice = await _publish(hands, **RICE, ends_on=today.isoformat())
    assert await _listed(hands, "dispatcher-1") == {"大米"}
    clock.pass_(days=1)
    assert await _listed(hands, "dispatcher-1") == set()
    assert await _listed(hands, "unit-1", mine="true") == {"大米"}
    assert _code(await _try(hands, "dispatcher-1", rice)) == (409, "LISTING_CLOSED")


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
    rice = await _publish(hands, **RICE)
    key = {"Idempotency_Key": uuid4().hex}
    path, body = f"/v1/listings/{rice['id']}/claim", {"purpose": "慰问。", "quantity": 2}
    first, again = [await hands.post("dispatcher-1", path, body, **key) for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await hands.get("unit-1", f"/v1/listings/{rice['id']}")).json()["left"] == 8


async def test_both_sides_are_told_once_and_who_acted_is_not(hands: Hands, clock: Clock):
    rice = await _publish(hands, **RICE)
    claim = await _claim(hands, "dispatcher-1", rice)
    await _act(hands, "unit-1", claim, "confirm")
    for _ in range(2):
        await relay(hands.town.database, clock.now, REACTIONS)

    async def told(login: str) -> list[tuple[str, str]]:
        items = (await hands.get(login, "/v1/me/notices")).json()["items"]
        assert all(item["order_id"] is None for item in items)
        return sorted((item["event"], item["claim_id"]) for item in items)

    assert await told("unit-1") == [("claim.requested", claim["id"])]
    assert await told("dispatcher-1") == [("claim.confirmed", claim["id"])]
    assert len(await told("secretary-1")) == 2
    assert await told("member-1") == await told("dispatcher-2") == []


async def test_counts_add_up_by_unit_and_community_and_reach_no_further_than_the_scope(hands: Hands):
    rice = await _publish(hands, **RICE)
    await _publish(hands, "dispatcher-1", **NEED)
    first = await _claim(hands, "dispatcher-1", rice)
    await _act(hands, "unit-1", first, "confirm")
    await _act(hands, "unit-1", first, "deliver", note="已送到。")
    await _claim(hands, "team-1", rice)

    async def counted(login: str, **params: Any) -> dict[str, tuple[int, ...]]:
        items = (await hands.get(login, "/v1/claims/counts", **params)).json()["items"]
        names = ("resources", "demands", "claimed", "confirmed", "delivered")
        return {item["body_name"] or item["place_name"]: tuple(item[n] for n in names) for item in items}

    everything = {"community-1": (0, 1, 1, 1, 1), "team-1": (0, 0, 1, 0, 0), "unit-1": (1, 0, 0, 0, 0)}
    assert await counted("dispatcher-1") == await counted("street-1") == everything
    assert await counted("unit-1") == {"unit-1": (1, 0, 0, 0, 0)}
    assert await counted("dispatcher-2") == await counted("resident-1") == {}
    assert await counted("street-1", ends_at=T0.isoformat()) == {}


# --- at the same instant --------------------------------------------------------------------


async def _rush(
    hands: Hands, listing: dict[str, Any], asked: list[tuple[str, dict[str, Any]]]
) -> Counter[str]:
    """All at once, each again while the database is busy; how often what was answered."""

    async def one(login: str, said: dict[str, Any]) -> str:
        for _ in range(40):
            answer = await _try(hands, login, listing, **said)
            if answer.status_code != 503:
                return "won" if answer.status_code == 201 else str(answer.json()["code"])
            await asyncio.sleep(0.1)
        raise AssertionError("busy for ever")

    return Counter(await asyncio.gather(*(one(login, said) for login, said in asked)))


async def _many_teams(hands: Hands, count: int) -> list[str]:
    logins = [f"band-{number}" for number in range(count)]
    for login in logins:
        await hands.town.body(login, "team", "community-1")
        await hands.town.person(login, Role.TEAM_LEAD, body=login)
    return logins


async def test_of_twenty_that_book_overlapping_times_at_once_exactly_one_wins(hands: Hands):
    hall = await _publish(hands, **HALL)
    logins = await _many_teams(hands, 20)
    # Every two of them share at least the hour from noon.
    asked = [(login, _hours(9 + number % 4, 13 + number % 5)) for number, login in enumerate(logins)]
    assert await _rush(hands, hall, asked) == {"won": 1, "VENUE_TAKEN": 19}
    await assert_no_double_booking(hands, hall)


async def test_times_that_only_touch_are_all_booked_at_once(hands: Hands):
    hall = await _publish(hands, **HALL)
    logins = await _many_teams(hands, 9)
    asked = [(login, _hours(9 + number, 10 + number)) for number, login in enumerate(logins)]
    assert await _rush(hands, hall, asked) == {"won": 9}
    await assert_no_double_booking(hands, hall)


async def test_goods_are_never_claimed_beyond_what_there_is(hands: Hands):
    rice = await _publish(hands, **RICE)
    asked = [(login, {"quantity": 3}) for login in await _many_teams(hands, 12)]
    assert await _rush(hands, rice, asked) == {"won": 3, "NOT_ENOUGH_LEFT": 9}
    await assert_held_is_what_claims_hold(hands, rice)


async def test_one_claimant_that_asks_twice_at_once_has_one_claim(hands: Hands):
    rice = await _publish(hands, **RICE)
    assert await _rush(hands, rice, [("dispatcher-1", {})] * 6) == {"won": 1, "ALREADY_CLAIMED": 5}


@pytest.mark.parametrize("rival", ["decline", "cancel", "withdraw", "confirm"])
async def test_a_claim_moved_from_two_sides_at_once_goes_one_way(hands: Hands, rival: str):
    for _ in range(3):
        rice = await _publish(hands, **RICE)
        claim = await _claim(hands, "dispatcher-1", rice, quantity=4)
        acts = {
            "decline": lambda c=claim: _act(hands, "unit-1", c, "decline", reason="不便。"),
            "cancel": lambda c=claim: _act(hands, "dispatcher-1", c, "cancel"),
            "withdraw": lambda r=rice: hands.post("unit-1", f"/v1/listings/{r['id']}/withdraw"),
            "confirm": lambda c=claim: _act(hands, "unit-1", c, "confirm"),
        }
        answers = await asyncio.gather(acts["confirm"](), acts[rival]())
        assert {answer.status_code for answer in answers} <= {200, 409, 422, 503}
        state = (await hands.get("unit-1", f"/v1/claims/{claim['id']}")).json()["state"]
        assert state in ("confirmed", "declined", "cancelled")
        await assert_held_is_what_claims_hold(hands, rice)


async def _actor(hands: Hands, login: str) -> Actor:
    async with hands.town.database.reading() as db:
        person = await people.person(db, hands.town.tenant_id, hands.town[login].id)
    assert person is not None
    return Actor(person.account_id, login, person.tenant, person.grants, person.grants[0], person.version)


async def _while_open(hands: Hands, first: Verb, second: Verb) -> None:
    """The second verb runs while the first one's transaction is open, and ends after that was committed."""

    async def follow() -> None:
        async with hands.town.database.writing() as db:
            await second(db)

    async with hands.town.database.writing() as db:
        await first(db)
        follower = asyncio.create_task(follow())
        _, waiting = await asyncio.wait({follower}, timeout=0.3)
        assert waiting, "it did not wait for its turn"
    await follower


async def test_a_booking_that_waited_for_another_sees_it(hands: Hands):
    """Two real connections: looking before one's turn, or as of then, would book twice."""
    hall = await _publish(hands, **HALL)
    rivals = [await _actor(hands, login) for login in ("dispatcher-1", "team-1")]
    times = {name: datetime.fromisoformat(at) for name, at in _hours(9, 11).items()}

    def book(actor: Actor) -> Verb:
        said = {"purpose": "社区活动。", **times}
        return lambda db: actions.claim(db, actor, UUID(hall["id"]), said, None, at=T0)

    with pytest.raises(VenueTaken):
        await _while_open(hands, book(rivals[0]), book(rivals[1]))
    await assert_no_double_booking(hands, hall)


async def test_a_claim_that_was_moved_while_another_waited_gives_back_once(hands: Hands):
    rice = await _publish(hands, **RICE)
    claim = await _claim(hands, "dispatcher-1", rice, quantity=4)
    unit, community = [await _actor(hands, login) for login in ("unit-1", "dispatcher-1")]

    def move(actor: Actor, act: Act) -> Verb:
        return lambda db: actions.move(db, actor, UUID(claim["id"]), act, {"reason": "不便。"}, None, at=T0)

    with pytest.raises(ClaimMoved):
        await _while_open(hands, move(unit, Act.DECLINE), move(community, Act.CANCEL))
    await assert_held_is_what_claims_hold(hands, rice)


async def assert_no_double_booking(hands: Hands, listing: dict[str, Any]) -> None:
    one, two = claims.alias(), claims.alias()
    here = (hands.town.tenant_id, UUID(listing["id"]))
    rows = await hands.town.rows(
        select(one.c.id).where(
            *(
                pair
                for side in (one, two)
                for pair in (side.c.tenant_id == here[0], side.c.listing_id == here[1])
            ),
            one.c.id < two.c.id,
            one.c.state.in_(tuple(HOLDS)),
            two.c.state.in_(tuple(HOLDS)),
            one.c.starts_at < two.c.ends_at,
            two.c.starts_at < one.c.ends_at,
        )
    )
    assert rows == []


async def assert_held_is_what_claims_hold(hands: Hands, listing: dict[str, Any]) -> None:
    id, tenant_id = UUID(listing["id"]), hands.town.tenant_id
    held = await hands.town.rows(
        select(listings.c.held).where(listings.c.tenant_id == tenant_id, listings.c.id == id)
    )
    summed = await hands.town.rows(
        select(func.coalesce(func.sum(claims.c.quantity), 0).label("n")).where(
            claims.c.tenant_id == tenant_id, claims.c.listing_id == id, claims.c.state.in_(tuple(HOLDS))
        )
    )
    assert held[0].held == summed[0].n <= 10


# --- a venue's times ------------------------------------------------------------------------


async def test_a_venue_is_booked_within_its_hours_and_days_and_within_one_day(hands: Hands):
    hall = await _publish(hands, **HALL, starts_on="2026-11-20", ends_on="2099-12-31")
    shut = {"8:30": _hours(8.5, 10), "18:30": _hours(17, 18.5), "night": _hours(20, 22)}
    for name, time in shut.items():
        answer = await _try(hands, "dispatcher-1", hall, **time)
        assert (_code(answer), answer.json()["why"]) == ((409, "VENUE_SHUT"), "hours"), name
    for time in (_hours(17, 33), _hours(11, 10), _hours(9, 10, day=-2), _hours(9, 10, day=300), {}):
        assert _code(await _try(hands, "dispatcher-1", hall, **time)) == (422, "VALIDATION_FAILED")
    assert (await _try(hands, "dispatcher-1", hall, **_hours(9, 18))).status_code == 201
    brief = await _publish(
        hands, **{**HALL, "title": "明天为止"}, ends_on=(T0 + timedelta(days=1)).date().isoformat()
    )
    late = await _try(hands, "dispatcher-1", brief, **_hours(9, 10))
    assert (_code(late), late.json()["why"]) == ((409, "VENUE_SHUT"), "days")


async def test_what_was_given_back_can_be_booked_again_and_the_diary_names_nobody(hands: Hands):
    hall = await _publish(hands, **HALL)
    first = await _claim(hands, "dispatcher-1", hall, **_hours(9, 11))
    assert _code(await _try(hands, "team-1", hall, **_hours(10, 12))) == (409, "VENUE_TAKEN")
    await _claim(hands, "team-1", hall, **_hours(11, 12))
    diary = (await hands.get("resident-1", f"/v1/listings/{hall['id']}/booked")).json()["items"]
    assert [(item["starts_at"][11:16], item["ends_at"][11:16]) for item in diary] == [
        ("09:00", "11:00"),
        ("11:00", "12:00"),
    ]
    assert set(diary[0]) == {"starts_at", "ends_at", "state"}
    await _act(hands, "dispatcher-1", first, "cancel")
    assert (await _claim(hands, "team-1", hall, **_hours(9, 11)))["state"] == ClaimState.REQUESTED


async def test_a_request_whose_time_is_over_is_not_confirmed(hands: Hands, clock: Clock):
    hall = await _publish(hands, **HALL)
    claim = await _claim(hands, "dispatcher-1", hall, **_hours(9, 11))
    clock.pass_(days=5)
    assert _code(await _act(hands, "unit-1", claim, "confirm")) == (409, "TOO_LATE")
