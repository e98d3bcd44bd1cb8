"""What stands before every request: headers, origins, hosts, sizes, rates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import Request
from pydantic import ValidationError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dispatch.domain.refusal import RateLimited
from dispatch.domain.throttle import network
from dispatch.settings import DEVELOPMENT_DATA_KEYS, DEVELOPMENT_KEY, Settings
from dispatch.web import middleware, openapi, problems
from dispatch.web.rates import PER_ROUTE, Rates
from dispatch.wiring import ROUTERS

HOST = "dispatch.example.cn"


@asynccontextmanager
async def asked(
    settings: Settings | None = None, rates: Rates | None = None, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    app = openapi.application("1")
    problems.install(app)
    middleware.install(app, settings or Settings(), rates)

    @app.get("/v1/thing")
    async def thing(request: Request) -> dict[str, str]:
        return {"client": request.client.host if request.client else "", "scheme": request.url.scheme}

    @app.post("/v1/auth/thing")
    @app.post("/v1/thing")
    async def made(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    trusted = ProxyHeadersMiddleware(app, trusted_hosts=options.pop("trusted", "127.0.0.1"))
    transport = httpx.ASGITransport(trusted, **options)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield client


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_every_answer_tells_browsers_to_take_it_for_nothing_else():
    async with asked() as client:
        answers = [
            await client.get("/v1/thing"),
            await client.get("/v1/nowhere"),
            await client.post("/v1/thing", content=b"x" * 300_000),
            await client.get("/docs"),
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 413, 200]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
    data, _, _, page = answers
    assert data.headers["cache-control"] == "no-store"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "script-src" not in data.headers["content-security-policy"]


async def test_only_a_trusted_proxy_is_believed_about_address_and_scheme():
    told = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    async with asked() as client:
        behind = await client.get("/v1/thing", headers=told)
    async with asked(trusted="10.0.0.1") as client:
        posing = await client.get("/v1/thing", headers=told)

    assert behind.json() == {"client": "203.0.113.7", "scheme": "https"}
    assert behind.headers["strict-transport-security"] == "max-age=31536000"
    assert posing.json() == {"client": "127.0.0.1", "scheme": "http"}
    assert "strict-transport-security" not in posing.headers


async def test_pages_of_other_origins_may_call_only_when_they_are_named():
    page = "https://console.example.cn"
    ask = {"Origin": page, "Access-Control-Request-Method": "POST"}
    wanted = {"Access-Control-Request-Headers": "authorization,idempotency-key,x-acting-grant"}
    async with asked() as client:
        closed = await client.get("/v1/thing", headers={"Origin": page})
    async with asked(Settings(cors_origins=[page])) as client:
        opened = await client.get("/v1/thing", headers={"Origin": page})
        preflight = await client.options("/v1/thing", headers=ask | wanted)
        strange = await client.options("/v1/thing", headers=ask | {"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in closed.headers
    assert opened.headers["access-control-allow-origin"] == page
    assert "access-control-allow-credentials" not in opened.headers
    assert preflight.status_code == 200
    assert "access-control-allow-origin" not in strange.headers


async def test_a_made_up_host_is_answered_with_nothing():
    async with asked(Settings(trusted_hosts=[HOST, "*.lan.example.cn"])) as client:
        for name in (HOST, HOST.upper(), f"{HOST}:8443", "a.lan.example.cn"):
            assert (await client.get("/v1/thing", headers={"Host": name})).status_code == 200, name
        for name in ("evil.example", "lan.example.cn", f"{HOST}.evil.example", f"evil{HOST}", ""):
            answer = await client.get("/v1/thing", headers={"Host": name})
            assert code_of(answer) == (400, "HOST_UNKNOWN"), name
        # Probes come by address.
        assert (await client.get("/v1/healthz", headers={"Host": "10.1.2.3"})).status_code == 404


async def test_signing_in_takes_a_few_kilobytes_and_no_more():
    async with asked() as client:
        for size, path, status in (
            (8 * 1024, "/v1/auth/thing", 200),
            (8 * 1024 + 1, "/v1/auth/thing", 413),
            (8 * 1024 + 1, "/v1/thing", 200),
            (256 * 1024 + 1, "/v1/thing", 413),
        ):
            body = b"x" * size

            async def streamed(body: bytes = body) -> AsyncIterator[bytes]:
                yield body

            assert (await client.post(path, content=body)).status_code == status
            assert (await client.post(path, content=streamed())).status_code == status


class Watch:
    def __init__(self) -> None:
        self.seconds = 60_000.0

    def __call__(self) -> float:
        return self.seconds


async def test_an_address_that_asks_too_often_is_told_when_to_come_back():
    watch = Watch()
    rates = Rates(Settings(rate_per_address=20), watch)
    async with asked(rates=rates, client=("203.0.113.7", 1)) as client:
        for path in ("/v1/auth/thing", "/v1/thing"):
            answers = [(await client.post(path)) for _ in range(12)]
            served = sum(answer.status_code == 200 for answer in answers)
            assert served == (2 if path.startswith("/v1/auth") else 8)
            limited = answers[-1]
            assert code_of(limited) == (429, "RATE_LIMITED")
            assert limited.headers["retry-after"] == "60"
        assert (await client.get("/v1/healthz")).status_code == 404  # probes are not counted
        watch.seconds += 59
        assert (await client.get("/v1/thing")).status_code == 429
        watch.seconds += 1
        assert (await client.get("/v1/thing")).status_code == 200


def test_signing_in_and_what_is_public_take_a_tenth_of_an_address():
    rates = Rates(Settings(rate_per_address=20), Watch())
    for path in ("/v1/auth/refresh", "/v1/public/statistics"):  # each its own tenth
        for _ in range(2):
            rates.address("203.0.113.7", path)
        with pytest.raises(RateLimited):
            rates.address("203.0.113.7", path)
    rates.address("203.0.113.7", "/v1/thing")
    rates.address("203.0.113.8", "/v1/public/statistics")


def test_a_proxy_of_this_machine_is_not_counted_for_all_it_asks_for():
    rates = Rates(Settings(rate_per_address=1), Watch())
    for _ in range(3):
        rates.address("127.0.0.1", "/v1/auth/refresh")
    rates.address("203.0.113.7", "/v1/thing")
    with pytest.raises(RateLimited):
        rates.address("203.0.113.7", "/v1/thing")


def test_a_network_of_ipv6_is_one_asker_and_of_ipv4_every_address():
    rates = Rates(Settings(rate_per_address=20), Watch())
    for last in range(2):
        rates.address(f"2001:db8:1:2::{last}", "/v1/auth/password/login")
    with pytest.raises(RateLimited):
        rates.address("2001:db8:1:2:ffff::9", "/v1/auth/password/login")
    rates.address("2001:db8:1:3::1", "/v1/auth/password/login")
    for last in range(1, 50):
        rates.address(f"198.51.100.{last}", "/v1/auth/password/login")
    assert [network(said) for said in ("testclient", "-", "fe80::1%eth0", "::ffff:192.0.2.1")] == [
        "testclient",
        "-",
        "fe80::/64",
        "192.0.2.1",
    ]


def test_accounts_are_counted_apart_and_costly_routes_have_their_own_measure():
    rates = Rates(Settings(rate_per_account=1000), Watch())
    one, other = uuid4(), uuid4()
    for _ in range(1000):
        rates.account(1, one, "get_order")
    with pytest.raises(RateLimited):
        rates.account(1, one, "get_order")
    rates.account(2, one, "get_order")  # the same id in another tenant is somebody else
    for _ in range(PER_ROUTE["create_order"]):
        rates.account(1, other, "create_order")
    with pytest.raises(RateLimited):
        rates.account(1, other, "create_order")
    rates.account(1, other, "get_order")


def test_routes_with_a_measure_of_their_own_exist():
    names = {route.name for router in ROUTERS for route in router.routes}

    assert set(PER_ROUTE) <= names


GOOD = {
    "production": True,
    "session_key": "k" * 32,
    "data_keys": f"k1:{'A' * 43}=",
    "lookup_key": "l" * 32,
}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"session_key": DEVELOPMENT_KEY}, "DISPATCH_SESSION_KEY must be set"),
        ({"session_keys_retired": [DEVELOPMENT_KEY]}, "development key"),
        ({"data_keys": DEVELOPMENT_DATA_KEYS}, "DISPATCH_DATA_KEYS must be set"),
        ({"data_keys": DEVELOPMENT_DATA_KEYS.replace("dev:", "k1:")}, "DISPATCH_DATA_KEYS must be set"),
        # the same bytes: the last sign before the = holds two bits that nobody reads
        ({"data_keys": f"k1:{DEVELOPMENT_DATA_KEYS[4:-2]}9="}, "DISPATCH_DATA_KEYS must be set"),
        (
            {"data_keys": f"k2:{'A' * 43}=, k1:{DEVELOPMENT_DATA_KEYS[4:]}"},
            "DISPATCH_DATA_KEYS must be set",
        ),
        ({"demo": True}, "exclude each other"),
        ({"cors_origins": ["*"]}, "must name the origins"),
        ({"wechat_api": "http://wechat.example"}, "must be https"),
        (
            {
                "oidc_providers": {
                    "x": {
                        "issuer": "http://sso.example",
                        "client_id": "a",
                        "tenant": "t",
                        "redirect_uri": "https://x",
                    }
                }
            },
            "must be https",
        ),
    ],
)
def test_production_starts_with_nothing_of_development(wrong: dict[str, Any], complaint: str):
    assert Settings(**GOOD).production
    with pytest.raises(ValidationError, match=complaint):
        Settings(**{**GOOD, **wrong})
    if "demo" not in wrong:
        Settings(**{**wrong, "production": False})


def test_a_short_old_key_is_refused_and_no_key_is_shown():
    with pytest.raises(ValidationError, match="at least 32 bytes") as error:
        Settings(session_keys_retired=["short-secret"])
    assert "short-secret" not in str(error.value)
    with pytest.raises(ValidationError) as error:
        Settings(wechat_apps={"wx": {"secret": "the-secret", "push_key": "too-short"}})
    assert "the-secret" not in str(error.value)
    assert "too-short" not in str(error.value)
