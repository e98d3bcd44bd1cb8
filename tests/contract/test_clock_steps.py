"""What time does by itself: steps of clocks told once, and acts of the system by the rulebook."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import order_steps
from dispatch.sla.actions import firing
from dispatch.sla.tables import timers
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.contract.test_deadlines import LAMP, ask, decide, of
from tests.town import Clock, Hands, time_works

SHANGHAI = ZoneInfo("Asia/Shanghai")


async def told(hands: Hands, login: str) -> list[tuple[str, datetime]]:
    """What somebody was told of clocks, in order, with the time it bears."""
    mine = notices.c.tenant_id == hands.town.tenant_id, notices.c.account_id == hands.town[login].id
    rows = await hands.town.rows(select(notices).where(*mine).order_by(notices.c.id))
    return [(row.event, row.created_at) for row in rows if row.event.startswith("clock.")]


async def moves(hands: Hands, order: dict[str, Any]) -> list[str]:
    rows = select(order_steps.c.move).where(
        order_steps.c.tenant_id == hands.town.tenant_id, order_steps.c.order_id == UUID(order["id"])
    )
    return [row.move for row in await hands.town.rows(rows.order_by(order_steps.c.seq))]


async def seen(hands: Hands, order: dict[str, Any], login: str = "dispatcher-1") -> dict[str, Any]:
    found: dict[str, Any] = (await hands.get(login, f"/v1/orders/{order['id']}")).json()
    return found


async def test_after_a_downtime_each_step_is_told_once_in_order_with_its_true_time(
    hands: Hands, clock: Clock
):
    await hands.file(item_code=LAMP)  # 09:30: accept due 21:30
    start = clock.now
    clock.now = start + timedelta(hours=12, minutes=10)  # the worker was down all day
    for _ in range(3):
        await time_works(hands.town, clock.now)
    accept = [start + timedelta(hours=hours) for hours in (6, 9.6, 12)]
    assert await told(hands, "dispatcher-1") == [
        ("clock.warn_50", accept[0]),
        ("clock.warn_80", accept[1]),
        ("clock.breach", accept[2]),
        ("clock.warn_50", start + timedelta(hours=12)),  # of the dispatch clock
    ]
    assert await told(hands, "secretary-1") == [("clock.breach", accept[2])]
    rows = await hands.town.rows(select(timers).where(timers.c.tenant_id == hands.town.tenant_id))
    assert sum(row.fired_at is not None for row in rows) == 4


async def test_at_night_nobody_is_told_except_of_life_safety(hands: Hands, clock: Clock):
    clock.now = datetime(2026, 11, 23, 14, 0, tzinfo=SHANGHAI)
    await hands.file(item_code=LAMP)  # 80 % of 12 h: 23:36
    clock.now = datetime(2026, 11, 24, 1, 0, tzinfo=SHANGHAI)
    await time_works(hands.town, clock.now)
    assert await told(hands, "dispatcher-1") == []
    await hands.file("grid-1", item_code="0111")  # U1: half of 30 minutes to take it in
    clock.pass_(minutes=16)
    await time_works(hands.town, clock.now)
    assert [event for event, _ in await told(hands, "dispatcher-1")][:3] == [
        "clock.warn_50",
        "clock.warn_80",
        "clock.breach",
    ]
    night = len(await told(hands, "dispatcher-1"))
    clock.now = datetime(2026, 11, 24, 7, 0, tzinfo=SHANGHAI)
    await time_works(hands.town, clock.now)
    assert len(await told(hands, "dispatcher-1")) > night


async def test_silence_climbs_the_ladder_and_a_sign_of_life_stops_it(hands: Hands, clock: Clock):
    clock.now = datetime(2026, 11, 23, 9, 0, tzinfo=SHANGHAI)  # a Monday
    order = await hands.taken()
    clock.now = datetime(2026, 11, 24, 9, 0, 1, tzinfo=SHANGHAI)  # the first contact was due a second ago
    await time_works(hands.town, clock.now)
    assert "overdue" in (await seen(hands, order))["flags"]
    clock.now = datetime(2026, 11, 25, 15, 0, tzinfo=SHANGHAI)
    await hands.move("member-1", order, "progress", text="已联系不上，继续打")
    clock.now = datetime(2026, 11, 25, 20, 0, tzinfo=SHANGHAI)  # one working day after the breach is over
    await time_works(hands.town, clock.now)
    assert "urge" not in await moves(hands, order)
    clock.now = datetime(2026, 11, 26, 20, 0, tzinfo=SHANGHAI)  # one after the sign of life
    await time_works(hands.town, clock.now)
    urged = await seen(hands, order)
    assert (await moves(hands, order))[-1] == "urge"
    assert "urged" in urged["flags"]
    clock.now = datetime(2026, 12, 3, 20, 0, tzinfo=SHANGHAI)
    for _ in range(2):
        await time_works(hands.town, clock.now)
    assert (await moves(hands, order)).count("urge") == 1
    assert (await moves(hands, order))[-1] == "supervise"
    assert "clock.supervise" in [event for event, _ in await told(hands, "street-1")]
    line = (await hands.get("resident-1", f"/v1/orders/{order['id']}/timeline")).json()["items"][-1]
    assert (line["who"]["name"], line["text"]) == ("系统", "督办：先行联系超时未办。")
    await assert_books(hands.town)


async def test_what_is_not_answered_is_withdrawn_after_five_working_days(hands: Hands, clock: Clock):
    silent, spoken = await hands.file(item_code=LAMP), await hands.file(item_code=LAMP)
    for order in (silent, spoken):
        await hands.move("dispatcher-1", order, "ask", text="几楼？")
    due = datetime.fromisoformat((await of(hands, silent, "answer"))[0]["due_at"])
    clock.now = due
    await time_works(hands.town, clock.now)
    assert (await seen(hands, silent))["state"] == "need_info"
    await hands.move("resident-1", spoken, "supplement", text="三楼")
    clock.now = due.replace(hour=7) + timedelta(days=1)
    await time_works(hands.town, clock.now)
    ended = await seen(hands, silent)
    assert ended["state"] == "cancelled"
    assert (await seen(hands, spoken))["state"] == "submitted"
    texts = [n["text"] for n in (await hands.get("resident-1", "/v1/me/notices")).json()["items"]]
    assert any("自动撤单" in text and "没有收到" in text for text in texts)
    await assert_books(hands.town)


async def test_the_answer_and_the_timeout_in_the_same_second_lose_nothing(
    hands: Hands, database: Database, clock: Clock
):
    order = await hands.file(item_code=LAMP)
    await hands.move("dispatcher-1", order, "ask", text="几楼？")
    clock.now = datetime.fromisoformat((await of(hands, order, "answer"))[0]["due_at"]) + timedelta(hours=14)
    _, answer = await asyncio.gather(
        time_works(hands.town, clock.now),
        hands.try_("resident-1", order, "supplement", text="三楼"),
    )
    await time_works(hands.town, clock.now + timedelta(seconds=5))
    made = await moves(hands, order)
    if answer.status_code == 200:
        assert made == ["submit", "ask", "supplement"]
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_MOVED")
        assert made == ["submit", "ask", "cancel"]
    await assert_books(hands.town)


async def test_silence_is_reminded_once_and_closes_after_seven_days_without_a_verdict(
    hands: Hands, clock: Clock
):
    order = await hands.done()
    done = clock.now
    clock.now = done + timedelta(days=3, minutes=1)
    await time_works(hands.town, clock.now)
    assert await told(hands, "resident-1") == [("clock.remind", done + timedelta(days=3))]
    clock.now = done + timedelta(days=7)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "done"
    clock.pass_(seconds=1)
    await time_works(hands.town, clock.now)
    closed = await seen(hands, order)
    assert (closed["state"], closed["exit"]) == ("closed", "no_verdict")
    assert [(i["verdict"], i["reason"]) for i in await of(hands, order, "evaluate")] == [("late", "close")]
    assert len(await told(hands, "resident-1")) == 1
    await assert_books(hands.town)


async def test_a_wish_to_reopen_is_decided_before_silence_closes(hands: Hands, clock: Clock):
    order = await hands.done()
    asked = await ask(hands, "resident-1", order, "reopen")
    clock.pass_(days=7, seconds=1)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "done"
    assert (await decide(hands, "dispatcher-1", asked, "refuse", text="已解决")).status_code == 200
    clock.pass_(days=1, minutes=1)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "closed"


async def test_a_parked_order_resumes_on_its_review_date_and_the_community_is_told(
    hands: Hands, clock: Clock
):
    order = await hands.taken()
    asked = await ask(hands, "member-1", order, "park", until="2026-12-10")
    await decide(hands, "street-1", asked)
    clock.now = datetime(2026, 12, 10, 6, 59, tzinfo=SHANGHAI)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "paused"
    clock.now = datetime(2026, 12, 10, 7, 0, tzinfo=SHANGHAI)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "taken"
    assert "clock.act" in [event for event, _ in await told(hands, "dispatcher-1")]
    await assert_books(hands.town)


async def test_nobody_takes_so_the_ring_widens_and_then_it_comes_back(hands: Hands, clock: Clock):
    town = hands.town
    order = await hands.accepted(place_id=str(town.places["grid-11"]))
    grid = str(town.places["grid-11"])
    await hands.move(
        "dispatcher-1", order, "dispatch", mode="open", ring_place_id=grid, expires_in_seconds=3600
    )
    for ring in ("community-1", "street-1"):
        clock.pass_(hours=1)
        await time_works(town, clock.now)  # now == due: still time to take it
        clock.pass_(milliseconds=1)
        await time_works(town, clock.now)
        now = (await seen(hands, order))["dispatches"][0]
        assert now["ring_place_id"] == str(town.places[ring])
        assert datetime.fromisoformat(now["expires_at"]) == clock.now + timedelta(hours=1)
    clock.pass_(hours=1, milliseconds=1)
    await time_works(town, clock.now)
    back = await seen(hands, order)
    assert (back["state"], back["dispatches"][0]["state"]) == ("accepted", "expired")
    assert (await moves(hands, order)).count("lapse") == 3
    await assert_books(town)


async def test_who_does_not_answer_an_offer_gives_way_to_the_next(hands: Hands, clock: Clock):
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in ("member-1", "member-2")]
    await hands.move(
        "dispatcher-1", order, "dispatch", mode="offer", targets=targets, expires_in_seconds=1800
    )
    clock.pass_(minutes=31)
    await time_works(hands.town, clock.now)
    assert [t["state"] for t in (await seen(hands, order))["dispatches"][0]["targets"]] == ["lapsed", "asked"]
    clock.pass_(minutes=31)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "accepted"
    await assert_books(hands.town)


async def test_too_few_takers_wait_once_more_and_then_for_the_dispatcher(hands: Hands, clock: Clock):
    order = await hands.accepted()
    await hands.move(
        "dispatcher-1",
        order,
        "dispatch",
        mode="open",
        slots_min=2,
        expires_in_seconds=3600,
        ring_place_id=str(hands.town.places["street-1"]),
    )
    await hands.move("member-1", order, "take")
    for _ in range(4):
        clock.pass_(hours=1, minutes=1)
        await time_works(hands.town, clock.now)
    waits = await seen(hands, order)
    assert waits["state"] == "open"
    assert "short_handed" in waits["flags"]
    assert (await moves(hands, order)).count("lapse") == 2
    await assert_books(hands.town)


async def test_a_clock_that_stopped_arms_nothing_and_a_step_told_late_does_nothing(
    hands: Hands, clock: Clock
):
    order = await hands.file(item_code=LAMP)
    await hands.move("dispatcher-1", order, "ask", text="几楼？")
    clock.pass_(days=9)
    async with hands.town.database.writing() as db:
        assert await firing.fire(db, hands.town.tenant_id, SHANGHAI, at=clock.now, limit=200)
    await hands.move("resident-1", order, "supplement", text="三楼")  # before the fact is told
    await relay(hands.town.database, clock.now, REACTIONS)
    assert (await seen(hands, order))["state"] == "submitted"
    await hands.move("resident-1", order, "cancel")
    left = select(timers).where(timers.c.tenant_id == hands.town.tenant_id, timers.c.fired_at.is_(None))
    assert await hands.town.rows(left) == []


async def test_many_workers_fire_each_timer_once_and_a_clock_set_back_fires_none_again(
    hands: Hands, database: Database, clock: Clock
):
    for _ in range(6):
        await hands.file(item_code=LAMP)
    clock.pass_(days=2)

    async def work(at: datetime) -> int:
        count = done = 1
        while done:
            async with database.writing() as db:
                done = await firing.fire(db, hands.town.tenant_id, SHANGHAI, at=at, limit=5)
            count += done
        return count - 1

    assert sum(await asyncio.gather(*(work(clock.now) for _ in range(4)))) == 36
    assert await work(clock.now - timedelta(minutes=2)) == 0
    assert await work(clock.now) == 0
    facts = select(outbox.c.body).where(
        outbox.c.tenant_id == hands.town.tenant_id, outbox.c.fact == "clock.step"
    )
    keys = [
        tuple(row.body[name] for name in ("order_id", "clock", "level"))
        for row in await hands.town.rows(facts)
    ]
    assert len(keys) == len(set(keys)) == 36
    await relay(database, clock.now, REACTIONS)
    clock.now -= timedelta(minutes=2)
    orders = (await hands.get("dispatcher-1", "/v1/orders")).json()["items"]
    for order in orders:
        await hands.move("dispatcher-1", order, "accept")
    await assert_books(hands.town)  # no clock ends before it starts
