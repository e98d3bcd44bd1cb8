"""The demonstration: signing in, and a district with 60 days behind it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.demo import cast
from dispatch.demo.seed import FOUNDED, found, seed
from dispatch.demo.stories import stories
from dispatch.domain.listings import ClaimState, Side
from dispatch.domain.order import State
from dispatch.orders.tables import orders
from dispatch.people.tables import grants, members, sessions
from dispatch.places.tables import places
from dispatch.resources.tables import claims, listings
from dispatch.settings import Settings
from dispatch.web import deps
from tests.conftest import Backends
from tests.contract.ledger import assert_books
from tests.town import T0, Clock, Town


@pytest.fixture
async def demo(database: Database, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """The application in demonstration mode, with its people and without orders."""
    async with database.writing() as db:
        if await db.scalar(select(tenants.c.id).where(tenants.c.code == cast.TENANT_CODE)) is None:
            await found(db, at=T0 - FOUNDED)
    app = create_app(Settings(demo=True), database)

    async def now() -> object:
        return clock.now

    app.dependency_overrides[deps.now] = now
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def sign_in(client: httpx.AsyncClient, login: str, **fields: str) -> httpx.Response:
    body = {"appid": "demo", "code": f"demo:{login}", **fields}
    return await client.post("/v1/auth/wechat/login", json=body)


async def test_the_promised_accounts_are_there_each_with_one_grant(demo: httpx.AsyncClient):
    listed = (await demo.get("/v1/demo/accounts")).json()
    by_login = {account["login"]: account for account in listed}

    promised = {
        *(f"resident-{n}" for n in (1, 2, 3)),
        *(f"member-{n}" for n in range(1, 26)),
        *("grid-1", "dispatcher-1", "dispatcher-2", "unit-1", "team-1"),
        *("street-1", "district-1", "reporter-1", "admin-1"),
    }
    assert promised <= by_login.keys()
    assert len(by_login) == len(listed) == len({account["name"] for account in listed})
    first = by_login["dispatcher-1"]["place"]["id"]
    for login in ("resident-1", "resident-2", "resident-3", "unit-1", "team-1", "member-1", "member-20"):
        assert by_login[login]["place"]["id"] == first, login
    assert (
        by_login["member-21"]["place"] == by_login["dispatcher-2"]["place"] == by_login["member-25"]["place"]
    )
    assert by_login["unit-1"]["body"]["kind"] == "unit"
    for login in ("resident-1", "unit-1", "district-1"):
        session = (await sign_in(demo, login)).json()
        assert [grant["id"] for grant in session["grants"]] == [by_login[login]["grant_id"]]
        assert session["account"]["id"] == by_login[login]["account_id"]


async def test_the_district_has_the_promised_shape(demo: httpx.AsyncClient, database: Database):
    async with database.reading() as db:
        demo_id = select(tenants.c.id).where(tenants.c.code == cast.TENANT_CODE).scalar_subquery()
        rows = await db.execute(select(places.c.kind).where(places.c.tenant_id == demo_id))
        kinds = Counter(row.kind for row in rows)
        people = (await db.execute(select(members).where(members.c.tenant_id == demo_id))).all()
        held = await db.execute(
            select(func.count()).where(grants.c.tenant_id == demo_id).group_by(grants.c.account_id)
        )
        assert {count for (count,) in held} == {1}

    assert (kinds["district"], kinds["street"], kinds["community"], kinds["grid"]) == (1, 2, 5, 12)
    assert len(people) == 25
    assert all(len(member.items) >= 12 and member.free_times and member.skills for member in people)


async def test_the_same_code_within_a_minute_is_the_same_session(
    demo: httpx.AsyncClient, clock: Clock, database: Database
):
    clock.pass_(days=1)
    first = await sign_in(demo, "resident-2")
    clock.pass_(seconds=59)
    again = await sign_in(demo, "resident-2", tenant="demo")
    clock.pass_(seconds=1)
    later = await sign_in(demo, "resident-2")

    assert first.status_code == 200
    assert first.json() == again.json()
    assert first.json()["refresh_token"] not in (None, later.json()["refresh_token"])
    assert later.json()["access_token"] != first.json()["access_token"]
    headers = {"Authorization": f"Bearer {first.json()['access_token']}"}
    clock.pass_(
        seconds=first.json()["expires_in"] - 60
    )  # for whoever asked last it still holds as long as was said
    assert (await demo.get("/v1/me", headers=headers)).status_code == 200
    clock.pass_(seconds=60)
    refused = await demo.get("/v1/me", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_TOKEN_EXPIRED")


async def test_who_has_signed_out_or_has_another_device_gets_a_session_of_its_own(
    demo: httpx.AsyncClient, clock: Clock
):
    clock.pass_(days=3)
    first = (await sign_in(demo, "resident-1")).json()
    headers = {"Authorization": f"Bearer {first['access_token']}"}
    assert (await demo.post("/v1/auth/logout", headers=headers)).status_code == 200

    again = await sign_in(demo, "resident-1")
    elsewhere = await sign_in(demo, "resident-1", device_id="device-0001")
    tokens = {first["access_token"], again.json()["access_token"], elsewhere.json()["access_token"]}
    assert (again.status_code, elsewhere.status_code, len(tokens)) == (200, 200, 3)
    headers = {"Authorization": f"Bearer {again.json()['access_token']}"}
    phone = await demo.post("/v1/me/phone", json={"code": "demo:13800001111"}, headers=headers)
    assert phone.json() == {"phone": "138******11"}


async def test_of_many_with_one_code_all_get_one_session(
    demo: httpx.AsyncClient, clock: Clock, database: Database
):
    clock.pass_(days=2)
    answers = await asyncio.gather(*(sign_in(demo, "member-3") for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    account_id = answers[0].json()["account"]["id"]
    async with database.reading() as db:
        demo_id = select(tenants.c.id).where(tenants.c.code == cast.TENANT_CODE).scalar_subquery()
        rows = await db.execute(
            select(sessions.c.account_id).where(
                sessions.c.tenant_id == demo_id, sessions.c.created_at == clock.now
            )
        )
        assert [str(row.account_id) for row in rows] == [account_id]


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "demo:nobody"},
        {"code": "resident-1"},
        {"code": "demo:"},
        {"appid": "wx1234"},
        {"tenant": "elsewhere"},
    ],
)
async def test_a_code_behind_which_nobody_stands_is_refused(demo: httpx.AsyncClient, wrong: dict[str, str]):
    answer = await sign_in(demo, "resident-1", **wrong)

    assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_CODE_INVALID")


async def test_outside_the_demonstration_nobody_signs_in_by_name(client: httpx.AsyncClient):
    refused, listed = await sign_in(client, "resident-1"), await client.get("/v1/demo/accounts")

    assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_CODE_INVALID")
    assert (listed.status_code, listed.json()["code"]) == (404, "ROUTE_NOT_FOUND")


def test_every_grid_of_the_district_has_orders_of_its_own():
    told = stories()
    grids = {code: above for code, above, _, _ in cast.BUILDINGS}
    places = Counter(grids.get(story.place or "", story.place) for story in told)
    assert {code for code, _, kind, _ in cast.PLACES if kind == "grid"} == places.keys() - {None}
    assert 0 < places[None] < len(told) / 5
    homes = {part.login: part.place for part in cast.PARTS}
    for story in told:
        if story.place:
            assert story.place.startswith(f"{homes[story.filer]}-") or story.place == homes[story.filer]


async def test_the_seed_tells_60_days_of_orders_in_every_state_and_once_only(backends: Backends):
    database = Database(backends.fresh("sqlite", "demo"))
    try:
        assert await seed(database, at=T0) is True
        started = time.perf_counter()
        assert await seed(database, at=T0 + timedelta(days=1)) is False
        assert time.perf_counter() - started < 0.2

        async with database.reading() as db:
            demo_id = await db.scalar(select(tenants.c.id))
            rows = (await db.execute(select(orders).where(orders.c.tenant_id == demo_id))).all()
        assert demo_id is not None
        assert {row.state for row in rows} == set(State)
        assert 180 <= len(rows) <= 240
        assert all(T0 - timedelta(days=61) < row.created_at <= row.updated_at <= T0 for row in rows)
        assert any(row.on_behalf for row in rows)
        assert sum(row.grid_id is not None for row in rows) > 0.8 * len(rows)
        assert await assert_books(Town(demo_id, database, "")) == len(rows)
        async with database.reading() as db:
            told = (await db.execute(select(listings.c.side).where(listings.c.tenant_id == demo_id))).all()
            held = (await db.execute(select(claims.c.state).where(claims.c.tenant_id == demo_id))).all()
        assert {row.side for row in told} == set(Side)
        assert {row.state for row in held} >= {ClaimState.REQUESTED, ClaimState.CONFIRMED}
    finally:
        await database.close()
