"""The next order for me, and a pool whose head is not the same for everybody."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dispatch.catalog.tables import checkin_items
from dispatch.dispatching import queries
from dispatch.orders import ring
from dispatch.orders.tables import orders
from dispatch.people.tables import members
from tests.contract.ledger import assert_books
from tests.contract.test_taking_limits import many, ruled
from tests.town import Clock, Hands

NEXT = "/v1/orders/next/take"
VIEWS = {"view": "pool", "limit": 50}


async def next_(hands: Hands, login: str, **body: Any) -> Any:
    """Ask for the next order, and again on 503 as Retry-After says."""
    for _ in range(30):
        answer = await hands.post(login, NEXT, body)
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.2)
    raise AssertionError("busy for ever")


async def test_of_sixty_four_who_ask_at_once_each_gets_another_order_and_nobody_a_no(hands: Hands):
    await many(hands, 64)
    crowd = await hands.town.crowd(64)
    answers = await asyncio.gather(*(next_(hands, login) for login in crowd))
    assert Counter(answer.status_code for answer in answers) == {200: 64}, [a.text for a in answers]
    told = [answer.json() for answer in answers]
    assert {line["outcome"] for line in told} == {"taken"}
    assert len({line["order"]["id"] for line in told}) == 64
    last = await next_(hands, "member-1")
    assert (last.status_code, last.json()["code"]) == (404, "NOTHING_OPEN")
    await assert_books(hands.town)


async def test_without_the_lock_takers_get_in_each_others_way(hands: Hands, monkeypatch: pytest.MonkeyPatch):
    """The positive control: without it all reach for the same order first, and some are sent away with nothing."""
    if hands.town.database.url.get_backend_name() == "sqlite":
        return  # its writers take turns
    honest, seen = queries.next_open, Counter[UUID | None]()

    async def noted(*args: Any, **more: Any) -> UUID | None:
        found = await honest(*args, **more)
        seen[found] += 1
        return found

    monkeypatch.setattr("dispatch.dispatching.actions.drawing.next_open", noted)
    await many(hands, 8)
    crowd = await hands.town.crowd(8)
    with monkeypatch.context() as careless:
        careless.setattr(
            queries, "_next_open", queries._next_open.__wrapped__
        )  # not the statement that is kept
        careless.setattr(queries.Select, "with_for_update", lambda self, **options: self)
        await asyncio.gather(*(next_(hands, login) for login in crowd))
    assert max(seen.values()) > 1, seen


async def test_with_fewer_orders_than_takers_all_are_given_out_and_the_others_told_that_there_is_none(
    hands: Hands,
):
    await many(hands, 5)
    crowd = await hands.town.crowd(12)
    answers = await asyncio.gather(*(next_(hands, login) for login in crowd))
    assert Counter(answer.status_code for answer in answers) == {200: 5, 404: 7}
    await assert_books(hands.town)


async def test_what_was_chosen_on_checking_in_comes_first_then_urgency_then_age(hands: Hands):
    async def opened(item_code: str, **accepting: Any) -> str:
        order = await hands.file(item_code=item_code)
        await hands.move("dispatcher-1", order, "accept", **accepting)
        return str((await hands.move("dispatcher-1", order, "dispatch", mode="open"))["id"])

    old = await opened("0801", urgency="U3")
    urgent = await opened("0801", urgency="U2")
    offered = await opened("0102", urgency="U4")
    town = hands.town
    rows = await town.rows(select(checkin_items).where(checkin_items.c.tenant_id == town.tenant_id))
    code = next(row.code for row in rows if "0102" in row.item_codes and "0801" not in row.item_codes)
    async with town.database.writing() as db:
        mine = (members.c.tenant_id == town.tenant_id, members.c.account_id == town["member-1"].id)
        await db.execute(update(members).where(*mine).values(items=[code]))
    assert (await next_(hands, "member-1")).json()["order"]["id"] == offered
    for expected in (urgent, old):
        assert (await next_(hands, "member-2")).json()["order"]["id"] == expected


async def test_only_of_an_item_or_within_a_place_if_asked(hands: Hands):
    town = hands.town
    await many(hands, 1)
    lamp = await hands.accepted(item_code="0801", place_id=str(town.places["grid-12"]))
    await hands.move("dispatcher-1", lamp, "dispatch", mode="open")
    none = await next_(hands, "member-1", place_id=str(town.places["grid-11"]))
    assert none.status_code == 404
    assert (await next_(hands, "member-1", item_code="0801")).json()["order"]["id"] == lamp["id"]
    again = await next_(hands, "member-1", place_id=str(town.places["grid-12"]))
    assert again.status_code == 404
    assert (await next_(hands, "member-1", place_id=str(town.places["community-1"]))).status_code == 200


async def test_the_next_order_keeps_to_limits_and_rests(hands: Hands, clock: Clock):
    await ruled(hands, member_limit=2, cool_after=1, cool_seconds=3600)
    await many(hands, 4)
    taken = [(await next_(hands, "member-1")).json()["order"] for _ in range(2)]
    full = await next_(hands, "member-1")
    assert (full.status_code, full.json()["code"]) == (409, "TAKE_LIMIT_REACHED")
    await hands.move("member-1", taken[0], "release", reason_code="other")
    tired = await next_(hands, "member-1")
    assert (tired.status_code, tired.json()["code"]) == (409, "COOLING_DOWN")


async def test_an_order_still_fresh_for_others_is_passed_by(hands: Hands, clock: Clock):
    await ruled(hands, fair_seconds=600, fair_takes=1)
    await many(hands, 2)
    first = (await next_(hands, "member-1")).json()["order"]
    assert (await next_(hands, "member-1")).status_code == 404
    clock.pass_(minutes=10)
    second = (await next_(hands, "member-1")).json()["order"]
    assert first["id"] != second["id"]


async def test_what_stands_against_the_first_order_leads_to_the_second(hands: Hands):
    wide = {"wanted_from": "2026-11-25T08:00:00+08:00", "wanted_to": "2026-11-25T12:00:00+08:00"}
    for _ in range(2):
        order = await hands.accepted(**wide)
        await hands.move("dispatcher-1", order, "dispatch", mode="open")
    (free,) = await many(hands, 1)
    assert (await next_(hands, "member-1")).status_code == 200
    assert (await next_(hands, "member-1")).json()["order"]["id"] == free["id"]
    assert (await next_(hands, "member-1")).status_code == 404  # the other appointment is at the same hour


async def test_a_repeat_under_the_same_key_is_answered_with_the_same_order(hands: Hands):
    await many(hands, 3)
    answers = [await hands.post("member-1", NEXT, {}, Idempotency_Key="next-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["order"]["id"] == answers[1].json()["order"]["id"]
    assert "Idempotency-Replayed" in answers[1].headers


async def test_who_takes_nothing_that_is_open_is_told_so(hands: Hands):
    await many(hands, 1)
    for login in ("resident-1", "provider-1", "dispatcher-1"):
        answer = await next_(hands, login)
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN"), login


async def pool(hands: Hands, login: str, **params: Any) -> list[str]:
    found = (await hands.get(login, "/v1/orders", **(VIEWS | params))).json()["items"]
    return [item["id"] for item in found]


async def test_the_pool_begins_elsewhere_for_everybody_and_holds_the_same(hands: Hands):
    await many(hands, 12)
    crowd = await hands.town.crowd(12)
    pools = [await pool(hands, login) for login in crowd]
    assert len({frozenset(found) for found in pools}) == 1
    heads = Counter(found[0] for found in pools)
    assert len(heads) >= 4, heads
    assert pools[0] == await pool(hands, crowd[0])  # and stays as it is for one viewer


async def test_pages_of_the_pool_neither_repeat_nor_skip_while_orders_come_and_go(hands: Hands):
    await many(hands, 9)
    whole = await pool(hands, "member-1")
    walked: list[str] = []
    params: dict[str, Any] = {"view": "pool", "limit": 2}
    gone = whole[5]
    while True:
        page = (await hands.get("member-1", "/v1/orders", **params)).json()
        walked += [item["id"] for item in page["items"]]
        if not page["next_cursor"]:
            break
        params["cursor"] = page["next_cursor"]
        if len(walked) == 2:
            await many(hands, 3)
            await hands.move("member-2", gone, "take")
    assert len(walked) == len(set(walked))
    assert [id for id in walked if id in whole] == [id for id in whole if id != gone]


async def test_a_place_on_the_ring_is_the_same_in_sql_as_here(hands: Hands):
    await many(hands, 7)
    viewer = hands.town["member-1"].id
    rows = await hands.town.rows(
        select(*ring.COLUMNS)
        .where(orders.c.tenant_id == hands.town.tenant_id)
        .order_by(*ring.COLUMNS)
        .params(ring.values(viewer, None))
    )
    assert [tuple(row) for row in rows] == sorted(ring.place(viewer, row.id) for row in rows)
