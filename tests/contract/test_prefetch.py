"""数据预拉取: WeChat's servers fetch the first screen with a token in the address, good for that and nothing else."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from dispatch.domain.people import Role
from dispatch.people import actions as people
from tests.town import Clock, Hands

LARGEST = 256 * 1024
"""What WeChat keeps of an answer (wechat.md §1.4)."""
SAID = {"appid": "wx1", "timestamp": "1763775000", "path": "pages/index", "query": "a=1", "scene": "1001"}


async def prefetch_token(hands: Hands, login: str = "resident-1") -> str:
    answer = await hands.post(login, "/v1/me/prefetch-token")
    assert (answer.status_code, answer.json()["expires_in"]) == (200, 86_400), answer.text
    told: str = answer.json()["token"]
    assert len(told) <= 1024  # what wx.setBackgroundFetchToken takes
    return told


async def fetch(hands: Hands, **said: Any) -> httpx.Response:
    return await hands.client.get("/v1/wechat/prefetch", params={**SAID, **said})


async def test_the_first_screen_is_fetched_as_the_client_would(hands: Hands):
    await hands.file("resident-1")
    token = await prefetch_token(hands)
    answer = await fetch(
        hands, token=token, code="a-login-code", customMiniprogramVersion="1.2", of_next_year="1"
    )
    home = await hands.get("resident-1", "/v1/home")
    assert answer.status_code == 200, answer.text
    assert {**answer.json(), "generated_at": ""} == {**home.json(), "generated_at": ""}
    assert answer.headers["ETag"] == home.headers["ETag"]


async def test_its_token_opens_nothing_else_and_no_other_token_opens_it(hands: Hands):
    token = await prefetch_token(hands)
    for path in ("/v1/home", "/v1/me", "/v1/orders", "/v1/me/consents"):
        answer = await hands.client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_TOKEN_INVALID"), path
    body = {"item_code": "0102", "text": "请帮忙。"}
    filed = await hands.client.post("/v1/orders", json=body, headers={"Authorization": f"Bearer {token}"})
    assert filed.status_code == 401
    normal = hands.town["resident-1"].token
    for said in ({"token": normal}, {"token": "sdz_000000000000_x"}, {"token": "x"}):
        answer = await fetch(hands, **said)
        assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_TOKEN_INVALID"), said
    bare = await hands.client.get("/v1/wechat/prefetch", headers=hands.town["resident-1"].headers)
    assert (bare.status_code, bare.json()["code"]) == (401, "AUTH_REQUIRED")


@pytest.mark.parametrize("end", ["time", "grants", "account"])
async def test_it_ends_with_the_day_with_the_grants_and_with_the_account(
    hands: Hands, clock: Clock, end: str
):
    town, token = hands.town, await prefetch_token(hands)
    async with town.database.writing() as db:
        if end == "grants":
            await people.end_grants(db, town.tenant_id, town["resident-1"].id, at=clock.now)
    if end == "account":
        assert (await hands.post("resident-1", "/v1/me/deletion")).json()["status"] == "done"
    if end == "time":
        clock.pass_(hours=24)
    expected = "AUTH_TOKEN_EXPIRED" if end == "time" else "AUTH_TOKEN_REVOKED"
    answer = await fetch(hands, token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, expected)


async def test_what_is_fetched_fits_whoever_it_is_for(hands: Hands, clock: Clock):
    town, long = hands.town, "字" * 2000
    person = await town.person("busy", Role.DISPATCHER, "community-1")
    async with town.database.writing() as db:
        for role in set(Role) - {Role.SYSTEM, Role.MEMBER}:
            for place in town.places:
                await people.grant(
                    db, town.tenant_id, person.id, role, place_id=town.places[place], at=clock.now
                )
    for _ in range(6):
        await hands.file("resident-1", text=long, address="长" * 200, contact_phone="13800001111")
    grants = 15 * len(town.places)
    headers = {"Authorization": f"Bearer {town.token(person.id, 1 + grants)}"}
    made = await hands.client.post("/v1/me/prefetch-token", headers=headers)
    assert made.status_code == 200, made.text
    answer = await fetch(hands, token=made.json()["token"])
    assert (answer.status_code, len(answer.json()["grants"])) == (200, grants + 1)
    assert 10_000 < len(answer.content) < LARGEST


async def test_the_token_stands_in_no_log(hands: Hands):
    token = await prefetch_token(hands)
    with capture_logs() as lines:
        assert (await fetch(hands, token=token)).status_code == 200
        await fetch(hands, token=token + "x")
    assert token not in repr(lines)
