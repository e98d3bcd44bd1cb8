"""The examples of the description, tried against the demonstration, one order from its filing to its verdict."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.demo.seed import seed
from dispatch.settings import Settings
from dispatch.web import deps
from tests.conftest import Backends
from tests.described import document
from tests.town import T0

LIVES: dict[str, tuple[tuple[str, str], ...]] = {
    "served": (
        *(("resident-1", "supplement"), ("dispatcher-1", "accept"), ("dispatcher-1", "dispatch")),
        *(("member-1", "take"), ("member-1", "contact"), ("dispatcher-1", "urge"), ("member-1", "start")),
        *(("street-1", "supervise"), ("member-1", "progress"), ("member-1", "requests")),
        *(("member-1", "finish"), ("resident-1", "rate")),
    ),
    "asked": (("dispatcher-1", "ask"), ("resident-1", "supplement"), ("resident-1", "cancel")),
    "rejected": (("dispatcher-1", "reject"),),
    "settled": (("dispatcher-1", "resolve"), ("dispatcher-1", "redo"), ("dispatcher-1", "close")),
    "escalated": (
        *(("dispatcher-1", "accept"), ("dispatcher-1", "escalate"), ("street-1", "deliberate")),
        *(("street-1", "resolve"),),
    ),
    "given back": (
        *(("dispatcher-1", "accept"), ("dispatcher-1", "dispatch"), ("member-1", "take")),
        *(("member-1", "release"), ("dispatcher-1", "recall")),
    ),
}


def example(path: str) -> Any:
    return document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]


@pytest.fixture(scope="module")
async def demo(backends: Backends) -> AsyncIterator[httpx.AsyncClient]:
    database = Database(backends.fresh("sqlite", "examples"))
    await seed(database, at=T0)
    app = create_app(Settings(demo=True), database)

    async def now() -> object:
        return T0

    app.dependency_overrides[deps.now] = now
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await database.close()


async def signed_in(client: httpx.AsyncClient, login: str) -> dict[str, str]:
    body = {**example("/v1/auth/wechat/login"), "code": f"demo:{login}"}
    answer = await client.post("/v1/auth/wechat/login", json=body)
    return {"Authorization": f"Bearer {answer.json()['access_token']}", "Idempotency-Key": uuid4().hex}


@pytest.mark.parametrize("life", LIVES)
async def test_the_examples_pass_as_they_stand(demo: httpx.AsyncClient, life: str):
    headers = await signed_in(demo, "resident-1")
    filed = await demo.post("/v1/orders", json=example("/v1/orders"), headers=headers)
    assert filed.status_code == 201, filed.text
    path = f"/v1/orders/{filed.json()['id']}"
    for login, act in LIVES[life]:
        body = example(f"/v1/orders/{{order_id}}/{act}")
        answer = await demo.post(f"{path}/{act}", json=body, headers=await signed_in(demo, login))
        assert answer.status_code in (200, 201), f"{act}: {answer.text}"


async def test_a_grid_worker_of_the_demonstration_has_work_of_the_own_grid(demo: httpx.AsyncClient):
    for login in ("grid-1", "grid-2", "grid-3"):
        headers = await signed_in(demo, login)
        grid = (await demo.get("/v1/me", headers=headers)).json()["grants"][0]["place"]
        waiting = (await demo.get("/v1/orders", params={"view": "queue"}, headers=headers)).json()["items"]
        assert len(waiting) >= 3
        assert {order["place"]["grid"] for order in waiting} == {grid["name"]}
