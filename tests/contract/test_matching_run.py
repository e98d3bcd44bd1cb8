"""Many orders at once: as good as it gets for all together, handed out once, nobody beyond his hands (peers.md §5.3, 78)."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from dispatch.db.engine import Database
from dispatch.matching import actions as matching
from dispatch.matching import batch
from dispatch.orders.tables import dispatch_targets, dispatches, order_steps
from tests.contract.ledger import assert_books
from tests.contract.test_candidates import WEEKDAY_MORNINGS, checks_in, point
from tests.contract.test_candidates import line as candidate
from tests.town import Clock, Hands

AT = {"lng": 112.6, "lat": 26.9, "crs": "wgs84"}


async def run(hands: Hands, login: str = "dispatcher-1", **body: Any) -> dict[str, Any]:
    answer = await hands.post(login, "/v1/matching/run", body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def state(hands: Hands, order: dict[str, Any]) -> str:
    told: str = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["state"]
    return told


async def test_a_dry_run_says_what_a_run_would_do_and_does_nothing(hands: Hands):
    await checks_in(hands, "member-1", "elder_care", location=point(300))
    order = await hands.accepted(location=AT)
    lonely = await hands.accepted(item_code="0501")
    told = await run(hands, dry_run=True)
    assert [line["order_id"] for line in told["items"]] == [order["id"]]
    assert not told["items"][0]["dispatched"]
    assert [line["order_id"] for line in told["left"]] == [lonely["id"]]
    assert told["left"][0]["why_not"]["not_checked_in"] == 4
    assert await state(hands, order) == "accepted"

    told = await run(hands)
    assert told["items"][0]["dispatched"]
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert seen["state"] == "offered"
    target = seen["dispatches"][0]["targets"][0]
    assert (target["name"], target["state"]) == ("member-1", "asked")
    assert target["match"]["score"] == told["items"][0]["takers"][0]["score"] > 0
    assert "住得近：约300米" in target["match"]["reasons"]
    own = (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()
    assert own["dispatches"][0]["targets"][0]["match"] is None, "who is asked does not read the weighing"
    assert (await hands.move("member-1", order, "take"))["outcome"] == "taken"
    assert await state(hands, lonely) == "accepted"


async def test_the_plan_is_best_for_all_and_not_for_the_first(hands: Hands):
    await checks_in(hands, "member-1", "elder_care", "tutoring", location=point(10))
    await checks_in(hands, "member-2", "elder_care", location=point(2000))
    simple = await hands.accepted(location=AT)
    await hands.taken("member-1")
    await hands.taken("member-1")  # one hand left
    lesson = await hands.accepted(item_code="0502", location=AT)
    told = await run(hands, dry_run=True)
    placed = {line["order_id"]: [taker["name"] for taker in line["takers"]] for line in told["items"]}
    assert placed == {simple["id"]: ["member-2"], lesson["id"]: ["member-1"]}


async def test_a_visit_of_two_asks_two_and_needs_both(hands: Hands):
    for login in ("member-1", "member-2"):
        await checks_in(hands, login, "mental_care")
    visit = await hands.accepted(item_code="0101")
    told = await run(hands)
    assert len(told["items"][0]["takers"]) == 2
    await hands.move("member-1", visit, "take")
    assert await state(hands, visit) == "offered"
    await hands.move("member-2", visit, "take")
    assert await state(hands, visit) == "taken"


async def test_who_is_too_far_for_the_community_is_found_in_the_street(hands: Hands):
    await checks_in(hands, "member-21", "elder_care")
    await hands.accepted()
    told = await run(hands, dry_run=True)
    assert [taker["name"] for taker in told["items"][0]["takers"]] == ["member-21"]


async def test_who_said_no_is_not_asked_again(hands: Hands):
    await checks_in(hands, "member-1", "elder_care", location=point(10))
    await checks_in(hands, "member-2", "elder_care", location=point(3000))
    order = await hands.accepted(location=AT)
    for login in ("member-1", "member-2"):
        assert [taker["name"] for taker in (await run(hands))["items"][0]["takers"]] == [login]
        await hands.move(login, order, "decline")
    told = await run(hands)
    assert (told["items"], told["left"][0]["why_not"]["said_no"]) == ([], 2)


async def test_only_dispatchers_run_it_and_each_in_the_own_scope(hands: Hands):
    await checks_in(hands, "member-1", "elder_care")
    order = await hands.accepted()
    for login in ("member-1", "resident-1", "grid-1", "unit-1", "supervisor-1"):
        assert (await hands.post(login, "/v1/matching/run", {})).status_code == 403, login
    assert (await run(hands, "dispatcher-2")) == {"dry_run": False, "items": [], "left": []}
    elsewhere = str(hands.town.places["community-2"])
    assert (await run(hands, "street-1", place_id=elsewhere))["items"] == []
    here = str(hands.town.places["community-1"])
    assert [line["order_id"] for line in (await run(hands, "street-1", place_id=here))["items"]] == [
        order["id"]
    ]


async def test_two_runs_at_once_hand_out_nothing_twice_and_fill_no_hand_twice(hands: Hands):
    """Real connections in parallel, on every database."""
    for login in await hands.town.crowd(6):
        await checks_in(hands, login, "elder_care", free_times=WEEKDAY_MORNINGS)
    orders = [await hands.accepted() for _ in range(24)]
    told = await asyncio.gather(*(run(hands, login) for login in ("dispatcher-1", "secretary-1", "street-1")))
    told.append(await run(hands))  # where two were in each other's way a hand may have stayed empty
    handed_out = [line["order_id"] for one in told for line in one["items"] if line["dispatched"]]
    assert len(handed_out) == len(set(handed_out)) == 18, "six people with three hands each"
    for one in told:
        for line in one["items"]:
            assert line["dispatched"] or line["refused"] in ("ORDER_MOVED", "TAKER_FULL")
    tenant_id = hands.town.tenant_id
    asked = select(dispatch_targets.c.target_id).where(dispatch_targets.c.tenant_id == tenant_id)
    given = Counter(row.target_id for row in await hands.town.rows(asked))
    assert set(given.values()) == {3}
    made = select(func.count()).where(dispatches.c.tenant_id == tenant_id)
    steps = select(func.count()).where(order_steps.c.tenant_id == tenant_id, order_steps.c.move == "dispatch")
    assert [(await hands.town.rows(count))[0][0] for count in (made, steps)] == [18, 18]
    states = Counter([await state(hands, order) for order in orders])
    assert states == {"offered": 18, "accepted": 6}
    await assert_books(hands.town)


async def test_two_runs_over_other_orders_share_the_hands_of_the_same_people(hands: Hands):
    for login in await hands.town.crowd(4):
        await checks_in(hands, login, "elder_care")
    grids = [str(hands.town.places[name]) for name in ("grid-11", "grid-12")]
    for grid in grids * 9:
        await hands.accepted(place_id=grid)
    told = await asyncio.gather(*(run(hands, place_id=grid) for grid in grids))
    words = Counter(line["refused"] for one in told for line in one["items"])
    assert words[None] == 12, "four people with three hands each"
    assert set(words) == {None, "TAKER_FULL"}
    asked = select(dispatch_targets.c.target_id).where(dispatch_targets.c.tenant_id == hands.town.tenant_id)
    given = Counter(row.target_id for row in await hands.town.rows(asked))
    assert set(given.values()) == {3}
    await assert_books(hands.town)


async def test_a_take_and_a_run_at_once_leave_nobody_with_more_than_his_hands(hands: Hands):
    await checks_in(hands, "member-1", "elder_care")
    for _ in range(2):
        await hands.taken("member-1")
    own, waiting = await hands.open_(), await hands.accepted()
    await asyncio.gather(hands.try_("member-1", own, "take"), run(hands))
    told = [(await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json() for order in (own, waiting)]
    assert told[0]["state"] == "taken"
    assert told[1]["state"] in ("accepted", "offered")
    await assert_books(hands.town)


async def test_the_service_itself_matches_a_tenant_and_is_logged_as_nobody(
    hands: Hands, database: Database, clock: Clock
):
    await checks_in(hands, "member-1", "elder_care")
    order = await hands.accepted()
    service = next(one for one in await matching.services(database) if one.tenant.id == hands.town.tenant_id)
    ran = await matching.match(database, service, dry_run=False, at=clock.now)
    assert list(ran.refused.values()) == [None]
    step = select(order_steps).where(
        order_steps.c.tenant_id == hands.town.tenant_id,
        order_steps.c.order_id == UUID(order["id"]),
        order_steps.c.move == "dispatch",
    )
    (row,) = await hands.town.rows(step)
    assert (row.account_id, row.grant_id, row.role) == (None, None, "system")
    said = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"][-1]
    assert said["who"]["role"] == "system"
    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    assert await state(hands, order) == "accepted"
    await assert_books(hands.town)


def test_the_command_line_says_what_it_would_do(monkeypatch: pytest.MonkeyPatch, backends: Any):
    from dispatch import __main__ as command
    from dispatch.demo.seed import seed

    url = backends.fresh("sqlite", "match")
    monkeypatch.setenv("DISPATCH_DATABASE_URL", url)

    async def fill() -> None:
        database = Database(url)
        try:
            await seed(database, at=command.clock.now())
        finally:
            await database.close()

    asyncio.run(fill())
    runner = CliRunner()
    told = runner.invoke(command.cli, ["match", "--dry-run", "--tenant", "demo"])
    assert told.exit_code == 0, told.output
    lines = [json.loads(line) for line in told.output.splitlines() if line.startswith("{")]
    assert lines
    assert {line["tenant"] for line in lines} == {"demo"}
    again = runner.invoke(command.cli, ["match", "--dry-run", "--tenant", "demo"])
    assert len([line for line in again.output.splitlines() if line.startswith("{")]) == len(lines)
    assert runner.invoke(command.cli, ["match", "--tenant", "nowhere"]).exit_code == 1


def test_a_service_names_its_tenant():
    from zoneinfo import ZoneInfo

    from dispatch.domain.people import Tenant, the_service

    actor = the_service(Tenant(1, "demo", "试验区", ZoneInfo("Asia/Shanghai")))
    assert actor.is_service
    assert not replace(actor, acting=None).is_service


async def ruled_item(hands: Hands, kind: str, item_code: str, **values: Any) -> None:
    path, headers = f"/v1/{kind}/rules/{item_code}", hands.town["admin-1"].headers
    answer = await hands.client.put(path, json=values, headers=headers)
    assert answer.status_code == 200, answer.text


async def against(hands: Hands, order: dict[str, Any], login: str = "member-1") -> list[str]:
    found: list[str] = (await candidate(hands, order, login))["why_not"]
    return found


async def test_an_items_own_limit_counts_that_item_alone(hands: Hands):
    await ruled_item(hands, "taking", "0102", member_limit=1)
    await checks_in(hands, "member-1", "elder_care")
    other = await hands.accepted(item_code="0104")
    await hands.move("dispatcher-1", other, "dispatch", mode="open")
    await hands.move("member-1", other, "take")
    for _ in range(2):
        assert await against(hands, await hands.accepted()) == []
    told = await run(hands)
    (won,), (left,) = told["items"], told["left"]  # one of the item, whatever else is in hand
    assert await against(hands, {"id": left["order_id"]}) == ["at_capacity"]
    await hands.move("member-1", won["order_id"], "take")
    lesson = await hands.accepted(item_code="0104")
    assert [line["order_id"] for line in (await run(hands))["items"]] == [lesson["id"]]


async def test_an_items_own_capacity_holds_in_a_run_as_among_candidates(hands: Hands):
    await ruled_item(hands, "matching", "0102", capacity=1)
    await checks_in(hands, "member-1", "elder_care")
    narrow = [await hands.accepted() for _ in range(2)]
    wide = [await hands.accepted(item_code="0104") for _ in range(3)]
    told = await run(hands)
    assert all(line["dispatched"] for line in told["items"])
    placed = {line["order_id"] for line in told["items"]}
    assert len(placed & {one["id"] for one in narrow}) == 1, "one of what asks for an empty hand"
    assert len(placed) == 3, "and two more, up to the capacity of their item"
    assert len({one["id"] for one in wide} & placed) == 2
    left = next(one for one in narrow if one["id"] not in placed)
    assert "at_capacity" in await against(hands, left)


async def test_a_wish_for_one_a_day_holds_for_two_plans_at_once(
    hands: Hands, database: Database, clock: Clock
):
    """Both are made before either is carried out."""
    service = next(one for one in await matching.services(database) if one.tenant.id == hands.town.tenant_id)
    await checks_in(hands, "member-1", "elder_care", most_a_day=1)
    plans = []
    for _ in range(2):
        order = await hands.accepted()
        async with database.reading() as db:
            found, beside = await batch.waiting(db, service, at=clock.now)
            own = [one for one in found if str(one.need.order_id) == order["id"]]
            plans.append(await batch.plan(db, service, own, beside, at=clock.now))
    done = [await matching.hand_out(database, service, made.placed, at=clock.now) for made in plans]
    assert [list(one.values()) for one in done] == [[None], [matching.FULL]]
