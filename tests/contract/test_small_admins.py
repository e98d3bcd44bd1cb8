"""The admin of a part of a tenant rules that part, and no more."""

import pytest

from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.wiring import REACTIONS
from tests.contract.test_policies import policy
from tests.town import Clock, Hands


@pytest.mark.parametrize("role", [Role.ADMIN, Role.DISTRICT])
@pytest.mark.parametrize("place", ["community-1", "street-1"])
async def test_what_holds_for_the_whole_tenant_is_set_at_its_topmost_place_alone(
    hands: Hands, role: Role, place: str
):
    await hands.town.person("small", role, place)
    headers = hands.town["small"].headers
    calendar = (await hands.get("admin-1", "/v1/calendar")).json()
    week = {name: calendar[name] for name in ("weekly", "days", "known_until")} | {"apply_to": "future"}
    for path, body in (
        ("/v1/policies", {"items": [policy("a")], "apply_to": "future"}),
        ("/v1/calendar", week),
        ("/v1/matching/rules/*", {}),
        ("/v1/taking/rules/*", {}),
        ("/v1/taking/rules/0102", {}),
    ):
        answer = await hands.client.put(path, json=body, headers=headers | {"If-Match": '"0"'})
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN"), path
    for path, body in (
        ("/v1/policies/preview", {"items": [policy("a")]}),
        ("/v1/privacy-policies", {"title": "隐私政策", "text": "我们怎样使用您的信息，请仔细阅读。"}),
    ):
        answer = await hands.client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN"), path
    assert (await hands.get("admin-1", "/v1/policies")).json()["version"] == 0
    assert (await hands.get("admin-1", "/v1/calendar")).json()["version"] == calendar["version"]
    assert (await hands.get("admin-1", "/v1/matching/rules")).json()["items"] == []
    for login in ("admin-1", "district-1"):
        answer = await hands.client.put("/v1/taking/rules/0102", json={}, headers=hands.town[login].headers)
        assert answer.status_code == 200, answer.text


async def test_the_admin_of_a_community_makes_nobody_who_sees_more_than_the_community(hands: Hands):
    town = hands.town
    await town.person("small", Role.ADMIN, "community-1")
    for role in (Role.DISTRICT, Role.STREET):
        body = {
            "account_id": str(town["resident-2"].id),
            "role": role,
            "place_id": str(town.places["community-1"]),
        }
        answer = await hands.post("small", "/v1/grants", body)
        assert (answer.status_code, answer.json()["why"]) == (422, "place"), role
        above = await hands.post("small", "/v1/grants", body | {"place_id": str(town.places["district"])})
        assert (above.status_code, above.json()["code"]) == (403, "ROLE_FORBIDDEN")


async def test_an_escalation_is_told_to_the_level_that_stands_over_the_order_alone(
    hands: Hands, clock: Clock
):
    town = hands.town
    for login, role, place in (  # as they were given before the levels were looked at
        ("astray-1", Role.DISTRICT, "community-2"),
        ("astray-2", Role.STREET, "community-1"),
        ("district-2", Role.DISTRICT, "district"),
    ):
        await town.person(login, role, place)
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "escalate", level="street", text="需要街道协调。")
    await hands.move("street-1", order, "escalate", level="district", text="需要区里协调。")
    asked = {"purpose": "核实", "text": "需要核实情况。"}
    answer = await hands.post("district-1", f"/v1/orders/{order['id']}/reveal-requests", asked)
    assert answer.status_code == 201, answer.text
    await relay(town.database, clock.now, REACTIONS)

    async def told(login: str) -> list[str]:
        items = (await hands.get(login, "/v1/me/notices", limit=50)).json()["items"]
        return sorted(item["event"] for item in items)

    assert await told("astray-1") == await told("astray-2") == []
    assert await told("district-2") == ["escalate", "reveal.asked"]
    assert await told("street-1") == ["escalate", "reveal.asked"]
