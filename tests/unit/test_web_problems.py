"""Every failure in one shape, through real requests."""

import json
import sqlite3
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from fastapi import Body as JsonBody
from fastapi import Depends, FastAPI, Query
from pydantic import model_validator
from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, Table, UniqueConstraint, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.exceptions import HTTPException
from structlog.testing import capture_logs

from dispatch.db.base import metadata
from dispatch.domain import refusal as refusals
from dispatch.domain.refusal import (
    NotEligible,
    OrderMoved,
    RequestPending,
    ServiceBusy,
    SlotTaken,
    every_refusal,
)
from dispatch.settings import Settings
from dispatch.web import middleware, problems
from dispatch.web.database_errors import refusal_for
from dispatch.web.messages import MESSAGES
from dispatch.web.openapi import application
from dispatch.web.wire import Body, IdIn, Phone, Text

pytestmark = pytest.mark.asyncio


class DemandIn(Body):
    """A demand."""

    text: Text
    phone: Phone | None = None
    wanted_from: int | None = None
    wanted_to: int | None = None

    @model_validator(mode="after")
    def _ordered(self):
        if self.wanted_from and self.wanted_to and self.wanted_to < self.wanted_from:
            raise ValueError("结束时间应晚于开始时间。")
        return self


class Filters(Body):
    """Filters of a list."""

    state: str | None = None


class Trouble(Exception):
    """Not foreseen."""


def raising(error):
    async def route():
        raise error

    return route


@pytest.fixture(autouse=True)
def _quiet():
    """Unconfigured, structlog paints every trace in colours, which takes seconds."""
    with capture_logs():
        yield


@pytest.fixture
def app():
    app = application("0", lifespan=None)
    problems.install(
        app,
        {
            "uq_takes_dispatch_id_taker_id": SlotTaken,
            "ck_pages_count": SlotTaken,
            "uq_takes_running": RequestPending,
        },
    )
    middleware.install(app, Settings())

    @app.post("/demands")
    async def file_demand(demand: DemandIn) -> dict[str, str]:
        return {"text": demand.text}

    @app.post("/lists")
    async def file_list(values: Annotated[list[int], JsonBody(max_length=2)]) -> int:
        return len(values)

    @app.get("/orders/{order_id}")
    async def get_order(order_id: IdIn) -> UUID:
        return order_id

    @app.get("/numbers/{n}")
    async def get_number(n: int, q: str = "") -> int:
        return n

    @app.get("/filtered")
    async def filtered(filters: Annotated[Filters, Query()]) -> None:
        return None

    return app


@pytest.fixture
def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict:
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert body["type"] == f"/problems#{code}"
    assert body["detail"] == body["message"]
    assert any("一" <= sign <= "鿿" for sign in body["message"])
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    return body


async def test_every_kind_of_refusal_has_a_status_and_every_status_a_title():
    for kind in every_refusal():
        assert problems.status_of(kind) in problems.TITLES

    catalogue = problems.every_problem()
    assert len({entry.code for entry in catalogue}) == len(catalogue)


@pytest.mark.parametrize("kind", list(every_refusal()), ids=lambda kind: kind.code)
async def test_every_refusal_is_answered_in_one_shape(app, client, kind):
    app.get("/refused")(raising(kind()))

    answer = await client.get("/refused")

    body = assert_problem(answer, problems.status_of(kind), kind.code)
    assert body["instance"] == "/refused"
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


async def test_public_facts_travel_and_cannot_hide_the_standard_members(app, client):
    class Odd(OrderMoved):
        told = ("state", "status")

    app.get("/moved")(raising(OrderMoved(state="open", state_label="待接单", secret="x")))
    app.get("/why")(raising(NotEligible(why="returned")))
    app.get("/odd")(raising(Odd(state="open", status="hidden")))

    moved = assert_problem(await client.get("/moved"), 409, "ORDER_MOVED")
    assert (moved["state"], moved["state_label"]) == ("open", "待接单")
    assert "secret" not in moved
    assert assert_problem(await client.get("/why"), 409, "NOT_ELIGIBLE")["why"] == "returned"
    assert_problem(await client.get("/odd"), 409, "ORDER_MOVED")


async def test_unknown_paths_and_methods_are_problems(client):
    body = assert_problem(await client.get("/v1/没有"), 404, "ROUTE_NOT_FOUND")
    assert body["instance"] == "/v1/%E6%B2%A1%E6%9C%89"
    assert_problem(await client.get("/demands/"), 404, "ROUTE_NOT_FOUND")

    answer = await client.patch("/demands")
    assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"


async def test_an_id_that_cannot_be_is_like_one_that_is_not(client):
    assert_problem(await client.get("/orders/7"), 404, "ORDER_NOT_FOUND")
    assert_problem(await client.get("/numbers/x"), 422, "VALIDATION_FAILED")


async def test_wrong_fields_are_named_and_what_was_sent_stays_out(client):
    answer = await client.post(
        "/demands", json={"text": "", "phone": "secret-value", "wanted_from": "8", "别的": 1, "\x00": 2}
    )

    body = assert_problem(answer, 422, "VALIDATION_FAILED")
    assert body["errors"] == [
        {"loc": ["body", "text"], "code": "STRING_TOO_SHORT", "message": "至少 1 个字"},
        {"loc": ["body", "phone"], "code": "PHONE_INVALID", "message": "请填写正确的手机号码或座机号码"},
        {"loc": ["body", "wanted_from"], "code": "INT_TYPE", "message": "应为整数"},
        {"loc": ["body", "别的"], "code": "UNKNOWN_FIELD", "message": "不认识的字段"},
        {"loc": ["body", "?"], "code": "UNKNOWN_FIELD", "message": "不认识的字段"},
    ]
    assert body["message"] == "内容：至少 1 个字。"
    assert "secret-value" not in answer.text


async def test_a_rule_over_several_fields_speaks_for_itself(client):
    answer = await client.post("/demands", json={"text": "灯坏了", "wanted_from": 2, "wanted_to": 1})

    assert assert_problem(answer, 422, "VALIDATION_FAILED")["message"] == "结束时间应晚于开始时间。"


async def test_a_missing_body_is_a_wrong_field(client):
    body = assert_problem(await client.post("/demands"), 422, "VALIDATION_FAILED")

    assert body["errors"] == [{"loc": ["body"], "code": "MISSING", "message": "请填写此项"}]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{'a': 1}",
        b"\xff\xfe",
        b'{"text": "\xff"}',
        b"[" * 100_000,
        b'{"text": ' + b"1" * 5000 + b"}",
        b"nul",
    ],
)
async def test_what_is_no_json_is_malformed(client, content):
    answer = await client.post("/demands", content=content, headers={"content-type": "application/json"})

    assert_problem(answer, 422, "MALFORMED_JSON")


@pytest.mark.parametrize(
    "content",
    [b"null", b"1", b'"x"', b"[]", b"NaN", b"true", b'{"text": "\\ud800"}', b'{"\\ud800": 1, "text": "a"}'],
)
async def test_json_of_a_wrong_form_is_a_wrong_field(client, content):
    answer = await client.post("/demands", content=content, headers={"content-type": "application/json"})

    assert_problem(answer, 422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    "media", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("path", ["/demands", "/lists"])
async def test_another_media_type_is_unsupported(client, media, path):
    headers = {"content-type": media} if media else {}

    assert_problem(await client.post(path, content=b"[1]", headers=headers), 415, "MEDIA_TYPE_UNSUPPORTED")


async def test_json_may_name_its_charset(client):
    headers = {"content-type": "application/json; charset=UTF-8"}

    assert (await client.post("/demands", content='{"text": "灯"}', headers=headers)).json() == {"text": "灯"}


async def test_unknown_query_parameters_are_refused_by_name(client):
    for address in ("/numbers/1?stat=open&q=a", "/filtered?stat=open", "/demands?stat=open"):
        method = client.post if address.startswith("/demands") else client.get
        body = assert_problem(await method(address), 422, "UNKNOWN_PARAMETER")
        assert body["errors"] == [
            {"loc": ["query", "stat"], "code": "UNKNOWN_PARAMETER", "message": "不认识的参数"}
        ]

    assert (await client.get("/numbers/1?q=a")).json() == 1
    assert (await client.get("/filtered?state=a")).status_code == 200
    many = "&".join(f"p{n}{'x' * 200}=1" for n in range(100))
    assert len((await client.get(f"/numbers/1?{many}&%00=1")).content) < 4000


async def test_not_more_errors_than_help(client):
    answer = await client.post("/lists", json=["x"] * 500)
    assert len(assert_problem(answer, 422, "VALIDATION_FAILED")["errors"]) <= problems.MOST_ERRORS


async def test_http_exceptions_of_libraries_keep_their_status(app, client):
    for status, code in (
        (400, "MALFORMED_REQUEST"),
        (401, "AUTH_REQUIRED"),
        (403, "ROLE_FORBIDDEN"),
        (418, "MALFORMED_REQUEST"),
        (502, "INTERNAL_ERROR"),
    ):
        app.get(f"/raise/{status}")(raising(HTTPException(status, "inner words")))
        answer = await client.get(f"/raise/{status}")
        assert_problem(answer, status, code)
        assert "inner" not in answer.text


async def test_a_defect_tells_nothing_but_its_request(app, client):
    app.get("/defect")(raising(Trouble("13800001111 in /etc/passwd")))

    answer = await client.get("/defect")

    assert_problem(answer, 500, "INTERNAL_ERROR")
    assert "passwd" not in answer.text
    assert "Trouble" not in answer.text


async def test_without_the_middleware_a_defect_is_a_problem_too():
    app = FastAPI()
    problems.install(app)
    app.get("/defect")(raising(Trouble()))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)

    answer = await httpx.AsyncClient(transport=transport, base_url="http://test").get("/defect")

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")


async def test_a_refusal_while_committing_reaches_the_client(app, client):
    async def writing():
        yield
        raise OperationalError("COMMIT", {}, _Postgres("40001"))

    @app.post("/write", status_code=201)
    async def write(db: Annotated[None, Depends(writing, scope="function")]) -> str:
        return "written"

    assert_problem(await client.post("/write"), 503, "BUSY")


class _Postgres(Exception):
    def __init__(self, state: str | None, constraint: str | None = None) -> None:
        super().__init__("could not")
        self.sqlstate = state
        self.diag = type("Diagnostic", (), {"constraint_name": constraint})


@pytest.mark.parametrize(
    "state", ["40001", "40P01", "55P03", "57014", "08006", "08003", "57P01", "53300", "25006", None]
)
async def test_a_busy_postgresql_is_asked_again_later(app, client, state):
    app.get("/busy")(raising(OperationalError("SELECT secret", {}, _Postgres(state))))

    answer = await client.get("/busy")

    assert_problem(answer, 503, "BUSY")
    assert answer.headers["retry-after"] == "1"
    assert "SELECT" not in answer.text


@pytest.mark.parametrize(
    "error",
    [
        PoolTimeout(),
        ConnectionRefusedError(),
        TimeoutError(),
        DBAPIError("", {}, _Postgres("42P01"), None, True),
    ],
)
async def test_no_connection_is_busy(app, client, error):
    app.get("/busy")(raising(error))

    assert_problem(await client.get("/busy"), 503, "BUSY")


async def test_a_full_disk_of_postgresql_is_told_as_such(app, client):
    app.get("/full")(raising(OperationalError("COMMIT", {}, _Postgres("53100"))))

    answer = await client.get("/full")

    assert_problem(answer, 503, "STORAGE_FULL")
    assert answer.headers["retry-after"] == "30"


@pytest.mark.parametrize("code", [13, 10, 778])  # SQLITE_FULL, SQLITE_IOERR, SQLITE_IOERR_WRITE
async def test_a_full_disk_of_sqlite_is_told_as_such(app, client, code):
    error = sqlite3.OperationalError("disk")
    error.sqlite_errorcode = code
    app.get("/full")(raising(OperationalError("COMMIT", {}, error)))

    assert_problem(await client.get("/full"), 503, "STORAGE_FULL")


async def test_a_wrong_statement_is_a_defect(app, client):
    app.get("/wrong")(raising(DBAPIError("SELEKT", {}, _Postgres("42601"))))

    assert_problem(await client.get("/wrong"), 500, "INTERNAL_ERROR")


async def test_a_violated_constraint_is_the_refusal_behind_its_name(app, client):
    asyncpg = _Postgres("23505")
    asyncpg.__cause__ = type(
        "UniqueViolation", (Exception,), {"constraint_name": "uq_takes_dispatch_id_taker_id"}
    )()
    app.get("/psycopg")(raising(IntegrityError("", {}, _Postgres("23505", "uq_takes_dispatch_id_taker_id"))))
    app.get("/asyncpg")(raising(IntegrityError("", {}, asyncpg)))
    app.get("/unknown")(raising(IntegrityError("", {}, _Postgres("23505", "uq_others"))))

    assert_problem(await client.get("/psycopg"), 409, "SLOT_TAKEN")
    assert_problem(await client.get("/asyncpg"), 409, "SLOT_TAKEN")
    assert_problem(await client.get("/unknown"), 500, "INTERNAL_ERROR")


async def test_sqlite_itself_is_understood(app, client, tmp_path, monkeypatch):
    tables = MetaData(naming_convention=metadata.naming_convention)
    takes = Table(
        "takes",
        tables,
        Column("dispatch_id", Integer),
        Column("taker_id", Integer),
        UniqueConstraint("dispatch_id", "taker_id"),
    )
    Index("uq_takes_running", takes.c.taker_id, unique=True, sqlite_where=takes.c.dispatch_id > 10)
    Table("pages", tables, Column("n", Integer, primary_key=True), CheckConstraint("n > 0", name="count"))
    monkeypatch.setattr("dispatch.web.database_errors.metadata", tables)
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db", connect_args={"timeout": 0})
    async with engine.begin() as db:
        await db.run_sync(tables.create_all)
        await db.execute(text("INSERT INTO takes VALUES (1, 1), (11, 2)"))
        await db.execute(text("INSERT INTO pages VALUES (1)"))

    def statement(path: str, sql: str) -> None:
        @app.get(path)
        async def run() -> None:
            async with engine.begin() as db:
                await db.execute(text(sql))

    statement("/twice", "INSERT INTO takes VALUES (1, 1)")
    statement("/running", "INSERT INTO takes VALUES (12, 2)")
    statement("/check", "INSERT INTO pages VALUES (0)")
    statement("/key", "INSERT INTO pages VALUES (1)")
    statement("/write", "INSERT INTO takes VALUES (2, 2)")
    statement("/wrong", "INSERT INTO nowhere VALUES (2)")

    assert_problem(await client.get("/twice"), 409, "SLOT_TAKEN")
    assert_problem(await client.get("/running"), 409, "REQUEST_PENDING")
    assert_problem(await client.get("/check"), 409, "SLOT_TAKEN")
    assert_problem(await client.get("/key"), 500, "INTERNAL_ERROR")
    assert_problem(await client.get("/wrong"), 500, "INTERNAL_ERROR")
    async with engine.connect() as other:
        await other.execute(text("BEGIN IMMEDIATE"))
        assert_problem(await client.get("/write"), 503, "BUSY")
        await other.execute(text("ROLLBACK"))
    assert (await client.get("/write")).status_code == 200
    await engine.dispose()


async def test_what_is_no_database_error_is_left_alone():
    assert refusal_for(ValueError(), {}) is None
    assert isinstance(refusal_for(PoolTimeout(), {}), ServiceBusy)


async def test_the_messages_are_chinese_and_know_their_limits(client):
    assert [kind for kind, words in MESSAGES.items() if not any("一" <= sign <= "鿿" for sign in words)] == []
    body = (await client.post("/lists", json=[1, 2, 3])).json()
    assert body["errors"][0]["message"] == "最多 2 项"


async def test_the_routes_of_the_description_tell_their_refusals():
    entries = problems.responses(SlotTaken, OrderMoved, refusals.OrderNotFound, "MALFORMED_JSON")

    assert {status: entry["description"] for status, entry in entries.items()} == {
        404: "ORDER_NOT_FOUND",
        409: "ORDER_MOVED, SLOT_TAKEN",
        422: "MALFORMED_JSON",
    }
    assert json.dumps(entries)
