"""A client that knows only the last release's description (openapi/previous.json), against the present service.

Its mini-program cannot be called back: a new release reaches most users after a day and weak networks later, so the
one before is served for at least 30 days (wechat.md §3.4, §7 test 15).
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from jsonschema import Draft202012Validator

from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.demo.seed import seed
from dispatch.settings import Settings
from dispatch.web import deps
from tests.compared import JSON, changes
from tests.conftest import Backends
from tests.contract.test_examples import LIVES
from tests.described import document
from tests.town import T0

PREVIOUS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "openapi/previous.json").read_text(encoding="utf-8")
)
DELIBERATE = {
    "POST /v1/me/consents/{purpose} purpose: narrowed, ['notices'] no longer accepted": "it had no effect",
    "DELETE /v1/me/consents/{purpose} purpose: narrowed, ['notices'] no longer accepted": "it had no effect",
    "GET /v1/me/notices 200.items[].order_id: retyped, null where string was": "a notice may be about a claim",
    "POST /v1/me/corrections body.phone: retyped, string where null was": "nobody had proven it: it opened others' orders",
}
"""Every break that was decided, and why it may be. Nothing else passes, and what is no longer true goes from here."""


def test_nothing_breaks_for_a_client_of_the_last_release_but_what_was_decided():
    found = list(changes(PREVIOUS, document()))
    assert sorted(set(found) - set(DELIBERATE)) == [], "undo it, or name it in DELIBERATE with the reason"
    assert sorted(set(DELIBERATE) - set(found)) == [], "no longer so: take it out of DELIBERATE"


ORDER = "/v1/orders"
OF_ORDER = "POST /v1/orders"


def schema(name: str, found: Any) -> Any:
    return found["components"]["schemas"][name]


BREAKS: dict[str, tuple[Any, str]] = {
    "a route": (lambda d: d["paths"].pop("/v1/me"), "GET /v1/me: gone"),
    "a method": (
        lambda d: d["paths"]["/v1/me/consents/{purpose}"].pop("delete"),
        "DELETE /v1/me/consents/{purpose}: gone",
    ),
    "a field of requests is required": (
        lambda d: schema("OrderIn", d)["required"].append("address"),
        f"{OF_ORDER} body.address: newly required",
    ),
    "a field of requests is refused": (
        lambda d: schema("OrderIn", d)["properties"].pop("answers"),
        f"{OF_ORDER} body.answers: no longer accepted",
    ),
    "a field of requests is shorter": (
        lambda d: schema("OrderIn", d)["properties"]["text"].update(maxLength=7),
        f"{OF_ORDER} body.text: narrowed, maxLength is 7 and was 2000",
    ),
    "a field of requests is retyped": (
        lambda d: schema("OrderIn", d)["properties"].update(text={"type": "integer"}),
        f"{OF_ORDER} body.text: retyped, string where integer was",
    ),
    "a parameter is required": (
        lambda d: d["paths"]["/v1/places"]["get"]["parameters"].append(
            {"in": "query", "name": "kind", "required": True, "schema": {"type": "string"}}
        ),
        "GET /v1/places kind: newly required",
    ),
    "a parameter is refused": (
        lambda d: d["paths"][ORDER]["get"].update(
            parameters=[p for p in d["paths"][ORDER]["get"]["parameters"] if p["name"] != "view"]
        ),
        "GET /v1/orders view: parameter gone",
    ),
    "an enum of requests has less": (
        lambda d: next(
            one for one in schema("DispatchIn", d)["properties"]["mode"].get("anyOf", [schema("Mode", d)])
        )["enum"].remove("offer"),
        "POST /v1/orders/{order_id}/dispatch body.mode: narrowed, ['offer'] no longer accepted",
    ),
    "an answer loses a field": (
        lambda d: (
            schema("AccountOut", d)["properties"].pop("name"),
            schema("AccountOut", d)["required"].remove("name"),
        ),
        "GET /v1/me 200.account.name: may be absent",
    ),
    "an answer is retyped": (
        lambda d: schema("BadgesOut", d)["properties"].update(to_rate={"type": "string"}),
        "GET /v1/me/badges 200.to_rate: retyped, string where integer was",
    ),
    "an answer may be null": (
        lambda d: schema("BadgesOut", d)["properties"].update(
            to_rate={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        ),
        "GET /v1/me/badges 200.to_rate: retyped, null where integer was",
    ),
    "a code": (
        lambda d: d["paths"]["/v1/orders/{order_id}/take"]["post"]["responses"]["409"].update(
            description="ORDER_MOVED"
        ),
        "POST /v1/orders/{order_id}/take 409 SLOT_TAKEN: gone",
    ),
    "a status": (
        lambda d: d["paths"][ORDER]["post"]["responses"].pop("413"),
        f"{OF_ORDER} 413: gone",
    ),
    "another success": (
        lambda d: d["paths"][ORDER]["post"]["responses"].update({"202": {"description": "成功"}}),
        f"{OF_ORDER} 202: another success",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_kind_of_break_is_seen(name: str):
    breaks, line = BREAKS[name]
    broken = deepcopy(PREVIOUS)
    breaks(broken)
    assert line in set(changes(PREVIOUS, broken))


def test_what_a_client_passes_over_is_no_break():
    more = deepcopy(PREVIOUS)
    schema("BadgesOut", more)["properties"]["tomorrow"] = {"type": "integer"}
    schema("OrderIn", more)["properties"]["tomorrow"] = {"type": "string"}
    schema("State", more)["enum"].append("dreamt")
    more["paths"]["/v1/tomorrow"] = {}
    assert list(changes(PREVIOUS, more)) == []
    assert list(changes(PREVIOUS, PREVIOUS)) == []


# The client


class OldClient:
    """Knows paths, examples and shapes of the last release; passes over fields and codes that it does not know."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.schemas = _lenient(deepcopy(PREVIOUS["components"]["schemas"]))
        self.read: set[str] = set()
        self.ids: dict[str, str] = {}

    async def call(
        self, login: str, method: str, path: str, body: Any = None, **params: str
    ) -> httpx.Response:
        """Send what the old description says; the answer must have a shape that it says."""
        operation = PREVIOUS["paths"][path][method]
        if body is None and "requestBody" in operation:
            body = operation["requestBody"]["content"][JSON]["example"]
        headers = {"X-Client": "mp/0.1.0; env=release", "Idempotency-Key": uuid4().hex}
        if method == "put" and any(each["name"] == "if-match" for each in operation["parameters"]):
            headers["If-Match"] = '"1"'
        if operation.get("security"):
            headers |= await self.signed_in(login)
        where = path.format(**self.ids) if "{" in path else path
        answer = await self.client.request(method.upper(), where, json=body, headers=headers, params=params)
        self.understood(answer, operation, f"{method.upper()} {path}")
        return answer

    def understood(self, answer: httpx.Response, operation: Mapping[str, Any], name: str) -> None:
        told = operation["responses"].get(str(answer.status_code))
        assert told is not None, f"{name}: {answer.status_code} {answer.text}"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if "content" not in told:
            assert answer.content == b"", name
            return
        shape = {**told["content"][kind].get("schema", {}), "components": {"schemas": self.schemas}}
        if kind.endswith("json"):
            errors = list(Draft202012Validator(shape).iter_errors(answer.json()))
            assert errors == [], f"{name}: {errors[0].json_path} {errors[0].message}"
        if answer.is_success:
            self.read.add(name)

    async def signed_in(self, login: str) -> dict[str, str]:
        answer = await self.client.post(
            "/v1/auth/wechat/login", json={"appid": "demo", "code": f"demo:{login}"}
        )
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _lenient(schemas: dict[str, Any]) -> dict[str, Any]:
    """Without the closed sets of codes: an unknown one is passed over (api.md)."""

    def walk(part: Any) -> Any:
        if isinstance(part, dict):
            closed = "enum" in part and part.get("type") == "string"
            return {key: walk(value) for key, value in part.items() if not (closed and key == "enum")}
        return [walk(one) for one in part] if isinstance(part, list) else part

    lenient: dict[str, Any] = walk(schemas)
    return lenient


@pytest.fixture(scope="module")
async def old(backends: Backends) -> AsyncIterator[OldClient]:
    database = Database(backends.fresh("sqlite", "previous"))
    await seed(database, at=T0)
    app = create_app(Settings(demo=True, minimum_clients={"mp": "0.1.0"}), database)

    async def now() -> object:
        return T0

    app.dependency_overrides[deps.now] = now
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield OldClient(client)
    await database.close()


@pytest.mark.parametrize("life", LIVES)
async def test_an_old_client_goes_with_an_order_from_its_filing_to_its_end(old: OldClient, life: str):
    filed = await old.call("resident-1", "post", ORDER)
    assert filed.status_code == 201, filed.text
    old.ids["order_id"] = filed.json()["id"]
    for login, act in LIVES[life]:
        answer = await old.call(login, "post", f"/v1/orders/{{order_id}}/{act}")
        assert answer.is_success, f"{act}: {answer.text}"
        if act == "requests":
            old.ids["request_id"] = answer.json()["id"]
    for path in (
        "/v1/orders/{order_id}",
        "/v1/orders/{order_id}/timeline",
        "/v1/orders/{order_id}/deadlines",
    ):
        assert (await old.call("resident-1", "get", path)).status_code == 200


READERS = ("resident-1", "dispatcher-1", "member-1", "unit-1", "district-1", "admin-1")


ASKED = {"/v1/policies/choice": {"item_code": "0102"}}
"""What a page cannot be read without."""


NAMED = {"purpose": "phone", "item_code": "0102", "provider": "house", "key_id": "0123456789ab"}
"""What stands in a path and is no id."""


def _reads() -> Iterator[str]:
    yield from (path for path, methods in PREVIOUS["paths"].items() if "get" in methods)


async def test_an_old_client_reads_every_page_it_knows(old: OldClient):
    """As everybody, with the ids that it comes by; what it may not see is a problem of the old shape."""
    grants = (await old.call("member-1", "get", "/v1/me")).json()["grants"]
    old.ids["place_id"] = grants[0]["place"]["id"]
    old.ids["body_id"] = (await old.call("unit-1", "get", "/v1/me")).json()["grants"][0]["body"]["id"]
    queue = (await old.call("dispatcher-1", "get", ORDER, view="queue")).json()["items"]
    old.ids["order_id"] = queue[0]["id"]
    export = (await old.call("resident-1", "post", "/v1/me/exports")).json()
    old.ids["export_id"] = export["id"]
    for path in _reads():
        for login in READERS:
            await old.call(login, "get", path, **ASKED.get(path, {}))
    unread = {f"GET {path}" for path in _reads()} - old.read
    assert unread == {"GET /v1/me/exports/{export_id}/file"}  # the worker that makes it does not run here


async def test_an_old_client_writes_what_its_examples_say(old: OldClient):
    """Every other write, once, by everybody: done or refused in the old shapes, and never as badly written."""
    filed = await old.call("resident-1", "post", ORDER)
    old.ids["order_id"] = filed.json()["id"]
    place = (await old.call("member-1", "get", "/v1/me")).json()["grants"][0]["place"]["id"]
    skipped = {"/v1/me", "/v1/auth/logout"}  # they would end who goes on reading
    for path, methods in PREVIOUS["paths"].items():
        for method in methods:
            if method == "get" or path in skipped:
                continue
            named = {p["name"] for p in methods[method].get("parameters", ()) if p["in"] == "path"}
            old.ids |= {name: NAMED.get(name) or str(uuid4()) for name in named - {"order_id"}}
            old.ids |= {"place_id": place}
            for login in READERS:
                answer = await old.call(login, method, path)
                told = answer.json() if answer.content else {}
                if path == "/v1/me/corrections":  # its example names a phone: see DELIBERATE
                    assert told["code"] in ("VALIDATION_FAILED", "ROLE_FORBIDDEN"), answer.text
                    continue
                badly = {"VALIDATION_FAILED", "UNKNOWN_PARAMETER", "MALFORMED_JSON", "MEDIA_TYPE_UNSUPPORTED"}
                assert told.get("code") not in badly, f"{method} {path}: {answer.text}"


async def test_below_the_minimum_it_is_told_to_update(old: OldClient):
    headers = {"X-Client": "mp/0.0.9; env=release"}
    answer = await old.client.get("/v1/catalog", headers=headers)
    old.understood(answer, PREVIOUS["paths"]["/v1/catalog"]["get"], "GET /v1/catalog")
    assert (answer.status_code, answer.json()["code"]) == (426, "CLIENT_TOO_OLD")
    assert answer.json()["min_version"] == "0.1.0"
