"""A request sent again under its key is answered again and not done again."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, update

from dispatch.db.engine import Database
from dispatch.db.idempotency import KEPT_DAYS, idempotency_keys
from dispatch.jobs.housekeeping import forget_keys
from dispatch.orders.tables import order_steps
from dispatch.people.tables import accounts
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands

PRIVATE = {"text": "李奶奶家水管坏了", "contact_phone": "13800001111", "address": "3栋2单元501"}


async def _kept(hands: Hands) -> list[Any]:
    table = idempotency_keys
    return await hands.town.rows(select(table).where(table.c.tenant_id == hands.town.tenant_id))


async def _steps(hands: Hands, move: str) -> int:
    counted = select(func.count()).where(
        order_steps.c.tenant_id == hands.town.tenant_id, order_steps.c.move == move
    )
    return int((await hands.town.rows(counted))[0][0])


def _repeated(answers: list[httpx.Response]) -> int:
    return sum(answer.headers.get("Idempotency-Replayed") == "true" for answer in answers)


@pytest.mark.parametrize("move", ["accept", "urge"])
async def test_ten_parallel_repeats_of_a_move_make_one_step(hands: Hands, move: str):
    order = await hands.file()
    path, body = f"/v1/orders/{order['id']}/{move}", {"text": "请尽快"}
    answers = await asyncio.gather(
        *(hands.post("dispatcher-1", path, body, Idempotency_Key="same") for _ in range(10))
    )
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len({answer.text for answer in answers}) == 1
    assert _repeated(answers) == 9
    assert await _steps(hands, move) == 1
    assert await assert_books(hands.town) == 1


async def test_a_take_sent_again_is_still_taken(hands: Hands):
    order = await hands.open_()
    path = f"/v1/orders/{order['id']}/take"
    answers = await asyncio.gather(*(hands.post("member-1", path, Idempotency_Key="k") for _ in range(5)))
    assert [(answer.status_code, answer.json()["outcome"]) for answer in answers] == [(200, "taken")] * 5
    assert _repeated(answers) == 4
    assert await _steps(hands, "take") == 1
    assert (await hands.post("member-1", path)).json()["outcome"] == "already_yours"


async def test_a_repeat_is_rendered_for_what_is_true_today(hands: Hands):
    order = await hands.open_()
    path = f"/v1/orders/{order['id']}/take"
    first = await hands.post("member-1", path, Idempotency_Key="k")
    await hands.move("dispatcher-1", order, "urge", text="请尽快")
    again = await hands.post("member-1", path, Idempotency_Key="k")
    assert again.json()["order"]["version"] == first.json()["order"]["version"] + 1
    await hands.move("resident-1", order, "cancel", reason_code="other")
    gone = await hands.post("member-1", path, Idempotency_Key="k")
    assert (gone.status_code, gone.json()["outcome"]) == (200, "taken")
    assert gone.json()["order"]["state"] == "cancelled"


async def test_a_refusal_is_not_kept_and_the_same_key_may_succeed_later(hands: Hands):
    order = await hands.file()
    path, body = f"/v1/orders/{order['id']}/recall", {"reason_code": "other"}
    for _ in range(2):
        refused = await hands.post("dispatcher-1", path, body, Idempotency_Key="later")
        assert refused.status_code == 409
        assert "Idempotency-Replayed" not in refused.headers
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    recalled = await hands.post("dispatcher-1", path, body, Idempotency_Key="later")
    assert (recalled.status_code, _repeated([recalled])) == (200, 0)


async def test_a_key_belongs_to_an_account_and_a_route(hands: Hands):
    body = {"item_code": "0102", "text": "陪同就医"}
    first, other = [
        await hands.post(login, "/v1/orders", body, Idempotency_Key="1")
        for login in ("resident-1", "resident-2")
    ]
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]
    path = f"/v1/orders/{first.json()['id']}"
    urged = await hands.post("resident-1", f"{path}/supplement", {"text": "补充"}, Idempotency_Key="1")
    assert (urged.status_code, _repeated([first, other, urged])) == (200, 0)


async def test_the_same_key_for_another_order_is_refused(hands: Hands):
    one, two = await hands.file(), await hands.file()
    accepted = await hands.post("dispatcher-1", f"/v1/orders/{one['id']}/accept", {}, Idempotency_Key="k")
    assert accepted.status_code == 200
    other = await hands.post("dispatcher-1", f"/v1/orders/{two['id']}/accept", {}, Idempotency_Key="k")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await hands.get("dispatcher-1", f"/v1/orders/{two['id']}")).json()["state"] == "submitted"


@pytest.mark.parametrize("key", ["", " ", "鍵", "a" * 129, "a\tb"])
async def test_a_senseless_key_is_refused(hands: Hands, key: str):
    headers = {**hands.town["resident-1"].headers, "Idempotency-Key": key.encode()}
    body = {"item_code": "0102", "text": "陪同就医"}
    answer = await hands.client.post("/v1/orders", json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["code"] in ("IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REQUIRED")
    assert await _kept(hands) == []


async def test_nothing_personal_is_kept_under_a_key_and_keys_are_forgotten(
    hands: Hands, database: Database, clock: Clock
):
    key = uuid4().hex
    body = {"item_code": "0102", **PRIVATE}
    filed = await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=key)
    await hands.post("dispatcher-1", f"/v1/orders/{filed.json()['id']}/accept", {}, Idempotency_Key=key)
    rows = await _kept(hands)
    assert len(rows) == 2
    assert all(word not in str(row) for row in rows for word in (*PRIVATE.values(), "resident-1"))
    clock.pass_(days=KEPT_DAYS, seconds=-1)
    await forget_keys(database, clock.now)
    again = await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=key)
    assert (again.json()["id"], _repeated([again])) == (filed.json()["id"], 1)
    clock.pass_(seconds=2)
    await forget_keys(database, clock.now)
    assert await _kept(hands) == []


async def test_an_act_that_put_the_order_out_of_sight_is_still_answered_again(hands: Hands):
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town["member-1"].id)}]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets)
    path = f"/v1/orders/{order['id']}/decline"
    first, again = [await hands.post("member-1", path, Idempotency_Key="k") for _ in range(2)]
    assert (first.status_code, first.json()["gone"]) == (200, True)
    assert (again.status_code, again.json(), _repeated([again])) == (200, first.json(), 1)
    assert (await hands.post("member-1", path, Idempotency_Key="other")).status_code == 404


async def test_a_bulk_act_sent_again_is_answered_again_and_its_key_is_for_it_alone(hands: Hands):
    orders = [await hands.file() for _ in range(3)]
    body = {"move": "accept", "order_ids": [order["id"] for order in orders[:2]], "body": {}}
    first = await hands.post("dispatcher-1", "/v1/orders/bulk", body, Idempotency_Key="k")
    again = await hands.post("dispatcher-1", "/v1/orders/bulk", body, Idempotency_Key="k")
    assert (_repeated([first, again]), again.json()) == (1, first.json())
    body["order_ids"] = [orders[2]["id"]]
    other = await hands.post("dispatcher-1", "/v1/orders/bulk", body, Idempotency_Key="k")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await hands.get("dispatcher-1", f"/v1/orders/{orders[2]['id']}")).json()["state"] == "submitted"


async def test_a_revoked_token_makes_no_bulk_act(hands: Hands, database: Database):
    order = await hands.file()
    town = hands.town
    await hands.get("dispatcher-1", "/v1/me")
    async with database.writing() as db:
        mine = (accounts.c.tenant_id == town.tenant_id, accounts.c.id == town["dispatcher-1"].id)
        await db.execute(update(accounts).where(*mine).values(grants_version=2))
    body = {"move": "accept", "order_ids": [order["id"]], "body": {}}
    refused = await hands.post("dispatcher-1", "/v1/orders/bulk", body)
    assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_TOKEN_REVOKED")
    assert await _steps(hands, "accept") == 0
