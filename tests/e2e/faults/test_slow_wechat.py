"""WeChat is slow, or gone: whoever signs in waits, and nobody else notices (peers.md §5.9, 160)."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.wechat.fake import FakeWechat
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Service
from tests.served import served
from tests.town import Town

pytestmark = pytest.mark.process
LOGIN = "/sns/jscode2session"
APPID = "wx0123456789abcdef"
SIGNING_IN = 24
"""More than the service has connections to its database."""


async def sign_in(client: httpx.AsyncClient, fake: FakeWechat) -> httpx.Response:
    code = fake.login_code(APPID, f"openid-{uuid4().hex}")
    return await client.post("/v1/auth/wechat/login", json={"appid": APPID, "code": code})


async def test_while_many_wait_for_a_slow_wechat_orders_go_on(broken: tuple[str, Town]):
    url, town = broken
    fake = FakeWechat({APPID: "secret"})
    async with served(fake.app) as wechat:
        service = await asyncio.to_thread(opened, url, town, wechat, await code_of(town.database, town))
        try:
            async with httpx.AsyncClient(base_url=service.bases[0], timeout=30) as client:
                fake.fail(LOGIN, times=SIGNING_IN, delay=8.0)
                waiting = [asyncio.create_task(sign_in(client, fake)) for _ in range(SIGNING_IN)]
                while fake.calls[LOGIN] < SIGNING_IN:  # noqa: ASYNC110  (the fake counts)
                    await asyncio.sleep(0.02)
                async with Caller(service.bases) as caller, Pressure(town, caller, lanes=2).on() as pressure:
                    await pressure.until(closed=4)
                # Not by the clock, which a busy machine bends: all this happened while every one of them waited.
                assert not any(task.done() for task in waiting)
                assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}

                fake.fail(LOGIN, times=3, reset=True)
                gone = await asyncio.gather(*(sign_in(client, fake) for _ in range(3)))
                assert {(a.status_code, a.json()["code"]) for a in gone} == {(503, "WECHAT_UNAVAILABLE")}
                assert (await sign_in(client, fake)).status_code == 200
        finally:
            await asyncio.to_thread(service.__exit__)
    await assert_unharmed(pressure, least=4)


def opened(url: str, town: Town, wechat: str, tenant: str) -> Service:
    apps: dict[str, Any] = {APPID: {"secret": "secret", "tenant": tenant, "place": "community-1"}}
    return Service(
        url, servers=1, workers=0, pool_size=4, wechat_api=wechat, wechat_timeout_seconds=20, wechat_apps=apps
    ).__enter__()


async def code_of(database: Database, town: Town) -> str:
    async with database.reading() as db:
        return str(await db.scalar(select(tenants.c.code).where(tenants.c.id == town.tenant_id)))
