"""Other policies, another calendar: what they would do, what they do to open orders, and what stays as it was."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.domain.calendar_file import Source, read_csv
from dispatch.jobs.relay import relay
from dispatch.sla.actions import calendars, recomputing
from dispatch.sla.tables import clocks, deadline_changes
from dispatch.wiring import REACTIONS
from tests.town import Clock, Hands

ZONE = ZoneInfo("Asia/Shanghai")
OFFICE = ["09:00-12:00", "14:00-18:00"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def policy(code: str, limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": code, "name": f"名{code}", "item_code": "0102", "limits": limits} | more


def hours(amount: float) -> dict[str, Any]:
    return {"unit": "wh", "amount": amount}


async def stand(hands: Hands, items: list[dict], version: int = 0, apply_to: str = "future") -> None:
    headers = hands.town["admin-1"].headers | {"If-Match": f'"{version}"'}
    answer = await hands.client.put(
        "/v1/policies", json={"items": items, "apply_to": apply_to}, headers=headers
    )
    assert answer.status_code == 200, answer.text


async def tried(hands: Hands, items: list[dict], login: str = "admin-1", **more: Any) -> httpx.Response:
    return await hands.post(login, "/v1/policies/preview", {"items": items} | more)


async def work_by(hands: Hands, days: list[dict], version: int = 1, apply_to: str = "open") -> None:
    body = {
        "known_until": "2026-12-31",
        "weekly": [OFFICE] * 5 + [[], []],
        "days": days,
        "apply_to": apply_to,
    }
    headers = hands.town["admin-1"].headers | {"If-Match": f'"{version}"'}
    answer = await hands.client.put("/v1/calendar", json=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def dues(hands: Hands, order: dict[str, Any], login: str = "dispatcher-1") -> dict[str, dict[str, Any]]:
    answer = await hands.get(login, f"/v1/orders/{order['id']}/deadlines")
    assert answer.status_code == 200, answer.text
    told = ("due_at", "provisional", "verdict")
    return {item["clock"]: {name: item[name] for name in told} for item in answer.json()["items"]}


async def told(database: Database, clock: Clock) -> None:
    await relay(database, clock.now, REACTIONS)


async def changes(hands: Hands) -> set[tuple[str, str, datetime, datetime]]:
    rows = await hands.town.rows(
        select(deadline_changes).where(
            deadline_changes.c.tenant_id == hands.town.tenant_id, deadline_changes.c.cause == "recompute"
        )
    )
    return {(str(row.order_id), row.clock, row.old_due_at, row.new_due_at) for row in rows}


async def test_a_dry_run_is_equal_to_what_is_applied(hands: Hands, database: Database, clock: Clock):  # 19
    clock.now = at("2026-11-24 09:00")
    await stand(hands, [policy("a", {"dispatch": hours(24), "finish": hours(30)})])
    waiting, running, other = await hands.file(), await hands.taken(), await hands.file(item_code="0201")
    before = {order["id"]: await dues(hands, order) for order in (waiting, running, other)}
    clock.pass_(hours=2)
    wanted = [policy("a", {"dispatch": hours(8), "finish": hours(1)})]
    preview = (await tried(hands, wanted)).json()["open"]
    assert await changes(hands) == set(), "a dry run writes nothing"
    assert {order["id"]: await dues(hands, order) for order in (waiting, running, other)} == before

    await stand(hands, wanted, version=1, apply_to="open")
    await told(database, clock)

    items = {
        (
            i["order_id"],
            i["clock"],
            *(datetime.fromisoformat(i[name]) for name in ("old_due_at", "new_due_at")),
        )
        for i in preview["items"]
    }
    assert await changes(hands) == items
    assert {clock for _, clock, _, _ in items} == {"accept", "dispatch", "finish"}
    assert (preview["changed"], preview["breached"]) == (2, 1)
    assert [i["clock"] for i in preview["items"] if i["breaches"]] == ["finish"]
    assert (await dues(hands, waiting))["dispatch"]["due_at"] == "2026-11-25T10:00:00.000+08:00"
    assert await dues(hands, other) == before[other["id"]]


async def test_future_only_changes_nothing_that_runs(hands: Hands, database: Database, clock: Clock):  # 19
    clock.now = at("2026-11-24 09:00")
    await stand(hands, [policy("a", {"dispatch": hours(24)})])
    old = await hands.file()
    before = await dues(hands, old)
    await stand(hands, [policy("a", {"dispatch": hours(8)})], version=1)
    await told(database, clock)
    new = await hands.file()
    assert await dues(hands, old) == before
    assert (await dues(hands, new))["dispatch"]["due_at"] == "2026-11-25T10:00:00.000+08:00"


async def test_closed_orders_tell_what_other_policies_would_have_made_of_them(hands: Hands, clock: Clock):
    clock.now = at("2026-11-02 09:00")
    await stand(hands, [policy("a", {"dispatch": hours(24), "finish": hours(14), "contact": None})])
    quick, slow = await hands.taken(), await hands.taken(taker="member-2")
    open_ = await hands.file()
    clock.now = at("2026-11-02 11:00")
    await _finish(hands, quick, "member-1")
    clock.now = at("2026-11-04 09:30")
    await _finish(hands, slow, "member-2")

    async def counted(amount: float, **more: Any) -> dict[str, Any]:
        november = {"closed_from": "2026-11-01", "closed_to": "2026-12-01"} | more
        items = [policy("a", {"dispatch": hours(24), "finish": hours(amount), "contact": None})]
        answer = await tried(hands, items, **november)
        assert answer.status_code == 200, answer.text
        return {k: v for k, v in answer.json()["closed"].items() if not k.startswith("closed")}

    assert open_["state"] == "submitted"
    assert await counted(14) == {"orders": 2, "changed": 0, "breached": 0, "relieved": 0}
    assert await counted(1) == {"orders": 2, "changed": 2, "breached": 1, "relieved": 0}
    assert await counted(20) == {"orders": 2, "changed": 2, "breached": 0, "relieved": 1}
    october = {"closed_from": "2026-10-01", "closed_to": "2026-11-01"}
    assert await counted(1, **october) == {"orders": 0, "changed": 0, "breached": 0, "relieved": 0}
    clock.now = at("2026-12-03 09:00")
    by_itself = (await tried(hands, [])).json()["closed"]
    assert (by_itself["closed_from"], by_itself["closed_to"], by_itself["orders"]) == (
        "2026-11-01",
        "2026-12-01",
        2,
    )


async def _finish(hands: Hands, order: dict[str, Any], taker: str) -> None:
    await hands.move(taker, order, "finish", result="已陪同复查并送回家。", closing="solved")
    await hands.move("resident-1", order, "rate", score=5, solved=True, contacted=True)


async def test_a_dry_run_is_an_administrators_and_refuses_what_would_be_refused(hands: Hands):
    refused = await tried(hands, [], login="district-1")
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert (await tried(hands, [policy("a", {})])).json()["errors"][0]["loc"] == [
        "body",
        "items",
        0,
        "limits",
    ]
    backwards = {"closed_from": "2026-11-01", "closed_to": "2026-11-01"}
    assert (await tried(hands, [], **backwards)).json()["errors"][0]["loc"] == ["body", "closed_to"]


async def test_a_year_that_arrives_moves_the_provisional_deadlines_and_no_others(
    hands: Hands, database: Database, clock: Clock
):  # 16
    await stand(hands, [policy("a", {"dispatch": {"unit": "wd", "amount": 3}})])
    clock.now = at("2026-12-21 10:00")
    sure = await hands.file()
    clock.now = at("2026-12-30 10:00")
    guess = await hands.file()
    kept, old = await dues(hands, sure), await dues(hands, guess)
    assert (old["dispatch"]["provisional"], kept["dispatch"]["provisional"]) == (True, False)
    assert old["dispatch"]["due_at"] == "2027-01-05T18:00:00.000+08:00"
    notice = "date,kind,name\n" + "".join(
        f"2027-{day},{kind},\n"
        for day, kind in [
            ("01-01", "holiday"),
            ("01-04", "holiday"),
            ("01-02", "makeup"),
            ("05-01", "holiday"),
        ]
    )
    year = read_csv(notice + "2027-10-01,holiday,\n2027-01-05,holiday,\n", Source.OFFICIAL)
    async with database.writing() as db:
        await calendars.take_in(db, hands.town.tenant_id, year, at=clock.now)
    await told(database, clock)

    new = await dues(hands, guess)
    assert (new["dispatch"]["due_at"], new["dispatch"]["provisional"]) == (
        "2027-01-06T18:00:00.000+08:00",
        False,
    )
    assert await dues(hands, sure) == kept
    moved = {(order, clock): (old, new) for order, clock, old, new in await changes(hands)}
    assert moved[guess["id"], "dispatch"] == (at("2027-01-05 18:00"), at("2027-01-06 18:00"))
    assert {order for order, _ in moved} == {guess["id"]}


async def test_a_holiday_added_for_tomorrow_moves_open_deadlines_and_no_verdicts(
    hands: Hands, database: Database, clock: Clock
):  # 17
    await stand(hands, [policy("a", {"dispatch": hours(10), "accept": hours(1)})])
    clock.now = at("2026-11-24 09:00")
    open_, breached = await hands.file(), await hands.file()
    done = await hands.accepted()
    clock.now = at("2026-11-24 11:00")
    verdict = (await dues(hands, done))["accept"]
    assert verdict["verdict"] == "on_time"
    late = (await dues(hands, breached))["accept"]
    await work_by(hands, [{"date": "2026-11-25", "kind": "holiday", "name": "停电"}])
    await told(database, clock)
    assert (await dues(hands, open_))["dispatch"]["due_at"] == "2026-11-26T12:00:00.000+08:00"
    assert (await dues(hands, done))["accept"] == verdict
    assert (await dues(hands, breached))["accept"]["due_at"] == late["due_at"]


async def test_a_holiday_that_was_none_after_all_makes_no_breach_after_the_fact(
    hands: Hands, database: Database, clock: Clock
):  # 18
    await work_by(hands, [{"date": "2026-11-25", "kind": "holiday", "name": "停电"}], apply_to="future")
    await stand(hands, [policy("a", {"dispatch": hours(10)})])
    clock.now = at("2026-11-24 09:00")
    order = await hands.file()
    before = (await dues(hands, order))["dispatch"]["due_at"]
    assert before == "2026-11-26T12:00:00.000+08:00"
    clock.now = at("2026-11-26 10:00")
    await work_by(hands, [], version=2)
    await told(database, clock)
    assert (await dues(hands, order))["dispatch"]["due_at"] == before


async def test_many_open_orders_are_done_some_at_a_time(
    hands: Hands, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recomputing, "BATCH", 2)
    monkeypatch.setattr("dispatch.sla.reactions.BATCH", 2)
    clock.now = at("2026-11-24 09:00")
    orders = [await hands.file() for _ in range(5)]
    await stand(hands, [policy("a", {"dispatch": hours(8)})], apply_to="open")
    for _ in range(6):
        await told(database, clock)
    assert {order for order, _, _, _ in await changes(hands)} == {order["id"] for order in orders}


async def test_a_move_under_way_while_the_rules_change_is_caught_once_more(
    hands: Hands, database: Database, clock: Clock
):
    clock.now = at("2026-11-24 09:00")
    await stand(hands, [policy("a", {"dispatch": hours(8)})], apply_to="open")
    await told(database, clock)
    late = await hands.file()
    mine = clocks.c.tenant_id == hands.town.tenant_id, clocks.c.clock == "dispatch"
    async with database.writing() as db:  # what a move would have written that had read the old rules
        old = {"limit": {"unit": "wh", "amount": 24}, "due_at": at("2026-11-27 12:00")}
        await db.execute(clocks.update().where(*mine).values(**old))
    clock.pass_(seconds=61)
    await told(database, clock)
    assert (await dues(hands, late))["dispatch"]["due_at"] == "2026-11-25T10:00:00.000+08:00"


async def test_a_policy_that_is_gone_leaves_its_name_in_the_history(hands: Hands, clock: Clock):  # 20
    clock.now = at("2026-11-24 09:00")
    await stand(hands, [policy("gone", {"dispatch": hours(8)})])
    order = await hands.accepted()
    await stand(hands, [], version=1)
    rows = await hands.town.rows(
        select(clocks.c.policy).where(
            clocks.c.tenant_id == hands.town.tenant_id,
            clocks.c.order_id == UUID(order["id"]),
            clocks.c.clock == "accept",
        )
    )
    assert [row.policy for row in rows] == ["gone@1"]
