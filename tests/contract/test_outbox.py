"""A fact is as true as what it tells of: written with it, gone with it, told once, given up in the open."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from dispatch.db import outbox as box
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.domain.facts import Fact
from dispatch.jobs.relay import relay
from dispatch.orders import routes
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands, found


async def _facts(hands: Hands, *states: str) -> list[Any]:
    mine = select(outbox).where(outbox.c.tenant_id == hands.town.tenant_id).order_by(outbox.c.id)
    rows = await hands.town.rows(mine)
    return [row for row in rows if not states or row.state in states]


async def test_a_move_that_fails_at_the_end_leaves_neither_state_nor_fact(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
):
    order = await hands.file()
    before = len(await _facts(hands))

    async def broken(*asked: Any, **more: Any) -> None:
        raise RuntimeError("the answer cannot be rendered")

    with monkeypatch.context() as patch:
        patch.setattr(routes, "answered", broken)
        failed = await hands.try_("dispatcher-1", order, "accept")
    assert (failed.status_code, failed.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "rendered" not in failed.text
    assert (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["state"] == "submitted"
    assert len(await _facts(hands)) == before
    await assert_books(hands.town)


async def test_parallel_workers_tell_each_fact_to_its_reaction_once(
    hands: Hands, database: Database, clock: Clock
):
    for _ in range(5):
        await hands.accepted()
    told: list[str] = []

    async def note(db: Any, tenant_id: int, body: Any, at: Any) -> None:
        if tenant_id == hands.town.tenant_id:
            told.append(f"{body['order_id']} {body['seq']}")
            await asyncio.sleep(0.005)

    await asyncio.gather(
        *(relay(database, clock.now, dict.fromkeys(Fact, (note,)), batch=3) for _ in range(3))
    )
    assert sorted(told) == sorted(set(told))
    assert len(told) == 10
    assert {row.state for row in await _facts(hands)} == {"done"}


async def test_a_reaction_that_fails_writes_nothing_and_is_tried_again_later_and_later(
    hands: Hands, database: Database, clock: Clock
):
    await hands.file()
    first = await hands.file()
    bad = (await _facts(hands))[-1].id
    pauses, tries = [], 0

    async def fails(db: Any, tenant_id: int, body: Any, at: Any) -> None:
        if body.get("order_id") == first["id"]:
            nonlocal tries
            tries += 1
            await db.execute(update(outbox).values(error="half done").where(outbox.c.tenant_id == tenant_id))
            raise RuntimeError("down")

    reactions = dict.fromkeys(Fact, (fails,))
    for _ in range(4):
        await relay(database, clock.now, reactions)
        await relay(database, clock.now, reactions)  # not due again yet
        row = next(row for row in await _facts(hands) if row.id == bad)
        pauses.append(row.due_at - clock.now)
        clock.now = row.due_at
    assert tries == 4
    assert pauses == [timedelta(seconds=seconds) for seconds in (2, 4, 8, 16)]
    others = [row for row in await _facts(hands) if row.id != bad]
    assert {(row.state, row.error) for row in others} == {("done", None)}
    await relay(database, clock.now, REACTIONS)
    assert {row.state for row in await _facts(hands)} == {"done"}


async def test_an_order_hears_nothing_later_before_what_failed_was_told(
    hands: Hands, database: Database, clock: Clock
):
    order, other = await hands.accepted(), await hands.file()
    told: list[tuple[str, int]] = []
    down = True

    async def note(db: Any, tenant_id: int, body: Any, at: Any) -> None:
        if tenant_id != hands.town.tenant_id:
            return
        if down and (body["order_id"], body["seq"]) == (order["id"], 1):
            raise RuntimeError("down")
        told.append((body["order_id"], body["seq"]))

    reactions = dict.fromkeys(Fact, (note,))
    await relay(database, clock.now, reactions)
    assert told == [(other["id"], 1)]  # one behind it in the same batch waits, another order does not
    clock.pass_(seconds=1)
    await hands.move("dispatcher-1", order, "urge", text="请尽快安排。")
    await relay(database, clock.now, reactions)
    assert told == [(other["id"], 1)]  # one that came meanwhile waits too
    down = False
    clock.pass_(seconds=1)
    await relay(database, clock.now, reactions)
    assert told == [(other["id"], 1), *((order["id"], seq) for seq in (1, 2, 3))]


async def test_what_only_waits_for_the_morning_keeps_no_word_of_the_order_back(
    hands: Hands, database: Database, clock: Clock
):
    order = await hands.file()
    await relay(database, clock.now, REACTIONS)
    await hands.move("dispatcher-1", order, "accept")
    (moved,) = await _facts(hands, "pending")
    quiet = {"tenant_id": hands.town.tenant_id, "order_id": moved.order_id, "state": "pending", "attempts": 0}
    quiet |= {"id": uuid4(), "fact": Fact.CLOCK_STEP, "body": {}, "created_at": clock.now}
    async with database.writing() as db:
        await db.execute(outbox.insert().values(**quiet, due_at=clock.now + timedelta(hours=8)))

    await relay(database, clock.now, REACTIONS)

    assert [row.id for row in await _facts(hands, "pending")] == [quiet["id"]]


async def test_tenants_are_told_of_in_turn(hands: Hands, database: Database, clock: Clock):
    other = await found(database, hands.town.key)
    for _ in range(7):
        await hands.file()
    await Hands(hands.client, other).file()
    await relay(database, clock.now - timedelta(seconds=1), {})  # nothing is due yet
    told: list[int] = []

    async def note(db: Any, tenant_id: int, body: Any, at: Any) -> None:
        told.append(tenant_id)

    await relay(database, clock.now, dict.fromkeys(Fact, (note,)), batch=3)
    ours = [id for id in told if id in (hands.town.tenant_id, other.tenant_id)]
    assert ours == [hands.town.tenant_id] * 3 + [other.tenant_id] + [hands.town.tenant_id] * 4


async def test_a_tenant_with_nothing_to_tell_costs_no_transaction(
    hands: Hands, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    other = await found(database, hands.town.key)
    await hands.file()
    asked, due = [], box.due

    async def counted(db: Any, tenant_id: int, **more: Any) -> Any:
        asked.append(tenant_id)
        return await due(db, tenant_id, **more)

    monkeypatch.setattr(box, "due", counted)
    for _ in range(2):
        await relay(database, clock.now, dict.fromkeys(Fact, ()))
    assert asked.count(hands.town.tenant_id) == 1  # and not again when all was told
    assert other.tenant_id not in asked


async def test_a_dead_fact_shows_until_somebody_looked(
    hands: Hands, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(box, "MOST_ATTEMPTS", 1)
    await hands.file()
    assert (await hands.client.get("/v1/readyz")).status_code == 200

    async def fails(db: Any, tenant_id: int, body: Any, at: Any) -> None:
        raise RuntimeError("down")

    await relay(database, clock.now, dict.fromkeys(Fact, (fails,)))
    assert [row.state for row in await _facts(hands)] == ["dead"]
    ready = await hands.client.get("/v1/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    async with database.writing() as db:
        dead = outbox.c.tenant_id == hands.town.tenant_id
        await db.execute(update(outbox).where(dead).values(state="done", ended_at=clock.now))
