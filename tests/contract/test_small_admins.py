"""The admin of a part of a tenant rules that part, and no more."""

import pytest

from dispatch.domain.people import Role
from tests.contract.test_policies import policy
from tests.town import Hands


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
