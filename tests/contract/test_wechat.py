"""Signing in through WeChat, against the shipped fake over a real socket, on every database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.domain.refusal import WechatUnavailable
from dispatch.people.tables import accounts, grants, identities, sessions
from dispatch.settings import Settings
from dispatch.web import deps
from dispatch.wechat.fake import FakeWechat
from dispatch.wechat.gateway import Gateway
from dispatch.wechat.tables import wechat_tokens
from tests.served import served
from tests.town import Clock, Town

LOGIN, TOKEN, PHONE = "/sns/jscode2session", "/cgi-bin/stable_token", "/wxa/business/getuserphonenumber"


@dataclass
class Street:
    """A service that asks a fake WeChat over HTTP, and a client of it."""

    fake: FakeWechat
    client: httpx.AsyncClient
    app: FastAPI
    settings: Settings
    database: Database
    town: Town
    appid: str
    staff_appid: str

    async def sign_in(self, openid: str, **fields: Any) -> httpx.Response:
        return await self.login(self.fake.login_code(self.appid, openid), **fields)

    async def login(self, code: str, **fields: Any) -> httpx.Response:
        body = {"appid": self.appid, "code": code, **fields}
        return await self.client.post("/v1/auth/wechat/login", json=body)

    async def give_phone(self, session: dict[str, Any], code: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        return await self.client.post("/v1/me/phone", json={"code": code}, headers=headers)

    def gateway(self) -> Gateway:
        """As another process would have it."""
        return Gateway(self.settings, self.database)


@pytest.fixture
async def street(database: Database, clock: Clock, town: Town) -> AsyncIterator[Street]:
    appid, staff_appid = f"wx{uuid4().hex[:16]}", f"wx{uuid4().hex[:16]}"
    fake = FakeWechat({appid: "secret", staff_appid: "staff-secret"}, now=clock)
    code = (await town.rows(_code_of(town)))[0].code
    async with served(fake.app) as base:
        settings = Settings(
            wechat_api=base,
            wechat_timeout_seconds=0.5,
            wechat_apps={
                appid: {"secret": "secret", "tenant": code, "place": "community-1"},
                staff_appid: {"secret": "staff-secret", "registers": False},
            },
        )
        app = create_app(settings, database)

        async def now() -> object:
            return clock.now

        app.dependency_overrides[deps.now] = now
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield Street(fake, client, app, settings, database, town, appid, staff_appid)
        await app.state.door.close()


def _code_of(town: Town) -> Any:
    return select(tenants.c.code).where(tenants.c.id == town.tenant_id)


async def test_a_stranger_becomes_a_resident_without_name_or_phone_and_may_file(street: Street):
    session = (await street.sign_in("openid-a")).json()

    (grant,) = session["grants"]
    assert (grant["role"], grant["place"]["name"]) == ("resident", "community-1")
    assert session["account"]["name"] == "居民"
    assert session["refresh_token"]
    headers = {"Authorization": f"Bearer {session['access_token']}", "Idempotency-Key": "k"}
    order = {"item_code": "0102", "text": "李奶奶要去医院复查，请帮忙找人陪同。"}
    filed = await street.client.post("/v1/orders", json=order, headers=headers)
    assert filed.status_code == 201, filed.text
    again = (await street.sign_in("openid-a")).json()
    assert again["account"]["id"] == session["account"]["id"]
    assert again["access_token"] != session["access_token"]


async def test_two_first_sign_ins_at_once_make_one_account(street: Street):
    answers = await asyncio.gather(*(street.sign_in("openid-b") for _ in range(6)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["account"]["id"] for answer in answers}) == 1
    known = await street.town.rows(select(identities).where(identities.c.appid == street.appid))
    assert len(known) == 1


async def test_a_code_that_comes_again_gives_the_same_session_although_it_is_good_once(
    street: Street, clock: Clock
):
    code = street.fake.login_code(street.appid, "openid-c")
    first = await street.login(code, device_id="device-1")
    clock.pass_(seconds=59)
    again = await street.login(code, device_id="device-1")
    elsewhere = await street.login(code, device_id="device-2")
    clock.pass_(seconds=1)
    late = await street.login(code, device_id="device-1")

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert street.fake.calls[LOGIN] == 3
    for refused in (elsewhere, late):
        assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_CODE_INVALID")


async def test_many_with_one_code_at_once_ask_wechat_once(street: Street):
    code = street.fake.login_code(street.appid, "openid-d")
    street.fake.fail(LOGIN, delay=0.2)

    answers = await asyncio.gather(*(street.login(code) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert street.fake.calls[LOGIN] == 1


async def test_when_the_first_with_a_code_fails_the_next_asks_for_itself(street: Street):
    code = street.fake.login_code(street.appid, "openid-e")
    street.fake.fail(LOGIN, errcode=45011)

    busy = await street.login(code)
    again = await street.login(code)

    assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "WECHAT_BUSY", "60")
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"errcode": 40029}, 401, "AUTH_CODE_INVALID"),
        ({"errcode": 40226}, 403, "AUTH_LOGIN_BLOCKED"),
        ({"errcode": 45009}, 503, "WECHAT_BUSY"),
        ({"errcode": 40164}, 503, "WECHAT_UNAVAILABLE"),
        ({"errcode": 40125}, 503, "WECHAT_UNAVAILABLE"),
        ({"errcode": -1, "times": 3}, 503, "WECHAT_UNAVAILABLE"),
        ({"body": "<html>502 Bad Gateway</html>"}, 503, "WECHAT_UNAVAILABLE"),
        ({"delay": 1.0}, 503, "WECHAT_UNAVAILABLE"),
        ({"reset": True}, 503, "WECHAT_UNAVAILABLE"),
        ({"merge": {"openid": None}}, 503, "WECHAT_UNAVAILABLE"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
async def test_every_way_in_which_wechat_fails_has_its_answer(
    street: Street, fault: dict[str, Any], status: int, code: str
):
    street.fake.fail(LOGIN, **fault)
    answer = await street.sign_in("openid-f")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert await street.town.rows(select(identities).where(identities.c.appid == street.appid)) == []


async def test_a_busy_wechat_is_asked_again(street: Street):
    street.fake.fail(LOGIN, errcode=-1, times=2)

    assert (await street.sign_in("openid-g")).status_code == 200
    assert street.fake.calls[LOGIN] == 3


async def test_an_answer_lost_after_the_code_was_used_up_asks_for_another_sign_in(street: Street):
    code = street.fake.login_code(street.appid, "openid-h")
    street.fake.fail(LOGIN, reset=True)
    lost = await street.login(code)
    again = await street.login(code)
    fresh = await street.sign_in("openid-h")

    assert [lost.status_code, again.status_code, fresh.status_code] == [503, 401, 200]


async def test_a_program_for_staff_makes_no_residents_and_a_strange_appid_is_refused(street: Street):
    staff = street.fake.login_code(street.staff_appid, "openid-i")
    for body in ({"appid": street.staff_appid, "code": staff}, {"appid": "wx-unknown", "code": "x"}):
        answer = await street.client.post("/v1/auth/wechat/login", json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_CODE_INVALID")


async def test_the_same_person_at_another_program_is_found_by_the_unionid(street: Street):
    here = street.fake.login_code(street.appid, "openid-j", unionid=f"union-{street.appid}")
    first = (await street.login(here)).json()
    there = street.fake.login_code(street.staff_appid, "openid-k", unionid=f"union-{street.appid}")
    body = {"appid": street.staff_appid, "code": there}
    second = (await street.client.post("/v1/auth/wechat/login", json=body)).json()

    assert second["account"]["id"] == first["account"]["id"]


async def test_a_stranger_whom_nothing_places_is_asked_for_the_tenant(street: Street, database: Database):
    nowhere = street.settings.model_copy(
        update={
            "wechat_apps": {
                street.appid: street.settings.wechat_apps[street.appid].model_copy(update={"tenant": None})
            }
        }
    )
    app = create_app(nowhere, database)
    app.dependency_overrides = street.app.dependency_overrides
    tenant = (await street.town.rows(_code_of(street.town)))[0].code
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        street.client = client
        unplaced = await street.sign_in("openid-l")
        unknown = await street.sign_in("openid-l", tenant="elsewhere")
        placed = await street.sign_in("openid-l", tenant=tenant)
    await app.state.door.close()

    assert (unplaced.status_code, unplaced.json()["code"]) == (422, "TENANT_REQUIRED")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "AUTH_CODE_INVALID")
    assert [grant["place"] for grant in placed.json()["grants"]] == [None]


async def test_the_session_key_of_wechat_is_kept_nowhere(street: Street):
    street.fake.fail(LOGIN, merge={"session_key": "THE-SESSION-KEY"})
    answer = await street.sign_in("openid-m")

    assert "THE-SESSION-KEY" not in answer.text
    for table in (accounts, sessions, grants, identities):
        rows = await street.town.rows(select(table).where(table.c.tenant_id == street.town.tenant_id))
        assert "THE-SESSION-KEY" not in str(rows)


# The phone


@pytest.mark.parametrize("country", ["86", 86])
async def test_the_phone_is_written_down_and_told_masked(street: Street, country: object):
    session = (await street.sign_in("openid-n")).json()
    code = street.fake.phone_code(street.appid, "openid-n", "13800001111", countryCode=country)
    answer = await street.give_phone(session, code)

    assert answer.json() == {"phone": "138******11"}
    written = await street.town.rows(
        select(accounts.c.phone).where(
            accounts.c.tenant_id == street.town.tenant_id, accounts.c.login.like("wx-%")
        )
    )
    assert [row.phone for row in written] == ["13800001111"]
    again = await street.give_phone(session, code)
    assert (again.status_code, again.json()["code"]) == (422, "PHONE_CODE_INVALID")


async def test_a_phone_code_of_somebody_else_of_a_login_or_of_another_program_is_refused(street: Street):
    session = (await street.sign_in("openid-o")).json()
    anothers = street.fake.phone_code(street.appid, "openid-p", "13800001111")
    login = street.fake.login_code(street.appid, "openid-o")
    watermarked = street.fake.phone_code(
        street.appid, "openid-o", "13800001111", watermark={"appid": "wx-another", "timestamp": 1}
    )
    foreign = street.fake.phone_code(
        street.appid, "openid-o", "+85261234567", purePhoneNumber="61234567", countryCode="852"
    )

    for code in (anothers, login, watermarked):
        answer = await street.give_phone(session, code)
        assert (answer.status_code, answer.json()["code"]) == (422, "PHONE_CODE_INVALID")
    answer = await street.give_phone(session, foreign)
    assert (answer.status_code, answer.json()["code"]) == (422, "PHONE_FOREIGN")


async def test_who_did_not_come_through_wechat_has_no_phone_there(street: Street):
    answer = await street.client.post(
        "/v1/me/phone", json={"code": "x"}, headers=street.town["resident-1"].headers
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "WECHAT_REQUIRED")


# The access token


async def test_of_two_workers_that_start_together_neither_asks_more_than_once(street: Street, clock: Clock):
    workers = [street.gateway(), street.gateway()]

    tokens = await asyncio.gather(
        *(worker.token(street.appid, at=clock.now) for worker in workers for _ in range(20))
    )
    third = street.gateway()
    shared = await third.token(street.appid, at=clock.now)

    assert len({*tokens, shared}) == 1
    assert street.fake.calls[TOKEN] <= 2
    for gateway in (*workers, third):
        await gateway.close()


async def test_a_token_that_ends_is_fetched_again_before_it_does(street: Street, clock: Clock):
    gateway = street.gateway()
    first = await gateway.token(street.appid, at=clock.now)
    clock.pass_(seconds=7200 - 61)
    near = await gateway.token(street.appid, at=clock.now)
    clock.pass_(seconds=1)
    late = await gateway.token(street.appid, at=clock.now)
    await gateway.close()

    assert near == first
    assert late != first


async def test_a_token_that_wechat_refuses_is_fetched_once_however_many_were_using_it(
    street: Street, clock: Clock
):
    gateway = street.gateway()
    await gateway.token(street.appid, at=clock.now)
    street.fake.tokens.clear()  # as after a forced refresh by somebody else
    codes = [street.fake.phone_code(street.appid, "openid-q", f"1380000{n:04}") for n in range(8)]

    phones = await asyncio.gather(
        *(gateway.phone(street.appid, code, "openid-q", at=clock.now) for code in codes)
    )
    await gateway.close()

    assert phones == [f"1380000{n:04}" for n in range(8)]
    assert street.fake.calls[TOKEN] == 2


async def test_a_token_refused_twice_is_not_asked_for_for_ever(street: Street, clock: Clock):
    gateway = street.gateway()
    street.fake.fail(PHONE, errcode=42001, times=5)
    with pytest.raises(WechatUnavailable):
        await gateway.phone(street.appid, "code", "openid-r", at=clock.now)
    await gateway.close()

    assert street.fake.calls[PHONE] == 2


async def test_another_process_finds_the_token_in_the_database(street: Street, clock: Clock):
    async with street.database.writing() as db:
        row = {"appid": street.appid, "token": "kept", "expires_at": clock.now + timedelta(seconds=61)}
        await db.execute(wechat_tokens.insert().values(row))
    gateway = street.gateway()

    assert await gateway.token(street.appid, at=clock.now) == "kept"
    async with street.database.writing() as db:
        await db.execute(
            update(wechat_tokens)
            .where(wechat_tokens.c.appid == street.appid)
            .values(token="newer", expires_at=clock.now + timedelta(hours=1))
        )
    assert await gateway.token(street.appid, at=clock.now, stale="kept") == "newer"
    assert street.fake.calls[TOKEN] == 0
    await gateway.close()
