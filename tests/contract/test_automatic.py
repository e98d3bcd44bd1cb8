"""Items that dispatch themselves: people first, then everyone, then a unit, then staff (peers.md §5.3, 79 and 80)."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, update

from dispatch.db.engine import Database
from dispatch.domain.people import Actor, Role
from dispatch.matching import actions as matching
from dispatch.matching import automatic, batch
from dispatch.matching.automatic import Step, dispatch_by_itself
from dispatch.matching.tables import matching_waits
from dispatch.people.tables import bodies, grants
from tests.contract.ledger import assert_books
from tests.contract.test_candidates import checks_in, lives, point
from tests.town import Clock, Hands, time_works

AT = {"lng": 112.6, "lat": 26.9, "crs": "wgs84"}


@pytest.fixture
async def service(hands: Hands, database: Database) -> Actor:
    found = await matching.services(database)
    return next(one for one in found if one.tenant.id == hands.town.tenant_id)


async def switch_on(hands: Hands, item_code: str = "0102", **values: Any) -> dict[str, Any]:
    answer = await hands.client.put(
        f"/v1/matching/rules/{item_code}",
        json={"auto": True, **values},
        headers=hands.town["admin-1"].headers,
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def seen(hands: Hands, order: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    return told


async def named(hands: Hands, order: dict[str, Any]) -> list[str]:
    """Whom the last dispatch names."""
    return [target["name"] for target in (await seen(hands, order))["dispatches"][-1]["targets"]]


async def queue(hands: Hands, login: str = "dispatcher-1") -> list[dict[str, Any]]:
    answer = await hands.get(login, "/v1/matching/waiting")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def without_bodies(hands: Hands) -> None:
    """Units and teams of the town retire."""
    async with hands.town.database.writing() as db:
        await db.execute(
            update(bodies)
            .where(bodies.c.tenant_id == hands.town.tenant_id)
            .values(retired_at=hands.town.made)
        )


async def without_staff(hands: Hands) -> None:
    """The grid worker of the town leaves."""
    async with hands.town.database.writing() as db:
        await db.execute(
            update(grants)
            .where(grants.c.tenant_id == hands.town.tenant_id, grants.c.id == hands.town["grid-1"].grant_id)
            .values(valid_to=hands.town.made)
        )


async def test_nothing_dispatches_itself_unless_the_tenant_says_so(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await checks_in(hands, "member-1", "elder_care")
    order = await hands.accepted()
    assert await dispatch_by_itself(database, service, at=clock.now) == {}
    await switch_on(hands, "0104")
    assert await dispatch_by_itself(database, service, at=clock.now) == {}
    assert (await seen(hands, order))["state"] == "accepted"


async def test_the_best_are_asked_one_after_the_other_with_reasons_on_record(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    for login, metres in (("member-1", 2000), ("member-2", 100), ("member-3", 900)):
        await checks_in(hands, login, "elder_care", location=point(metres))
    await switch_on(hands, offers=2, offer_seconds=600)
    order = await hands.accepted(location=AT)
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.OFFER}
    told = (await seen(hands, order))["dispatches"][0]
    assert [(target["name"], target["state"]) for target in told["targets"]] == [
        ("member-2", "asked"),
        ("member-3", "waiting"),
    ]
    assert told["expires_at"].startswith("2026-11-22T09:40")
    for target in told["targets"]:
        assert target["match"]["reasons"]
        assert set(target["match"]["parts"]) == {"item", "distance", "free", "load", "verdict", "continuity"}
    assert (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"][-1]["who"][
        "role"
    ] == "system"
    await hands.move("member-2", order, "decline")
    assert (await hands.move("member-3", order, "take"))["outcome"] == "taken"
    assert await dispatch_by_itself(database, service, at=clock.now) == {}
    assert await queue(hands) == []
    await assert_books(hands.town)


async def test_what_a_person_recalls_is_left_to_that_person(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await checks_in(hands, "member-1", "elder_care")
    await checks_in(hands, "member-2", "elder_care")
    await switch_on(hands)
    order = await hands.accepted()
    await dispatch_by_itself(database, service, at=clock.now)
    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    clock.pass_(minutes=5)
    assert await dispatch_by_itself(database, service, at=clock.now) == {}
    target = [{"kind": "member", "id": str(hands.town["member-2"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=target)
    assert (await hands.move("member-2", order, "take"))["outcome"] == "taken"


async def test_nobody_available_is_seen_opened_to_all_and_tried_again_when_somebody_is(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await switch_on(hands, item_code="0104", open_seconds=600)
    order = await hands.accepted(item_code="0104")
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.OPEN}
    assert (await seen(hands, order))["state"] == "open"
    (line,) = await queue(hands)
    assert line["order_id"] == order["id"]
    assert line["opened"]
    assert line["why_not"] == {"not_checked_in": 4}
    assert line["since"] == "2026-11-22T09:30:00.000+08:00"
    assert await queue(hands, "street-1") == [line]
    assert await queue(hands, "dispatcher-2") == []
    assert (await hands.get("member-1", "/v1/matching/waiting")).status_code == 403

    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    assert [line["state"] for line in await queue(hands)] == ["accepted"]
    second = await hands.accepted(item_code="0104")
    await dispatch_by_itself(database, service, at=clock.now)
    assert len(await queue(hands)) == 2
    await hands.move("member-1", second, "take")
    clock.pass_(minutes=2)
    await dispatch_by_itself(database, service, at=clock.now)
    assert [line["order_id"] for line in await queue(hands)] == [order["id"]], "what was taken is out of it"


async def test_an_offer_that_all_declined_finds_the_next_who_becomes_available(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await checks_in(hands, "member-1", "elder_care")
    await switch_on(hands)
    order = await hands.accepted()
    await dispatch_by_itself(database, service, at=clock.now)
    await hands.move("member-1", order, "decline")
    assert (await seen(hands, order))["state"] == "accepted"
    await checks_in(hands, "member-2", "elder_care")
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.OFFER}
    targets = (await seen(hands, order))["dispatches"][-1]["targets"]
    assert [target["name"] for target in targets] == ["member-2"]


async def test_an_offer_that_lapses_by_its_own_timer_goes_to_the_next_without_a_person(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    for login, metres in (("member-1", 100), ("member-2", 900), ("member-3", 2000)):
        await checks_in(hands, login, "elder_care", location=point(metres))
    await switch_on(hands, offers=2, offer_seconds=600)
    order = await hands.accepted(location=AT)
    await dispatch_by_itself(database, service, at=clock.now)

    async def wait() -> list[tuple[str, str]]:
        """Eleven minutes pass: first the timers, then the matcher, as in a worker."""
        await time_works(hands.town, clock.pass_(minutes=11))
        await dispatch_by_itself(database, service, at=clock.now)
        last = (await seen(hands, order))["dispatches"][-1]
        return [(target["name"], target["state"]) for target in last["targets"]]

    assert await wait() == [("member-1", "lapsed"), ("member-2", "asked")]
    assert await wait() == [("member-3", "asked")]
    assert (await hands.move("member-3", order, "take"))["outcome"] == "taken"
    await assert_books(hands.town)


async def test_a_team_is_asked_when_no_member_is_there(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await switch_on(hands)
    order = await hands.accepted()
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.OFFER}
    (target,) = (await seen(hands, order))["dispatches"][0]["targets"]
    assert (target["kind"], target["name"]) == ("team", "team-1")
    assert target["match"]["reasons"][0] == "还没有登记人员名单，能不能做需先问一声"


async def test_an_emergency_is_neither_opened_nor_waits(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    for login in ("member-1", "member-2"):
        await checks_in(hands, login, "emergency")
    await switch_on(hands, "0903")
    await switch_on(hands, "0111")
    order = await hands.accepted(item_code="0903")
    await dispatch_by_itself(database, service, at=clock.now)
    told = (await seen(hands, order))["dispatches"][0]
    assert {target["state"] for target in told["targets"]} == {"asked"}, "all of them at once"
    assert len(told["targets"]) == 2

    await without_bodies(hands)
    knock = await hands.accepted(item_code="0111", place_id=str(hands.town.places["grid-11"]))
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(knock["id"]): Step.STAFF}
    (target,) = (await seen(hands, knock))["dispatches"][0]["targets"]
    assert (target["kind"], target["name"]) == ("staff", "grid-1")
    assert (await seen(hands, knock))["dispatches"][0]["mode"] == "assign"


async def test_what_found_nobody_is_tried_again_every_minute_until_somebody_is_there(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await without_staff(hands)
    await switch_on(hands, "0111")
    order = await hands.accepted(item_code="0111")
    id = UUID(order["id"])
    assert await dispatch_by_itself(database, service, at=clock.now) == {id: Step.WAIT}
    assert [(line["order_id"], line["opened"], line["tries"]) for line in await queue(hands)] == [
        (order["id"], False, 1)
    ]
    await hands.town.person("grid-9", Role.GRID_WORKER, "community-1")
    clock.pass_(seconds=59)
    assert await dispatch_by_itself(database, service, at=clock.now) == {}
    clock.pass_(seconds=1)
    assert await dispatch_by_itself(database, service, at=clock.now) == {id: Step.STAFF}
    assert [(t["kind"], t["name"]) for t in (await seen(hands, order))["dispatches"][0]["targets"]] == [
        ("staff", "grid-9")
    ]
    assert await queue(hands) == []


async def test_an_item_for_two_is_open_to_two_and_one_does_not_make_it_taken(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await switch_on(hands, "0101")
    order = await hands.accepted(item_code="0101")
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.OPEN}
    told = (await seen(hands, order))["dispatches"][0]
    assert (told["slots_min"], told["slots_max"]) == (2, 2)
    await hands.move("member-1", order, "take")
    assert (await seen(hands, order))["state"] == "open"
    await hands.move("member-2", order, "take")
    assert (await seen(hands, order))["state"] == "taken"
    await assert_books(hands.town)


async def test_staff_go_by_two_to_an_item_for_two(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await switch_on(hands, "0101", open_seconds=60, unit_seconds=60, staff_seconds=60)
    order = await hands.accepted(item_code="0101")

    async def looks() -> list[Step]:
        await time_works(hands.town, clock.pass_(minutes=5))
        return list((await dispatch_by_itself(database, service, at=clock.now)).values())

    tried = [await looks() for _ in range(5)]
    assert tried[0] == [Step.OPEN]
    assert tried[-1] == [Step.WAIT], "one alone is not sent"
    await hands.town.person("grid-2", Role.GRID_WORKER, "grid-12")
    assert await looks() == [Step.STAFF]
    assert sorted(await named(hands, order)) == ["grid-1", "grid-2"]
    assert (await seen(hands, order))["dispatches"][-1]["slots_min"] == 2


async def test_an_emergency_without_a_grid_goes_at_once_to_a_grid_worker_of_its_community(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await hands.town.person("grid-2", Role.GRID_WORKER, "grid-21")
    await switch_on(hands, "0111")
    order = await hands.accepted(item_code="0111")
    assert order["place"].get("grid") is None
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.STAFF}
    assert await named(hands, order) == ["grid-1"]


async def test_the_nearest_staff_go_before_those_of_other_grids(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await hands.town.person("grid-2", Role.GRID_WORKER, "grid-12")
    await switch_on(hands, "0111")
    there = str(hands.town.places["grid-12"])
    for _ in range(2):  # the nearest, though another has less in hand
        order = await hands.accepted(item_code="0111", place_id=there)
        await dispatch_by_itself(database, service, at=clock.now)
        assert await named(hands, order) == ["grid-2"]
        await hands.move("grid-2", order, "take")


async def test_staff_of_the_own_household_are_passed_over(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    await without_bodies(hands)
    await hands.town.person("grid-2", Role.GRID_WORKER, "grid-11")
    door = await hands.town.place("door-1", "household", "grid-11")
    nearest = min(("grid-1", "grid-2"), key=lambda login: hands.town[login].id)
    for login in (nearest, "resident-1"):
        await lives(hands, login, home_place_id=door)
    await switch_on(hands, "0111")
    order = await hands.accepted(item_code="0111", place_id=str(hands.town.places["grid-11"]))
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.STAFF}
    assert await named(hands, order) == [({"grid-1", "grid-2"} - {nearest}).pop()]


async def test_whoever_is_refused_is_passed_over_for_the_next_and_the_try_is_noted(
    hands: Hands, database: Database, service: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    await without_bodies(hands)
    await hands.town.person("grid-2", Role.GRID_WORKER, "grid-11")
    await switch_on(hands, "0111")
    order = await hands.accepted(item_code="0111", place_id=str(hands.town.places["grid-11"]))
    monkeypatch.setattr(automatic, "conflicts", lambda *_: ())  # what was read before the household was known
    door = await hands.town.place("door-1", "household", "grid-11")
    for login in ("grid-1", "grid-2", "resident-1"):
        await lives(hands, login, home_place_id=door)
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.WAIT}
    assert [line["tries"] for line in await queue(hands)] == [1]
    await lives(hands, max(("grid-1", "grid-2"), key=lambda login: hands.town[login].id), home_place_id=None)
    clock.pass_(minutes=1)
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.STAFF}


async def test_what_does_not_dispatch_itself_keeps_no_place_from_what_does(
    hands: Hands, database: Database, service: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """More wait than one look takes in: of an item that is a person's, recalled, or tried a moment ago."""
    monkeypatch.setattr(batch, "MOST_ORDERS", 1)
    await without_bodies(hands)
    await checks_in(hands, "member-1", "elder_care")
    await hands.accepted(item_code="0102")
    await switch_on(hands, "0104")
    recalled = await hands.accepted(item_code="0104")
    await hands.move("dispatcher-1", recalled, "dispatch", mode="open")
    await hands.move("dispatcher-1", recalled, "recall", reason_code="other")
    tried = await hands.accepted(item_code="0104")
    line = {"since": clock.now, "tried_at": clock.now, "tries": 1, "opened": False, "why_not": {}}
    own = {"tenant_id": hands.town.tenant_id, "order_id": UUID(tried["id"])}
    async with database.writing() as db:
        await db.execute(insert(matching_waits).values(**own, **line))
    order = await hands.accepted(item_code="0104")
    clock.pass_(seconds=5)
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.OFFER}


async def test_a_unit_stands_in_where_no_member_is_there(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    async with database.writing() as db:
        await db.execute(
            update(bodies)
            .where(bodies.c.tenant_id == hands.town.tenant_id, bodies.c.kind == "team")
            .values(retired_at=hands.town.made)
        )
    await switch_on(hands, "0903")
    order = await hands.accepted(item_code="0903")
    assert await dispatch_by_itself(database, service, at=clock.now) == {UUID(order["id"]): Step.UNIT}
    assert (await hands.move("unit-1", order, "take"))["outcome"] == "taken"


async def test_what_fails_in_one_tenant_keeps_no_other_waiting(
    hands: Hands, database: Database, service: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    await checks_in(hands, "member-1", "elder_care")
    await switch_on(hands)
    order = await hands.accepted()
    broken = replace(service, tenant=replace(service.tenant, id=-1, zone=service.tenant.zone))

    async def both(_: Database) -> list[Actor]:
        return [broken, service]

    monkeypatch.setattr(matching, "services", both)
    real = automatic.dispatch_by_itself

    async def fails(database: Database, actor: Actor, **more: Any) -> dict[UUID, Step]:
        if actor is broken:
            raise RuntimeError("a tenant that fails")
        return await real(database, actor, **more)

    monkeypatch.setattr(automatic, "dispatch_by_itself", fails)
    await automatic.look_again(database, clock.now)
    assert (await seen(hands, order))["state"] == "offered"


async def test_several_workers_at_once_hand_out_once(
    hands: Hands, database: Database, service: Actor, clock: Clock
):
    import asyncio

    for login in ("member-1", "member-2", "member-3"):
        await checks_in(hands, login, "elder_care")
    await switch_on(hands)
    orders = [await hands.accepted() for _ in range(6)]
    lonely = await hands.accepted(item_code="0104")
    await switch_on(hands, "0104")
    await asyncio.gather(*(dispatch_by_itself(database, service, at=clock.now) for _ in range(3)))
    for order in (*orders, lonely):
        assert len((await seen(hands, order))["dispatches"]) == 1
    await assert_books(hands.town)


async def test_rules_are_replaced_whole_and_against_a_version(hands: Hands):
    told = await switch_on(hands, weights={"distance": 60}, capacity=2)
    assert (told["version"], told["weights"], told["capacity"]) == (1, {"distance": 60}, 2)
    path = "/v1/matching/rules/0102"
    headers = hands.town["admin-1"].headers
    late = await hands.client.put(path, json={"auto": False}, headers={**headers, "If-Match": '"0"'})
    assert (late.status_code, late.json()["code"]) == (412, "CHANGED_MEANWHILE")
    good = await hands.client.put(path, json={"auto": False}, headers={**headers, "If-Match": '"1"'})
    assert (good.json()["version"], good.json()["weights"]) == (2, None)
    listed = (await hands.get("dispatcher-1", "/v1/matching/rules")).json()["items"]
    assert [line["item_code"] for line in listed] == ["0102"]
    for login in ("dispatcher-1", "member-1"):
        refused = await hands.client.put(path, json={}, headers=hands.town[login].headers)
        assert refused.status_code == 403
    assert (await hands.get("resident-1", "/v1/matching/rules")).status_code == 403
    unknown = await hands.client.put("/v1/matching/rules/9999", json={}, headers=headers)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "ITEM_NOT_FOUND")
    wrong = await hands.client.put(path, json={"weights": {"beauty": 3}}, headers=headers)
    assert wrong.status_code == 422


async def test_a_tenants_weights_decide_the_ranking(hands: Hands):
    await checks_in(hands, "member-1", "elder_care", location=point(5000))
    await checks_in(hands, "member-2", "elder_care", location=point(10))
    done = await hands.done("member-1")
    await hands.move("resident-1", done, "rate", score=5, solved=True, contacted=True)
    order = await hands.accepted(location=AT)

    async def first() -> str:
        answer = await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/candidates")
        name: str = answer.json()["items"][0]["name"]
        return name

    assert await first() == "member-2"
    await switch_on(hands, weights={"distance": 0, "continuity": 50})
    assert await first() == "member-1"
    await switch_on(hands, "*", weights={"continuity": 0})
    assert await first() == "member-1", "the item's own rule goes before that of all items"
