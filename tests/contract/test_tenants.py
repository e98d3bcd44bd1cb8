"""Two districts on one database, hour by hour side by side: neither sees, numbers, limits or configures the other."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from dispatch.catalog.tables import items
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.tenants import tenants
from dispatch.dispatching.tables import drafts
from dispatch.jobs.relay import relay
from dispatch.people.tokens import Claims, write_token
from dispatch.privacy import timers
from dispatch.wiring import REACTIONS
from tests.asked import Operation, operations
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands, Town, found

WITH_IDS = [op for op in operations() if op.ids and op.ids[0].endswith("_id")]


@pytest.fixture
async def pair(client: httpx.AsyncClient, town: Town, database: Database) -> tuple[Hands, Hands]:
    return Hands(client, town), Hands(client, await found(database, town.key))


async def test_whole_lives_run_side_by_side(pair: tuple[Hands, Hands], clock: Clock):
    orders: list[list[dict[str, Any]]] = [[], []]
    for _ in range(3):
        for hands, mine in zip(pair, orders, strict=True):
            mine.append(await hands.file(text=f"区{hands.town.tenant_id}的事"))
    for step in range(3):
        for hands, mine in zip(pair, orders, strict=True):
            await hands.move("dispatcher-1", mine[step], "accept")
            await hands.move("dispatcher-1", mine[step], "dispatch", mode="open")
            await hands.move("member-1", mine[step], "take")
    for hands, mine in zip(pair, orders, strict=True):
        numbers = [order["number"][-6:] for order in mine]
        assert numbers == ["000001", "000002", "000003"]
        await relay(hands.town.database, clock.now, REACTIONS)
        for login in ("district-1", "dispatcher-1", "member-1", "resident-1"):
            listed = (await hands.get(login, "/v1/orders")).json()["items"]
            assert {item["id"] for item in listed} == {order["id"] for order in mine}
            notices = (await hands.get(login, "/v1/me/notices")).json()["items"]
            assert {notice["order_id"] for notice in notices} <= {order["id"] for order in mine}
        assert (await hands.get("dispatcher-1", "/v1/me/badges")).json()["queue"] == 3
        assert await assert_books(hands.town) == 3


@pytest.mark.parametrize("operation", WITH_IDS, ids=lambda op: op.name)
async def test_an_id_of_the_other_district_is_as_unknown_as_any(
    pair: tuple[Hands, Hands], operation: Operation
):
    here, there = pair
    theirs = await _ids(there)
    name, *more = operation.ids
    path = operation.path
    for other in more:
        path = path.replace(f"{{{other}}}", str(uuid4()))
    for login in ("district-1", "dispatcher-1", "admin-1", "member-1", "resident-1"):
        answers = []
        for id in (theirs[name], uuid4().hex[:12] if name == "key_id" else str(uuid4())):
            answers.append(
                await here.client.request(
                    operation.method.upper(),
                    path.replace(f"{{{name}}}", id),
                    json=operation.body(id),
                    headers={**here.town[login].headers, "Idempotency-Key": uuid4().hex},
                )
            )
        told = [(answer.status_code, answer.json()["code"]) for answer in answers]
        assert told[0] == told[1], (login, told)
        assert told[0][0] in (403, 404, 422), (login, told)
        if operation.method == "get":
            assert told[0][0] == 404


async def _ids(hands: Hands) -> dict[str, str]:
    """An id of every kind that a path may hold."""
    order = await hands.taken()
    ask = {"kind": "return", "reason_code": "other", "text": "去不了。"}
    request = await hands.post("member-1", f"/v1/orders/{order['id']}/requests", ask)
    export = await hands.post("resident-1", "/v1/me/exports")
    await timers.make_exports(hands.town.database, hands.town.made)
    why = {"purpose": "核实", "text": "核实办理情况。"}
    look = await hands.post("district-1", f"/v1/orders/{order['id']}/reveal-requests", why)
    place = str(hands.town.places["community-1"])
    key = {"name": "对接", "role": "reporter", "place_id": place, "scopes": ["me:read"]}
    made = await hands.post("admin-1", "/v1/api-keys", key)
    rice = {"side": "resource", "kind": "goods", "title": "大米", "text": "五公斤装。", "quantity": 9}
    listing = (await hands.post("unit-1", "/v1/listings", rice)).json()["id"]
    claim = await hands.post("dispatcher-1", f"/v1/listings/{listing}/claim", {"purpose": "慰问。"})
    form = {"community_id": place, "items": ["elder_care"]}
    headers = hands.town["resident-2"].headers
    checkin = await hands.client.put("/v1/me/checkin", json=form, headers=headers)
    agreement = {"kind": "unit", "name": "图书馆", "place_id": place}
    liaison = {"name": "李敏", "phone": "13800001111"}
    registration = await hands.post("resident-2", "/v1/registrations", {**agreement, "liaisons": [liaison]})
    other = {"kind": "member", "id": str(hands.town["member-2"].id)}
    handover = await hands.post("member-1", f"/v1/orders/{order['id']}/handover", {"taker": other})
    return {
        "attachment_id": await hands.upload("resident-1"),
        "handover_id": handover.json()["id"],
        "draft_id": await _draft(hands, order),
        "checkin_id": checkin.json()["checkin"]["id"],
        "registration_id": registration.json()["id"],
        "listing_id": listing,
        "claim_id": claim.json()["id"],
        "body_id": str(hands.town.bodies["unit-1"]),
        "order_id": order["id"],
        "account_id": str(hands.town["resident-1"].id),
        "reveal_request_id": look.json()["id"],
        "key_id": made.json()["key_id"],
        "request_id": request.json()["id"],
        "export_id": export.json()["id"],
        "place_id": place,
        "grant_id": str(hands.town["dispatcher-1"].grant_id),
    }


async def _draft(hands: Hands, order: dict[str, Any]) -> str:
    """What a finish that came too late would have left."""
    row = {
        "tenant_id": hands.town.tenant_id,
        "take_id": UUID(order["takes"][0]["id"]),
        "account_id": hands.town["member-1"].id,
        "move": "finish",
        "id": new_id(),
        "order_id": UUID(order["id"]),
        "content": {"text": "修好了。"},
        "kept_at": hands.town.made,
    }
    async with hands.town.database.writing() as db:
        await db.execute(drafts.insert().values(row))
    return str(row["id"])


async def test_the_words_the_catalogue_and_the_policy_of_one_are_its_own(
    pair: tuple[Hands, Hands], database: Database
):
    here, there = pair
    async with database.writing() as db:
        await db.execute(
            update(tenants)
            .where(tenants.c.id == here.town.tenant_id)
            .values(labels={"state.submitted": "刚提交"})
        )
        await db.execute(
            update(items)
            .where(items.c.tenant_id == here.town.tenant_id, items.c.code == "0102")
            .values(name="改了名的事项", retired_at=here.town.made)
        )
    policy = {"title": "本区隐私政策", "text": "本区自己的隐私政策正文，其他区不受影响。"}
    assert (await here.post("admin-1", "/v1/privacy-policies", policy)).status_code == 200

    assert (await here.file(item_code="0201"))["state_label"] == "刚提交"
    refused = await here.post(
        "resident-1", "/v1/orders", {"item_code": "0102", "text": "陪同就医"}, Idempotency_Key=uuid4().hex
    )
    assert refused.json()["code"] == "ITEM_RETIRED"
    order = await there.file(item_code="0102")
    assert order["state_label"] != "刚提交"
    assert order["item"]["name"] != "改了名的事项"
    assert (await there.get("resident-1", "/v1/privacy-policies/current")).json()["version"] == 0
    assert "改了名的事项" not in (await there.get("resident-1", "/v1/catalog")).text


async def test_one_that_is_at_its_limit_or_uses_the_same_key_leaves_the_other_alone(
    pair: tuple[Hands, Hands], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dispatch.privacy.actions.revealing.REVEALS_AN_HOUR", 1)
    statuses = []
    for hands in pair:
        order = await hands.file("resident-1")
        for _ in range(2):
            answer = await hands.post("street-1", f"/v1/orders/{order['id']}/reveal", {"purpose": "核实情况"})
            statuses.append(answer.status_code)
    assert statuses == [200, 429, 200, 429]
    filed = [
        await hands.post(
            "resident-1", "/v1/orders", {"item_code": "0102", "text": "陪同就医"}, Idempotency_Key="the-same"
        )
        for hands in pair
    ]
    assert len({answer.json()["id"] for answer in filed}) == 2
    assert all("Idempotency-Replayed" not in answer.headers for answer in filed)


async def test_a_token_counts_in_its_own_district_only(pair: tuple[Hands, Hands], client: httpx.AsyncClient):
    here, there = pair
    person, made = here.town["dispatcher-1"], here.town.made
    claims = Claims(person.id, there.town.tenant_id, uuid4(), 1, made, made.replace(year=2027))
    forged = {"Authorization": f"Bearer {write_token(claims, here.town.key)}"}
    answer = await client.get("/v1/orders", headers=forged)
    assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_TOKEN_REVOKED")
    borrowed = {
        **here.town["dispatcher-1"].headers,
        "X-Acting-Grant": str(there.town["dispatcher-1"].grant_id),
    }
    assert (await client.get("/v1/orders", headers=borrowed)).json()["code"] == "GRANT_UNKNOWN"


async def test_one_forgets_and_the_other_remembers(pair: tuple[Hands, Hands], clock: Clock):
    here, there = pair
    for hands in pair:
        order = await hands.file("resident-1", contact_phone="13800001111")
        await hands.move("resident-1", order, "cancel")
    assert (await here.post("resident-1", "/v1/me/deletion")).json()["status"] == "done"
    assert (await here.get("resident-1", "/v1/me")).status_code == 401
    theirs = (await there.get("resident-1", "/v1/orders")).json()["items"][0]
    seen = (await there.get("resident-1", f"/v1/orders/{theirs['id']}")).json()
    assert (seen["contact_phone"], seen["filer"]["name"]) == ("13800001111", "resident-1")
