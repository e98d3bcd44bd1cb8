"""Laws that every route keeps: one shape of failure, nothing told of what is hidden, numbers, ends of lists."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from dispatch.app import create_app
from dispatch.catalog.tables import items
from dispatch.db.engine import Database
from dispatch.domain.order import State
from dispatch.orders import queries
from dispatch.orders.tables import orders
from dispatch.people import actions as people
from dispatch.places.tables import places
from dispatch.settings import Settings
from tests.contract.ledger import assert_books
from tests.contract.states import States, bodies, traces
from tests.town import Hands, found

SHAPE = {"type", "title", "status", "detail", "instance", "code", "message", "request_id"}


def _same_shape(answer: httpx.Response, status: int) -> str:
    """Check one failure, and return its code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told.keys() >= SHAPE, told
    assert (told["status"], told["request_id"]) == (status, answer.headers["x-request-id"])
    assert told["code"].isupper()
    assert any("\u4e00" <= sign <= "\u9fff" for sign in told["message"])
    return told["code"]


async def test_what_fails_below_the_rules_is_a_problem_of_the_same_shape(
    hands: Hands, app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
):
    order = await hands.file()
    path, headers = f"/v1/orders/{order['id']}", hands.town["dispatcher-1"].headers
    post = hands.client.post
    wire = {**headers, "Content-Type": "application/json"}
    assert _same_shape(await post(f"{path}/ask", content=b"{", headers=wire), 422) == "MALFORMED_JSON"
    xml = {**headers, "Content-Type": "text/xml"}
    assert _same_shape(await post(f"{path}/ask", content=b"<a/>", headers=xml), 415)
    before = await traces(hands.town)

    async def broken(*args, **named):
        raise RuntimeError("杯")

    with monkeypatch.context() as patched:
        patched.setattr(queries, "whole", broken)
        assert _same_shape(await hands.try_("dispatcher-1", order, "accept"), 500) == "INTERNAL_ERROR"
    assert await traces(hands.town) == before
    strict = create_app(Settings(demo=False, minimum_clients={"mp": "2.0.0"}), database)
    strict.dependency_overrides = app.dependency_overrides
    async with httpx.AsyncClient(transport=httpx.ASGITransport(strict), base_url="http://test") as client:
        old = await client.get(path, headers={**headers, "X-Client": "mp/1.0.0"})
    assert _same_shape(old, 426) == "CLIENT_TOO_OLD"


async def test_a_busy_database_is_a_problem_that_says_when_to_come_back(
    hands: Hands, app: FastAPI, database: Database
):
    order = await hands.file()
    before = await traces(hands.town)
    impatient = Database(database.url.render_as_string(hide_password=False), lock_wait_seconds=0.2)
    quick = create_app(Settings(demo=False), impatient)
    quick.dependency_overrides = app.dependency_overrides
    async with httpx.AsyncClient(transport=httpx.ASGITransport(quick), base_url="http://test") as client:
        async with database.writing() as db:
            mine = orders.c.tenant_id == hands.town.tenant_id
            await db.execute(update(orders).where(mine).values(version=orders.c.version))
            path = f"/v1/orders/{order['id']}/accept"
            busy = await client.post(path, json={}, headers=hands.town["dispatcher-1"].headers)
        assert _same_shape(busy, 503) == "BUSY"
        assert int(busy.headers["Retry-After"]) >= 1
    await impatient.close()
    assert await traces(hands.town) == before
    assert (await hands.move("dispatcher-1", order, "accept"))["state"] == "accepted"


@pytest.mark.parametrize("backend", ["sqlite", "psycopg"], indirect=True)
async def test_a_hidden_order_answers_every_move_as_one_that_never_was(hands: Hands):
    theirs = await States(hands).filed()
    await hands.move("dispatcher-1", theirs, "accept")
    strangers = ("resident-2", "member-1", "unit-1", "provider-1", "dispatcher-2", "street-2", "admin-1")
    sent = bodies(hands.town, str(uuid4()), str(uuid4()))
    before = await traces(hands.town)
    for login in strangers:
        for move, body in {**sent, "requests": {"kind": "park", "reason_code": "other", "text": "x"}}.items():
            told = []
            for order_id in (theirs["id"], str(uuid4())):
                answer = await hands.try_(login, order_id, move, **body)
                assert answer.status_code in (403, 404), (login, move, answer.text)
                problem = {k: v for k, v in answer.json().items() if k not in ("instance", "request_id")}
                told.append((answer.status_code, problem, sorted(answer.headers.keys())))
            assert told[0] == told[1], (login, move)
    assert await traces(hands.town) == before


async def test_a_hidden_request_answers_as_one_that_never_was(hands: Hands):
    order = await States(hands).at(State.TAKEN)
    asked = await States(hands).ask("member-1", order, "park", until="2027-01-31")
    for login in ("dispatcher-2", "street-2", "resident-2", "member-2", "admin-1"):
        for verb in ("approve", "refuse", "withdraw"):
            told = []
            for request_id in (asked["id"], str(uuid4())):
                answer = await hands.post(login, f"/v1/requests/{request_id}/{verb}")
                problem = {k: v for k, v in answer.json().items() if k not in ("instance", "request_id")}
                told.append((answer.status_code, problem))
            if login == "member-2":  # in the audience: the order is no secret, its requests are another's
                assert told[0][0] in (403, 404)
                continue
            assert told[0] == told[1], (login, verb)
            assert told[0][1]["code"] == "REQUEST_NOT_FOUND"


async def test_numbers_never_collide_however_many_file_at_once(
    hands: Hands, app: FastAPI, database: Database
):
    other = Hands(hands.client, await found(database, app.state.settings.session_key.get_secret_value()))

    async def filed(who: Hands, nth: int) -> dict:
        body = {"item_code": "0102", "text": "陪同就医"}
        for _ in range(30):
            answer = await who.post("resident-1", "/v1/orders", body, Idempotency_Key=f"k{nth}")
            if answer.status_code == 201:
                return answer.json()
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.1)
        raise AssertionError("busy for ever")

    every = await asyncio.gather(*(filed(who, nth) for nth in range(40) for who in (hands, other)))
    mine = [order["number"] for order in every[::2]]
    assert sorted(mine) == [f"D20261122-{serial:06d}" for serial in range(1, 41)]
    assert sorted(order["number"] for order in every[1::2]) == sorted(mine), "each tenant counts for itself"
    assert len({order["id"] for order in every}) == 80
    numbers: Counter[str] = Counter(mine)
    for order in every[:6:2]:
        await hands.move("dispatcher-1", order, "accept")
        for _ in range(2):
            await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=3)
            taken = [(await hands.move(login, order, "take"))["order"] for login in ("member-1", "unit-1")][
                -1
            ]
            await hands.move("dispatcher-1", order, "recall", reason_code="other")
        numbers.update(line["number"] for kind in ("dispatches", "takes") for line in taken[kind])
    assert set(numbers.values()) == {1}, numbers
    assert all(number.isascii() and len(number) <= 32 for number in numbers)


async def test_past_the_end_a_list_is_empty_and_stays_so(hands: Hands, clock):
    for _ in range(3):
        clock.pass_(seconds=1)
        await hands.file()
    seen, cursor, last = [], None, None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = (await hands.get("dispatcher-1", "/v1/orders", limit=1, **more)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        last = cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 3
    for order in seen:  # the last row behind the cursor goes out of the list: the page is empty, not repeated
        await hands.move("dispatcher-1", order, "accept")
    waiting = (await hands.get("dispatcher-1", "/v1/orders", limit=1, state="accepted")).json()
    await hands.move("resident-1", seen[1], "cancel")
    await hands.move("resident-1", seen[2], "cancel")
    past = await hands.get(
        "dispatcher-1", "/v1/orders", limit=1, state="accepted", cursor=waiting["next_cursor"]
    )
    assert past.json() == {"items": [], "next_cursor": None}
    assert last is not None


async def test_an_unknown_filter_is_refused_by_its_name_on_every_list(hands: Hands):
    for path in ("orders", "requests", "places", "me/notices", "catalog", "home", "me/badges"):
        answer = await hands.get("dispatcher-1", f"/v1/{path}", colour="red", sort="-name")
        assert (answer.status_code, answer.json()["code"]) == (422, "UNKNOWN_PARAMETER"), path
        named = {tuple(line["loc"]) for line in answer.json()["errors"]}
        assert named == {("query", "colour"), ("query", "sort")}, path


async def test_orders_stay_readable_when_item_place_and_body_are_retired(hands: Hands, database: Database):
    town = hands.town
    order = await States(hands).filed()
    await hands.move("dispatcher-1", order, "accept")
    named = [{"kind": "provider", "id": str(town.bodies["provider-1"])}]
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=named)
    before = (await hands.move("provider-1", order, "take"))["order"]
    async with database.writing() as db:
        await people.retire_body(db, town.tenant_id, town.bodies["provider-1"], at=town.made)
        for table, column, value in (
            (items, items.c.code, "0102"),
            (places, places.c.id, town.places["grid-11"]),
        ):
            row = update(table).where(table.c.tenant_id == town.tenant_id, column == value)
            await db.execute(row.values(retired_at=town.made))
    for login in ("resident-1", "dispatcher-1", "grid-1", "street-1"):
        seen = await hands.get(login, f"/v1/orders/{order['id']}")
        assert seen.status_code == 200, (login, seen.text)
        assert (seen.json()["item"], seen.json()["place"]["grid"]) == (before["item"], "grid-11")
        assert seen.json()["takes"][0]["taker"]["name"] == "provider-1"
        listed = await hands.get(login, "/v1/orders", item_code="0102")
        assert [line["id"] for line in listed.json()["items"]] == [order["id"]], login
        for path in (f"orders/{order['id']}/timeline", "home", "me/badges", "requests"):
            assert (await hands.get(login, f"/v1/{path}")).status_code == 200, (login, path)
    queue = await hands.get("dispatcher-1", "/v1/orders", view="queue", place_id=str(town.places["grid-11"]))
    assert [line["id"] for line in queue.json()["items"]] == [order["id"]]
    await assert_books(town)
