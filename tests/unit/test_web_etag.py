"""Versions in headers."""

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from dispatch.domain.refusal import ValidationFailed
from dispatch.web import problems
from dispatch.web.etag import order_etag, parse_if_match, polled
from dispatch.web.wire import Wire


def test_the_tag_of_an_order_is_its_version():
    assert order_etag(7) == '"7"'
    assert parse_if_match(order_etag(7)) == {7}


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        (None, None),
        ("*", None),
        (' "7" ', {7}),
        ('W/"7"', {7}),
        ("7", {7}),
        ('"7", "8"', {7, 8}),
        ('"7",W/"8"', {7, 8}),
        ('"abc"', set()),
        ('""', set()),
        ('"abc", "3"', {3}),
        (f'"{"9" * 40}"', set()),
    ],
)
def test_if_match_lists_the_versions_that_will_do(header, versions):
    assert parse_if_match(header) == versions


@pytest.mark.parametrize("header", ["", " ", '"7', "7 8", "abc", '"7" "8"', '"7",', ",", '"7", *', "W/7"])
def test_what_is_no_list_of_tags_is_refused(header):
    with pytest.raises(ValidationFailed):
        parse_if_match(header)


class Badges(Wire):
    """Counts."""

    open: int
    at: str


@pytest.fixture
def client():
    app = FastAPI()
    problems.install(app)
    app.state.open, app.state.at = 1, "09:30"

    @app.get("/badges", response_model=Badges)
    async def badges(request: Request) -> Response:
        return polled(request, Badges(open=app.state.open, at=app.state.at), apart_from={"at"})

    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")
    client.app = app  # type: ignore[attr-defined]
    return client


@pytest.mark.asyncio
async def test_a_polled_answer_is_sent_once_until_it_changes(client):
    first = await client.get("/badges")
    tag = first.headers["etag"]
    assert first.json() == {"open": 1, "at": "09:30"}
    assert first.headers["cache-control"] == "private, no-cache"

    client.app.state.at = "09:31"
    for held in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = await client.get("/badges", headers={"If-None-Match": held})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)

    client.app.state.open = 2
    changed = await client.get("/badges", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
