"""A WeChat of our own: a small ASGI application that behaves as the real one does.

Demonstration mode asks it in the process, tests over a real socket. Like the real one it answers HTTP 200
with ``errcode`` for everything that goes wrong, leaves ``errcode`` out when all is well, and says
``text/plain`` where it feels like it. ``/__fake/…`` scripts it: users, codes, faults, the time, pushes.
"""

import asyncio
import json
import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dispatch import clock
from dispatch.wechat import push

APPID = "demo"
"""The mini-program of the demonstration."""
DEMO_SECRET = "demonstration"  # noqa: S105 — the fake accepts it, nobody else does
PREFIX = "demo:"
"""There a code ``demo:<login>`` stands for the login, ``demo:<number>`` for the phone, and neither grows old."""

CODE_LIVES = timedelta(minutes=5)
TOKEN_LIVES = timedelta(seconds=7200)
OVERLAP = timedelta(seconds=300)
"""A token is replaced when it has less to live, and the old one holds until its end."""
FORCE_APART = timedelta(seconds=30)
FORCED_A_DAY = 20
LOGINS_A_MINUTE = 100
TOKENS_A_MINUTE = 10_000


@dataclass(slots=True)
class Token:
    """An access token and its end."""

    text: str
    ends: datetime


@dataclass(slots=True)
class Code:
    """What a code stands for; good once."""

    kind: str
    appid: str
    openid: str
    ends: datetime
    answer: dict[str, Any] = field(default_factory=dict)


class FakeWechat:
    """The state, and what may be asked of it. ``app`` is the ASGI application.

    Args:
        apps: secret of each appid.
        now: the time; ``/__fake/clock`` adds to it.
    """

    def __init__(self, apps: Mapping[str, str], now: Callable[[], datetime] = clock.now) -> None:
        self.apps = dict(apps)
        self.ahead = timedelta()
        self._now = now
        self.unionids: dict[str, str] = {}
        self.codes: dict[str, Code] = {}
        self.tokens: dict[str, list[Token]] = defaultdict(list)
        self.forced: dict[str, list[datetime]] = defaultdict(list)
        self.faults: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self.blocked: set[str] = set()
        self.barred = False
        self.calls: Counter[str] = Counter()
        self._recent: Counter[tuple[str, str, int]] = Counter()
        asked = (
            ("/sns/jscode2session", self.code_to_session, "text/plain"),
            ("/cgi-bin/stable_token", self.stable_token, "application/json; encoding=utf-8"),
            ("/wxa/business/getuserphonenumber", self.phone_number, "application/json; encoding=utf-8"),
        )
        routes = [_route(path, self._answering(path, act, media)) for path, act, media in asked]
        scripts = {
            "code": self.script_code,
            "fault": self.script_fault,
            "clock": self.script_clock,
            "state": self.script_state,
            "push": self.script_push,
        }
        routes += [_route(f"/__fake/{name}", act) for name, act in scripts.items()]
        self.app = Starlette(routes=routes)

    @property
    def now(self) -> datetime:
        """The time here."""
        return self._now() + self.ahead

    # What WeChat offers

    def _answering(self, path: str, act: Callable[..., Any], media: str) -> Callable[..., Any]:
        async def answer(request: Request) -> Response:
            self.calls[path] += 1
            fault = self.faults[path].popleft() if self.faults[path] else {}
            if fault.get("delay"):
                await asyncio.sleep(fault["delay"])
            scripted = _error(fault["errcode"]) if "errcode" in fault else None
            said = scripted or {**await act(request), **fault.get("merge", {})}
            if fault.get("reset"):
                return _Reset()
            if "body" in fault:
                return Response(fault["body"], media_type="text/html")
            return Response(json.dumps(said, ensure_ascii=False), media_type=media)

        return answer

    async def code_to_session(self, request: Request) -> dict[str, Any]:
        """``jscode2session``."""
        said = request.query_params
        appid = said.get("appid", "")
        if error := self._stranger(appid, said.get("secret", "")):
            return error
        code = said.get("js_code", "")
        if appid == APPID and code.startswith(PREFIX) and code != PREFIX:
            return {"openid": code.removeprefix(PREFIX), "session_key": secrets.token_hex(12)}
        held = self._used(code, "login", appid)
        if held is None:
            return _error(40029)
        if held.openid in self.blocked:
            return _error(40226)
        if self._often("login", held.openid, LOGINS_A_MINUTE):
            return _error(45011)
        said_back = {"openid": held.openid, "session_key": secrets.token_hex(12)}
        if held.openid in self.unionids:
            said_back["unionid"] = self.unionids[held.openid]
        return said_back

    async def stable_token(self, request: Request) -> dict[str, Any]:
        """``stable_token``: the same one while it lives, unless it is forced."""
        if request.method != "POST":
            return _error(43002)
        said = await request.json()
        appid = said.get("appid", "")
        if said.get("grant_type") != "client_credential":
            return _error(40002)
        if error := self._stranger(appid, said.get("secret", "")):
            return error
        if self.barred:
            return _error(40164)
        if self._often("token", appid, TOKENS_A_MINUTE):
            return _error(45011)
        if said.get("force_refresh"):
            if error := self._may_not_force(appid):
                return error
            self.tokens[appid].clear()
        return self._current_token(appid)

    def _may_not_force(self, appid: str) -> dict[str, Any] | None:
        before = [at for at in self.forced[appid] if at > self.now - timedelta(days=1)]
        if len(before) >= FORCED_A_DAY:
            return _error(45009)
        if before and self.now < before[-1] + FORCE_APART:
            return _error(45011)
        self.forced[appid] = [*before, self.now]
        return None

    def _current_token(self, appid: str) -> dict[str, Any]:
        held = self.tokens[appid] = [token for token in self.tokens[appid] if token.ends > self.now]
        if not held or held[-1].ends - self.now < OVERLAP:
            held.append(Token(secrets.token_urlsafe(100), self.now + TOKEN_LIVES))
        left = int((held[-1].ends - self.now).total_seconds())
        return {"access_token": held[-1].text, "expires_in": left}

    async def phone_number(self, request: Request) -> dict[str, Any]:
        """``getuserphonenumber``."""
        if request.method != "POST":
            return _error(43002)
        token, said = request.query_params.get("access_token", ""), await request.json()
        appid = next(
            (
                appid
                for appid, held in self.tokens.items()
                if any(each.text == token and each.ends > self.now for each in held)
            ),
            None,
        )
        if appid is None:
            return _error(40001)
        code = said.get("code", "")
        if appid == APPID and code.startswith(PREFIX) and code.removeprefix(PREFIX).isdecimal():
            code = self.phone_code(APPID, said.get("openid", ""), code.removeprefix(PREFIX))
        held = self.codes.get(code)
        if held is not None and said.get("openid") not in (None, held.openid):
            return _error(40003)
        held = self._used(code, "phone", appid)
        if held is None:
            return _error(40029)
        watermark = {"timestamp": int(self.now.timestamp()), "appid": appid}
        return {"errcode": 0, "errmsg": "ok", "phone_info": {"watermark": watermark, **held.answer}}

    def _stranger(self, appid: str, secret: str) -> dict[str, Any] | None:
        if appid not in self.apps:
            return _error(40013)
        return None if self.apps[appid] == secret else _error(40125)

    def _used(self, code: str, kind: str, appid: str) -> Code | None:
        """The code, used up by this; None if it is no good."""
        held = self.codes.get(code)
        if held is None or held.kind != kind or held.appid != appid:
            return None
        del self.codes[code]
        return held if self.now < held.ends else None

    def _often(self, what: str, who: str, most: int) -> bool:
        key = (what, who, int(self.now.timestamp()) // 60)
        self._recent[key] += 1
        return self._recent[key] > most

    # What a test says

    def login_code(self, appid: str, openid: str, *, unionid: str | None = None) -> str:
        """As if a user had called ``wx.login``."""
        if unionid:
            self.unionids[openid] = unionid
        return self._code("login", appid, openid)

    def phone_code(self, appid: str, openid: str, number: str, **answer: Any) -> str:
        """As if a user had pressed the phone button. ``answer`` goes over what WeChat would say."""
        plain = {"phoneNumber": number, "purePhoneNumber": number, "countryCode": "86"}
        return self._code("phone", appid, openid, plain | answer)

    def _code(self, kind: str, appid: str, openid: str, answer: dict[str, Any] | None = None) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(kind, appid, openid, self.now + CODE_LIVES, answer or {})
        return code

    def fail(self, path: str, *, times: int = 1, **fault: Any) -> None:
        """Let the next answers of a path go wrong.

        Args:
            fault: ``errcode``; ``delay`` (s); ``reset``: break the connection after the work was done;
                ``body``: text that is no JSON; ``merge``: fields over the real answer.
        """
        self.faults[path].extend([fault] * times)

    async def script_code(self, request: Request) -> Response:
        """``{kind: login | phone, appid, openid, unionid?, number?}`` → ``{code}``."""
        said = await request.json()
        if said.pop("kind") == "login":
            return _json({"code": self.login_code(**said)})
        return _json({"code": self.phone_code(**said)})

    async def script_fault(self, request: Request) -> Response:
        """``{path, times?, errcode? | delay? | reset? | body? | merge?}``."""
        said = await request.json()
        self.fail(said.pop("path"), **said)
        return _json({})

    async def script_clock(self, request: Request) -> Response:
        """``{advance}``: seconds."""
        self.ahead += timedelta(seconds=(await request.json())["advance"])
        return _json({"now": self.now.isoformat()})

    async def script_state(self, request: Request) -> Response:
        """``{barred?, blocked?}`` changes; the answer counts the calls of each path."""
        said = await request.json() if request.method == "POST" else {}
        self.barred = said.get("barred", self.barred)
        self.blocked |= set(said.get("blocked", ()))
        return _json({"calls": dict(self.calls), "barred": self.barred})

    async def script_push(self, request: Request) -> Response:
        """``{url, message, token, key?, appid, form: json | xml}``: push a message; the answer is the receiver's."""
        said = await request.json()
        status, text = await self.push(**said)
        return _json({"status": status, "text": text})

    async def push(
        self,
        url: str,
        message: Mapping[str, Any],
        token: str,
        appid: str,
        key: str | None = None,
        form: str = "json",
    ) -> tuple[int, str]:
        """Push a message as WeChat would: plain without ``key``, else in secure mode."""
        stamp, nonce = str(int(self.now.timestamp())), secrets.token_hex(5)
        query = {"timestamp": stamp, "nonce": nonce, "signature": push.signature(token, stamp, nonce)}
        body = _form(message, form)
        if key is not None:
            sealed = push.encrypt(body, key, appid)
            signed = push.signature(token, stamp, nonce, sealed)
            query |= {"encrypt_type": "aes", "msg_signature": signed}
            body = _form({"ToUserName": message.get("ToUserName", ""), "Encrypt": sealed}, form)
        async with httpx.AsyncClient() as client:
            answer = await client.post(url, params=query, content=body.encode())
        return answer.status_code, answer.text


def demo_wechat() -> FakeWechat:
    """The WeChat of the demonstration."""
    return FakeWechat({APPID: DEMO_SECRET})


def _route(path: str, act: Callable[..., Any]) -> Route:
    return Route(path, act, methods=["GET", "POST"])


def _error(errcode: int) -> dict[str, Any]:
    return {"errcode": errcode, "errmsg": f"fake, rid: {secrets.token_hex(4)}-fa4e"}


def _json(said: Mapping[str, Any]) -> Response:
    return Response(json.dumps(said), media_type="application/json")


def _form(message: Mapping[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(message, ensure_ascii=False)
    return f"<xml>{_xml(message)}</xml>"


def _xml(message: Mapping[str, Any]) -> str:
    parts = []
    for name, value in message.items():
        inner = _xml(value) if isinstance(value, Mapping) else f"<![CDATA[{value}]]>"
        parts.append(f"<{name}>{inner}</{name}>")
    return "".join(parts)


class _Reset(Response):
    """Half an answer, and then nothing: the server breaks the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        headers = [(b"content-length", b"100"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
