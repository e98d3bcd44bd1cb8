"""What we ask of WeChat: who signs in, and which phone they hand over.

WeChat answers HTTP 200 whatever happens and says in ``errcode`` how it went. What a code means to the
person waiting is one table here; what it means to the operator is in the log, with WeChat's ``rid``.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_update
from dispatch.db.engine import Database
from dispatch.domain.refusal import (
    LoginBlocked,
    LoginCodeInvalid,
    PhoneCodeInvalid,
    PhoneForeign,
    Refusal,
    WechatBusy,
    WechatUnavailable,
)
from dispatch.settings import Settings, WechatApp
from dispatch.wechat.tables import wechat_tokens

log = structlog.get_logger(__name__)

TOKEN_MARGIN = timedelta(seconds=60)
"""A token is not used in its last minute; WeChat hands out none that lives less than 300 s (wechat.md §2.2)."""
BUSY_PAUSES = (0.1, 0.4)
"""Pauses before asking again after ``-1`` (busy), s."""

BUSY = -1
TOKEN_STALE = frozenset({40001, 40014, 42001})
"""The access token is not good any more: fetch it again and ask once more (wechat.md §2)."""
QUOTA = frozenset({45009, 45011})
CODE_REFUSED = frozenset({40029, 40163})
"""Unknown, too old, or used."""
USER_BLOCKED = 40226
OPENID_WRONG = 40003
"""The code belongs to another user than the one named."""

_MOBILE = re.compile(r"1[3-9][0-9]{9}")


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a login code stands for."""

    openid: str
    unionid: str | None = None


class Gateway:
    """WeChat's server API for several mini-programs. Talks to the outside: never inside a transaction.

    State: the access token of each mini-program, behind a lock so that a process asks for it once; the
    database's row is what the processes share. No lock between processes is needed: without
    ``force_refresh`` WeChat gives everybody the same token.

    Args:
        transport: how to reach WeChat; None is the network.
    """

    def __init__(
        self, settings: Settings, database: Database, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._apps = settings.wechat_apps
        self._database = database
        self._client: httpx.AsyncClient | None = None
        self._opened: dict[str, Any] = {
            "base_url": settings.wechat_api,
            "timeout": settings.wechat_timeout_seconds,
            "transport": transport,
        }
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def app(self, appid: str) -> WechatApp:
        """How a mini-program is set up. Raises: LoginCodeInvalid: it is none of ours."""
        if appid not in self._apps:
            raise LoginCodeInvalid()
        return self._apps[appid]

    async def identity(self, appid: str, code: str) -> Identified:
        """Whom a code of ``wx.login`` stands for. The session key that comes with it is not kept.

        Raises:
            LoginCodeInvalid: unknown, used or too old, or no mini-program of ours.
            LoginBlocked: WeChat blocks the user.
            WechatBusy: a quota is used up.
            WechatUnavailable: WeChat does not answer or does not know us; the code may be used up.
        """
        said = {
            "appid": appid,
            "secret": self.app(appid).secret.get_secret_value(),
            "js_code": code,
            "grant_type": "authorization_code",
        }
        answer = await self._ask("GET", "/sns/jscode2session", params=said)
        if (errcode := answer.get("errcode", 0)) != 0:
            raise _refusal(errcode, answer, refused=LoginCodeInvalid)
        openid, unionid = answer.get("openid"), answer.get("unionid")
        if not isinstance(openid, str) or not 1 <= len(openid) <= 128:
            raise WechatUnavailable()
        return Identified(openid, unionid if isinstance(unionid, str) and unionid else None)

    async def phone(self, appid: str, code: str, openid: str, *, at: datetime) -> str:
        """The mainland mobile number behind a code of the phone button, for this user only.

        Raises:
            PhoneCodeInvalid: the code is not good, or of another user or mini-program.
            PhoneForeign: a number outside the mainland.
            WechatBusy, WechatUnavailable: as for ``identity``.
        """
        answer = await self._ask_as(
            appid, "/wxa/business/getuserphonenumber", {"code": code, "openid": openid}, at=at
        )
        if (errcode := answer.get("errcode", 0)) != 0:
            raise _refusal(errcode, answer, refused=PhoneCodeInvalid)
        info = answer.get("phone_info") or {}
        if (info.get("watermark") or {}).get("appid") != appid:
            log.warning("wechat.watermark", appid=appid)
            raise PhoneCodeInvalid()
        if str(info.get("countryCode")) != "86" or not _MOBILE.fullmatch(str(info.get("purePhoneNumber"))):
            raise PhoneForeign()
        return str(info["purePhoneNumber"])

    async def token(self, appid: str, *, at: datetime, stale: str | None = None) -> str:
        """The access token of a mini-program.

        Args:
            stale: a token that WeChat has just refused; any other one is taken for good.
        """
        async with self._locks.setdefault(appid, asyncio.Lock()):
            known = self._tokens.get(appid)
            if known is None or not _serves(known, stale, at):
                async with self._database.reading() as db:
                    known = await _kept(db, appid)
            if known is None or not _serves(known, stale, at):
                known = await self._fetched(appid, at=at)
            self._tokens[appid] = known
            return known[0]

    async def _fetched(self, appid: str, *, at: datetime) -> tuple[str, datetime]:
        said = {
            "grant_type": "client_credential",
            "appid": appid,
            "secret": self.app(appid).secret.get_secret_value(),
        }
        answer = await self._ask("POST", "/cgi-bin/stable_token", json=said)
        if answer.get("errcode", 0) != 0 or "access_token" not in answer:
            raise _refusal(answer.get("errcode", 0), answer, refused=WechatUnavailable)
        fetched = str(answer["access_token"]), at + timedelta(seconds=int(answer["expires_in"]))
        row = {"appid": appid, "token": fetched[0], "expires_at": fetched[1]}
        async with self._database.writing() as db:
            await insert_or_update(db, wechat_tokens, row)
        return fetched

    async def _ask_as(
        self, appid: str, path: str, body: Mapping[str, Any], *, at: datetime
    ) -> dict[str, Any]:
        """Ask with the access token; a stale one is fetched again, once."""
        token = await self.token(appid, at=at)
        answer = await self._ask("POST", path, params={"access_token": token}, json=body)
        if answer.get("errcode") in TOKEN_STALE:
            token = await self.token(appid, at=at, stale=token)
            answer = await self._ask("POST", path, params={"access_token": token}, json=body)
        return answer

    async def _ask(self, method: str, path: str, **said: Any) -> dict[str, Any]:
        """One question, asked again while WeChat says that it is busy (-1).

        A question that got no answer is not asked again: its code may have been used up.
        """
        for pause in (*BUSY_PAUSES, None):
            answer = await self._once(method, path, **said)
            if answer.get("errcode") != BUSY or pause is None:
                break
            await asyncio.sleep(pause)
        return answer

    async def _once(self, method: str, path: str, **said: Any) -> dict[str, Any]:
        if self._client is None:  # reading the certificates takes a while, and many processes never ask
            self._client = httpx.AsyncClient(**self._opened)
        try:
            response = await self._client.request(method, path, **said)
            response.raise_for_status()
            answer = json.loads(response.content)  # whatever the content type says: text/plain is usual
        except (httpx.HTTPError, ValueError) as error:
            # The exception's text holds the address, and that holds secret and code.
            log.warning("wechat.unanswered", path=path, error=type(error).__name__)
            raise WechatUnavailable() from None
        if not isinstance(answer, dict):
            raise WechatUnavailable()
        return answer


def _serves(known: tuple[str, datetime], stale: str | None, at: datetime) -> bool:
    return known[0] != stale and at < known[1] - TOKEN_MARGIN


async def _kept(db: AsyncConnection, appid: str) -> tuple[str, datetime] | None:
    row = (await db.execute(select(wechat_tokens).where(wechat_tokens.c.appid == appid))).one_or_none()
    return None if row is None else (row.token, row.expires_at)


def _refusal(errcode: Any, answer: Mapping[str, Any], *, refused: type[Refusal]) -> Refusal:
    """What an ``errcode`` means to the person who waits (the table of wechat.md §2)."""
    if errcode in CODE_REFUSED or (errcode == OPENID_WRONG and refused is PhoneCodeInvalid):
        return refused()
    if errcode == USER_BLOCKED:
        return LoginBlocked()
    if errcode in QUOTA:
        log.error("wechat.quota", errcode=errcode)
        return WechatBusy()
    if errcode == BUSY:
        return WechatUnavailable()
    # Our own set-up: a wrong appid or secret, an address that is not on the list (40013, 40125, 40164, …).
    rid = re.search(r"rid:\s*([0-9a-f-]+)", str(answer.get("errmsg", "")))
    log.error("wechat.refused", errcode=errcode, rid=rid[1] if rid else None)
    return WechatUnavailable(retry_after=60)
