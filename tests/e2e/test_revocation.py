"""What is called back in one process holds in every other on the next request."""

import asyncio

import httpx

from dispatch import clock
from dispatch.auth.actions import password
from dispatch.auth.actions.hashing import Hasher
from dispatch.auth.actions.keys import issue_key, revoke_key
from dispatch.db.engine import Database
from dispatch.people import actions as people
from dispatch.settings import Settings
from tests.e2e.test_processes import servers  # noqa: F401 — a fixture
from tests.town import Town, found

RIGHT = "一只小猫咪走过长长的田埂"


async def whoami(base: str, token: str) -> tuple[int, str | None]:
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.json().get("code")


async def everywhere(bases: list[str], token: str) -> set[tuple[int, str | None]]:
    return set(await asyncio.gather(*(whoami(base, token) for base in bases)))


async def sign_in(base: str, username: str, said: str = RIGHT) -> httpx.Response:
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        body = {"username": username, "password": said, "device_id": "device-0001"}
        return await client.post("/v1/auth/password/login", json=body)


async def act(base: str, path: str, token: str | None = None, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        return await client.post(path, json=body, headers=headers)


KNOWN, REVOKED = {(200, None)}, {(401, "AUTH_TOKEN_REVOKED")}


async def test_a_revocation_holds_in_every_process_on_the_next_request(
    servers: list[str],  # noqa: F811
    database: Database,
):
    town: Town = await found(database, Settings().session_key.get_secret_value(), present=True)
    dispatcher, reporter = town["dispatcher-1"], town["reporter-1"]
    username, at = f"staff-{town.tenant_id}-{dispatcher.id.hex[:8]}", clock.now()
    async with database.writing() as db:
        hashed = await Hasher(Settings(password_memory_kib=32)).hash(RIGHT)
        await password.set_password(db, town.tenant_id, dispatcher.id, username, hashed, at=at)
        key = await issue_key(db, town.tenant_id, reporter.id, reporter.grant_id, "BI", ["me:read"], at=at)

    # A session that ends at one server ends at all; so does one whose refresh token was copied.
    ended, copied = (await sign_in(servers[0], username)).json(), (await sign_in(servers[1], username)).json()
    assert await everywhere(servers, ended["access_token"]) == KNOWN
    assert (await act(servers[2], "/v1/auth/logout", ended["access_token"])).status_code == 200
    assert await everywhere(servers, ended["access_token"]) == REVOKED
    elsewhere = await act(
        servers[3], "/v1/auth/refresh", refresh_token=copied["refresh_token"], device_id="another-device"
    )
    assert elsewhere.json()["code"] == "AUTH_TOKEN_REVOKED"
    assert await everywhere(servers, copied["access_token"]) == REVOKED

    # A key that is called back.
    assert await everywhere(servers, key.key) == KNOWN
    async with database.writing() as db:
        assert await revoke_key(db, town.tenant_id, key.key_id, at=clock.now())
    assert await everywhere(servers, key.key) == REVOKED

    # A grant that is revoked, although every server has just seen it stand.
    working = (await sign_in(servers[0], username)).json()
    assert await everywhere(servers, working["access_token"]) == KNOWN
    async with database.writing() as db:
        assert await people.revoke_grant(db, town.tenant_id, dispatcher.grant_id, at=clock.now())
    assert await everywhere(servers, working["access_token"]) == REVOKED

    # Tries are counted over all of them.
    answers = await asyncio.gather(
        *(sign_in(servers[n % len(servers)], username, "wrong") for n in range(14))
    )
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 4
