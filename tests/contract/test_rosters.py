"""Rosters in and out: whole or not at all, nobody twice, phones on record."""

import asyncio
import base64
from typing import Any

import httpx
from sqlalchemy import func, select

from dispatch.db.sealed import private
from dispatch.domain.household import address_key
from dispatch.domain.people import Role
from dispatch.domain.roster import read
from dispatch.people.tables import accounts, belongings, grants, members
from dispatch.rosters.spreadsheets import as_csv, as_xlsx, rows_of
from dispatch.web.wire import normal_name, normal_phone
from tests.contract.test_checkin import call, enrolled, good
from tests.contract.test_keeping import proven_phone
from tests.town import Clock, Hands

HEAD = [
    "姓名",
    "手机号",
    "身份证号",
    "单位",
    "报到社区",
    "网格",
    "居住地址",
    "服务项目",
    "资质",
    "空闲时间",
    "报到日期",
]
ZHANG = [
    "张三",
    "13800001111",
    "",
    "unit-1",
    "community-1",
    "grid-11",
    "3栋2单元501",
    "助老陪护、tutoring",
    "electrician 持证电工",
    "八小时之外",
    "2026-09-01",
]
LI = [
    "李四",
    "13800002222",
    "11010519491231002X",
    "",
    "community-1",
    "",
    "",
    "助老陪护",
    "",
    "周六9:00-12:00",
    "",
]


async def sent(
    hands: Hands, table: list[list[str]], *, dry: bool = False, by: str = "dispatcher-1", kind: str = "xlsx"
) -> httpx.Response:
    data = as_xlsx(table, "名册") if kind == "xlsx" else as_csv(table)
    body = {"filename": f"名册.{kind}", "content": base64.b64encode(data).decode(), "dry_run": dry}
    return await call(hands, by, "POST", "/rosters/import", body)


async def counts(hands: Hands, table: list[list[str]], **more: Any) -> tuple[int, int, int, int]:
    answer = await sent(hands, table, **more)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told["created"], told["invited"], told["updated"], told["unchanged"]


async def how_many(hands: Hands) -> tuple[int, ...]:
    tenant = hands.town.tenant_id
    return tuple(
        [
            (await hands.town.rows(select(func.count()).where(table.c.tenant_id == tenant)))[0][0]
            for table in (accounts, members, grants, belongings)
        ]
    )


async def test_a_dry_run_says_what_the_deed_does_and_writes_nothing(hands: Hands):
    before = await how_many(hands)
    assert await counts(hands, [HEAD, ZHANG, LI], dry=True) == (2, 0, 0, 0)
    assert await how_many(hands) == before
    assert await counts(hands, [HEAD, ZHANG, LI]) == (2, 0, 0, 0)
    assert await how_many(hands) == (before[0] + 2, before[1] + 2, before[2] + 2, before[3] + 3)


async def test_the_same_file_again_changes_nothing_in_excel_or_csv(hands: Hands):
    await counts(hands, [HEAD, ZHANG, LI])
    before = await how_many(hands)
    assert await counts(hands, [HEAD, ZHANG, LI]) == (0, 0, 0, 2)
    assert await counts(hands, [HEAD, LI, ZHANG], kind="csv") == (0, 0, 0, 2)
    assert await how_many(hands) == before


async def test_what_a_roster_makes_is_a_member_like_any_other(hands: Hands):
    await counts(hands, [HEAD, ZHANG])
    town = hands.town
    key = private(town.tenant_id, "13800001111")
    found = select(
        accounts.c.id, accounts.c.name, members.c.grid_id, members.c.unit_id, members.c.skills
    ).join(members, (members.c.tenant_id == accounts.c.tenant_id) & (members.c.account_id == accounts.c.id))
    row = (
        await town.rows(found.where(accounts.c.tenant_id == town.tenant_id, accounts.c.phone_hash == key))
    )[0]
    assert (row.name, row.grid_id, row.unit_id) == ("张三", town.places["grid-11"], town.bodies["unit-1"])
    held = select(grants.c.role, grants.c.place_id).where(
        grants.c.tenant_id == town.tenant_id, grants.c.account_id == row.id
    )
    assert [tuple(one) for one in await town.rows(held)] == [(Role.MEMBER, town.places["grid-11"])]
    door = private(town.tenant_id, address_key(town.places["community-1"], "三栋2单元501室"))
    lives = select(accounts.c.id).where(
        accounts.c.tenant_id == town.tenant_id, accounts.c.address_key == door
    )
    assert [one.id for one in await town.rows(lives)] == [row.id]
    there = f"/belongings?place_id={town.places['community-1']}&on=2026-09-01"
    told = await good(hands, "dispatcher-1", "GET", there)
    assert [line["party"]["name"] for line in told["items"]] == ["张三"], "since the day on the roster"
    order = await hands.accepted("resident-2")
    named = await good(hands, "dispatcher-1", "GET", f"/orders/{order['id']}/candidates?limit=50")
    assert "张三" in {line["name"] for line in named["items"]}


async def test_with_one_wrong_line_nothing_is_taken_in_and_all_problems_are_told(hands: Hands):
    before = await how_many(hands)
    wrong = [
        ["王五", "12", "", "", "community-1", *[""] * 6],
        ["赵六", "13800003333", "", "", "没有这个社区", *[""] * 6],
        ["孙七", "13800004444", "", "", "community-2", *[""] * 6],
        ["周八", "13800005555", "", "没有这个单位", "community-1", *[""] * 6],
        ["吴九", "13800001111", "", "", "community-1", *[""] * 6],
        ["郑十", "13800006666", "", "", "community-1", "", "", "占卜", *[""] * 3],
    ]
    table = [HEAD, ZHANG, *wrong]
    told = (await sent(hands, table, dry=True)).json()["problems"]
    assert [(line["line"], line["column"]) for line in told] == [
        (3, "手机号"),
        (4, "报到社区"),
        (5, "报到社区"),
        (6, "单位"),
        (7, "手机号"),
        (8, "服务项目"),
    ]
    answer = await sent(hands, table)
    assert (answer.status_code, answer.json()["code"]) == (422, "ROSTER_INVALID")
    said = [error["message"] for error in answer.json()["errors"]]
    assert said[0] == "第3行 手机号：请填写正确的手机号码或座机号码"
    assert said[4] == "第7行 手机号：与第2行重复"
    assert await how_many(hands) == before


async def test_whom_one_means_is_found_by_id_number_phone_or_name_and_unit(hands: Hands):
    await counts(hands, [HEAD, ZHANG, LI])
    by_unit = [*ZHANG[:1], "", *ZHANG[2:]]
    assert await counts(hands, [HEAD, by_unit]) == (0, 0, 0, 1)
    new_phone = [LI[0], "13900009999", *LI[2:]]
    assert await counts(hands, [HEAD, new_phone]) == (0, 0, 1, 0)
    assert await counts(hands, [HEAD, new_phone]) == (0, 0, 0, 1)

    async def refused(*line: str) -> str:
        answer = await sent(hands, [HEAD, [*line, *[""] * (len(HEAD) - len(line))]])
        assert answer.status_code == 422, answer.text
        message: str = answer.json()["errors"][0]["message"]
        return message

    assert "另一人名下" in await refused("张四", "13800001111", "", "", "community-1")
    assert "另一人名下" in await refused("李五", "", LI[2], "", "community-1")
    assert "同名人员" in await refused("张三", "13700001111", "", "unit-1", "community-1")


async def test_only_what_changed_is_written_and_what_is_not_told_stays(hands: Hands):
    await counts(hands, [HEAD, ZHANG])
    table = [["姓名", "手机号", "报到社区", "每周上限"], ["张三", "13800001111", "community-1", "3"]]
    assert await counts(hands, table) == (0, 0, 1, 0)
    row = select(members.c.most_a_week, members.c.unit_id, members.c.skills).where(
        members.c.tenant_id == hands.town.tenant_id, members.c.most_a_week == 3
    )
    found = (await hands.town.rows(row))[0]
    assert (found.unit_id, found.skills[0]["code"]) == (hands.town.bodies["unit-1"], "electrician")


async def test_a_member_of_another_community_is_told_and_not_moved(hands: Hands):
    await counts(hands, [HEAD, ZHANG])
    moved = [*ZHANG[:4], "community-2", "", *ZHANG[6:]]
    answer = await sent(hands, [HEAD, moved], by="dispatcher-2")
    assert answer.json()["errors"][0]["message"] == "第2行 报到社区：已在其他社区报到，请本人办理转移"


async def test_two_imports_at_once_double_nobody(hands: Hands):
    before = await how_many(hands)
    table = [HEAD, ZHANG, LI]
    told = await asyncio.gather(*(counts(hands, table, by=by) for by in ("dispatcher-1", "secretary-1")))
    assert sorted(told) == [(0, 0, 0, 2), (2, 0, 0, 0)]
    assert (await how_many(hands))[0] == before[0] + 2


async def test_who_registers_nobody_imports_and_exports_nothing(hands: Hands):
    answer = await sent(hands, [HEAD, ZHANG], by="member-1")
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
    place = {"place_id": str(hands.town.places["community-1"])}
    for login in ("member-1", "dispatcher-2", "admin-1", "grid-1"):
        answer = await call(hands, login, "POST", "/rosters/export", place)
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN"), login


async def exported(hands: Hands, login: str, **body: Any) -> list[list[str]]:
    body = {"place_id": str(hands.town.places["community-1"]), "format": "csv", **body}
    answer = await call(hands, login, "POST", "/rosters/export", body)
    assert answer.status_code == 200, answer.text
    return [cells for _, cells in rows_of(f"x.{body['format']}", answer.content)]


async def test_an_export_masks_by_role_and_whole_phones_are_on_record(hands: Hands, clock: Clock):
    await counts(hands, [HEAD, ZHANG])
    masked = await exported(hands, "dispatcher-1")
    line = next(cells for cells in masked if cells[0] == "张三")
    assert line[1] == "138******11"
    street = await exported(hands, "street-1")
    assert next(cells for cells in street if cells[0] == "*三")[1] == "138******11"
    whole = {"phones": "whole", "purpose": "组织集中服务日"}
    refused = {"place_id": str(hands.town.places["community-1"]), "phones": "whole"}
    answer = await call(hands, "dispatcher-1", "POST", "/rosters/export", refused)
    assert answer.status_code == 422
    answer = await call(hands, "street-1", "POST", "/rosters/export", {**refused, **whole})
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")

    await proven_phone(hands, "member-1", "13800007777")
    table = await exported(hands, "dispatcher-1", **whole)
    assert "13800007777" in {cells[1] for cells in table}
    seen = await good(hands, "member-1", "GET", "/me/checkin/views")
    assert [(line["name"], line["purpose"], line["fields"]) for line in seen["items"]] == [
        ("dispatcher-1", "组织集中服务日", ["phone"])
    ]
    assert (await good(hands, "member-2", "GET", "/me/checkin/views"))["items"] == [], "has no phone to see"


async def test_a_whole_export_comes_back_as_unchanged_and_computes_nothing(hands: Hands):
    named = ["张三", "13800001111", "", "unit-1", "community-1", "", "", "", "", "", ""]
    await counts(hands, [HEAD, named])
    for kind in ("csv", "xlsx"):
        table = await exported(hands, "dispatcher-1", format=kind, phones="whole", purpose="核对")
        lines, problems = read(list(enumerate(table, 1)), phone=normal_phone, name=normal_name)
        ours = [line for line in lines if line.name == "张三"]
        assert [(line.phone, line.unit) for line in ours] == [("13800001111", "unit-1")]
        assert all("查重" in one.message or "姓名" in one.message for one in problems), problems
        mine = [table[0], next(cells for cells in table if cells[0] == "张三")]
        assert await counts(hands, mine, kind=kind) == (0, 0, 0, 1)


async def test_who_filed_himself_is_found_by_a_roster(hands: Hands):
    await proven_phone(hands, "resident-1", "13800008888")
    await hands.post("resident-1", "/v1/me/corrections", {"name": "白嘉怡"})
    line = ["白嘉怡", "13800008888", "", "", "community-1", *[""] * 6]
    assert await counts(hands, [HEAD, line], dry=True) == (0, 1, 0, 0)
    await enrolled(hands)
    assert await counts(hands, [HEAD, line]) == (0, 0, 0, 1)


async def test_a_stranger_who_says_anothers_name_and_phone_is_not_found_by_a_roster(hands: Hands):
    said = {"phone": "13800008888", "name": "白嘉怡"}
    answer = await hands.post("resident-2", "/v1/me/corrections", said)
    assert answer.status_code == 422
    await hands.post("resident-2", "/v1/me/corrections", {"name": "白嘉怡"})
    line = ["白嘉怡", "13800008888", "11010519491231002X", "", "community-1", *[""] * 6]
    assert await counts(hands, [HEAD, line]) == (1, 0, 0, 0)
    held = select(grants.c.role).where(
        grants.c.tenant_id == hands.town.tenant_id, grants.c.account_id == hands.town["resident-2"].id
    )
    assert [one.role for one in await hands.town.rows(held)] == [Role.RESIDENT]


async def test_what_is_no_file_is_refused_and_nothing_breaks(hands: Hands):
    for filename, content, code in (
        ("名册.csv", "名册", "VALIDATION_FAILED"),
        ("名册.csv", "%%%", "VALIDATION_FAILED"),
        ("名册.doc", "5aeT", "ROSTER_INVALID"),
        ("名册.xlsx", "5aeT", "ROSTER_INVALID"),
        ("名册.csv", "5aeT", "ROSTER_INVALID"),
    ):
        body = {"filename": filename, "content": content, "dry_run": False}
        answer = await call(hands, "dispatcher-1", "POST", "/rosters/import", body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), (filename, content)


async def test_who_registers_nobody_is_told_so_before_the_file_is_read(hands: Hands):
    body = {"filename": "名册.xlsx", "content": base64.b64encode(b"no file").decode(), "dry_run": True}
    answer = await call(hands, "resident-1", "POST", "/rosters/import", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
