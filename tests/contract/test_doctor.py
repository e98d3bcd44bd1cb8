"""``dispatch doctor`` against real databases, well and ill."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from dispatch import clock, doctor
from dispatch.__main__ import cli
from dispatch.app import create_app
from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.settings import Settings
from dispatch.web import deps
from dispatch.wechat.fake import FakeWechat
from tests.conftest import DRIVERS, Backends
from tests.served import served
from tests.town import T0, Hands, found

PRODUCTION = {
    "DISPATCH_PRODUCTION": "true",
    "DISPATCH_SESSION_KEY": "k" * 32,
    "DISPATCH_DATA_KEYS": f"k1:{'A' * 43}=",
    "DISPATCH_LOOKUP_KEY": "l" * 32,
    "DISPATCH_TRUSTED_HOSTS": '["dispatch.example.cn"]',
}


def told(checks: list[doctor.Check]) -> dict[str, str]:
    return {check.name: check.health.value for check in checks}


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_fresh_database_is_well_but_for_what_is_not_set_up(
    driver: str, backends: Backends, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DISPATCH_DATABASE_URL", backends.fresh(driver, "doctor_well"))
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)

    assert told(await doctor.examine(clock.now())) == {
        "settings": "ok",
        "keys": "ok",
        "seal": "ok",
        "files": "ok",
        "wechat": "warn",
        "database": "ok",
        "clock": "ok",
        "outbox": "ok",
        "tenants": "warn",
        "people": "warn",
    }
    apps = '{"wx": {"secret": "s", "push_token": "t", "tenant": "nowhere", "place": "centre"}}'
    monkeypatch.setenv("DISPATCH_WECHAT_APPS", apps)
    lost = told(await doctor.examine(clock.now()))
    assert (lost["wechat"], lost["tenants"], lost["places"]) == ("ok", "fail", "fail")
    monkeypatch.setenv("DISPATCH_FILES_DIR", "/proc/nowhere")
    assert told(await doctor.examine(clock.now()))["files"] == "fail"
    skewed = await doctor.examine(clock.now() + timedelta(seconds=8))
    assert told(skewed)["clock"] == "fail"


@pytest.mark.parametrize("driver", DRIVERS)
async def test_stuck_and_dead_facts_and_a_schema_of_yesterday_are_found(
    driver: str, backends: Backends, monkeypatch: pytest.MonkeyPatch, hands_on: Any
):
    url = backends.fresh(driver, "doctor_ill")
    monkeypatch.setenv("DISPATCH_DATABASE_URL", url)
    database = Database(url)
    try:
        town = await found(database, "unused-key-that-is-long-enough-for-hs256")
        await hands_on(database, town)
        late = await doctor.examine(clock.now() + timedelta(minutes=6))
        async with database.writing() as db:
            await db.execute(update(outbox).where(outbox.c.tenant_id == town.tenant_id).values(state="dead"))
        dead = await doctor.examine(clock.now())
    finally:
        await database.close()
    migrate.downgrade(url, "base")
    old = await doctor.examine(clock.now())

    assert [told(checks)["outbox"] for checks in (late, dead)] == ["fail", "fail"]
    assert told(old)["database"] == "fail"
    assert "outbox" not in told(old)


@pytest.fixture
def hands_on():
    """File an order, so that a fact waits."""

    async def act(database: Database, town: Any) -> None:
        app = create_app(Settings(session_key=town.key), database)

        async def now() -> object:
            return T0

        app.dependency_overrides[deps.now] = now
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await Hands(client, town).file()

    return act


async def test_a_monitor_reads_json_and_the_exit_code(backends: Backends, monkeypatch: pytest.MonkeyPatch):
    async def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        result = await asyncio.to_thread(CliRunner().invoke, cli, ["doctor", "--json", *arguments])
        return result.exit_code, json.loads(result.output)

    monkeypatch.setenv("DISPATCH_DATABASE_URL", backends["sqlite"])
    fake = FakeWechat({"wx-a": "right"})
    async with served(fake.app) as base:
        monkeypatch.setenv("DISPATCH_WECHAT_API", base)
        monkeypatch.setenv("DISPATCH_WECHAT_APPS", '{"wx-a": {"secret": "right"}}')
        _, well = await run("--online")
        monkeypatch.setenv("DISPATCH_WECHAT_APPS", '{"wx-b": {"secret": "wrong"}}')
        status, wrong = await run("--online")

    asked = [check["health"] for check in well["checks"] if "access token" in check["said"]]
    assert asked == ["ok"]
    assert (status, wrong["health"]) == (1, "fail")
    monkeypatch.setenv("DISPATCH_SESSION_KEY", "too-short-a-key")
    status, unread = await run()
    assert (status, [check["name"] for check in unread["checks"]]) == (1, ["settings"])
    assert "too-short-a-key" not in str(unread)
