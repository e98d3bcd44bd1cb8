"""The description of the API and the pages that show it."""

import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Depends, Header
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatch.domain.refusal import OrderMoved, SlotTaken
from dispatch.web import problems
from dispatch.web.openapi import BEARER, STATIC, TAGS, Tag, application
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from dispatch.web.wire import Body, IdIn, InstantIn, InstantOut, Location, PersonName, Phone, Text, Wire


class DemandIn(Body):
    """A demand."""

    text: Text
    phone: Phone | None = None
    name: PersonName
    location: Location | None = None
    wanted_from: InstantIn | None = None


class OrderOut(Wire):
    """An order."""

    id: IdIn
    created_at: InstantOut


@pytest.fixture
def app():
    app = application("1.2.3")
    problems.install(app)
    router = APIRouter(tags=[Tag.ORDERS])

    @router.get("/orders")
    async def list_orders(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[OrderOut]:
        """List the orders."""
        return Page[OrderOut](items=[], next_cursor=None)

    @router.post(
        "/orders/{order_id}/take",
        dependencies=[Depends(BEARER)],
        responses=problems.responses(SlotTaken, OrderMoved),
    )
    async def take_order(
        order_id: IdIn,
        demand: DemandIn,
        if_match: str | None = Header(None),
        idempotency_key: str | None = Header(None),
    ) -> OrderOut:
        """Take an order."""
        raise SlotTaken

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the process lives."""
        return {"status": "ok"}

    app.include_router(router, prefix="/v1")
    return app


@pytest.fixture
def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


def codes(operation: dict, status: str) -> set[str]:
    return set(operation["responses"][status]["description"].split(", "))


def test_the_document_is_valid_and_the_same_every_time(app):
    document = app.openapi()

    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")
    assert (document["info"]["version"], document["info"]["title"]) == ("1.2.3", "三单制派单服务")
    assert app.openapi() is document
    assert "HTTPValidationError" not in json.dumps(document)


def test_operations_are_called_like_their_functions(app):
    document = app.openapi()

    assert document["paths"]["/v1/orders"]["get"]["operationId"] == "list_orders"
    assert document["paths"]["/v1/orders/{order_id}/take"]["post"]["operationId"] == "take_order"
    assert (
        [tag["name"] for tag in document["tags"]] == [tag.value for tag in Tag] == [tag.value for tag in TAGS]
    )


def test_every_operation_tells_what_it_may_refuse(app):
    paths = app.openapi()["paths"]
    take, listing, health = (
        paths["/v1/orders/{order_id}/take"]["post"],
        paths["/v1/orders"]["get"],
        paths["/v1/healthz"]["get"],
    )

    assert set(take["responses"]) == {
        "200", "401", "403", "404", "409", "412", "413", "415", "422", "426", "429", "500", "503"
    }  # fmt: skip
    assert codes(take, "409") == {"SLOT_TAKEN", "ORDER_MOVED", "IDEMPOTENCY_IN_PROGRESS"}
    assert codes(take, "404") == {"ORDER_NOT_FOUND"}
    assert codes(take, "412") == {"CHANGED_MEANWHILE"}
    assert {"VALIDATION_FAILED", "UNKNOWN_PARAMETER", "MALFORMED_JSON", "GRANT_REQUIRED"} <= codes(
        take, "422"
    )
    assert take["security"] == [{"bearer": []}]
    assert set(listing["responses"]) == {"200", "422", "426", "429", "500", "503"}
    assert codes(listing, "422") == {"VALIDATION_FAILED", "UNKNOWN_PARAMETER", "CURSOR_INVALID"}
    assert set(health["responses"]) == {"200", "422", "426", "429", "500", "503"}
    for operation in (take, listing, health):
        for status, answer in operation["responses"].items():
            if status >= "400":
                reference = answer["content"]["application/problem+json"]["schema"]["$ref"]
                assert reference == "#/components/schemas/Problem"
                assert list(answer["content"]) == ["application/problem+json"]


def test_the_shapes_of_the_wire_are_described(app):
    schemas = app.openapi()["components"]["schemas"]

    assert {"Problem", "FieldProblem", "DemandIn", "OrderOut", "Location"} <= set(schemas)
    assert schemas["DemandIn"]["additionalProperties"] is False
    assert (schemas["DemandIn"]["properties"]["text"]["maxLength"]) == 2000
    assert schemas["OrderOut"]["properties"]["created_at"]["format"] == "date-time"
    assert set(schemas["Problem"]["required"]) >= {
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "message",
    }


@pytest.mark.asyncio
async def test_the_documentation_needs_no_other_machine(client):
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) >= 4
    for address in addresses:
        assert "://" not in address
        assert (await client.get(f"/{address}")).status_code == 200, address


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/docs/assets/swagger-ui/swagger-ui-bundle.js", "javascript"),
        ("/docs/assets/swagger-ui/swagger-ui.css", "text/css"),
        ("/docs/assets/docs.js", "javascript"),
        ("/docs/assets/problems.css", "text/css"),
        ("/favicon.ico", "image/x-icon"),
        ("/openapi.json", "application/json"),
        ("/problems", "text/html"),
    ],
)
async def test_assets_have_their_types(client, path, media):
    answer = await client.get(path)

    assert answer.status_code == 200
    assert media in answer.headers["content-type"]


@pytest.mark.asyncio
async def test_a_missing_asset_is_a_problem(client):
    for path in ("/docs/assets/none.js", "/docs/assets/../openapi.py", "/docs/assets/%2e%2e/openapi.py"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "ROUTE_NOT_FOUND")


@pytest.mark.asyncio
async def test_the_type_of_every_problem_leads_to_its_explanation(client):
    page = (await client.get("/problems")).text

    for entry in problems.every_problem():
        assert f'id="{entry.code}"' in page
        assert entry.message in page


def test_vendored_files_carry_their_licence_and_no_source_maps():
    vendored = STATIC / "swagger-ui"

    assert "Apache License" in (vendored / "LICENSE").read_text()
    assert "SmartBear" in (vendored / "NOTICE").read_text()
    assert list(Path(STATIC).rglob("*.map")) == []
    for path in STATIC.rglob("*.*"):
        if path.suffix in {".js", ".css"}:
            assert "sourceMappingURL=swagger" not in path.read_text(), path
    assert sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file()) < 2_100_000
