"""The contract's manners, on every database."""

import asyncio
import json
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import insert, select, update

from dispatch.app import create_app
from dispatch.catalog.tables import reasons
from dispatch.db.idempotency import idempotency_keys
from dispatch.db.ids import new_id
from dispatch.db.outbox import outbox
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import order_steps, orders
from dispatch.people import actions as people
from dispatch.people.tables import accounts, grants
from dispatch.settings import Settings
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.town import T0, Hands, found

FIELDS = {"type", "title", "status", "detail", "instance", "code", "message", "request_id"}


async def test_every_failure_is_a_problem_of_one_shape(hands: Hands):
    order = await hands.file()
    path = f"/v1/orders/{order['id']}"
    headers = hands.town["resident-1"].headers
    answers = {
        401: await hands.client.get(path),
        403: await hands.try_("resident-1", order, "accept"),
        404: await hands.client.get("/v1/nothing", headers=headers),
        405: await hands.client.put(path, headers=headers),
        409: await hands.try_("dispatcher-1", order, "recall", reason_code="other"),
        412: await hands.post("dispatcher-1", f"{path}/accept", {}, If_Match='"9"'),
        413: await hands.client.post("/v1/orders", content=b"x" * 400_000, headers=headers),
        422: await hands.try_("dispatcher-1", order, "ask"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json().keys() >= FIELDS
        assert any("\u4e00" <= sign <= "\u9fff" for sign in answer.json()["message"])
    assert answers[412].json()["version"] == 1
    assert answers[422].json()["errors"][0]["loc"] == ["body", "text"]
    assert await assert_books(hands.town) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "一" * 2001},
        {"text": "坏\x00了"},
        {"text": 7},
        {"item_code": 102},
        {"item_code": "9999"},
        {"colour": "red"},
        {"place_id": "1"},
        {"place_id": str(uuid4())},
        {"wanted_from": "2026-11-22T09:00:00"},
        {"wanted_from": 0},
        {"contact_phone": "12"},
        {"location": {"lng": 500, "lat": 1, "crs": "gcj02"}},
        {"on_behalf_of": {"name": "李奶奶"}},
        {"answers": {"x": 1}},
        {"answers": {"hospital": "a\u0000b"}},
        {"answers": {"hospital": "a\u001bb"}},
        {"answers": {"hospital": "\ud83d"}},
        {"answers": {"hos\u0000pital": "市二医院"}},
        {"answers": {"hospital": "长" * 2001}},
        {"answers": {"hospital": [[[[["深"]]]]]}},
        {"answers": {"hospital": 1e300}},
        {"answers": {str(n): n for n in range(300)}},
    ],
)
async def test_a_senseless_order_is_refused_and_nothing_is_kept(hands: Hands, wrong: dict):
    body = {"item_code": "0102", "text": "陪同就医", **wrong}
    headers = {"Idempotency-Key": uuid4().hex, "Content-Type": "application/json"}
    answer = await hands.client.post(  # written here: the client would not send half a surrogate pair
        "/v1/orders", content=json.dumps(body), headers={**hands.town["resident-1"].headers, **headers}
    )
    assert answer.status_code in (404, 422), answer.text
    assert await hands.town.rows(select(orders.c.id).where(orders.c.tenant_id == hands.town.tenant_id)) == []
    kept = select(idempotency_keys.c.key).where(idempotency_keys.c.tenant_id == hands.town.tenant_id)
    assert await hands.town.rows(kept) == []


async def test_what_people_write_is_kept_as_they_meant_it(hands: Hands):
    order = await hands.file(
        text="\u200b𬱖家阿姨👵的水管坏了\r\n请帮忙",
        contact_phone="＋86 １３８ ００００ １１１１",
        hide_name=True,
    )
    assert order["text"] == "𬱖家阿姨👵的水管坏了\n请帮忙"
    assert order["contact_phone"] == "13800001111"
    assert order["created_at"] == "2026-11-22T09:30:00.000+08:00"
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert seen["filer"]["name"] == "resident-1"
    opened = await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", opened, "dispatch", mode="open")
    pool = (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()
    assert (pool["filer"]["name"], pool["contact_phone"], pool["address"]) == ("匿名居民", None, None)
    mine = (await hands.move("member-1", order, "take"))["order"]
    assert mine["contact_phone"] == "13800001111"
    street = (await hands.get("street-1", f"/v1/orders/{order['id']}")).json()
    assert street["contact_phone"] == "138******11"


async def test_versions_guard_moves_but_not_taking_and_judging(hands: Hands):
    order = await hands.open_()
    read = await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")
    assert read.headers["ETag"] == f'"{order["version"]}"'
    assert read.headers["Cache-Control"] == "private, no-store"
    taken = await hands.post("member-1", f"/v1/orders/{order['id']}/take", {}, If_Match='"1"')
    assert taken.status_code == 200
    stale = await hands.post("dispatcher-1", f"/v1/orders/{order['id']}/urge", {"text": "快"}, If_Match='"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "CHANGED_MEANWHILE")


async def test_polled_answers_are_304_when_nothing_changed(hands: Hands):
    for path in ("/v1/catalog", "/v1/home", "/v1/me/badges"):
        first = await hands.get("resident-1", path)
        assert first.status_code == 200, first.text
        headers = {**hands.town["resident-1"].headers, "If-None-Match": first.headers["ETag"]}
        assert (await hands.client.get(path, headers=headers)).status_code == 304
    catalog = (await hands.get("resident-1", "/v1/catalog")).json()["categories"]
    assert (len(catalog), sum(len(group["items"]) for group in catalog)) == (12, 82)


async def test_another_tenants_orders_do_not_exist(hands: Hands, app, database):
    other = Hands(hands.client, await found(database, app.state.settings.session_key.get_secret_value()))
    order = await other.file()
    for login in ("district-1", "dispatcher-1", "resident-1", "member-1"):
        assert (await hands.get(login, f"/v1/orders/{order['id']}")).status_code == 404
        assert (await hands.try_(login, order, "take")).status_code == 404
    assert await hands.town.rows(select(orders.c.id).where(orders.c.tenant_id == hands.town.tenant_id)) == []


async def test_a_revoked_grant_stops_the_next_request_and_a_former_member_reads_why(
    hands: Hands, database, clock
):
    town, member = hands.town, hands.town["member-1"]
    order = await hands.open_()
    assert (await hands.get("member-1", f"/v1/orders/{order['id']}")).status_code == 200
    clock.pass_(minutes=1)
    async with database.writing() as db:
        await people.add_member(db, town.tenant_id, member.id, town.places["community-2"], at=clock.now)
    gone = await hands.get("member-1", f"/v1/orders/{order['id']}")
    assert (gone.status_code, gone.json()["code"]) == (401, "AUTH_TOKEN_REVOKED")
    mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == member.id
    version = (await town.rows(select(accounts.c.grants_version).where(*mine)))[0][0]
    headers = {"Authorization": f"Bearer {town.token(member.id, version)}"}
    answer = await hands.client.post(f"/v1/orders/{order['id']}/take", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["why"]) == (
        409,
        "NOT_ELIGIBLE",
        "not_in_audience",
    )


async def test_a_suspended_member_takes_nothing(hands: Hands):
    order = await hands.open_()
    await hands.town.member_state("member-1", "suspended")
    answer = await hands.try_("member-1", order, "take")
    assert (answer.json()["code"], answer.json()["why"]) == ("NOT_ELIGIBLE", "suspended")
    assert (await hands.try_("member-21", order, "take")).status_code == 404


async def test_with_several_grants_a_write_must_choose(hands: Hands, database):
    town, person = hands.town, hands.town["member-1"]
    second = new_id()
    async with database.writing() as db:
        row = {"tenant_id": town.tenant_id, "id": second, "account_id": person.id, "role": "resident"}
        await db.execute(insert(grants).values(**row, place_id=town.places["community-1"], valid_from=T0))
    order = await hands.open_("resident-2")
    answer = await hands.try_("member-1", order, "take")
    assert (answer.status_code, answer.json()["code"]) == (422, "GRANT_REQUIRED")
    chosen = await hands.post(
        "member-1", f"/v1/orders/{order['id']}/take", {}, X_Acting_Grant=str(person.grant_id)
    )
    assert chosen.json()["outcome"] == "taken"
    wrong = await hands.post("member-1", f"/v1/orders/{order['id']}/take", {}, X_Acting_Grant=str(uuid4()))
    assert (wrong.status_code, wrong.json()["code"]) == (403, "GRANT_UNKNOWN")


async def test_a_retired_reason_is_refused_and_its_rows_stay_readable(hands: Hands, database):
    order = await hands.open_()
    done = await hands.move("dispatcher-1", order, "recall", reason_code="other")
    async with database.writing() as db:
        await db.execute(
            update(reasons)
            .where(
                reasons.c.tenant_id == hands.town.tenant_id,
                reasons.c.act == "recall",
                reasons.c.code == "other",
            )
            .values(retired_at=T0)
        )
    await hands.move("dispatcher-1", done, "dispatch", mode="open")
    refused = await hands.try_("dispatcher-1", order, "recall", reason_code="other")
    assert (refused.status_code, refused.json()["code"]) == (422, "REASON_UNKNOWN")
    assert (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).status_code == 200


async def test_facts_are_told_once_by_any_number_of_workers_and_failures_are_seen(
    hands: Hands, database, clock
):
    for _ in range(3):
        await hands.accepted()
    await asyncio.gather(*(relay(database, clock.now, REACTIONS) for _ in range(3)))
    mine = outbox.c.tenant_id == hands.town.tenant_id
    assert {row.state for row in await hands.town.rows(select(outbox.c.state).where(mine))} == {"done"}
    told = await hands.town.rows(
        select(notices.c.account_id, notices.c.cause).where(notices.c.tenant_id == hands.town.tenant_id)
    )
    assert len(told) == len({tuple(row) for row in told}) == 6

    async def broken(db, tenant_id, body, at):
        raise RuntimeError("no")

    await hands.file()
    for _ in range(14):
        clock.pass_(hours=2)
        await relay(database, clock.now, dict.fromkeys(REACTIONS, (broken,)))
    states = await hands.town.rows(
        select(outbox.c.state, outbox.c.attempts, outbox.c.error).where(mine, outbox.c.state == "dead")
    )
    assert [tuple(row) for row in states] == [("dead", 12, "RuntimeError: no")]
    ready = (await hands.client.get("/v1/readyz")).json()
    assert ready["status"] == "degraded"
    assert any(reason.startswith("outbox_dead") for reason in ready["reasons"])
    async with database.writing() as db:
        await db.execute(update(outbox).where(mine, outbox.c.state == "dead").values(state="done"))


async def test_steps_are_written_only_by_what_happened(hands: Hands):
    order = await hands.done()
    rows = await hands.town.rows(
        select(order_steps.c.seq, order_steps.c.move).where(order_steps.c.tenant_id == hands.town.tenant_id)
    )
    assert sorted(tuple(row) for row in rows) == [
        (1, "submit"),
        (2, "accept"),
        (3, "dispatch"),
        (4, "take"),
        (5, "finish"),
    ]
    assert order["version"] == 5


async def test_a_revocation_holds_at_once_in_every_process_and_on_every_read(
    hands: Hands, app: FastAPI, database, clock
):
    other = create_app(Settings(demo=False), database)
    other.dependency_overrides = app.dependency_overrides
    member = hands.town["member-1"]
    order = f"/v1/orders/{(await hands.open_())['id']}"
    lists = ("/v1/orders", "/v1/requests", "/v1/places", "/v1/me/notices", f"{order}/timeline")
    paths = (order, *lists, "/v1/home", "/v1/me", "/v1/me/badges", "/v1/catalog")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url="http://test") as second:
        for client in (hands.client, second):
            for path in paths:
                assert (await client.get(path, headers=member.headers)).status_code == 200, path
        async with database.writing() as db:
            await people.revoke_grant(db, hands.town.tenant_id, member.grant_id, at=clock.now)
        for client in (hands.client, second):
            answers = [await client.get(path, headers=member.headers) for path in paths]
            answers.append(await client.post(f"{order}/take", json={}, headers=member.headers))
            told = {(answer.status_code, answer.json().get("code")) for answer in answers}
            assert told == {(401, "AUTH_TOKEN_REVOKED")}


async def test_a_method_that_is_not_allowed_is_answered_with_all_that_are(hands: Hands):
    order = await hands.file()
    for path, methods in (("/v1/orders", "GET, POST"), (f"/v1/orders/{order['id']}", "GET")):
        answer = await hands.client.delete(path, headers=hands.town["resident-1"].headers)
        assert (answer.status_code, answer.headers["Allow"]) == (405, methods)


async def test_what_somebody_signed_in_reads_is_kept_by_nobody(hands: Hands):
    order = await hands.taken()
    path = f"/v1/orders/{order['id']}"
    ask = {"kind": "return", "reason_code": "other", "text": "临时有事"}
    answers = [
        await hands.post(
            "resident-1", "/v1/orders", {"item_code": "0102", "text": "陪诊"}, Idempotency_Key="a"
        ),
        await hands.post("member-1", f"{path}/requests", ask),
        await hands.post(
            "dispatcher-1",
            "/v1/orders/bulk",
            {"move": "urge", "order_ids": [order["id"]], "body": {"text": "快"}},
        ),
        *[
            await hands.get("dispatcher-1", p)
            for p in (path, f"{path}/timeline", "/v1/orders", "/v1/requests")
        ],
        *[await hands.get("member-1", p) for p in ("/v1/me", "/v1/me/notices", "/v1/places", "/v1/grants")],
    ]
    for answer in answers:
        assert answer.status_code in (200, 201), answer.text
        assert answer.headers.get_list("Cache-Control") == ["private, no-store"], answer.url
    polled = await hands.get("member-1", "/v1/home")
    assert polled.headers.get_list("Cache-Control") == ["private, no-cache"]


async def test_a_wrong_grant_is_one_mistake(hands: Hands):
    answer = await hands.post("resident-1", "/v1/orders", {}, X_Acting_Grant="x", Idempotency_Key="k")
    wrong = [error["loc"] for error in answer.json()["errors"]]
    assert answer.status_code == 422
    assert wrong.count(["header", "x-acting-grant"]) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_a_body_is_utf8_or_refused(hands: Hands, encoding: str):
    raw = '{"item_code":"0102","text":"陪同就医"}'.encode(encoding)
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json", **hands.town["resident-1"].headers}
    answer = await hands.client.post("/v1/orders", content=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "MEDIA_TYPE_UNSUPPORTED")
    assert await hands.town.rows(select(orders.c.id).where(orders.c.tenant_id == hands.town.tenant_id)) == []


async def test_a_body_that_ordered_is_named_to_everyone_who_sees_the_order(hands: Hands):
    order = await hands.file("unit-1", item_code="1103", text="想办一场联谊会")
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    for login in ("street-1", "member-1", "unit-1"):
        seen = (await hands.get(login, f"/v1/orders/{order['id']}")).json()
        assert seen["beneficiary"]["name"] == "unit-1", login


async def test_a_resident_reads_what_was_expected(hands: Hands):
    async def said(answer: httpx.Response) -> str:
        body = answer.json()
        assert (answer.status_code, body["code"]) == (422, "VALIDATION_FAILED"), answer.text
        assert body["errors"]
        message: str = body["message"]
        return message

    async def filing(**fields: object) -> str:
        body = {"item_code": "0102", "text": "陪诊", **fields}
        return await said(await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=uuid4().hex))

    late = {"wanted_from": "2026-11-25T10:00:00+08:00", "wanted_to": "2026-11-25T09:00:00+08:00"}
    assert await filing(**late) == "期望结束时间：应晚于期望开始时间。"
    assert (await filing(answers={"x": 1})).startswith("补充问题：")
    assert await filing(hide_name="是") == "是否匿名：应为是或否。"
    assert await filing(colour="red") == "colour：不认识的字段。"
    order = await hands.taken()

    async def asking(login: str, kind: str, **fields: object) -> str:
        ask = {"kind": kind, "reason_code": "other", "text": "说明", **fields}
        return await said(await hands.post(login, f"/v1/orders/{order['id']}/requests", ask))

    for wrong in ({}, {"until": "2026-12-01"}, {"until": "2026-11-01T09:00:00+08:00"}):
        assert (await asking("member-1", "extension", **wrong)).startswith("截止时间：请填写晚于现行时限")
    for wrong in ({}, {"until": "2026-11-01"}, {"until": "2026-12-01T09:00:00+08:00"}):
        assert (await asking("member-1", "park", **wrong)).startswith("截止时间：请填写今天以后的日期")
    assert await asking("member-1", "escalation") == "层级：请选择要提请的层级。"
    lead = await hands.try_("dispatcher-1", order, "lead", take_id=str(uuid4()))
    assert (await said(lead)).startswith("接单编号：请从")
    minutes = [{"take_id": str(uuid4()), "minutes": 5}]
    finish = {"result": "办好了", "closing": "solved"}
    assert (await said(await hands.try_("member-1", order, "finish", minutes=minutes, **finish))).startswith(
        "服务时长："
    )
    await hands.move("member-1", order, "finish", **finish)
    rated = await hands.try_("dispatcher-1", order, "rate", score=5, solved=True, contacted=True)
    assert await said(rated) == "回访：代录评价须填写回访方式、时间和说明。"


@pytest.mark.parametrize(
    "query",
    [
        *("orders?item_code=%00", "orders?item_code=%ED%A0%80", "orders?cursor=%00", "orders?state=%00"),
        *("orders?limit=%00", "places?cursor=eyJ9", "me/notices?cursor=AAAA", "requests?kind=%00"),
        "orders?created_from=2026-11-22T09:30:00",
        "orders?created_from=0001-01-01T00:00:00%2B08:00",
        "orders?updated_since=9999-12-31T23:59:59-14:00",
    ],
)
async def test_a_query_that_no_database_could_read_is_refused_before(hands: Hands, query: str):
    answer = await hands.client.get(f"/v1/{query}", headers=hands.town["dispatcher-1"].headers)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "raw",
    [
        *(b"\xff\xfe", b"[" * 50_000, b'{"item_code":"0102","text":"\xff"}'),
        rb'{"item_code":"0102","text":"\ud800"}',
        rb'{"item_code":"0102","text":"a","answers":{"\u0000":1}}',
        b'{"item_code":"0102","text":"a","location":{"lng":1e400,"lat":1,"crs":"gcj02"}}',
        b'{"item_code":"0102","text":"a","location":{"lng":NaN,"lat":1,"crs":"gcj02"}}',
        b'{"item_code":"0102","text":"a","wanted_to":"9999-12-31T23:59:59-14:00"}',
        b'{"item_code":"0102","text":' + b"1" * 5_000 + b"}",
    ],
)
async def test_a_body_that_no_database_could_hold_is_refused_before(hands: Hands, raw: bytes):
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json", **hands.town["resident-1"].headers}
    answer = await hands.client.post("/v1/orders", content=raw, headers=headers)
    assert answer.status_code == 422, answer.text
