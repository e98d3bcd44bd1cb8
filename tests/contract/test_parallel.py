"""Many at once: slots hold, keys hold, budgets hold."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from dispatch.db.base import metadata
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.dispatching.actions import taking, winning
from dispatch.orders.tables import order_steps, orders, takes
from tests.town import Hands


async def _insist(hands: Hands, login: str, order: dict) -> tuple[int, str]:
    """Take, and try again on 503 as Retry-After says."""
    for _ in range(30):
        answer = await hands.try_(login, order, "take")
        if answer.status_code != 503:
            body = answer.json()
            return answer.status_code, body.get("outcome") or body["code"]
        assert answer.headers["Retry-After"]
        await asyncio.sleep(0.2)
    raise AssertionError("busy for ever")


async def test_of_fifty_takers_one_wins_and_the_rest_get_a_typed_no(hands: Hands):
    order = await hands.open_()
    crowd = await hands.town.crowd(50)

    answers = await asyncio.gather(*(_insist(hands, login, order) for login in crowd))

    assert Counter(answers) == {(200, "taken"): 1, (409, "SLOT_TAKEN"): 49}
    tenant = hands.town.tenant_id
    steps = select(func.count()).where(order_steps.c.tenant_id == tenant, order_steps.c.move == "take")
    assert (await hands.town.rows(steps))[0][0] == 1
    facts = await hands.town.rows(select(outbox.c.body).where(outbox.c.tenant_id == tenant))
    assert sum(row.body["move"] == "take" for row in facts) == 1


async def test_of_five_hundred_takers_exactly_as_many_win_as_there_are_slots(hands: Hands):
    order = await hands.open_(slots_min=50, slots_max=50)
    crowd = await hands.town.crowd(500)

    answers = await asyncio.gather(*(_insist(hands, login, order) for login in crowd))

    assert Counter(answers) == {(200, "taken"): 50, (409, "SLOT_TAKEN"): 450}
    tenant = hands.town.tenant_id
    active = select(func.count()).where(takes.c.tenant_id == tenant, takes.c.state == "active")
    assert (await hands.town.rows(active))[0][0] == 50
    state = await hands.town.rows(select(orders.c.state).where(orders.c.tenant_id == tenant))
    assert state[0][0] == "taken"


async def test_without_its_predicate_the_take_gives_a_slot_away_twice(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
):
    """The positive control: the test above can fail."""
    order = await hands.open_()
    honest = winning._slot_guard

    def careless(tenant_id, held, party, *, at):
        guard = honest(tenant_id, held, party, at=at)
        where = {name: value for name, value in guard.where.items() if name != "state"}
        return replace(guard, where=where, holds=tuple(c for c in guard.holds if "slots_max" not in str(c)))

    monkeypatch.setattr(winning, "_slot_guard", careless)
    monkeypatch.setattr(taking, "take_refusal", lambda life, who, *, at: None)
    answers = [await hands.try_(login, order, "take") for login in ("member-1", "member-2")]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_one_person_on_two_devices_takes_once(hands: Hands):
    order = await hands.open_(slots_min=2, slots_max=3)
    answers = await asyncio.gather(*(_insist(hands, "member-1", order) for _ in range(2)))
    assert sorted(answers) == [(200, "already_yours"), (200, "taken")]


async def test_ten_parallel_repeats_of_one_filing_make_one_order(hands: Hands):
    key, body = uuid4().hex, {"item_code": "0102", "text": "陪同就医"}
    answers = await asyncio.gather(
        *(hands.post("resident-1", "/v1/orders", body, Idempotency_Key=key) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 9
    other = await hands.post("resident-1", "/v1/orders", {**body, "text": "别的"}, Idempotency_Key=key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    none = await hands.client.post("/v1/orders", json=body, headers=hands.town["resident-1"].headers)
    assert (none.status_code, none.json()["code"]) == (422, "IDEMPOTENCY_KEY_REQUIRED")


async def test_hot_paths_keep_their_budget_of_round_trips(
    hands: Hands, counted: list[str], database: Database
):
    if database.url.get_backend_name() != "postgresql":
        return  # the budget is counted where a guarded write is one statement
    order = await hands.file()
    spent: dict[str, int] = {}

    async def spend(name: str, act) -> None:
        counted.clear()
        answer = await act
        assert answer.status_code in (200, 201), answer.text
        spent[name] = len(counted)

    path = f"/v1/orders/{order['id']}"
    for login in ("dispatcher-1", "member-1", "resident-1"):
        await hands.get(login, "/v1/me/badges")  # whoever calls is known to the process
    body = {"item_code": "0102", "text": "陪同就医"}
    await spend("create", hands.post("resident-1", "/v1/orders", body, Idempotency_Key=uuid4().hex))
    await spend("get", hands.get("resident-1", path))
    await spend("list", hands.get("dispatcher-1", "/v1/orders", view="queue"))
    await spend("accept", hands.post("dispatcher-1", f"{path}/accept", {}, Idempotency_Key="a"))
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await spend("take", hands.post("member-1", f"{path}/take", {}, Idempotency_Key="t"))
    await spend("start", hands.post("member-1", f"{path}/start", {}, Idempotency_Key="s"))
    most = {"create": 4, "get": 2, "list": 2, "accept": 4, "take": 6, "start": 4}
    assert all(spent[name] <= most[name] for name in most), spent


def bound_to_a_tenant(statement: str) -> bool:
    """Whether a statement names its tenant by a bound value, or brings it along in what it inserts."""
    said = " ".join(statement.split())
    if re.search(r"\btenant_id = (\?|%\(|\$\d)", said):
        return True
    return bool(re.match(r"(WITH .*)?INSERT INTO \w+ \(tenant_id", said))


async def test_every_statement_of_a_request_names_its_tenant(hands: Hands, counted: list[str]):
    tenant_tables = [
        t.name for t in metadata.sorted_tables if t.info["citus"] == ("distributed", "tenant_id")
    ]
    counted.clear()
    order = await hands.done()
    await hands.move("resident-1", order, "rate", score=2, solved=False, contacted=True)
    for path in (
        "/v1/orders",
        "/v1/requests",
        "/v1/home",
        "/v1/places",
        "/v1/catalog",
        "/v1/me",
        "/v1/me/notices",
    ):
        assert (await hands.get("dispatcher-1", path)).status_code == 200
    assert (await hands.get("member-1", f"/v1/orders/{order['id']}/timeline")).status_code == 200
    assert len(counted) > 20
    for statement in counted:
        if any(re.search(rf"\b{name}\b", statement) for name in tenant_tables):
            assert bound_to_a_tenant(statement), statement
    assert not bound_to_a_tenant("SELECT orders.id FROM orders WHERE orders.id = %(id)s")
