"""The catalogue on every database."""

import httpx
import pytest
from sqlalchemy import func, select, update

from dispatch.catalog import queries
from dispatch.catalog.actions import load_defaults
from dispatch.catalog.tables import items, reasons
from dispatch.db.engine import Database
from dispatch.domain.refusal import ItemNotFound
from tests.town import T0, Hands, Town


async def test_the_whole_catalogue_comes_in_one_answer(hands: Hands):
    answer = await hands.get("resident-1", "/v1/catalog")

    assert answer.status_code == 200
    catalog = answer.json()
    assert [category["code"] for category in catalog["categories"]] == [f"{n:02}" for n in range(1, 13)]
    assert sum(len(category["items"]) for category in catalog["categories"]) == 82
    assert catalog["categories"][0]["items"][1] == {
        "code": "0102",
        "name": "陪同就医/陪诊",
        "kind": "V",
        "urgency": "U3",
        "limits": {
            "dispatch": {"unit": "h", "amount": 24},
            "take": {"unit": "h", "amount": 24},
            "contact": {"unit": "h", "amount": 24},
            "finish": {"unit": "appointment"},
        },
        "flags": ["sensitive"],
        "form": catalog["categories"][0]["items"][1]["form"],
        "stop_message": None,
    }
    assert len(catalog["checkin_items"]) == 16
    assert catalog["reasons"]["cancel"][0] == {"code": "no_longer_needed", "label": "不再需要"}
    assert catalog["reasons"]["cancel"][-1]["code"] == "other"


async def test_an_unchanged_catalogue_is_not_sent_again(hands: Hands, client: httpx.AsyncClient):
    first = await hands.get("resident-1", "/v1/catalog")
    headers = hands.town["resident-2"].headers | {"If-None-Match": first.headers["etag"]}

    again = await client.get("/v1/catalog", headers=headers)

    assert (again.status_code, again.content) == (304, b"")


async def test_a_retired_item_is_hidden_and_stays_readable(
    hands: Hands, client: httpx.AsyncClient, database: Database
):
    town = hands.town
    first = await hands.get("resident-1", "/v1/catalog")
    async with database.writing() as db:
        await db.execute(
            update(items)
            .where(items.c.tenant_id == town.tenant_id, items.c.code == "0102")
            .values(retired_at=T0)
        )

    headers = town["resident-1"].headers | {"If-None-Match": first.headers["etag"]}
    now = await client.get("/v1/catalog", headers=headers)

    assert now.status_code == 200
    assert "0102" not in [item["code"] for item in now.json()["categories"][0]["items"]]
    async with database.reading() as db:
        assert (await queries.item(db, town.tenant_id, "0102")).name == "陪同就医/陪诊"
        with pytest.raises(ItemNotFound):
            await queries.item(db, town.tenant_id, "102")


async def test_loading_the_defaults_again_leaves_a_tenants_own_words_alone(town: Town, database: Database):
    async with database.writing() as db:
        await db.execute(
            update(items)
            .where(items.c.tenant_id == town.tenant_id, items.c.code == "0102")
            .values(name="陪诊")
        )
        await load_defaults(db, town.tenant_id)

    async with database.reading() as db:
        count = await db.scalar(
            select(func.count()).select_from(items).where(items.c.tenant_id == town.tenant_id)
        )
        assert count == 82
        assert (await queries.item(db, town.tenant_id, "0102")).name == "陪诊"


async def test_only_a_reason_of_this_act_that_is_in_use_may_be_given(hands: Hands, database: Database):
    town = hands.town
    async with database.writing() as db:
        await db.execute(
            update(reasons)
            .where(
                reasons.c.tenant_id == town.tenant_id, reasons.c.act == "cancel", reasons.c.code == "mistake"
            )
            .values(retired_at=T0)
        )
    for code, status in (("mistake", 422), ("unavailable", 422), ("other", 200)):
        order = await hands.file()
        answer = await hands.try_("resident-1", order, "cancel", reason_code=code, text="不用了。")
        assert answer.status_code == status, answer.text
        assert status == 200 or answer.json()["code"] == "REASON_UNKNOWN"


async def test_a_text_suggests_items_of_this_tenant_with_the_words_found(hands: Hands, database: Database):
    body = {"text": "五楼楼道灯不亮，电梯也老是停。"}
    told = (await hands.post("resident-1", "/v1/catalog/suggest", body)).json()
    assert told["emergency"] is None
    first = told["items"][0]
    assert (first["code"], first["name"]) == ("0904", "楼道灯/门禁/电梯故障")
    assert set(first["words"]) == {"楼道灯", "电梯"}
    assert 0.5 < first["score"] < 1
    assert len(told["items"]) <= 5
    async with database.writing() as db:
        mine = (items.c.tenant_id == hands.town.tenant_id) & (items.c.code == "0904")
        await db.execute(update(items).where(mine).values(retired_at=T0))
    later = (await hands.post("resident-1", "/v1/catalog/suggest", body)).json()
    assert "0904" not in [item["code"] for item in later["items"]]


async def test_an_emergency_shows_whom_to_call(hands: Hands):
    told = (await hands.post("resident-1", "/v1/catalog/suggest", {"text": "三楼着火了，快来人"})).json()
    assert told["emergency"] == {
        "kind": "fire",
        "name": "火情",
        "phones": ["119"],
        "message": "请马上离开现场，拨打119报火警，有人受伤拨120。不要乘电梯，不要返回取物。",
    }


async def test_words_that_nobody_knows_suggest_nothing(hands: Hands):
    told = (await hands.post("resident-1", "/v1/catalog/suggest", {"text": "嗯嗯"})).json()
    assert told == {"items": [], "emergency": None}
    for body in ({}, {"text": ""}, {"text": 7}, {"text": "灯", "more": 1}):
        refused = await hands.post("resident-1", "/v1/catalog/suggest", body)
        assert (refused.status_code, refused.json()["code"]) == (422, "VALIDATION_FAILED")
