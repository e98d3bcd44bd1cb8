"""Staff sign in at a provider that runs in a process of its own, on every database."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select

from dispatch import clock
from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.people.actions import know_as
from dispatch.settings import Settings
from dispatch.web import deps
from tests.e2e.test_processes import free_port
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET
from tests.town import Clock, Town

DEVICE = "device-0001"
BACK = "https://console.example.cn/back"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.oidc_provider", str(port)], cwd=Path(__file__).parents[2]
    )
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                if httpx.get(f"{base}/jwks").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError("the provider ended")
        yield base
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Desk:
    """A service with a provider, and somebody's browser."""

    client: httpx.AsyncClient
    town: Town

    async def begin(self, **more: str) -> tuple[str, str]:
        """To the provider's page and back: code and state."""
        started = await self.client.post("/v1/auth/oidc/house/start", json={"device_id": DEVICE})
        assert started.status_code == 200, started.text
        asked = httpx.URL(started.json()["authorization_url"]).copy_merge_params(more)
        async with httpx.AsyncClient() as browser:
            page = await browser.get(asked)
        back = urlsplit(page.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
        query = parse_qs(back.query)
        return query["code"][0], query["state"][0]

    async def end(self, code: str, state: str, device_id: str = DEVICE) -> httpx.Response:
        body = {"code": code, "state": state, "device_id": device_id}
        return await self.client.post("/v1/auth/oidc/house/finish", json=body)


@pytest.fixture
async def desk(database: Database, town: Town, issuer: str, clock: Clock) -> AsyncIterator[Desk]:
    clock.now = present()  # the provider reads the real one
    code = (await town.rows(select(tenants.c.code).where(tenants.c.id == town.tenant_id)))[0].code
    house = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    providers = {
        "house": {**house, "tenant": code, "redirect_uri": BACK},
        "gone": {**house, "issuer": f"{issuer}/elsewhere", "tenant": code, "redirect_uri": BACK},
        "posing": {
            **house,
            "issuer": issuer.replace("127.0.0.1", "localhost"),
            "tenant": code,
            "redirect_uri": BACK,
        },
    }
    app = create_app(Settings(oidc_providers=providers), database)

    async def now() -> object:
        return clock.now

    app.dependency_overrides[deps.now] = now
    async with database.writing() as db:
        person = town["street-1"]
        await know_as(db, town.tenant_id, person.id, appid="oidc:house", subject=f"li-{town.tenant_id}")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Desk(client, town)
    await app.state.door.close()


def present():
    return clock.now()


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_whom_the_provider_vouches_for_is_signed_in_as_the_linked_account(desk: Desk):
    session = (await desk.end(*await desk.begin(login=f"li-{desk.town.tenant_id}"))).json()

    assert session["account"]["id"] == str(desk.town["street-1"].id)
    assert session["refresh_token"]
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    assert (await desk.client.get("/v1/me", headers=headers)).status_code == 200
    phone = await desk.client.post("/v1/me/phone", json={"code": "x"}, headers=headers)
    assert refused(phone) == (409, "WECHAT_REQUIRED")


async def test_a_person_whom_nobody_linked_gets_no_account(desk: Desk):
    assert refused(await desk.end(*await desk.begin(login="a-stranger"))) == (403, "AUTH_IDENTITY_UNKNOWN")


@pytest.mark.parametrize(
    "fault",
    ["issuer", "audience", "nonce", "expired", "subject", "at_hash", "signature", "symmetric"],
)
async def test_a_token_with_anything_wrong_is_not_believed(desk: Desk, fault: str):
    answer = await desk.end(*await desk.begin(login=f"li-{desk.town.tenant_id}", fault=fault))

    assert refused(answer) == (401, "AUTH_OIDC_REFUSED")


async def test_an_attempt_is_good_once_for_its_device_and_for_ten_minutes(desk: Desk, clock: Clock):
    login = f"li-{desk.town.tenant_id}"
    code, state = await desk.begin(login=login)
    answers = await asyncio.gather(*(desk.end(code, state) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]

    code, state = await desk.begin(login=login)
    for wrong in (
        await desk.end(code, state, "another-device"),
        await desk.end(code, "another-state"),
    ):
        assert refused(wrong) == (401, "AUTH_OIDC_REFUSED")
    other_code, _ = await desk.begin(login=login)
    # Another attempt's code does not fit this one's verifier.
    assert refused(await desk.end(other_code, state)) == (401, "AUTH_OIDC_REFUSED")
    code, state = await desk.begin(login=login)
    clock.pass_(minutes=10)
    assert refused(await desk.end(code, state)) == (401, "AUTH_OIDC_REFUSED")


async def test_a_provider_that_changes_its_key_is_asked_again(desk: Desk, issuer: str):
    login = f"li-{desk.town.tenant_id}"
    assert (await desk.end(*await desk.begin(login=login))).status_code == 200
    code, state = await desk.begin(login=login)
    async with httpx.AsyncClient() as client:
        await client.post(f"{issuer}/turn")

    assert (await desk.end(code, state)).status_code == 200


async def test_a_provider_that_is_unknown_gone_or_another_is_said_so(desk: Desk):
    for name, status, code in (
        ("nowhere", 404, "PROVIDER_NOT_FOUND"),
        ("gone", 503, "OIDC_UNAVAILABLE"),
        ("posing", 503, "OIDC_UNAVAILABLE"),
    ):
        answer = await desk.client.post(f"/v1/auth/oidc/{name}/start", json={"device_id": DEVICE})
        assert refused(answer) == (status, code), name
