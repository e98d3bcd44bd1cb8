"""Search: the words of an order are found by those who see it, in every list, and nothing else is."""

from uuid import UUID

import pytest
from sqlalchemy import delete, event, select

from dispatch.db.engine import Database
from dispatch.jobs import housekeeping
from dispatch.orders.actions.indexing import index_batch
from dispatch.orders.tables import order_grams
from tests.conftest import Backends
from tests.town import T0, Hands, found

LAMP = "3栋楼道的路灯不亮了，晚上老人上下楼看不见。"
LIFT = "2单元电梯关不上门，昨天困了人。"
ELDER = "李奶奶82岁，周三上午要去市二医院复查。"


async def _found(hands: Hands, login: str, q: str, **params) -> list[str]:
    answer = await hands.get(login, "/v1/orders", q=q, **params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_words_of_two_signs_include_and_exclude(hands: Hands):
    lamp, lift = await hands.file(text=LAMP), await hands.file("resident-2", text=LIFT)
    for q in ("路灯", "不亮", "路灯 不亮", "老人 路灯", "灯", "3栋", "３栋 路灯"):
        assert await _found(hands, "dispatcher-1", q) == [lamp["id"]], q
    for q in ("电梯", "电梯 困了人", "2单元"):
        assert await _found(hands, "dispatcher-1", q) == [lift["id"]], q
    for q in ("路灯 电梯", "灯路", "水管", "，", "🙂", "您好"):
        assert await _found(hands, "dispatcher-1", q) == [], q


async def test_every_view_searches_its_own_orders_only(hands: Hands):
    mine = await hands.file("resident-1", text=LAMP)
    open_ = await hands.open_("resident-2")
    other = await hands.file("resident-3", text=LAMP)
    taken = await hands.taken("member-1")
    assert await _found(hands, "resident-1", "路灯", view="mine") == [mine["id"]]
    assert await _found(hands, "resident-2", "路灯", view="mine") == []
    assert await _found(hands, "dispatcher-1", "路灯", view="queue") == [mine["id"]]
    assert await _found(hands, "dispatcher-2", "路灯", view="queue") == [other["id"]]
    assert await _found(hands, "member-2", "复查", view="pool") == [open_["id"]]
    assert await _found(hands, "member-2", "路灯", view="pool") == []
    assert await _found(hands, "member-1", "复查", view="taken") == [taken["id"]]
    assert await _found(hands, "member-2", "复查", view="taken") == []
    assert await _found(hands, "district-1", "路灯") == [other["id"], mine["id"]]
    assert await _found(hands, "admin-1", "路灯") == []


async def test_a_search_joins_with_every_other_filter(hands: Hands, clock):
    first = await hands.file(text=LAMP, item_code="0904")
    clock.pass_(hours=1)
    second = await hands.accepted(text=LAMP, item_code="0201")
    at = clock.now.isoformat()
    assert await _found(hands, "dispatcher-1", "路灯", state="accepted") == [second["id"]]
    assert await _found(hands, "dispatcher-1", "路灯", item_code="0904") == [first["id"]]
    assert await _found(hands, "dispatcher-1", "路灯", created_to=at) == [first["id"]]
    place = str(hands.town.places["community-2"])
    assert await _found(hands, "street-1", "路灯", place_id=place) == []
    clock.pass_(seconds=3)
    harvest = (await hands.get("dispatcher-1", "/v1/orders", q="电梯", updated_since=at)).json()["items"]
    assert [item.get("deleted") for item in harvest] == [True]


async def test_pages_of_a_search_keep_their_order(hands: Hands, clock):
    expected = []
    for nth in range(5):
        clock.pass_(seconds=1)
        order = await hands.file(text=LAMP if nth != 2 else LIFT)
        expected += [order["id"]] if nth != 2 else []
    told, cursor = [], None
    for _ in range(9):
        page = await hands.get(
            "dispatcher-1", "/v1/orders", q="路灯", limit=2, **({"cursor": cursor} if cursor else {})
        )
        told += [item["id"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
        elsewhere = await hands.get("dispatcher-1", "/v1/orders", q="电梯", limit=2, cursor=cursor)
        assert elsewhere.json()["code"] == "CURSOR_INVALID"
    assert told == expected[::-1]


async def test_what_is_added_is_found_too(hands: Hands):
    order = await hands.file(text=LAMP)
    assert await _found(hands, "dispatcher-1", "配电箱") == []
    await hands.move("resident-1", order, "supplement", text="路灯的配电箱也开着。")
    assert await _found(hands, "dispatcher-1", "配电箱") == [order["id"]]
    assert await _found(hands, "dispatcher-1", "楼道 配电箱") == [order["id"]]


async def test_nobody_is_found_by_name_phone_or_address(hands: Hands, database: Database):
    order = await hands.file(
        "grid-1",
        text=f"{ELDER}联系电话138 0000 1111。",
        place_id=str(hands.town.places["grid-11"]),
        address="翠竹苑7栋",
        contact_phone="13800001111",
        on_behalf_of={
            "name": "欧阳秀兰",
            "phone": "13900002222",
            "relation": "网格居民",
            "consent": {"how": "oral"},
        },
    )
    for login in ("dispatcher-1", "grid-1", "district-1", "member-1"):
        for q in ("欧阳秀兰", "欧阳", "13800001111", "138 0000 1111", "13900002222", "翠竹苑", "grid-1"):
            assert await _found(hands, login, q) == [], (login, q)
    assert await _found(hands, "grid-1", "复查") == [order["id"]]
    rows = await hands.town.rows(
        select(order_grams.c.gram).where(order_grams.c.tenant_id == hands.town.tenant_id)
    )
    kept = {row.gram for row in rows}
    assert not kept & {"欧阳", "秀兰", "翠竹", "138", "0000", "1111", "13800001111", "13900002222"}


async def test_a_number_finds_its_order_and_only_for_those_who_see_it(hands: Hands):
    order, other = await hands.file(), await hands.file("resident-2")
    assert await _found(hands, "dispatcher-1", order["number"]) == [order["id"]]
    assert await _found(hands, "dispatcher-1", other["number"].lower()) == [other["id"]]
    assert await _found(hands, "resident-1", other["number"]) == []
    assert await _found(hands, "dispatcher-2", order["number"]) == []


async def test_signs_beyond_the_basic_plane_and_long_texts_are_found(hands: Hands):
    order = await hands.file(text="𠮷野家门口积水。" + "院子里的树要修剪了。" * 190 + "最后说一句㐂字。")
    for q in ("𠮷野", "𠮷", "积水", "㐂字"):
        assert await _found(hands, "dispatcher-1", q) == [order["id"]], q
    assert await _found(hands, "dispatcher-1", "野𠮷") == []


@pytest.mark.parametrize("q", ["", "   ", "灯" * 51, "路\n灯", "路\x00灯"])
async def test_a_senseless_question_is_refused(hands: Hands, q: str):
    answer = await hands.get("dispatcher-1", "/v1/orders", q=q)
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")


async def test_wildcards_mean_themselves(hands: Hands):
    await hands.file(text=LAMP)
    for q in ("路%", "路_不", "%", "_"):
        found = await _found(hands, "dispatcher-1", q)
        assert bool(found) is (q[0] == "路")  # the signs are no words, 路 and 不 are


async def test_an_index_that_was_lost_is_made_again(hands: Hands, database: Database):
    order = await hands.file(text=LAMP)
    await hands.move("resident-1", order, "supplement", text="配电箱也开着。")
    tenant_id = hands.town.tenant_id
    mine = select(order_grams.c.gram).where(order_grams.c.tenant_id == tenant_id)
    before = {row.gram for row in await hands.town.rows(mine)}
    async with database.writing() as db:
        await db.execute(delete(order_grams).where(order_grams.c.tenant_id == tenant_id))
    assert await _found(hands, "dispatcher-1", "路灯") == []
    for _ in range(2):
        async with database.writing() as db:
            last = await index_batch(db, tenant_id)
            assert str(last) == order["id"]
            assert await index_batch(db, tenant_id, last) is None
    assert {row.gram for row in await hands.town.rows(mine)} == before
    assert await _found(hands, "dispatcher-1", "路灯 配电箱") == [order["id"]]


async def test_the_words_of_a_forgotten_person_are_found_no_more(hands: Hands, database: Database):
    tenant_id = hands.town.tenant_id
    own = await hands.file("resident-1", text=LAMP)
    await hands.move("resident-1", own, "supplement", text="水管也漏。")
    other = await hands.file("resident-2", text=LIFT)
    await hands.move("resident-1", own, "cancel")
    assert (await hands.post("resident-1", "/v1/me/deletion")).json()["status"] == "done"
    grams = select(order_grams.c.order_id).where(order_grams.c.tenant_id == tenant_id)
    assert {row.order_id for row in await hands.town.rows(grams)} == {UUID(other["id"])}
    async with database.writing() as db:
        await index_batch(db, tenant_id)
    assert {row.order_id for row in await hands.town.rows(grams)} == {UUID(other["id"])}


async def test_a_hint_counts_no_order_from_which_somebody_is_kept(hands: Hands):
    town = hands.town
    first = await hands.file("resident-1", item_code="0904", text=LAMP)
    counted = await hands.file("resident-2", item_code="0904", text=LAMP)
    assert [hint["why"] for hint in counted["possible_duplicates"]] == [["附近已有1户反映"]]
    for order in (first, counted):
        kept = {"kind": "person", "id": str(town["unit-1"].id)}
        answer = await hands.post("dispatcher-1", f"/v1/orders/{order['id']}/recusals", kept)
        assert answer.status_code == 200, answer.text
    assert (await hands.file("member-1", item_code="0904", text=LAMP))["possible_duplicates"] == []


async def test_a_search_reads_the_index_and_the_rows_of_its_page_only(hands: Hands, database: Database):
    """Of a list's statement the plan is looked at, with scans of whole tables made dear."""
    await hands.file(text=LAMP)
    asked: list[tuple[str, object]] = []

    def note(conn, cursor, statement, parameters, context, executemany):
        asked.append((statement, parameters))

    engine = database.engines[0].sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await _found(hands, "dispatcher-1", "路灯", view="queue")
    event.remove(engine, "before_cursor_execute", note)
    statement, parameters = next(pair for pair in asked if "order_grams" in pair[0])
    async with database.reading() as db:
        if database.url.get_backend_name() == "sqlite":
            plan = (await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
            told = [row[3] for row in plan]
            assert "SEARCH gram_0 USING PRIMARY KEY (tenant_id=? AND gram=?)" in told
            assert told[0].startswith(
                "SEARCH orders USING INDEX sqlite_autoindex_orders_1 (tenant_id=? AND id=?)"
            )
        else:
            await db.exec_driver_sql("SET LOCAL enable_seqscan = off")
            told = [row[0] for row in (await db.exec_driver_sql(f"EXPLAIN {statement}", parameters)).all()]
            assert any("pk_order_grams" in line for line in told)
            assert any("orders.id = ANY" in line or "(id = ANY" in line for line in told)


async def test_sqlite_is_told_what_is_in_its_tables(backends: Backends):
    database = Database(backends.fresh("sqlite", "analysed"))
    try:
        await found(database, "k" * 32)
        for _ in range(2):
            await housekeeping.refresh_statistics(database, T0)
        async with database.reading() as db:
            told = await db.exec_driver_sql("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'places'")
            assert told.scalar_one() > 0
    finally:
        await database.close()
