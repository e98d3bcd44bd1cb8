"""Pages, cursors and limits."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from dispatch.domain.refusal import CursorInvalid
from dispatch.web import problems
from dispatch.web.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Key,
    Limit,
    Page,
    cut,
    fingerprint,
    read_cursor,
    write_cursor,
)

AT = datetime(2026, 11, 22, 1, 30, 0, 123000, tzinfo=UTC)
KEY = Key(AT, UUID("0190a3c4-0000-7000-8000-000000000001"))
QUERY = fingerprint("orders.queue", state=["open"])


def test_a_cursor_brings_back_its_place():
    assert read_cursor(write_cursor(KEY, QUERY), QUERY) == KEY
    assert read_cursor(None, QUERY) is None


@pytest.mark.parametrize(
    "at", [datetime(1969, 12, 31, 23, 59, 59, 999000, UTC), datetime(2199, 1, 1, tzinfo=UTC)]
)
def test_a_cursor_keeps_milliseconds_everywhere(at):
    assert read_cursor(write_cursor(Key(at, KEY.id), QUERY), QUERY) == Key(at, KEY.id)
    for millis in range(1000):
        key = Key(AT.replace(microsecond=millis * 1000), KEY.id)
        assert read_cursor(write_cursor(key, QUERY), QUERY) == key


def test_a_cursor_is_safe_in_an_address():
    assert write_cursor(KEY, QUERY).replace("-", "").replace("_", "").isalnum()


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "灯",
        "!!!!",
        packed(None),
        packed([]),
        packed({"a": 1}),
        packed([1, 2, QUERY]),
        packed([True, KEY.id.hex, QUERY]),
        packed(["1", KEY.id.hex, QUERY]),
        packed([10**30, KEY.id.hex, QUERY]),
        packed([0, "zz", QUERY]),
        packed([0, KEY.id.hex, "other"]),
        write_cursor(KEY, QUERY)[:-3],
        write_cursor(KEY, fingerprint("orders.queue", state=["taken"])),
        write_cursor(KEY, fingerprint("orders.mine", state=["open"])),
        "[" * 150,
    ],
)
def test_a_damaged_or_foreign_cursor_is_refused(cursor):
    with pytest.raises(CursorInvalid):
        read_cursor(cursor, QUERY)


def test_the_fingerprint_tells_queries_apart_and_not_ways_of_writing():
    same = AT.astimezone(timezone(timedelta(hours=8)))

    assert fingerprint("a", x=1, y=None) == fingerprint("a", x=1)
    assert fingerprint("a", x=AT, y=2) == fingerprint("a", y=2, x=same)
    assert fingerprint("a", states={"b", "a"}) == fingerprint("a", states={"a", "b"})
    assert len({fingerprint("a"), fingerprint("b"), fingerprint("a", x=1), fingerprint("a", x=2)}) == 4
    assert fingerprint("a", q="\ud800")


def test_a_page_is_cut_where_the_extra_row_tells_that_more_follows():
    rows = [Key(AT, uuid4()) for _ in range(4)]

    page, after = cut(rows, 3, QUERY, lambda row: row)
    assert page == rows[:3]
    assert read_cursor(after, QUERY) == rows[2]
    assert cut(rows, 4, QUERY, lambda row: row) == (rows, None)
    assert cut([], 4, QUERY, lambda row: row) == ([], None)


@pytest.fixture
def client():
    app = FastAPI()
    problems.install(app)

    @app.get("/things")
    async def list_things(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[int]:
        read_cursor(cursor, QUERY)
        return Page[int](items=list(range(limit)), next_cursor=None)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.mark.asyncio
async def test_the_limit_is_a_whole_number_from_1_to_50(client):
    assert len((await client.get("/things")).json()["items"]) == 20
    assert (await client.get("/things?limit=50")).json() == {"items": list(range(50)), "next_cursor": None}
    for wrong in ("0", "-1", "51", "1000000000", "9" * 5000, "abc", "", "1.0", "1_0", "%207", "１", "true"):
        answer = await client.get(f"/things?limit={wrong}")
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["loc"] == ["query", "limit"]


@pytest.mark.asyncio
async def test_a_bad_cursor_is_a_problem(client):
    for wrong in ("", "x", "a" * 201):
        answer = await client.get("/things", params={"cursor": wrong})
        assert answer.status_code == 422
        assert answer.json()["code"] in {"CURSOR_INVALID", "VALIDATION_FAILED"}
