"""Keys of integrations, made and called back by admins over the API: told once, within scopes, on record."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from dispatch.auth.actions import keys
from dispatch.auth.timers import forget
from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import GrantImpossible
from dispatch.people import queries
from dispatch.people.actions import know_as
from dispatch.people.tables import api_keys
from tests.town import Clock, Hands


def wanted(hands: Hands, **more: Any) -> dict[str, Any]:
    place = str(hands.town.places["community-1"])
    scopes = ["orders:read", "orders:write", "catalog:read"]
    return {"name": "12345热线对接", "role": "agent", "place_id": place, "scopes": scopes, **more}


async def made(hands: Hands, **more: Any) -> dict[str, Any]:
    answer = await hands.post("admin-1", "/v1/api-keys", wanted(hands, **more))
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def call(
    hands: Hands, key: str, method: str = "GET", path: str = "/v1/orders", **more: Any
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "k-1"}
    return await hands.client.request(method, path, headers=headers, **more)


async def test_a_key_is_told_once_and_files_as_an_account_of_its_own(hands: Hands):
    told = await made(hands)
    body = {"item_code": "0102", "text": "热线转来：请帮忙陪同就医。"}
    behalf = {"name": "赵小五", "relation": "热线", "consent": {"how": "oral"}}
    filed = await call(hands, told["key"], "POST", json=body | {"on_behalf_of": behalf})
    assert filed.status_code == 201, filed.text
    assert filed.json()["filer"]["id"] == told["account"]["id"]
    await hands.file("resident-1")
    assert len((await call(hands, told["key"])).json()["items"]) == 1  # what it filed, and nothing of others
    assert (await call(hands, told["key"], path="/v1/places")).json()["code"] == "SCOPE_MISSING"
    listed = await hands.get("admin-1", "/v1/api-keys")
    assert told["key"] not in listed.text
    assert told["key"].rpartition("_")[2] not in listed.text
    (item,) = listed.json()["items"]
    assert {name: item[name] for name in item} == {name: told[name] for name in item}
    assert (item["created_by"], item["revoked_at"], item["role"]) == ("admin-1", None, "agent")
    for path in ("/v1/api-keys", "/v1/grants", "/v1/me/consents"):  # no key makes keys, nor hands out roles
        assert (await call(hands, told["key"], path=path)).json()["code"] == "SCOPE_MISSING"


async def test_a_key_called_back_is_refused_at_once_and_stays_on_record(hands: Hands, clock: Clock):
    told = await made(hands)
    path = f"/v1/api-keys/{told['key_id']}/revoke"
    for _ in range(2):
        ended = await hands.post("admin-1", path)
        assert (ended.status_code, ended.json()["revoked_by"]) == (200, "admin-1")
    assert (await call(hands, told["key"])).json()["code"] == "AUTH_TOKEN_REVOKED"
    kept = select(api_keys.c.revoked_at, api_keys.c.revoked_by).where(api_keys.c.key_id == told["key_id"])
    assert (await hands.town.rows(kept))[0].revoked_by == hands.town["admin-1"].id
    await forget(hands.town.database, clock.pass_(days=3 * 365))
    assert len(await hands.town.rows(kept)) == 1
    await forget(hands.town.database, clock.pass_(days=1))
    assert await hands.town.rows(kept) == []


async def test_a_key_follows_another_as_the_same_account(hands: Hands, clock: Clock):
    old = await made(hands)
    body = {"item_code": "0102", "text": "热线转来：请帮忙陪同就医。"}
    assert (await call(hands, old["key"], "POST", json=body)).status_code == 201
    until = (clock.now + timedelta(days=30)).isoformat()
    body = {
        "name": "新密钥",
        "account_id": old["account"]["id"],
        "scopes": ["orders:read"],
        "expires_at": until,
    }
    answer = await hands.post("admin-1", "/v1/api-keys", body)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    await hands.post("admin-1", f"/v1/api-keys/{old['key_id']}/revoke")
    assert len((await call(hands, new["key"])).json()["items"]) == 1
    clock.pass_(days=30)
    assert (await call(hands, new["key"])).json()["code"] == "AUTH_TOKEN_EXPIRED"


async def test_an_admin_makes_no_key_to_what_an_admin_must_not_see(hands: Hands):
    """The key's holder reads what the role reads: so it is never a person's, nor one that looks after orders."""
    town = hands.town
    for role in ("dispatcher", "district", "admin", "system"):
        answer = await hands.post("admin-1", "/v1/api-keys", wanted(hands, role=role))
        assert answer.status_code == 422, role
    agent = await town.person("agent-1", Role.AGENT, "community-1")
    async with town.database.writing() as db:
        await know_as(db, town.tenant_id, agent.id, appid="wx1", subject=f"o-{agent.id.hex}")
    for login, status, why in (
        ("agent-1", 422, "person"),
        ("dispatcher-1", 422, "role"),
        ("admin-1", 422, "role"),
    ):
        body = {"name": "别人的", "scopes": ["orders:read"], "account_id": str(town[login].id)}
        answer = await hands.post("admin-1", "/v1/api-keys", body)
        assert (answer.status_code, answer.json().get("why")) == (status, why), login


async def test_what_a_key_may_be_is_judged_behind_the_form_too(hands: Hands, clock: Clock):
    town, admin = hands.town, hands.town["admin-1"]
    async with town.database.writing() as db:
        person = await queries.person(db, town.tenant_id, admin.id)
        assert person is not None
        actor = Actor(admin.id, person.name, person.tenant, person.grants, person.grants[0], person.version)
        with pytest.raises(GrantImpossible) as refused:
            await keys.make(
                db, actor, wanted(hands, role="dispatcher", place_id=town.places["district"]), at=clock.now
            )
    assert refused.value.facts["why"] == "role"


async def test_only_admins_of_the_place_make_read_and_call_back(hands: Hands):
    town = hands.town
    told = await made(hands)
    await town.person("admin-2", Role.ADMIN, "street-2")
    for login in ("resident-1", "dispatcher-1", "district-1", "reporter-1"):
        for answer in (
            await hands.post(login, "/v1/api-keys", wanted(hands)),
            await hands.get(login, "/v1/api-keys"),
            await hands.post(login, f"/v1/api-keys/{told['key_id']}/revoke"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN"), login
    assert (await hands.post("admin-2", "/v1/api-keys", wanted(hands))).status_code == 403
    assert (await hands.get("admin-2", "/v1/api-keys")).json()["items"] == []
    gone = await hands.post("admin-2", f"/v1/api-keys/{told['key_id']}/revoke")
    assert (gone.status_code, gone.json()["code"]) == (404, "KEY_NOT_FOUND")
    body = {"name": "别处的", "scopes": ["orders:read"], "account_id": told["account"]["id"]}
    assert (await hands.post("admin-2", "/v1/api-keys", body)).json()["code"] == "ACCOUNT_NOT_FOUND"
    assert (await call(hands, told["key"])).status_code == 200


async def test_what_makes_no_sense_is_refused_by_name(hands: Hands, clock: Clock):
    past = clock.now.isoformat()
    for more, where in (
        ({"scopes": ["orders:burn"]}, "scopes', 0"),
        ({"scopes": []}, "scopes"),
        ({"name": "x"}, "name"),
        ({"role": None}, None),
        ({"account_id": str(hands.town["resident-1"].id)}, None),
        ({"expires_at": past}, None),
    ):
        answer = await hands.post("admin-1", "/v1/api-keys", wanted(hands, **more))
        assert answer.status_code == 422, more
        assert where is None or where in str(answer.json()["errors"]), answer.text
    assert (await hands.get("admin-1", "/v1/api-keys")).json()["items"] == []
