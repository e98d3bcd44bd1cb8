"""What people may ask of their own data, and how long it is kept (peers' laws 136, 137; wechat.md §7 test 23)."""

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from dispatch.db.base import metadata
from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.orders.tables import orders
from dispatch.people import actions as people
from dispatch.people.tables import accounts, identities
from dispatch.privacy import timers
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands, Town

SECRETS = ("13800001111", "暗号苑", "王暗号", "0731-82345678", "心里话", "13900002222")
PRIVATE = {"contact_phone": "13800001111", "address": "暗号苑3栋501"}


async def lying_open(town: Town, *, but: tuple[str, ...] = ()) -> set[str]:
    """Which secrets can be read anywhere in the tenant's rows, sealed columns opened."""
    found = set()
    async with town.database.reading() as db:
        for table in metadata.sorted_tables:
            if "tenant_id" not in table.c or table.name in but:
                continue
            for row in await db.execute(select(table).where(table.c.tenant_id == town.tenant_id)):
                said = repr(tuple(row))
                found |= {(secret, table.name) for secret in SECRETS if secret in said}
    return found


async def counts(town: Town) -> dict[str, Any]:
    """What reports count: orders by state, steps, takes, scores."""
    told = {}
    async with town.database.reading() as db:
        for name, what in (
            ("orders", "state"),
            ("order_steps", "move"),
            ("takes", "state"),
            ("ratings", "score"),
            ("requests", "status"),
        ):
            rows = await db.execute(
                text(f"SELECT {what}, count(*) FROM {name} WHERE tenant_id = {town.tenant_id} GROUP BY 1")
            )
            told[name] = sorted(map(tuple, rows))
    return told


async def lived(hands: Hands, filer: str = "resident-1") -> str:
    """A closed order with personal data in every place that takes words."""
    town = hands.town
    async with town.database.writing() as db:
        phone = people.private(town.tenant_id, "13900002222")
        await db.execute(
            update(accounts)
            .where(accounts.c.tenant_id == town.tenant_id, accounts.c.id == town[filer].id)
            .values(name=people.private(town.tenant_id, "王暗号"), phone=phone, phone_hash=phone)
        )
        await people.know_as(
            db, town.tenant_id, town[filer].id, appid="wx1", subject=f"openid-{town.tenant_id}"
        )
    order = await hands.file(filer, **PRIVATE, text="心里话：王暗号住暗号苑。")
    await hands.move(filer, order, "supplement", text="心里话，请打13800001111。")
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open", note="暗号苑王暗号家")
    await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "finish", result="到暗号苑办好了。", closing="solved")
    await hands.move(filer, order, "rate", score=1, solved=False, contacted=True, text="心里话：不好。")
    await hands.move("secretary-1", order, "close", exit="explained", text="已向王暗号解释。")
    await relay(town.database, hands_clock(hands), REACTIONS)
    return str(order["id"])


async def proven_phone(hands: Hands, login: str, phone: str) -> None:
    """A phone that staff wrote down after calling back."""
    said = {"phone": phone, "verified": "call_back", "consent": {"how": "oral"}}
    answer = await hands.post("dispatcher-1", f"/v1/accounts/{hands.town[login].id}/phone", said)
    assert answer.status_code in (200, 204), answer.text


def hands_clock(hands: Hands) -> Any:
    return hands.town.made + timedelta(hours=1)


async def test_the_policy_is_read_published_and_agreed_to_by_version(hands: Hands, clock: Clock):
    shipped = (await hands.get("resident-1", "/v1/privacy-policies/current")).json()
    assert (shipped["version"], shipped["published_at"], len(shipped["hash"])) == (0, None, 64)
    assert {p["code"] for p in shipped["purposes"] if p["basis"] == "duty"} == {"service"}

    async def state(purpose: str = "phone") -> str:
        items = (await hands.get("resident-1", "/v1/me/consents")).json()["items"]
        return next(item["state"] for item in items if item["purpose"] == purpose)

    assert await state() == "none"
    for _ in range(2):
        given = await hands.post("resident-1", "/v1/me/consents/phone", {"version": 0})
        assert (given.status_code, given.json()["state"]) == (200, "given")
    new = {"title": "隐私政策", "text": "第二版：我们只收集办理需求所必需的信息。"}
    for login in ("resident-1", "dispatcher-1", "district-1"):
        assert (await hands.post(login, "/v1/privacy-policies", new)).status_code == 403
    for _ in range(2):
        assert (await hands.post("admin-1", "/v1/privacy-policies", new)).json()["version"] == 1
    assert await state() == "outdated"
    old = await hands.post("resident-1", "/v1/me/consents/phone", {"version": 0})
    assert (old.status_code, old.json()["code"], old.json()["version"]) == (409, "POLICY_CHANGED", 1)
    assert (await hands.post("resident-1", "/v1/me/consents/phone", {"version": 1})).json()[
        "state"
    ] == "given"
    assert (await hands.post("resident-1", "/v1/me/consents/nonsense", {"version": 1})).status_code in (
        404,
        422,
    )


async def test_a_consent_withdrawn_is_not_asked_for_again_soon_and_takes_the_phone_along(
    hands: Hands, clock: Clock
):
    order_id = await lived(hands)
    running = await hands.file("resident-1", **PRIVATE)
    headers = hands.town["resident-1"].headers
    for _ in range(2):
        gone = await hands.client.delete("/v1/me/consents/phone", headers=headers)
        assert gone.status_code == 204
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order_id}")).json()
    assert (seen["contact_phone"], seen["address"], seen["state"]) == (None, "暗号苑3栋501", "closed")
    open_ = (await hands.get("dispatcher-1", f"/v1/orders/{running['id']}")).json()
    assert open_["contact_phone"] == "13800001111"  # still needed
    row = (
        await hands.town.rows(
            select(accounts.c.phone, accounts.c.phone_hash).where(
                accounts.c.tenant_id == hands.town.tenant_id, accounts.c.id == hands.town["resident-1"].id
            )
        )
    )[0]
    assert tuple(row) == (None, None)
    duty = await hands.client.delete("/v1/me/consents/service", headers=headers)
    assert (duty.status_code, duty.json()["code"]) == (409, "CONSENT_NOT_WITHDRAWABLE")
    await hands.post("resident-1", "/v1/me/consents/location", {"version": 0})
    await hands.client.delete("/v1/me/consents/location", headers=headers)
    items = (await hands.get("resident-1", "/v1/me/consents")).json()["items"]
    location = next(item for item in items if item["purpose"] == "location")
    assert location["state"] == "withdrawn"
    assert location["ask_again_at"][:10] == (clock.now + timedelta(days=30)).date().isoformat()


@pytest.mark.parametrize("given", [True, False])
async def test_a_consent_withdrawn_while_an_order_is_open_takes_its_data_along_when_it_comes_to_rest(
    hands: Hands, clock: Clock, given: bool
):
    town = hands.town
    spot = {"lng": 113.0, "lat": 28.2, "crs": "gcj02"}
    mine = await hands.file("resident-1", contact_phone="13911112222", location=spot)
    others = await hands.file("resident-2", contact_phone="13733334444", location=spot)
    for purpose in ("phone", "location"):
        for login in ("resident-1", "resident-2"):
            if given:
                await hands.post(login, f"/v1/me/consents/{purpose}", {"version": 0})
        clock.pass_(minutes=1)
        path, headers = f"/v1/me/consents/{purpose}", town["resident-1"].headers
        assert (await hands.client.delete(path, headers=headers)).status_code == 204
    items = (await hands.get("resident-1", "/v1/me/consents")).json()["items"]
    told = {item["purpose"]: item for item in items}["phone"]
    assert (told["state"], told["given_at"] is not None) == ("withdrawn", given)

    async def held() -> list[tuple[str | None, bool]]:
        rows = select(orders.c.contact_phone, orders.c.location).where(orders.c.tenant_id == town.tenant_id)
        found = await town.rows(rows.order_by(orders.c.serial))
        return [(row.contact_phone, row.location is not None) for row in found]

    assert await held() == [("13911112222", True), ("13733334444", True)]  # still needed
    for login, order in (("resident-1", mine), ("resident-2", others)):
        await hands.move(login, order, "cancel")
    for _ in range(2):
        await relay(town.database, clock.now, REACTIONS)
    assert await held() == [(None, False), ("13733334444", True)]


async def test_who_agrees_anew_keeps_what_the_order_holds_as_long_as_everybody(hands: Hands, clock: Clock):
    order = await hands.file("resident-1", contact_phone="13911112222")
    await hands.client.delete("/v1/me/consents/phone", headers=hands.town["resident-1"].headers)
    clock.pass_(minutes=1)
    await hands.post("resident-1", "/v1/me/consents/phone", {"version": 0})
    await hands.move("resident-1", order, "cancel")
    await relay(hands.town.database, clock.now, REACTIONS)
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert seen["contact_phone"] == "13911112222"


async def test_the_file_of_ones_own_data_holds_all_of_it_and_nothing_of_others(hands: Hands, clock: Clock):
    town = hands.town
    order_id = await lived(hands)
    other = await hands.file("resident-2", text="别人的秘密", contact_phone="13700007777")
    await hands.get("dispatcher-1", f"/v1/orders/{order_id}")
    asked = await hands.post("resident-1", "/v1/me/exports")
    assert (asked.status_code, asked.json()["status"]) == (202, "pending")
    path = f"/v1/me/exports/{asked.json()['id']}"
    assert (await hands.post("resident-1", "/v1/me/exports")).json()["id"] == asked.json()["id"]
    assert (await hands.get("resident-1", f"{path}/file")).json()["code"] == "EXPORT_NOT_READY"

    await timers.make_exports(town.database, clock.now)
    assert (await hands.get("resident-1", path)).json()["status"] == "done"
    answer = await hands.get("resident-1", f"{path}/file")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["Cache-Control"] == "private, no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        told = {name: file.read(name).decode() for name in file.namelist()}
    assert len([name for name in told if name.startswith("orders/")]) == 1
    whole = "".join(told.values())
    assert all(secret in whole for secret in SECRETS if secret != "0731-82345678")
    account = json.loads(told["account.json"])
    assert (account["phone"], account["account"]["name"]) == ("13900002222", "王暗号")
    order = json.loads(next(content for name, content in told.items() if name.startswith("orders/")))
    assert [view["by"] for view in order["views"]] == ["dispatcher-1"]
    for secret in ("别人的秘密", "13700007777", other["number"], "resident-2"):
        assert secret not in whole

    assert (await hands.get("resident-2", path)).status_code == 404
    assert (await hands.get("resident-2", f"{path}/file")).status_code == 404
    listed = (await hands.get("resident-1", "/v1/me/data-requests")).json()["items"]
    assert [(item["kind"], item["status"]) for item in listed] == [("export", "done")]
    clock.pass_(days=7)
    assert (await hands.get("resident-1", f"{path}/file")).json()["code"] == "EXPORT_NOT_FOUND"
    await timers.keep_no_longer(town.database, clock.now)
    assert not {found for found in await lying_open(town) if found[1] == "data_requests"}


async def test_what_is_wrong_is_put_right_and_the_record_keeps_no_value(hands: Hands):
    town = hands.town
    await proven_phone(hands, "resident-1", "13800003333")
    asked = await hands.post("resident-1", "/v1/me/corrections", {"name": "李四"})
    assert (asked.status_code, asked.json()["fields"]) == (200, ["name"])
    behalf = {"name": "李四", "phone": "13800003333", "relation": "居民", "consent": {"how": "oral"}}
    order = await hands.file("grid-1", on_behalf_of=behalf)
    assert (await hands.get("resident-1", f"/v1/orders/{order['id']}")).status_code == 200
    gone = await hands.post("resident-1", "/v1/me/corrections", {"phone": None})
    assert (gone.status_code, gone.json()["fields"]) == (200, ["phone"])
    row = select(accounts.c.phone, accounts.c.phone_hash).where(
        accounts.c.tenant_id == town.tenant_id, accounts.c.id == town["resident-1"].id
    )
    assert tuple((await town.rows(row))[0]) == (None, None)
    for wrong in ({}, {"name": None}, {"name": "1"}, {"phone": "12"}):
        assert (await hands.post("resident-1", "/v1/me/corrections", wrong)).status_code == 422


async def test_nobody_claims_a_phone_by_a_correction_and_with_it_anothers_orders(hands: Hands):
    refused = await hands.post("resident-1", "/v1/me/corrections", {"phone": "13987654321"})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "phone"]), refused.text
    behalf = {"name": "陈奶奶", "phone": "13987654321", "relation": "居民", "consent": {"how": "oral"}}
    order = await hands.file("dispatcher-1", on_behalf_of=behalf, address="3栋2单元101")
    assert (await hands.get("resident-1", f"/v1/orders/{order['id']}")).status_code == 404
    assert (await hands.try_("resident-1", order, "cancel")).status_code == 404
    listed = await hands.get("resident-1", "/v1/orders", view="mine")
    assert listed.json()["items"] == []


async def test_a_person_is_forgotten_everywhere_and_every_count_stays(hands: Hands, clock: Clock):
    town = hands.town
    order_id = await lived(hands)
    before = await counts(town)
    assert {secret for secret, _ in await lying_open(town)} >= set(SECRETS) - {"0731-82345678"}
    asked = await hands.post("resident-1", "/v1/me/deletion")
    assert (asked.status_code, asked.json()["status"]) == (202, "done"), asked.text

    assert await lying_open(town, but=("data_requests",)) == set()
    assert await lying_open(town) == {("王暗号", "data_requests")}  # sealed, to trace a leak
    assert await counts(town) == before
    assert await assert_books(town) == 1
    refused = await hands.get("resident-1", "/v1/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_TOKEN_REVOKED")
    known = identities.c.tenant_id == town.tenant_id, identities.c.account_id == town["resident-1"].id
    assert await town.rows(select(identities.c.subject).where(*known)) == []
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order_id}")).json()
    assert (seen["filer"]["name"], seen["text"], seen["state"]) == (
        "已注销用户",
        "（内容已按规定清除）",
        "closed",
    )
    assert seen["rating"]["score"] == 1
    timeline = await hands.get("dispatcher-1", f"/v1/orders/{order_id}/timeline")
    assert timeline.status_code == 200
    assert "心里话" not in timeline.text


async def test_with_an_order_open_deletion_waits_and_says_why_and_then_happens(hands: Hands, clock: Clock):
    town = hands.town
    order = await hands.file("resident-1", **PRIVATE)
    asked = (await hands.post("resident-1", "/v1/me/deletion")).json()
    assert (asked["status"], asked["reason"]) == ("waiting", "order_open")
    assert (await hands.post("resident-1", "/v1/me/deletion")).json()["id"] == asked["id"]
    await timers.finish_deletions(town.database, clock.now)
    assert (await hands.get("resident-1", "/v1/me")).status_code == 200
    await hands.move("resident-1", order, "cancel")
    await timers.finish_deletions(town.database, clock.now)
    assert (await hands.get("resident-1", "/v1/me")).status_code == 401
    assert await lying_open(town) == set()


async def test_a_taker_at_work_waits_and_an_office_is_not_left_so(hands: Hands, clock: Clock):
    town = hands.town
    await hands.taken("member-1")
    asked = (await hands.post("member-1", "/v1/me/deletion")).json()
    assert (asked["status"], asked["reason"]) == ("waiting", "take_active")
    for login in ("dispatcher-1", "unit-1", "grid-1", "admin-1"):
        refused = await hands.post(login, "/v1/me/deletion")
        assert (refused.status_code, refused.json()["code"]) == (409, "OFFICE_HELD"), login
    await town.person("agent-1", Role.AGENT, "community-1")
    behalf = {"name": "王暗号", "phone": "0731-82345678", "relation": "邻居", "consent": {"how": "oral"}}
    filed = await hands.file("agent-1", on_behalf_of=behalf)
    await hands.move("agent-1", filed, "cancel")
    assert (await hands.post("agent-1", "/v1/me/deletion")).json()["status"] == "done"
    kept = (await hands.get("dispatcher-1", f"/v1/orders/{filed['id']}")).json()
    assert kept["filer"]["name"] == "已注销用户"
    assert kept["beneficiary"]["name"] == "王暗号"  # not the agent's to take along


async def test_contact_goes_after_180_days_and_content_after_three_years(hands: Hands, clock: Clock):
    town = hands.town
    order_id = await lived(hands)
    running = await hands.file("resident-2", **PRIVATE)
    path = f"/v1/orders/{order_id}"
    before = await counts(town)

    async def seen() -> dict[str, Any]:
        await timers.keep_no_longer(town.database, clock.now)
        told: dict[str, Any] = (await hands.get("district-1", path)).json()
        return told

    clock.pass_(days=179)
    await seen()
    row = select(orders.c.contact_phone, orders.c.address, orders.c.text).where(
        orders.c.tenant_id == town.tenant_id, orders.c.id == town_id(order_id)
    )
    assert tuple((await town.rows(row))[0])[:2] == ("13800001111", "暗号苑3栋501")
    clock.pass_(days=1)
    await seen()
    assert tuple((await town.rows(row))[0]) == (None, None, "心里话：王暗号住暗号苑。")
    clock.now += timedelta(days=3 * 365 - 180)
    async with town.database.reading() as db:
        assert await db.scalar(select(accounts.c.id).where(accounts.c.tenant_id == town.tenant_id))
    await timers.keep_no_longer(town.database, clock.now)
    kept = (await town.rows(row))[0]
    assert tuple(kept) == (None, None, "（内容已按规定清除）")
    found = {(s, t) for s, t in await lying_open(town) if t != "accounts"}
    assert found <= {("13800001111", "orders"), ("暗号苑", "orders")}, found  # the running order's own
    assert await counts(town) == before
    open_ = select(orders.c.contact_phone).where(
        orders.c.tenant_id == town.tenant_id, orders.c.id == town_id(running["id"])
    )
    assert (await town.rows(open_))[0][0] == "13800001111"


def town_id(id: str) -> Any:
    from uuid import UUID

    return UUID(id)


async def test_an_order_in_dispute_keeps_its_contact_data_until_it_is_decided(hands: Hands, clock: Clock):
    town = hands.town
    order = await hands.file("resident-1", **PRIVATE)
    await hands.move("dispatcher-1", order, "reject", reason_code="other", text="不属于受理范围。")
    ask = {"kind": "objection", "reason_code": "other", "text": "应当受理。"}
    answer = await hands.post("resident-1", f"/v1/orders/{order['id']}/requests", ask)
    assert answer.status_code == 201, answer.text
    clock.pass_(days=200)
    await timers.keep_no_longer(town.database, clock.now)
    assert ("13800001111", "orders") in await lying_open(town)
    await hands.post("street-1", f"/v1/requests/{answer.json()['id']}/refuse", {"text": "维持。"})
    await timers.keep_no_longer(town.database, clock.now)
    assert ("13800001111", "orders") not in await lying_open(town)


async def test_a_duplicate_of_a_live_order_keeps_what_its_parent_needs(hands: Hands, clock: Clock):
    parent, child = await hands.accepted("resident-2"), await hands.file("resident-1", **PRIVATE)
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    clock.pass_(days=200)
    await timers.keep_no_longer(hands.town.database, clock.now)
    assert ("13800001111", "orders") in await lying_open(hands.town)


async def test_people_read_which_organisations_were_told_of_them(hands: Hands):
    await hands.taken("unit-1", kinds=["unit"])
    told = (await hands.get("resident-1", "/v1/me/disclosures")).json()["items"]
    assert [(item["recipient"]["kind"], item["recipient"]["name"]) for item in told] == [("unit", "unit-1")]
    assert (await hands.get("resident-2", "/v1/me/disclosures")).json()["items"] == []


@pytest.mark.parametrize("path", ["/v1/me/exports/x", "/v1/me/exports/x/file"])
async def test_an_export_that_cannot_be_is_not_found(hands: Hands, path: str):
    assert (await hands.get("resident-1", path)).json()["code"] == "EXPORT_NOT_FOUND"
