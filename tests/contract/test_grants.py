"""Roles are given, ended and lent; whoever is concerned feels it on the next request."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from dispatch.domain.people import Role
from dispatch.people import actions as people
from dispatch.people.tables import accounts, members
from tests.town import T0, Clock, Hands


async def headers_of(hands: Hands, login: str, grant_id: Any = None) -> dict[str, str]:
    """A token for the account's grants as they are now, under one of them."""
    town = hands.town
    mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == town[login].id
    version = (await town.rows(select(accounts.c.grants_version).where(*mine)))[0].grants_version
    acting = {"X-Acting-Grant": str(grant_id)} if grant_id else {}
    return {"Authorization": f"Bearer {town.token(town[login].id, version)}", **acting}


def given(hands: Hands, login: str, role: Role, place: str = "community-1", **more: Any) -> dict[str, Any]:
    town = hands.town
    return {
        "account_id": str(town[login].id),
        "role": role.value,
        "place_id": str(town.places[place]),
        **more,
    }


async def code(answer: httpx.Response) -> tuple[int, str, str | None]:
    return answer.status_code, answer.json()["code"], answer.json().get("why")


async def test_an_admin_gives_a_role_and_ends_it_and_both_hold_on_the_next_request(
    hands: Hands, client: httpx.AsyncClient
):
    order = await hands.file("resident-1")
    path = f"/v1/orders/{order['id']}"
    assert (await hands.get("resident-3", path)).status_code == 404
    answer = await hands.post("admin-1", "/v1/grants", given(hands, "resident-3", Role.DISPATCHER))
    assert answer.status_code == 201, answer.text
    grant = answer.json()
    assert (grant["role_label"], grant["stands"], grant["valid_to"]) == ("社区派单员", True, None)

    stale = await hands.get("resident-3", path)
    assert (stale.status_code, stale.json()["code"]) == (401, "AUTH_TOKEN_REVOKED")
    assert (await client.get(path, headers=await headers_of(hands, "resident-3"))).status_code == 200

    ended = await hands.post("admin-1", f"/v1/grants/{grant['id']}/revoke")
    assert (ended.status_code, ended.json()["stands"]) == (200, False)
    assert (await client.get(path, headers=await headers_of(hands, "resident-3"))).status_code == 404


async def test_the_same_role_is_not_given_twice_and_a_key_is_answered_again(hands: Hands):
    key = {"Idempotency_Key": uuid4().hex}
    first = await hands.post(
        "admin-1", "/v1/grants", given(hands, "resident-2", Role.GRID_WORKER, "grid-11"), **key
    )
    again = await hands.post(
        "admin-1", "/v1/grants", given(hands, "resident-2", Role.GRID_WORKER, "grid-11"), **key
    )
    third = await hands.post("admin-1", "/v1/grants", given(hands, "resident-2", Role.GRID_WORKER, "grid-11"))
    assert first.json()["id"] == again.json()["id"] == third.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_only_an_admin_of_the_place_gives_and_never_to_himself(hands: Hands):
    town = hands.town
    await town.person("admin-2", Role.ADMIN, "street-2")
    there = given(hands, "resident-1", Role.DISPATCHER)
    for login in ("dispatcher-1", "street-1", "district-1", "resident-1", "admin-2"):
        assert (await code(await hands.post(login, "/v1/grants", there)))[:2] == (403, "ROLE_FORBIDDEN")
    own = given(hands, "admin-1", Role.DISPATCHER)
    assert await code(await hands.post("admin-1", "/v1/grants", own)) == (422, "GRANT_IMPOSSIBLE", "own")


@pytest.mark.parametrize(
    ("role", "place", "why"),
    [
        (Role.SYSTEM, "district", "role"),
        (Role.UNIT_ADMIN, "community-1", "body"),
        (Role.MEMBER, "grid-11", "place"),
        (Role.DISTRICT, "street-1", "place"),
        (Role.DISTRICT, "community-1", "place"),
        (Role.STREET, "community-1", "place"),
        (Role.STREET, "district", "place"),
        (Role.DISPATCHER, "grid-11", "place"),
        (Role.DISPATCHER, "street-1", "place"),
        (Role.COMMUNITY_SECRETARY, "district", "place"),
        (Role.GRID_WORKER, "community-1", "place"),
        (Role.GRID_SECRETARY, "street-1", "place"),
    ],
)
async def test_a_role_must_fit_what_it_is_given_for(hands: Hands, role: Role, place: str, why: str):
    answer = await hands.post("admin-1", "/v1/grants", given(hands, "resident-1", role, place))
    assert await code(answer) == (422, "GRANT_IMPOSSIBLE", why)


@pytest.mark.parametrize(
    ("role", "place"),
    [
        (Role.DISTRICT, "district"),
        (Role.STREET, "street-2"),
        (Role.DISPATCHER, "community-2"),
        (Role.COMMUNITY_SECRETARY, "community-2"),
        (Role.GRID_WORKER, "grid-21"),
        (Role.GRID_SECRETARY, "grid-21"),
        (Role.SUPERVISOR, "street-2"),
        (Role.RESIDENT, "community-2"),
        (Role.ADMIN, "community-2"),
    ],
)
async def test_a_role_is_given_at_its_own_level(hands: Hands, role: Role, place: str):
    answer = await hands.post("admin-1", "/v1/grants", given(hands, "resident-1", role, place))
    assert answer.status_code == 201, answer.text


async def test_a_body_role_is_given_for_a_body_of_its_kind(hands: Hands):
    town = hands.town
    unit = {"account_id": str(town["resident-1"].id), "body_id": str(town.bodies["unit-1"])}
    assert (await hands.post("admin-1", "/v1/grants", unit | {"role": "unit_admin"})).status_code == 201
    wrong = await hands.post("admin-1", "/v1/grants", unit | {"role": "team_lead"})
    assert await code(wrong) == (422, "GRANT_IMPOSSIBLE", "body")
    both = unit | {"role": "unit_admin", "place_id": str(town.places["district"])}
    assert (await hands.post("admin-1", "/v1/grants", both)).status_code == 422
    gone = unit | {"role": "unit_admin", "body_id": str(uuid4())}
    assert (await code(await hands.post("admin-1", "/v1/grants", gone)))[1] == "BODY_NOT_FOUND"


async def test_a_dispatcher_on_leave_is_stood_in_for_from_the_first_day_to_the_last(
    hands: Hands, client: httpx.AsyncClient, clock: Clock
):
    town = hands.town
    order = await hands.file("resident-2")
    start, end = T0 + timedelta(days=1), T0 + timedelta(days=8)
    body = {
        "account_id": str(town["resident-3"].id),
        "valid_from": start.isoformat(),
        "valid_to": end.isoformat(),
    }
    lent = await hands.post("dispatcher-1", f"/v1/grants/{town['dispatcher-1'].grant_id}/delegate", body)
    assert lent.status_code == 201, lent.text
    assert lent.json()["delegated_from"] == str(town["dispatcher-1"].grant_id)
    lent_id = lent.json()["id"]
    headers = await headers_of(hands, "resident-3", lent_id)
    path = f"/v1/orders/{order['id']}"

    assert (await client.get(path, headers=headers)).json()["code"] == "GRANT_UNKNOWN"
    clock.now = start
    accepted = await client.post(f"{path}/accept", headers=headers)
    assert accepted.status_code == 200, accepted.text
    timeline = (await client.get(f"{path}/timeline", headers=headers)).json()["items"]
    assert timeline[-1]["who"] == {"role": "dispatcher", "name": "resident-3"}
    assert (await hands.get("dispatcher-1", path)).status_code == 200  # who lends goes on holding
    clock.now = end
    assert (await client.get(path, headers=headers)).json()["code"] == "GRANT_UNKNOWN"


async def test_what_was_lent_ends_with_what_it_is_lent_of(hands: Hands, client: httpx.AsyncClient):
    town = hands.town
    body = {"account_id": str(town["resident-3"].id), "valid_to": (T0 + timedelta(days=8)).isoformat()}
    source = town["dispatcher-1"].grant_id
    lent = (await hands.post("dispatcher-1", f"/v1/grants/{source}/delegate", body)).json()
    headers = await headers_of(hands, "resident-3", lent["id"])
    assert (await client.get("/v1/orders", headers=headers)).status_code == 200
    await hands.post("admin-1", f"/v1/grants/{source}/revoke")
    assert (await client.get("/v1/orders", headers=headers)).json()["code"] == "AUTH_TOKEN_REVOKED"


async def test_only_offices_are_lent_only_once_and_not_for_ever(hands: Hands, client: httpx.AsyncClient):
    town = hands.town

    async def lend(login: str, grant_id: Any, to: str = "resident-3", days: float = 8, **headers: str):
        body = {"account_id": str(town[to].id), "valid_to": (T0 + timedelta(days=days)).isoformat()}
        return await hands.post(login, f"/v1/grants/{grant_id}/delegate", body, **headers)

    office = town["dispatcher-1"].grant_id
    assert await code(await lend("member-1", town["member-1"].grant_id)) == (422, "GRANT_IMPOSSIBLE", "role")
    assert (await code(await lend("dispatcher-1", office, "dispatcher-1")))[2] == "own"
    assert (await code(await lend("dispatcher-1", office, days=-1)))[2] == "period"
    assert (await code(await lend("dispatcher-1", office, days=400)))[2] == "period"
    assert (await code(await lend("resident-1", office)))[:2] == (404, "GRANT_NOT_FOUND")
    lent = (await lend("dispatcher-1", office)).json()["id"]
    headers = await headers_of(hands, "resident-3", lent)
    body = {"account_id": str(town["resident-1"].id), "valid_to": (T0 + timedelta(days=2)).isoformat()}
    again = await client.post(f"/v1/grants/{lent}/delegate", json=body, headers=headers)
    assert await code(again) == (422, "GRANT_IMPOSSIBLE", "role")


async def test_who_lent_sees_and_ends_it_and_strangers_do_not_know_of_it(hands: Hands):
    town = hands.town
    body = {"account_id": str(town["resident-3"].id), "valid_to": (T0 + timedelta(days=8)).isoformat()}
    source = town["dispatcher-1"].grant_id
    lent = (await hands.post("dispatcher-1", f"/v1/grants/{source}/delegate", body)).json()["id"]

    async def listed(login: str) -> set[str]:
        items = (await hands.get(login, "/v1/grants", limit=50)).json()["items"]
        return {item["id"] for item in items}

    assert await listed("dispatcher-1") == {lent, str(source)}
    assert lent in await listed("admin-1")
    assert await listed("dispatcher-2") == {str(town["dispatcher-2"].grant_id)}
    assert (await hands.post("dispatcher-2", f"/v1/grants/{lent}/revoke")).status_code == 404
    assert (await hands.post("dispatcher-1", f"/v1/grants/{lent}/revoke")).json()["stands"] is False


async def test_a_stand_in_is_told_what_the_office_is_told(hands: Hands, clock: Clock):
    from dispatch.jobs.relay import relay
    from dispatch.wiring import REACTIONS

    town = hands.town
    body = {"account_id": str(town["member-21"].id), "valid_to": (T0 + timedelta(days=8)).isoformat()}
    await hands.post("dispatcher-1", f"/v1/grants/{town['dispatcher-1'].grant_id}/delegate", body)
    await hands.file("resident-1")
    await relay(town.database, clock.now, REACTIONS)
    headers = await headers_of(hands, "member-21")
    told = (await hands.client.get("/v1/me/notices", headers=headers)).json()["items"]
    assert [notice["event"] for notice in told] == ["submit"]


async def test_who_worked_on_an_order_does_not_accept_the_work(hands: Hands):
    town = hands.town
    order = await hands.accepted()
    target = [{"kind": "staff", "id": str(town["dispatcher-1"].id)}]
    await hands.move("secretary-1", order, "dispatch", mode="assign", targets=target)
    await hands.move("dispatcher-1", order, "take")
    await hands.move("dispatcher-1", order, "finish", result="已修好。", closing="solved")
    rated = await hands.move("resident-1", order, "rate", score=1, solved=False, contacted=True)
    assert "close" not in [
        m["move"] for m in (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["moves"]
    ]
    refused = await hands.try_("dispatcher-1", order, "close", exit="solved")
    assert (refused.status_code, refused.json()["code"]) == (403, "OWN_WORK")
    wish = rated["requests"][0]["id"]
    own = await hands.post("dispatcher-1", f"/v1/requests/{wish}/approve")
    assert (own.status_code, own.json()["code"]) == (403, "OWN_WORK")
    assert (await hands.move("secretary-1", order, "close", exit="solved"))["state"] == "closed"


async def test_a_filer_who_serves_the_order_he_filed_for_another_is_flagged(hands: Hands):
    behalf = {"name": "赵小五", "relation": "邻居", "consent": {"how": "oral"}}
    order = await hands.accepted("member-1", on_behalf_of=behalf)
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    taken = (await hands.move("member-1", order, "take"))["order"]
    assert "own_take" in taken["flags"]
    assert "own_take" not in (await hands.taken("member-2"))["flags"]


@pytest.mark.parametrize("end", ["valid_from", "valid_to"])
async def test_a_membership_is_not_given_for_a_time(hands: Hands, end: str):
    period = {end: (T0 + timedelta(days=9)).isoformat()}
    answer = await hands.post("admin-1", "/v1/grants", given(hands, "resident-2", Role.MEMBER, **period))
    assert await code(answer) == (422, "GRANT_IMPOSSIBLE", "period")
    given_ = await hands.post("admin-1", "/v1/grants", given(hands, "resident-2", Role.MEMBER))
    assert (given_.status_code, given_.json()["valid_to"]) == (201, None)


async def test_a_members_grant_ends_with_the_membership_and_without_one(hands: Hands, clock: Clock):
    town = hands.town
    async with town.database.writing() as db:
        place = town.places["community-1"]
        bare = await people.grant(
            db, town.tenant_id, town["resident-3"].id, Role.MEMBER, place_id=place, at=T0
        )
    clock.pass_(minutes=1)
    for grant_id in (bare, town["member-1"].grant_id):
        answer = await hands.post("admin-1", f"/v1/grants/{grant_id}/revoke")
        assert (answer.status_code, answer.json()["stands"]) == (200, False), answer.text
    mine = members.c.tenant_id == town.tenant_id, members.c.account_id == town["member-1"].id
    assert [tuple(row) for row in await town.rows(select(members.c.state).where(*mine))] == [("ended",)]
