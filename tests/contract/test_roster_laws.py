"""What a roster may not do: enrol against one's will, undo, overwrite, stand in the way of an approval."""

import asyncio
import base64
from typing import Any

import pytest
from sqlalchemy import select, update

from dispatch.checkin import timers
from dispatch.db.engine import Database
from dispatch.people.many import change_accounts, hold_all
from dispatch.people.tables import belongings, body_people, grants, members
from dispatch.places.tables import places
from dispatch.rosters import actions, writing
from tests.contract.test_checkin import call, enrolled, filed, good, told_of
from tests.contract.test_keeping import proven_phone
from tests.contract.test_rosters import HEAD, LI, ZHANG, counts, exported
from tests.town import Clock, Hands

SHORT = ["姓名", "手机号", "报到社区"]


async def member(hands: Hands, login: str) -> Any:
    mine = members.c.tenant_id == hands.town.tenant_id, members.c.account_id == hands.town[login].id
    return (await hands.town.rows(select(members).where(*mine)))[0]


async def only(hands: Hands) -> Any:
    """The one whom a roster made."""
    made = members.c.tenant_id == hands.town.tenant_id, members.c.renew_by.is_not(None)
    return (await hands.town.rows(select(members).where(*made)))[0]


async def test_who_is_known_and_no_member_is_asked_once_and_never_enrolled(hands: Hands):
    await proven_phone(hands, "resident-1", "13800009991")
    line = ["resident-1", "13800009991", "", "", "community-1", *[""] * 6]
    for _ in range(2):
        assert await counts(hands, [HEAD, line]) == (0, 1, 0, 0)
    assert (await good(hands, "resident-1", "GET", "/me/checkin"))["member"] is None
    assert await told_of(hands, "resident-1") == ["roster.invited"]
    await enrolled(hands)
    assert await counts(hands, [HEAD, line]) == (0, 0, 0, 1)
    await good(hands, "resident-1", "POST", "/me/checkin/leave")
    assert await counts(hands, [HEAD, line]) == (0, 1, 0, 0)
    assert (await member(hands, "resident-1")).state == "ended"


async def test_a_dry_run_passes_nothing_that_the_deed_refuses(hands: Hands, clock: Clock):
    await counts(hands, [HEAD, LI])
    clock.pass_(days=10)
    await good(hands, "dispatcher-1", "POST", f"/members/{(await only(hands)).account_id}/end")
    clock.pass_(days=1)
    again = [*LI[:10], "2026-11-01"]
    for dry in (True, False):
        assert await counts(hands, [HEAD, ZHANG, again], dry=dry) == (1, 1, 0, 0)


async def test_a_roster_renews_nobody_and_brings_nobody_back(hands: Hands, database: Database, clock: Clock):
    await counts(hands, [HEAD, LI])
    clock.pass_(days=260)
    await timers.renewals(database, clock.now)
    before = await only(hands)
    assert (before.state, before.lapsed_at is None) == ("suspended", False)
    assert await counts(hands, [HEAD, [LI[0], "13900008888", *LI[2:]]]) == (0, 0, 1, 0)
    assert await only(hands) == before


async def test_whom_a_roster_changed_is_told_so(hands: Hands):
    await enrolled(hands)
    await proven_phone(hands, "resident-1", "13800009991")
    table = [[*SHORT, "每周上限"], ["resident-1", "13800009991", "community-1", "3"]]
    for _ in range(2):
        await counts(hands, table)
    assert await told_of(hands, "resident-1") == ["roster.updated"]


async def test_unit_work_and_grid_of_a_line_reach_belongings_staff_and_grant(hands: Hands, clock: Clock):
    town = hands.town
    await counts(hands, [SHORT, ["李四", "13800002222", "community-1"]])
    id = (await only(hands)).account_id
    clock.pass_(days=2)
    line = ["李四", "13800002222", "community-1", "unit-1", "community-2", "grid-11"]
    assert await counts(hands, [[*SHORT, "单位", "工作社区", "网格"], line]) == (0, 0, 1, 0)
    now = await only(hands)
    unit, work, grid = town.bodies["unit-1"], town.places["community-2"], town.places["grid-11"]
    assert (now.unit_id, now.work_community_id, now.grid_id) == (unit, work, grid)
    theirs = belongings.c.tenant_id == town.tenant_id, belongings.c.party_id == id
    found = {row.kind: (row.of_id, row.from_at) for row in await town.rows(select(belongings).where(*theirs))}
    assert found == {
        "checkin": (town.places["community-1"], town.made),
        "unit": (unit, clock.now),
        "work": (work, clock.now),
    }
    staff = body_people.c.tenant_id == town.tenant_id, body_people.c.account_id == id
    assert [row.body_id for row in await town.rows(select(body_people).where(*staff))] == [unit]
    held = grants.c.tenant_id == town.tenant_id, grants.c.account_id == id
    seats = await town.rows(select(grants).where(*held).order_by(grants.c.valid_from))
    assert [(row.place_id, row.valid_to) for row in seats] == [
        (town.places["community-1"], clock.now),
        (grid, None),
    ]


async def test_an_update_asks_nothing_of_the_database_by_the_line(hands: Hands, counted: list[str]):
    taken = []
    for many in (3, 30):
        lines = [[f"张{chr(0x4E00 + n)}", f"138{many:04}{n:04}", "community-1"] for n in range(many)]
        await counts(hands, [SHORT, *lines])
        counted.clear()
        told = await counts(hands, [[*SHORT, "每周上限"], *([*line, "3"] for line in lines)])
        taken.append(len(counted))
        assert told == (0, 0, many, 0)
    assert taken[0] == taken[1]


@pytest.mark.parametrize("backend", ["asyncpg", "psycopg"], indirect=True)
async def test_a_roster_overwrites_nothing_that_changed_since_it_looked(
    hands: Hands, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """On SQLite a writer is alone from its first statement on; there is nothing in between."""
    await enrolled(hands)
    await proven_phone(hands, "resident-1", "13800009991")
    hours = {
        "free_times": [{"weekday": 3, "from": "08:00", "to": "10:00"}],
        "most_a_day": 1,
        "most_a_week": 1,
    }

    async def meanwhile(*given: Any) -> None:
        await good(hands, "resident-1", "PUT", "/me/checkin/hours", hours)
        await hold_all(*given)

    monkeypatch.setattr(actions, "hold_all", meanwhile)
    table = [[*SHORT, "语言"], ["resident-1", "13800009991", "community-1", "英语"]]
    assert await counts(hands, table) == (0, 0, 1, 0)
    now = await member(hands, "resident-1")
    assert (now.free_times, now.most_a_day, now.languages) == (hours["free_times"], 1, ["英语"])


@pytest.mark.parametrize("backend", ["asyncpg", "psycopg"], indirect=True)
async def test_a_roster_and_an_approval_at_once_wait_for_each_other_and_both_are_done(
    hands: Hands, database: Database, monkeypatch: pytest.MonkeyPatch
):
    logins = ("resident-1", "resident-2")
    for n, login in enumerate(logins):
        await enrolled(hands, login)
        await proven_phone(hands, login, f"1380000999{n}")
    checkin = await filed(hands, "resident-2", languages=["英语"])
    approving: list[asyncio.Task[Any]] = []

    async def meanwhile(*given: Any) -> None:
        path = f"/checkins/{checkin['id']}/approve"
        approving.append(asyncio.create_task(call(hands, "dispatcher-1", "POST", path)))
        await asyncio.sleep(0.4)
        await change_accounts(*given)

    monkeypatch.setattr(writing.many, "change_accounts", meanwhile)
    lines = [[login, f"1380000999{n}", "community-1", "3"] for n, login in enumerate(logins)]
    assert await counts(hands, [[*SHORT, "每周上限"], *lines]) == (0, 0, 2, 0)
    answer = await approving[0]
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("heading", ["姓名", "单位", "语言", "资质", "服务项目", "居住地址", "网格"])
async def test_no_sign_that_a_database_cannot_keep_gets_into_a_line(hands: Hands, heading: str):
    head = [*(one for one in SHORT if one != heading), heading]
    good_cells = {"姓名": "张三", "手机号": "13800001111", "报到社区": "community-1"}
    for sign in ("\x00", "\x07"):
        line = [good_cells.get(one, "") for one in head[:-1]] + [f"普{sign}通"]
        data = "\r\n".join([",".join(head), ",".join(line)]).encode()
        body = {"filename": "a.csv", "content": base64.b64encode(data).decode(), "dry_run": False}
        answer = await call(hands, "dispatcher-1", "POST", "/rosters/import", body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["loc"][2] == heading


async def test_one_phone_of_a_family_is_taken_in_by_id_numbers_in_one_file_as_in_two(hands: Hands):
    other = ["李嫂", LI[1], "110105194912310011", "", "community-1", *[""] * 6]
    assert await counts(hands, [HEAD, LI, other]) == (2, 0, 0, 0)
    assert await counts(hands, [HEAD, LI, other]) == (0, 0, 0, 2)


async def test_of_two_communities_of_one_name_the_line_means_the_one_in_scope_and_a_file_tells_codes(
    hands: Hands,
):
    town = hands.town
    both = places.c.id.in_([town.places["community-1"], town.places["community-3"]])
    async with town.database.writing() as db:
        await db.execute(update(places).where(places.c.tenant_id == town.tenant_id, both).values(name="春晓"))
    line = [*LI[:4], "春晓", *LI[5:]]
    assert await counts(hands, [HEAD, line]) == (1, 0, 0, 0)
    assert (await only(hands)).community_id == town.places["community-1"]
    told = await exported(hands, "dispatcher-1", phones="whole", purpose="核对")
    mine = next(cells for cells in told if cells[0] == "李四")
    assert mine[3] == "community-1", "the code"
    assert await counts(hands, [told[0], mine]) == (0, 0, 0, 1)


async def test_skills_as_people_write_them_come_back_from_an_export_unchanged(hands: Hands):
    await counts(hands, [HEAD, LI])
    skills = [
        {"code": "electrician", "name": "电 工；高压（低）", "proof": "2023-04-05", "expires_on": None},
        {"code": "nurse", "name": "护士", "proof": "Ｔ 430", "expires_on": "2028-05-31"},
    ]
    mine = members.c.tenant_id == hands.town.tenant_id, members.c.renew_by.is_not(None)
    async with hands.town.database.writing() as db:
        await db.execute(update(members).where(*mine).values(skills=skills, languages=["英语、法语"]))
    told = await exported(hands, "dispatcher-1", phones="whole", purpose="核对")
    line = next(cells for cells in told if cells[0] == "李四")
    assert await counts(hands, [told[0], line]) == (0, 0, 0, 1)
    assert (await only(hands)).skills == skills
