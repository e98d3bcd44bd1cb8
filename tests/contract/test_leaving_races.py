"""Whoever leaves at the instant of a take either holds no order or has not left."""

import asyncio
from typing import Any

import pytest

from dispatch.dispatching.actions import taking
from tests.contract.ledger import assert_books
from tests.contract.test_handovers import takers
from tests.contract.test_taking_limits import word
from tests.town import Hands


async def leaves(hands: Hands, login: str) -> Any:
    if login == "unit-1":
        return await hands.post(login, f"/v1/bodies/{hands.town.bodies['unit-1']}/leave")
    return await hands.post(login, "/v1/me/checkin/leave")


LEAVERS = [("unit-1", "body_retired"), ("member-1", "membership_ended")]


@pytest.mark.parametrize(("login", "said"), LEAVERS)
async def test_who_left_between_the_reading_and_the_writing_of_a_take_has_not_taken(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, login: str, said: str
):
    if hands.town.database.url.get_backend_name() == "sqlite":
        return  # its writers take turns: nothing comes between
    order = await hands.open_()
    honest, left = taking.win, []

    async def slow(*args: Any, **more: Any) -> Any:
        if not left:
            left.append(await leaves(hands, login))
        return await honest(*args, **more)

    monkeypatch.setattr(taking, "win", slow)
    assert await word(hands, login, order) == said
    assert left[0].status_code == 200, left[0].text
    assert await takers(hands, order) == []
    await assert_books(hands.town)


@pytest.mark.parametrize("login", [login for login, _ in LEAVERS])
async def test_of_leaving_and_taking_at_once_one_counts(hands: Hands, login: str):
    order = await hands.open_()
    told, left = await asyncio.gather(word(hands, login, order), leaves(hands, login))
    holds = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["state"] == "taken"
    assert (told == "taken") is holds
    assert (left.status_code == 200) is not holds, (told, left.text)
    if holds:
        assert left.json()["code"] == "TAKES_IN_HAND"
    await assert_books(hands.town)
