"""What surrounds every request."""

import gzip

import httpx
import pytest
import structlog
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from dispatch.settings import Settings
from dispatch.web import middleware, problems
from dispatch.web.wire import Body

pytestmark = pytest.mark.asyncio
LIMIT = 2048


class Words(Body):
    """Some words."""

    text: str


@pytest.fixture
def app():
    app = FastAPI()
    problems.install(app)
    middleware.install(app, Settings(body_limit_bytes=LIMIT, minimum_clients={"mp": "1.4.0", "console": "2"}))
    router = APIRouter()

    @router.get("/orders/{order_id}")
    async def get_order(order_id: str) -> dict[str, str]:
        return {"id": order_id, **structlog.contextvars.get_contextvars()}

    @router.post("/words")
    async def say(words: Words) -> int:
        return len(words.text)

    @router.post("/deaf")
    async def deaf() -> str:
        return "heard nothing"

    @router.get("/long")
    async def long() -> list[str]:
        return ["三楼过道灯不亮"] * 200

    @router.get("/breaks")
    async def breaks() -> StreamingResponse:
        async def some():
            yield b"half"
            raise RuntimeError("in the middle")

        return StreamingResponse(some())

    @router.get("/defect")
    async def defect(request: Request) -> None:
        raise RuntimeError

    app.include_router(router, prefix="/v1")
    return app


@pytest.fixture
def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.mark.parametrize("told", ["abc", "0190a3c4-0000-7000-8000-000000000001", "x" * 128, 'a"b'])
async def test_a_sane_request_id_is_echoed(client, told):
    answer = await client.get("/v1/orders/1", headers={"X-Request-Id": told})

    assert answer.headers["x-request-id"] == told
    assert answer.json()["request_id"] == told
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("told", [None, "", "x" * 129, "a b", "a\tb", "灯".encode()])
async def test_any_other_request_gets_a_new_id(client, told):
    headers = {} if told is None else {"X-Request-Id": told}

    ids = {(await client.get("/v1/orders/1", headers=headers)).headers["x-request-id"] for _ in range(2)}

    assert len(ids) == 2
    assert all(len(each) == 36 for each in ids)


async def test_the_name_of_one_request_does_not_stick_to_the_next(client):
    await client.get("/v1/orders/1", headers={"X-Request-Id": "first"})

    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "mp/1.4.0",
        "mp/1.4",
        "mp/1.10.0; env=release",
        "MP/2",
        "web/0.1",
        "console/2.0.0",
        "junk",
        "mp/x",
    ],
)
async def test_clients_new_enough_or_unknown_pass(client, told):
    answer = await client.get("/v1/orders/1", headers={} if told is None else {"X-Client": told})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "told", ["mp/1.3.9; env=release; lib=3.8.9", "mp/1", "mp/0.99.99", "console/1.9", "mp/1.3.9-beta"]
)
async def test_older_clients_are_told_to_update(client, told):
    answer = await client.get("/v1/orders/1", headers={"X-Client": told})

    assert answer.status_code == 426
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.json()["code"] == "CLIENT_TOO_OLD"
    assert answer.json()["min_version"] in {"1.4.0", "2"}


def body_of(size: int) -> bytes:
    frame = len(b'{"text": ""}')
    return b'{"text": "' + b"x" * (size - frame) + b'"}'


async def pieces(content: bytes):
    for at in range(0, len(content), 100):
        yield content[at : at + 100]


@pytest.mark.parametrize("path", ["/v1/words", "/v1/deaf"])
async def test_an_announced_body_above_the_limit_is_refused(client, path):
    answer = await client.post(path, content=body_of(LIMIT + 1), headers={"content-type": "application/json"})

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["limit_bytes"]) == ("BODY_TOO_LARGE", LIMIT)


async def test_a_body_that_grows_above_the_limit_is_refused(client):
    headers = {"content-type": "application/json"}

    answer = await client.post("/v1/words", content=pieces(body_of(LIMIT + 1)), headers=headers)
    assert "content-length" not in answer.request.headers
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert answer.json()["limit_bytes"] == LIMIT

    answer = await client.post("/v1/words", content=pieces(body_of(LIMIT)), headers=headers)
    assert answer.status_code == 200


async def test_a_body_of_just_the_limit_passes(client):
    answer = await client.post(
        "/v1/words", content=body_of(LIMIT), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 200


async def test_long_answers_are_compressed_when_asked(client):
    async with client.stream("GET", "/v1/long", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert "三楼过道灯不亮" in gzip.decompress(raw).decode()

    plain = await client.get("/v1/long", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    short = await client.get("/v1/orders/1", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in short.headers


async def test_one_line_tells_of_a_request_and_holds_no_personal_data(client):
    with capture_logs() as lines:
        await client.get("/v1/orders/13800001111?q=王芳", headers={"X-Client": "mp/1.4.2; env=release"})

    assert len(lines) == 1
    line = lines[0]
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request.done",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/orders/{order_id}",
        "status": 200,
        "client": "mp/1.4.2",
    }


async def test_requests_that_end_early_are_told_of_too(client):
    with capture_logs() as lines:
        await client.get("/nowhere/13800001111")
        await client.get("/v1/orders/1", headers={"X-Client": "mp/1"})

    assert [(line["route"], line["status"]) for line in lines] == [("-", 404), ("-", 426)]


async def test_a_defect_is_logged_with_its_trace_and_answered(client):
    with capture_logs() as lines:
        answer = await client.get("/v1/defect")

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert [line["event"] for line in lines] == ["request.failed", "request.done"]
    assert isinstance(lines[0]["exc_info"], RuntimeError)


async def test_half_an_answer_breaks_off(client):
    with capture_logs() as lines, pytest.raises(RuntimeError):
        await client.get("/v1/breaks")

    assert sorted(line["event"] for line in lines) == ["request.done", "request.failed"]
