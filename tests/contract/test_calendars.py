"""A tenant's calendar over HTTP and in the database: versions, imports, what stands in memory."""

import asyncio
from datetime import date, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import event, select

from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.domain.calendar import Due, due
from dispatch.domain.calendar_check import CalendarInvalid
from dispatch.domain.calendar_file import Source, read_csv
from dispatch.domain.catalog import Limit, Unit
from dispatch.places.actions import add_tenant
from dispatch.sla import queries, shipped
from dispatch.sla.actions import calendars as actions
from dispatch.sla.tables import calendars
from dispatch.sla.timers import keep_calendars
from tests.town import T0, Clock, Hands, Town
from tests.unit.test_calendar_file import YEAR_2027

OFFICE = ["09:00-12:00", "14:00-18:00"]


async def put(
    hands: Hands, body: dict, version: int | str = 1, login: str = "admin-1", **headers: str
) -> httpx.Response:
    sent = hands.town[login].headers | {"If-Match": f'"{version}"'} | headers
    return await hands.client.put("/v1/calendar", json=body, headers=sent)


def whole(**changes) -> dict:
    body = {"known_until": "2026-12-31", "weekly": [OFFICE] * 5 + [[], []], "days": [], "apply_to": "future"}
    return body | changes


async def facts(town: Town) -> list[dict]:
    mine = select(outbox.c.body).where(
        outbox.c.tenant_id == town.tenant_id, outbox.c.fact == "calendar.changed"
    )
    return [row.body for row in await town.rows(mine)]


async def test_everyone_reads_the_calendar_of_a_year(hands: Hands):
    answer = await hands.get("resident-1", "/v1/calendar", year=2026)
    told = answer.json()
    assert (told["version"], answer.headers["etag"], told["zone"]) == (1, '"1"', "Asia/Shanghai")
    assert (told["known_until"], told["working_days"]) == ("2026-12-31", 248)
    assert told["weekly"] == [OFFICE] * 5 + [[], []]
    assert {day["source"] for day in told["days"]} == {"official"}
    makeup = next(day for day in told["days"] if day["date"] == "2026-02-14")
    assert makeup == {
        "date": "2026-02-14",
        "kind": "makeup",
        "name": "春节调休",
        "hours": None,
        "source": "official",
    }
    guessed = (await hands.get("resident-1", "/v1/calendar", year=2027)).json()
    assert {day["source"] for day in guessed["days"]} == {"statutory"}
    every = (await hands.get("resident-1", "/v1/calendar")).json()
    assert {day["date"][:4] for day in every["days"]} == {str(year) for year in range(2004, 2030)}


async def test_a_deadline_beyond_the_known_year_is_provisional(town: Town, database: Database):  # 16
    async with database.reading() as db:
        calendar = await queries.calendar_for(db, town.tenant_id)
    limit = Limit(Unit.WORKING_DAYS, 3)
    assert not due(limit, T0, calendar).provisional
    assert due(limit, T0 + timedelta(days=37), calendar).provisional


async def test_an_administrator_replaces_the_calendar_and_nobody_else_does(hands: Hands):
    for login in ("resident-1", "dispatcher-1", "district-1"):
        refused = await put(hands, whole(), login=login)
        assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    days = [{"date": "2026-12-01", "kind": "workday", "name": "下午停电", "hours": ["09:00-12:00"]}]
    answer = await put(hands, whole(days=days, weekly=[["08:30-11:30"]] * 5 + [["20:00-26:00"], []]))
    assert answer.status_code == 200, answer.text
    told = (await hands.get("resident-1", "/v1/calendar", year=2026)).json()
    assert (answer.headers["etag"], told["version"]) == ('"2"', 2)
    assert told["days"] == [{**days[0], "source": "local"}]
    assert told["weekly"][5] == ["20:00-26:00"]
    rows = await hands.town.rows(
        select(calendars.c.version, calendars.c.cause, calendars.c.made_by)
        .where(calendars.c.tenant_id == hands.town.tenant_id)
        .order_by(calendars.c.version)
    )
    assert [tuple(row) for row in rows] == [(1, "seeded", None), (2, "edited", hands.town["admin-1"].id)]
    assert await facts(hands.town) == [{"version": 2, "scope": "provisional"}]


async def test_a_replacement_names_the_version_that_it_saw(hands: Hands):
    assert (await put(hands, whole())).status_code == 200
    stale = await put(hands, whole())
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (412, "CHANGED_MEANWHILE", 2)
    blind = await hands.client.put("/v1/calendar", json=whole(), headers=hands.town["admin-1"].headers)
    assert (blind.status_code, blind.json()["errors"][0]["loc"]) == (422, ["header", "If-Match"])


async def test_of_many_replacements_at_once_one_wins(hands: Hands):
    answers = await asyncio.gather(*(put(hands, whole()) for _ in range(6)))
    told = sorted((answer.status_code, answer.json().get("code", "")) for answer in answers)
    assert told == [(200, "")] + [(412, "CHANGED_MEANWHILE")] * 5
    assert await facts(hands.town) == [{"version": 2, "scope": "provisional"}]


async def test_the_same_request_many_times_at_once_replaces_once(hands: Hands):
    key = {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(*(put(hands, whole(), **key) for _ in range(6)))
    assert {(answer.status_code, answer.json()["version"]) for answer in answers} == {(200, 2)}
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 5
    assert await facts(hands.town) == [{"version": 2, "scope": "provisional"}]


async def test_the_same_request_again_replaces_nothing_again(hands: Hands):
    key = {"Idempotency-Key": uuid4().hex}
    first = await put(hands, whole(apply_to="open"), **key)
    again = await put(hands, whole(apply_to="open"), **key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["version"] == 2
    assert await facts(hands.town) == [{"version": 2, "scope": "open"}]


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"weekly": [[]] * 7}, ["body", "weekly"]),
        ({"weekly": [OFFICE[:1] * 2] + [OFFICE] * 6}, ["body", "weekly", 0, 1]),
        ({"weekly": [["18:00-09:00"]] + [OFFICE] * 6}, ["body", "weekly", 0, 0]),
        ({"weekly": [OFFICE] * 6}, ["body", "weekly"]),
        ({"days": [{"date": "2026-12-01", "kind": "rest"}] * 2}, ["body", "days", 1, "date"]),
        ({"days": [{"date": "2026-12-01", "kind": "workday", "hours": ["18:00-09:00"]}]}, ["body", "days", 0, "hours"]),
        ({"days": [{"date": "2026-12-01", "kind": "holiday", "hours": OFFICE}]}, ["body", "days", "2026-12-01"]),
        ({"days": [{"date": "2026-13-01", "kind": "holiday"}]}, ["body", "days", 0, "date"]),
        ({"colour": "red"}, ["body", "colour"]),
    ],
)  # fmt: skip
async def test_a_calendar_without_sense_changes_nothing(hands: Hands, changes, loc):  # 13, 15
    refused = await put(hands, whole(**changes))
    assert refused.status_code == 422, refused.text
    assert [error["loc"] for error in refused.json()["errors"]] == [loc]
    assert (await hands.get("resident-1", "/v1/calendar")).json()["version"] == 1


async def test_a_year_that_arrives_replaces_the_guess_and_is_told(town: Town, database: Database):  # 16
    told = read_csv(YEAR_2027, Source.OFFICIAL)
    async with database.writing() as db:
        dry = await actions.take_in(db, town.tenant_id, told, at=T0, dry=True)
    assert await facts(town) == []
    async with database.writing() as db:
        wet = await actions.take_in(db, town.tenant_id, told, at=T0)
    async with database.writing() as db:
        assert await actions.take_in(db, town.tenant_id, told, at=T0) == [], "once more changes nothing"
        calendar = await queries.calendar_for(db, town.tenant_id)
    assert dry == wet
    gone = next(change for change in wet if change.on == date(2027, 2, 5))
    assert (gone.before.source, gone.after) == (Source.STATUTORY, None)
    assert (calendar.version, calendar.known_until) == (2, date(2027, 12, 31))
    assert {on.year for on, day in calendar.days.items() if day.provisional} == {2028, 2029, 2030}
    assert await facts(town) == [{"version": 2, "scope": "provisional"}]


async def test_days_of_the_tenants_own_hold_for_open_orders_and_survive_a_notice(
    town: Town, database: Database
):
    own = read_csv("date,kind,name,hours\n2027-02-14,workday,停电,09:00-10:00\n", Source.LOCAL)
    async with database.writing() as db:
        await actions.take_in(db, town.tenant_id, own, at=T0)
        await actions.take_in(db, town.tenant_id, read_csv(YEAR_2027, Source.OFFICIAL), at=T0)
        calendar = await queries.calendar_for(db, town.tenant_id)
    assert calendar.days[date(2027, 2, 14)] == own[0].day
    assert await facts(town) == [{"version": 2, "scope": "open"}, {"version": 3, "scope": "provisional"}]


async def test_a_year_is_not_skipped(town: Town, database: Database):
    later = read_csv(YEAR_2027.replace("2027", "2028"), Source.OFFICIAL)
    async with database.writing() as db:
        with pytest.raises(CalendarInvalid, match="缺少2027年的数据"):
            await actions.take_in(db, town.tenant_id, later, at=T0)


async def test_what_the_library_learns_comes_by_itself(
    town: Town, database: Database, monkeypatch: pytest.MonkeyPatch
):
    before = await facts(town)
    await keep_calendars(database, T0)
    assert await facts(town) == before == [], "nothing new"
    news = (*shipped.official(), *read_csv(YEAR_2027, Source.OFFICIAL))
    monkeypatch.setattr(shipped, "official", lambda: news)
    async with database.writing() as db:
        await actions.keep(db, town.tenant_id, at=T0)
    async with database.writing() as db:
        await actions.keep(db, town.tenant_id, at=T0)
        row = await queries.calendar_row(db, town.tenant_id)
    assert (row.version, row.cause, row.known_until) == (2, "announced", date(2027, 12, 31))
    assert await facts(town) == [{"version": 2, "scope": "provisional"}]


async def test_a_tenant_founded_before_there_were_calendars_works_by_the_shipped_one(database: Database):
    async with database.writing() as db:
        tenant_id = await add_tenant(db, f"t{uuid4().hex[:16]}", "旧区")
    async with database.writing() as db:
        old = await queries.calendar_for(db, tenant_id)
        await actions.keep(db, tenant_id, at=T0)
        new = await queries.calendar_for(db, tenant_id)
    assert (old.version, new.version) == (0, 1)
    limit = Limit(Unit.WORKING_DAYS, 3)
    assert due(limit, T0, old) == due(limit, T0, new) == Due(due(limit, T0, new).due_at, False)


async def test_a_known_version_costs_one_statement_and_none_where_it_was_brought(
    town: Town, database: Database
):
    statements: list[str] = []

    def count(connection, cursor, statement, *_):
        statements.append(statement)

    async with database.reading() as db:
        first = await queries.rules_for(db, town.tenant_id)
        brought = (await db.execute(select(*queries.STANDING), {"tenant_id": town.tenant_id})).one()
        event.listen(db.sync_connection, "before_cursor_execute", count)
        again = await queries.calendar_for(db, town.tenant_id)
        assert len(statements) == 1
        rules = await queries.rules_for(db, town.tenant_id, brought)
        assert len(statements) == 1
        event.remove(db.sync_connection, "before_cursor_execute", count)
    assert again is first.calendar is rules.calendar


async def test_what_was_rolled_back_is_no_ones_calendar(town: Town, database: Database):
    async with database.reading() as db:
        draft = actions.drafted(await queries.calendar_row(db, town.tenant_id))
    other = actions.Draft(((),) * 5 + (draft.weekly[0], ()), draft.entries, draft.known_until)

    async def fail() -> None:
        async with database.writing() as db:
            await actions.replace(db, town.tenant_id, other, seen=1, cause="edited", at=T0)
            assert (await queries.calendar_for(db, town.tenant_id)).version == 2
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await fail()
    async with database.writing() as db:
        await actions.replace(db, town.tenant_id, draft, seen=1, cause="edited", at=T0)
    async with database.reading() as db:
        calendar = await queries.calendar_for(db, town.tenant_id)
    assert (calendar.version, calendar.weekly) == (2, draft.weekly)


async def test_an_old_version_can_still_be_read(hands: Hands, database: Database):
    await put(hands, whole(weekly=[["08:00-09:00"]] * 7))
    async with database.reading() as db:
        old = await queries.calendar_at(db, hands.town.tenant_id, 1)
        new = await queries.calendar_at(db, hands.town.tenant_id, 2)
    assert old.weekly == shipped.WEEK
    assert len(new.weekly[6]) == 1


async def test_readiness_says_two_months_before_that_the_official_days_end(hands: Hands, clock: Clock):
    ready = (await hands.client.get("/v1/readyz")).json()
    assert ready["status"] == "degraded"
    assert "calendar_ends:2026-12-31" in ready["reasons"]
    clock.pass_(days=-30)
    early = (await hands.client.get("/v1/readyz")).json()
    assert not any(reason.startswith("calendar_ends") for reason in early["reasons"])
