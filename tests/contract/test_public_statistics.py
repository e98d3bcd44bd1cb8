"""Numbers for everybody: what is published, when, of whom, and that nothing done later or beside it shows."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.domain.people import Role
from dispatch.jobs.parts import PartsFailed
from dispatch.orders.tables import orders
from dispatch.privacy import timers as privacy
from dispatch.reports import timers
from dispatch.reports.tables import publications
from tests.town import Clock, Hands, Town, found

PATH = "/v1/public/statistics"
DECEMBER = datetime(2026, 12, 8, 1, tzinfo=UTC)
LAMP, MEAL = "0201", "0107"  # categories 02 and 01
MEASURES = ("filed", "done", "on_time", "late", "unjudged", "verdicts", "satisfied", "dissatisfied")


async def publishes(town: Town, least: int = 5) -> str:
    """Let a town publish; returns its code."""
    async with town.database.writing() as db:
        changed = update(tenants).where(tenants.c.id == town.tenant_id)
        await db.execute(changed.values(publishes_from=least, publishes_because="区委会议纪要〔2026〕3号"))
        code = await db.scalar(select(tenants.c.code).where(tenants.c.id == town.tenant_id))
    return str(code)


async def people(town: Town, community: str, count: int, prefix: str = "p") -> list[str]:
    logins = [f"{prefix}-{community}-{n}" for n in range(count)]
    for login in logins:
        town._person(login, Role.RESIDENT, community)
    await town._save()
    return logins


async def file(
    hands: Hands, login: str, community: str, item_code: str = LAMP, **more: Any
) -> dict[str, Any]:
    place = str(hands.town.places[community])
    return await hands.file(login, item_code=item_code, place_id=place, **more)


async def served(hands: Hands, login: str, order: dict[str, Any], score: int) -> None:
    """Taken and finished by a member of community-1, and judged by its filer."""
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "finish", result="已处理。", closing="solved")
    await hands.move(login, order, "rate", score=score, solved=True, contacted=True)


async def asked(client: httpx.AsyncClient, code: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(PATH, params={"tenant": code, **params})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def numbers(item: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(item[name] for name in MEASURES)


@pytest.fixture
async def november(hands: Hands, clock: Clock) -> Hands:
    """Twelve households of community-1, of whom six were served and judged; seven of community-2; two of community-3."""
    town = hands.town
    clock.now = datetime(2026, 11, 26, 1, tzinfo=UTC)
    for n, login in enumerate(await people(town, "community-1", 12)):
        order = await file(hands, login, "community-1", LAMP if n % 2 else MEAL)
        if n < 6:
            await served(hands, login, order, 5)
    for login in await people(town, "community-2", 7):
        await file(hands, login, "community-2")
    for login in await people(town, "community-3", 2):
        await file(hands, login, "community-3")
    clock.now = DECEMBER
    return hands


async def test_nothing_is_published_unless_a_tenant_says_so(november: Hands, client: httpx.AsyncClient):
    town = november.town
    await timers.publish(town.database, DECEMBER)
    assert await town.rows(select(publications).where(publications.c.tenant_id == town.tenant_id)) == []
    code = (await town.rows(select(tenants.c.code).where(tenants.c.id == town.tenant_id)))[0].code
    answers = [await client.get(PATH, params={"tenant": name}) for name in (code, "nowhere")]
    drop = {"request_id", "instance"}
    told = [{key: value for key, value in answer.json().items() if key not in drop} for answer in answers]
    assert told[0] == told[1]
    assert (answers[0].status_code, told[0]["code"]) == (404, "NOTHING_PUBLISHED")


async def test_a_month_is_told_in_numbers_and_small_ones_are_left_out(
    november: Hands, client: httpx.AsyncClient
):
    town = november.town
    code = await publishes(town)
    await timers.publish(town.database, DECEMBER)

    whole = await asked(client, code)
    assert (whole["because"], whole["least"]) == ("区委会议纪要〔2026〕3号", 5)
    assert [item["month"] for item in whole["items"]] == ["2026-11"]
    assert numbers(whole["items"][0]) == (21, 6, 6, 0, 0, 6, 6, 0)

    # street-2 has two households: told beside street-1 it would follow from the whole, so neither is.
    streets = (await asked(client, code, by="place"))["items"]
    assert [(item["place"]["name"], item["filed"]) for item in streets] == [
        ("street-1", None),
        ("street-2", None),
    ]
    street = str(town.places["street-1"])
    assert numbers((await asked(client, code, place_id=street))["items"][0])[:1] == (None,)
    below = (await asked(client, code, place_id=street, by="place"))["items"]
    assert [item["filed"] for item in below] == [None, None]
    assert numbers(below[0]) == (
        None,
        6,
        6,
        0,
        0,
        6,
        6,
        0,
    )  # all that was done was done there: six households

    chapters = (await asked(client, code, by="category"))["items"]
    assert {item["category"]["code"]: item["filed"] for item in chapters if item["filed"]} == {
        "01": 6,
        "02": 15,
    }
    assert len(chapters) == 12  # a chapter without orders looks like one with few


async def test_places_of_many_are_told_with_those_below_them(
    november: Hands, clock: Clock, client: httpx.AsyncClient
):
    town = november.town
    clock.now = datetime(2026, 11, 27, tzinfo=UTC)
    for login in await people(town, "community-3", 5, "q"):
        await file(november, login, "community-3")
    clock.now = DECEMBER
    code = await publishes(town)
    await timers.publish(town.database, DECEMBER)

    streets = (await asked(client, code, by="place"))["items"]
    assert [(item["place"]["name"], item["filed"]) for item in streets] == [("street-1", 19), ("street-2", 7)]
    street = str(town.places["street-1"])
    below = (await asked(client, code, place_id=street, by="place"))["items"]
    assert [(item["place"]["name"], item["filed"]) for item in below] == [
        ("community-1", 12),
        ("community-2", 7),
    ]
    assert numbers(below[0]) == (12, 6, 6, 0, 0, 6, 6, 0)
    assert below[0]["place"]["kind"] == "community"
    too_fine = await client.get(PATH, params={"tenant": code, "place_id": street, "by": "category"})
    assert (too_fine.status_code, too_fine.json()["code"]) == (422, "TOO_FINE")
    for place in ("grid-11", "district"):
        answer = await client.get(PATH, params={"tenant": code, "place_id": str(town.places[place])})
        assert answer.status_code == (404 if place == "grid-11" else 200)


async def test_what_was_published_stays_whatever_happens_later(november: Hands, client: httpx.AsyncClient):
    """Asking before and after a day tells nothing of what happened on it."""
    town = november.town
    code = await publishes(town)
    await timers.publish(town.database, DECEMBER)
    before = [await asked(client, code, by=by) for by in ("month", "place", "category")]

    unhappy = (await november.get("p-community-1-1", "/v1/orders")).json()["items"][0]
    await november.move("dispatcher-1", unhappy["id"], "redo", reason_code="other", text="重办。")
    late = (await november.get("p-community-2-1", "/v1/orders")).json()["items"][0]
    await november.move("p-community-2-1", late["id"], "cancel")
    await november.move("dispatcher-1", (await file(november, "resident-1", "community-1")), "accept")
    await timers.publish(town.database, DECEMBER + timedelta(days=20))

    assert [await asked(client, code, by=by) for by in ("month", "place", "category")] == before


async def test_only_whole_months_that_are_over_are_told(november: Hands, client: httpx.AsyncClient):
    town = november.town
    code = await publishes(town)
    await timers.publish(town.database, DECEMBER - timedelta(days=2))  # the 6th: verdicts may still come
    assert (await asked(client, code))["last"] == "2026-10"
    await timers.publish(town.database, DECEMBER)

    told = await asked(client, code, **{"from": "2026-09", "to": "2026-11"})
    assert [item["month"] for item in told["items"]] == ["2026-09", "2026-10", "2026-11"]
    assert [item["filed"] for item in told["items"]] == [None, None, 21]
    assert (told["first"], told["last"]) == ("2025-11", "2026-11")
    for params, refused in (
        ({"to": "2026-12"}, "MONTH_NOT_PUBLISHED"),
        ({"from": "2025-10"}, "MONTH_NOT_PUBLISHED"),
        ({"from": "2026-11", "to": "2026-10"}, "VALIDATION_FAILED"),
        ({"from": "2024-01"}, "VALIDATION_FAILED"),
        ({"from": "2026-11-03"}, "VALIDATION_FAILED"),
        ({"from": "2026-13"}, "VALIDATION_FAILED"),
        ({"week": "2026-W47"}, "UNKNOWN_PARAMETER"),
    ):
        answer = await client.get(PATH, params={"tenant": code, **params})
        assert (answer.status_code, answer.json()["code"]) == (422, refused), params


async def test_a_month_ends_at_midnight_of_the_tenant(hands: Hands, clock: Clock, client: httpx.AsyncClient):
    logins = await people(hands.town, "community-1", 11)
    for login in logins:  # 23:59:59.999 on the 30th in Shanghai, and for half of them 00:00 on the 1st
        last = datetime(2026, 11, 30, 15, 59, 59, 999000, tzinfo=UTC)
        clock.now = last if login in logins[:6] else last + timedelta(milliseconds=1)
        await file(hands, login, "community-1")
    code = await publishes(hands.town)
    await timers.publish(hands.town.database, datetime(2027, 1, 9, tzinfo=UTC))
    told = await asked(client, code, **{"from": "2026-11", "to": "2026-12"})
    assert [item["filed"] for item in told["items"]] == [6, 5]


@pytest.mark.parametrize("hidden", ["about a person", "name hidden", "kept from somebody"])
async def test_what_somebody_wants_hidden_is_in_no_number(
    hidden: str, november: Hands, clock: Clock, client: httpx.AsyncClient
):
    town = november.town
    clock.now = datetime(2026, 11, 27, tzinfo=UTC)
    item = {"about a person": "0804"}.get(hidden, LAMP)
    for login in await people(town, "community-1", 6, "hidden"):
        order = await file(november, login, "community-1", item, hide_name=hidden == "name hidden")
        if hidden == "kept from somebody":
            kept = {"kind": "person", "id": str(town["member-1"].id)}
            answer = await november.post("dispatcher-1", f"/v1/orders/{order['id']}/recusals", kept)
            assert answer.status_code in (200, 201), answer.text
    clock.now = DECEMBER
    code = await publishes(town)
    await timers.publish(town.database, DECEMBER)

    assert numbers((await asked(client, code))["items"][0]) == (21, 6, 6, 0, 0, 6, 6, 0)
    chapters = (await asked(client, code, by="category"))["items"]
    assert {i["category"]["code"]: i["filed"] for i in chapters if i["filed"]} == {"01": 6, "02": 15}


async def test_one_household_is_one_however_often_it_asks(
    hands: Hands, clock: Clock, client: httpx.AsyncClient
):
    """Ten orders from one door, by two of its people, and three of others: four households."""
    logins = await people(hands.town, "community-1", 5)
    for n in range(10):
        await file(hands, logins[n % 2], "community-1", address=f"{'三' if n % 3 else '3'}号楼2单元501")
    for login in logins[2:]:
        await file(hands, login, "community-1")
    code = await publishes(hands.town)
    await timers.publish(hands.town.database, DECEMBER)
    assert (await asked(client, code))["items"][0]["filed"] is None


async def test_those_for_whom_an_office_filed_count_by_their_door(hands: Hands, client: httpx.AsyncClient):
    """Without a door they are one household with each other: the filer's."""
    for told, expected in ((True, 5), (False, None)):
        other = Hands(client, await found(hands.town.database, hands.town.key))
        for n in range(5):
            behalf = {"name": f"老人{n}", "relation": "网格居民", "consent": {"how": "oral"}}
            door = {"address": f"{n + 1}栋2单元501"} if told else {}
            await other.file("grid-1", item_code=LAMP, on_behalf_of=behalf, **door)
        code = await publishes(other.town)
        await timers.publish(other.town.database, DECEMBER)
        assert (await asked(client, code))["items"][0]["filed"] == expected


async def test_counts_stay_when_people_are_forgotten(november: Hands, client: httpx.AsyncClient):
    town = november.town
    later = DECEMBER + timedelta(days=300)
    async with town.database.writing() as db:  # all of them came to rest, and their time is over
        mine = update(orders).where(orders.c.tenant_id == town.tenant_id)
        await db.execute(mine.values(state="closed", rested_at=DECEMBER - timedelta(days=8)))
    for _ in range(3):
        await privacy.keep_no_longer(town.database, later)
    cleared = select(func.min(orders.c.cleared)).where(orders.c.tenant_id == town.tenant_id)
    assert (await town.rows(cleared))[0][0] == 1
    code = await publishes(town)
    await timers.publish(town.database, later)
    told = await asked(client, code, **{"from": "2026-11", "to": "2026-11"})
    assert numbers(told["items"][0]) == (21, 6, 6, 0, 0, 6, 6, 0)


async def test_what_was_taken_out_of_the_rates_is_done_and_judged_by_nobody(
    november: Hands, clock: Clock, client: httpx.AsyncClient
):
    town = november.town
    clock.now = datetime(2026, 11, 27, tzinfo=UTC)
    for login in await people(town, "community-1", 5, "out"):
        order = await file(november, login, "community-1")
        await served(november, login, order, 4)
        asked_ = await november.post(
            "dispatcher-1",
            f"/v1/orders/{order['id']}/requests",
            {"kind": "exclusion", "reason_code": "other", "text": "不属实。"},
        )
        answer = await november.post("street-1", f"/v1/requests/{asked_.json()['id']}/approve")
        assert answer.status_code == 200, answer.text
    clock.now = DECEMBER
    code = await publishes(town)
    await timers.publish(town.database, DECEMBER)
    assert numbers((await asked(client, code))["items"][0]) == (26, 11, 6, 0, 5, 6, 6, 0)


async def test_two_workers_publish_a_month_once(november: Hands, backend: str, client: httpx.AsyncClient):
    town = november.town
    code = await publishes(town)
    other = Database(backend)
    try:
        await asyncio.gather(*(timers.publish(base, DECEMBER) for base in (town.database, other) * 2))
    finally:
        await other.close()
    mine = select(func.count()).where(publications.c.tenant_id == town.tenant_id)
    assert (await town.rows(mine))[0][0] == 12 * (1 + 12 + 2 + 3)
    assert (await asked(client, code))["items"][0]["filed"] == 21


async def test_a_tenant_that_cannot_be_counted_keeps_no_other_waiting(november: Hands, database: Database):
    first, second = november.town, await found(database, november.town.key)
    for town in (first, second):
        await publishes(town)
    of_first = update(tenants).where(tenants.c.id == first.tenant_id)
    async with database.writing() as db:
        await db.execute(of_first.values(zone="Nowhere/AtAll"))
    try:
        with pytest.raises(PartsFailed):
            await timers.publish(database, DECEMBER)
    finally:
        async with database.writing() as db:
            await db.execute(of_first.values(zone="Asia/Shanghai"))
    published = select(publications.c.tenant_id).where(publications.c.month == "2026-11").distinct()
    told = {row.tenant_id for row in await second.rows(published)}
    assert second.tenant_id in told
    assert first.tenant_id not in told


async def test_anybody_on_the_way_may_keep_it_and_nobody_signs_in(november: Hands, client: httpx.AsyncClient):
    code = await publishes(november.town)
    await timers.publish(november.town.database, DECEMBER)
    answer = await client.get(PATH, params={"tenant": code})
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert "authorization" not in answer.headers.get("Vary", "").lower()
    again = await client.get(
        PATH,
        params={"tenant": code},
        headers={"If-None-Match": answer.headers["ETag"], "Authorization": "Bearer x"},
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_a_tenant_publishes_its_own_and_stops_at_once(november: Hands, client: httpx.AsyncClient):
    town, other = november.town, await found(november.town.database, november.town.key)
    codes = [await publishes(each) for each in (town, other)]
    await timers.publish(town.database, DECEMBER)
    assert [(await asked(client, code))["items"][0]["filed"] for code in codes] == [21, None]
    answer = await client.get(PATH, params={"tenant": codes[1], "place_id": str(town.places["street-1"])})
    assert answer.json()["code"] == "NOTHING_PUBLISHED"
    async with town.database.writing() as db:
        await db.execute(update(tenants).where(tenants.c.code == codes[0]).values(publishes_from=None))
    assert (await client.get(PATH, params={"tenant": codes[0]})).json()["code"] == "NOTHING_PUBLISHED"
