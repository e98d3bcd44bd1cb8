"""Many orders with one act, and returns that grow stricter."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Select, Table, insert, select

from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.outbox import outbox
from dispatch.db.sealed import Sealed, private
from dispatch.domain.chain import link
from dispatch.orders.tables import dispatches, order_steps, orders
from tests.contract.ledger import assert_books
from tests.contract.states import States, counted
from tests.town import Hands


async def _accepted(hands: Hands, database: Database, count: int) -> list[str]:
    """As many accepted orders: one that came over HTTP, and copies of all it left behind, each with a chain of its own."""
    first = await hands.accepted()
    copies = [new_id() for _ in range(count - 1)]
    async with database.writing() as db:
        order, steps, facts = [
            [row._asdict() for row in await db.execute(_of(hands, table))]
            for table in (orders, order_steps, outbox)
        ]
        made: dict[Table, list[dict[str, Any]]] = {orders: [], order_steps: [], outbox: []}
        for nth, id in enumerate(copies, start=1000):
            head = None
            for step in steps:
                head = link(head, id, step)
                made[order_steps].append(_copy(hands, order_steps, step, order_id=id, hash=head))
            made[orders].append(
                _copy(hands, orders, order[0], id=id, serial=order[0]["serial"] + nth, head=head)
            )
            made[outbox] += [_copy(hands, outbox, fact, id=new_id()) for fact in facts]
        for table, rows in made.items():
            await db.execute(insert(table), rows)
    return [first["id"], *map(str, copies)]


def _of(hands: Hands, table: Table) -> Select[Any]:
    found = select(table).where(table.c.tenant_id == hands.town.tenant_id)
    return found.order_by(table.c.seq) if table is order_steps else found


def _copy(hands: Hands, table: Table, row: dict[str, Any], **own: Any) -> dict[str, Any]:
    tenant = hands.town.tenant_id
    sealed = {c.name: private(tenant, row[c.name]) for c in table.c if isinstance(c.type, Sealed)}
    return {**row, **sealed, **own}


@pytest.mark.parametrize("backend", ["sqlite", "psycopg"], indirect=True)
async def test_of_five_hundred_dispatches_the_valid_ones_are_done_and_a_repeat_does_none_twice(
    hands: Hands, database: Database
):
    ids = await _accepted(hands, database, 497)
    theirs, taken = await hands.file("resident-3"), await hands.taken("member-1")
    named = [ids[0], theirs["id"], *ids[1:300], taken["id"], *ids[300:], str(uuid4())]
    assert len(named) == 500
    body = {"move": "dispatch", "order_ids": named, "body": {"mode": "open", "slots_min": 2}}
    wrong = {
        named[1]: (404, "ORDER_NOT_FOUND"),
        taken["id"]: (409, "ORDER_MOVED"),
        named[-1]: (404, "ORDER_NOT_FOUND"),
    }
    told = []
    for _ in range(2):
        answer = await hands.post("dispatcher-1", "/v1/orders/bulk", body, Idempotency_Key="bulk-500")
        assert answer.status_code == 200, answer.text
        told.append(answer.json()["items"])
        assert [line["order_id"] for line in told[-1]] == named
        for line in told[-1]:
            status, code = wrong.get(line["order_id"], (200, None))
            assert (line["status"], line["code"]) == (status, code)
            assert (line["state"] == "open") == (status == 200)
    assert told[0] == told[1]
    tenant = hands.town.tenant_id
    made = select(order_steps.c.order_id).where(
        order_steps.c.tenant_id == tenant, order_steps.c.move == "dispatch"
    )
    steps = Counter(str(row.order_id) for row in await hands.town.rows(made))
    assert steps == Counter([*ids, taken["id"]])
    assert await counted(hands.town, dispatches) == 498
    other = await hands.post(
        "dispatcher-1", "/v1/orders/bulk", {**body, "body": {"mode": "open"}}, Idempotency_Key="bulk-500"
    )
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await assert_books(hands.town) == 499


async def test_of_two_returns_that_are_approved_at_once_the_second_is_the_streets(hands: Hands):
    order = await hands.open_(slots_min=2, slots_max=3)
    asked = {}
    for login in ("member-1", "unit-1"):
        await hands.move(login, order, "take")
    for login in ("member-1", "unit-1"):
        asked[login] = (await States(hands).ask(login, order, "return"))["id"]

    async def decided(login: str, request: str) -> int:
        for _ in range(30):
            answer = await hands.post(login, f"/v1/requests/{request}/approve", {"text": "同意"})
            if answer.status_code != 503:
                return answer.status_code
            await asyncio.sleep(0.1)
        raise AssertionError("busy for ever")

    answers = await asyncio.gather(*(decided("dispatcher-1", request) for request in asked.values()))
    assert sorted(answers) == [200, 403], "the community decides one return of an order, not two"
    left = next(login for login, status in zip(asked, answers, strict=True) if status == 403)
    assert await decided("street-1", asked[left]) == 200
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert [take["state"] for take in seen["takes"]] == ["returned", "returned"]
    for login in asked:
        barred = await hands.try_(login, order, "take")
        assert (barred.json()["code"], barred.json()["why"]) == ("NOT_ELIGIBLE", "returned")
    third = await hands.move("member-2", order, "take")
    assert third["outcome"] == "taken"
    await assert_books(hands.town)
