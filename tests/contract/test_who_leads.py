"""Takes stand in the order in which they were won, whatever the clocks of the servers say."""

import asyncio
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from dispatch.dispatching.actions import winning
from dispatch.orders.tables import order_steps, takes
from dispatch.web import deps
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands


async def opened(hands: Hands, slots: int) -> dict[str, Any]:
    order = await hands.accepted()
    return await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=1, slots_max=slots)


async def by_instant(hands: Hands) -> list[UUID]:
    mine = select(takes.c.id).where(takes.c.tenant_id == hands.town.tenant_id)
    return [row.id for row in await hands.town.rows(mine.order_by(takes.c.taken_at, takes.c.nth))]


async def by_log(hands: Hands) -> list[UUID]:
    """Takes in the order of their last step."""
    told = select(order_steps.c.detail).where(
        order_steps.c.tenant_id == hands.town.tenant_id, order_steps.c.move == "take"
    )
    rows = await hands.town.rows(told.order_by(order_steps.c.seq.desc()))
    return list(reversed(dict.fromkeys(UUID(row.detail["take_id"]) for row in rows)))


async def test_a_clock_that_is_behind_puts_nobody_before_who_won(
    hands: Hands, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(winning, "new_id", uuid4)  # ids of several servers come in no order
    others = await hands.town.crowd(4)
    order = await opened(hands, 7)
    await hands.move("member-1", order, "take")
    clock.pass_(seconds=-5)
    for login in ("member-2", "member-3", *others):
        await hands.move(login, order, "take")
        await assert_books(hands.town)
    await hands.move("member-2", order, "release", reason_code="other")
    clock.pass_(seconds=5, milliseconds=1)
    await hands.move("member-2", order, "take")
    await assert_books(hands.town)
    assert await by_instant(hands) == await by_log(hands)


async def test_who_asked_first_and_won_last_stands_last(
    hands: Hands, app: FastAPI, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    dice, start, members = Random(7), clock.now, await hands.town.crowd(8)
    order = await opened(hands, 8)

    async def now() -> datetime:
        return start + timedelta(milliseconds=dice.randrange(1000))

    monkeypatch.setitem(app.dependency_overrides, deps.now, now)
    answers = await asyncio.gather(*(hands.try_(login, order, "take") for login in members))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert await by_instant(hands) == await by_log(hands)
    await assert_books(hands.town)
