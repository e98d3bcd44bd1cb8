"""The shipped fake over a real socket: it must fail as the real one does, or our tests prove nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from dispatch.wechat.fake import FakeWechat
from tests.served import served

NOON = datetime(2026, 11, 22, 4, tzinfo=UTC)
APP = {"appid": "wx-a", "secret": "secret"}


class Asking:
    """Whoever talks to it: our service, or a test that scripts it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def token(self, **more: Any) -> dict[str, Any]:
        body = {"grant_type": "client_credential", **APP, **more}
        return self.told(await self.client.post("/cgi-bin/stable_token", json=body))

    async def session(self, code: str, **more: Any) -> dict[str, Any]:
        query = {**APP, "js_code": code, "grant_type": "authorization_code", **more}
        answer = await self.client.get("/sns/jscode2session", params=query)
        assert answer.headers["content-type"].startswith("text/plain")
        return self.told(answer)

    async def phone(self, token: str, code: str, openid: str | None = None) -> dict[str, Any]:
        body = {"code": code} if openid is None else {"code": code, "openid": openid}
        path = "/wxa/business/getuserphonenumber"
        return self.told(await self.client.post(path, params={"access_token": token}, json=body))

    async def script(self, what: str, **said: Any) -> dict[str, Any]:
        return self.told(await self.client.post(f"/__fake/{what}", json=said))

    async def code(self, openid: str, **more: Any) -> str:
        said = {"kind": "login", "appid": "wx-a", "openid": openid, **more}
        return str((await self.script("code", **said))["code"])

    @staticmethod
    def told(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200  # whatever went wrong
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
async def wechat() -> AsyncIterator[Asking]:
    fake = FakeWechat({"wx-a": "secret", "wx-b": "other"}, now=lambda: NOON)
    async with served(fake.app) as base, httpx.AsyncClient(base_url=base) as client:
        yield Asking(client)


async def test_a_stable_token_is_the_same_while_it_lives_and_the_old_one_overlaps(wechat: Asking):
    first = await wechat.token()
    await wechat.script("clock", advance=6900)
    again = await wechat.token()
    await wechat.script("clock", advance=1)
    new = await wechat.token()

    assert (first["expires_in"], again["expires_in"], new["expires_in"]) == (7200, 300, 7200)
    assert first["access_token"] == again["access_token"] != new["access_token"]
    for token in (first, new):  # both hold until the end of the old one
        assert (await wechat.phone(token["access_token"], "x"))["errcode"] == 40029
    await wechat.script("clock", advance=300)
    assert (await wechat.phone(first["access_token"], "x"))["errcode"] == 40001


async def test_forcing_ends_the_old_token_and_is_rationed(wechat: Asking):
    old = await wechat.token()
    forced = await wechat.token(force_refresh=True)
    assert forced["access_token"] != old["access_token"]
    assert (await wechat.phone(old["access_token"], "x"))["errcode"] == 40001
    assert (await wechat.token(force_refresh=True))["errcode"] == 45011
    for _ in range(19):
        await wechat.script("clock", advance=30)
        assert "access_token" in await wechat.token(force_refresh=True)
    await wechat.script("clock", advance=30)
    assert (await wechat.token(force_refresh=True))["errcode"] == 45009


async def test_a_token_is_refused_to_strangers_and_from_strange_addresses(wechat: Asking):
    assert (await wechat.token(secret="wrong"))["errcode"] == 40125
    assert (await wechat.token(appid="wx-c"))["errcode"] == 40013
    assert (await wechat.token(grant_type="x"))["errcode"] == 40002
    got = await wechat.client.get("/cgi-bin/stable_token")
    assert (got.status_code, got.json()["errcode"]) == (200, 43002)
    await wechat.script("state", barred=True)
    assert (await wechat.token())["errcode"] == 40164


async def test_a_login_code_is_good_once_for_five_minutes_at_its_program(wechat: Asking):
    code = await wechat.code("o-1")
    assert (await wechat.session(code, appid="wx-b", secret="other"))["errcode"] == 40029
    good = await wechat.session(code)
    assert "errcode" not in good
    assert (good["openid"], "unionid" in good) == ("o-1", False)
    assert (await wechat.session(code))["errcode"] == 40029
    late = await wechat.code("o-1", unionid="u-1")
    kept = await wechat.code("o-1")
    await wechat.script("clock", advance=299)
    assert (await wechat.session(kept))["unionid"] == "u-1"
    await wechat.script("clock", advance=1)
    assert (await wechat.session(late))["errcode"] == 40029


async def test_a_user_may_be_blocked_or_too_eager_and_faults_come_as_scripted(wechat: Asking):
    await wechat.script("state", blocked=["o-2"])
    assert (await wechat.session(await wechat.code("o-2")))["errcode"] == 40226
    for _ in range(100):
        assert "openid" in await wechat.session(await wechat.code("o-3"))
    assert (await wechat.session(await wechat.code("o-3")))["errcode"] == 45011
    await wechat.script("fault", path="/sns/jscode2session", errcode=-1, times=2)
    code = await wechat.code("o-4")
    assert [(await wechat.session(code)).get("errcode") for _ in range(3)] == [-1, -1, None]
    await wechat.script("fault", path="/sns/jscode2session", reset=True)
    code = await wechat.code("o-4")
    with pytest.raises(httpx.RemoteProtocolError):
        await wechat.session(code)
    assert (await wechat.session(code))["errcode"] == 40029  # used up before the line broke


async def test_a_phone_code_is_not_a_login_code_and_belongs_to_one_user(wechat: Asking):
    token = (await wechat.token())["access_token"]
    phone = {"kind": "phone", "appid": "wx-a", "openid": "o-5", "number": "13800001111"}
    code = (await wechat.script("code", **phone))["code"]

    assert (await wechat.session(code))["errcode"] == 40029
    assert (await wechat.phone(token, await wechat.code("o-5")))["errcode"] == 40029
    assert (await wechat.phone(token, code, "o-6"))["errcode"] == 40003
    info = (await wechat.phone(token, code, "o-5"))["phone_info"]
    assert (info["purePhoneNumber"], info["countryCode"], info["watermark"]["appid"]) == (
        "13800001111",
        "86",
        "wx-a",
    )
    assert (await wechat.phone(token, code, "o-5"))["errcode"] == 40029
    assert (await wechat.phone("made-up", code))["errcode"] == 40001
    state = await wechat.script("state")
    assert state["calls"]["/wxa/business/getuserphonenumber"] == 5
