"""A tenant's limits over HTTP: by item, urgency and place."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.outbox import outbox
from dispatch.domain.policy import STAGES
from dispatch.sla.schemas import PolicyIn
from tests.town import Hands

HOURS_4 = {"unit": "wh", "amount": 4}


async def put(
    hands: Hands, items: list[dict], version: int = 0, login: str = "admin-1", **more: Any
) -> httpx.Response:
    body = {"items": items, "apply_to": "future"} | {
        k: v for k, v in more.items() if k in ("scale", "apply_to")
    }
    keyed = {"Idempotency-Key": more["key"]} if "key" in more else {}
    sent = hands.town[login].headers | {"If-Match": f'"{version}"'} | keyed
    return await hands.client.put("/v1/policies", json=body, headers=sent)


def policy(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "name": f"名{code}", "item_code": "0102", "limits": {"dispatch": HOURS_4}} | more


async def choice(hands: Hands, **asked: Any) -> dict[str, dict[str, Any]]:
    answer = await hands.get("dispatcher-1", "/v1/policies/choice", **{"item_code": "0102", **asked})
    assert answer.status_code == 200, answer.text
    return {item["stage"]: item for item in answer.json()["items"]}


async def test_without_policies_the_catalogue_holds_and_says_so(hands: Hands):
    answer = await hands.get("resident-1", "/v1/policies")
    assert (answer.json()["version"], answer.json()["items"], answer.headers["etag"]) == (0, [], '"0"')
    assert answer.json()["scale"]["up_1"] == 0.5
    chosen = await choice(hands)
    assert list(chosen) == list(STAGES)
    assert chosen["dispatch"]["limit"] == {"unit": "h", "amount": 24}
    assert (chosen["dispatch"]["source"], chosen["dispatch"]["reason"]) == ("item", "事项时限")
    assert chosen["accept"]["limit"] == {"unit": "h", "amount": 12}
    assert chosen["review"] == {
        "stage": "review",
        "limit": {"unit": "wd", "amount": 3},
        "source": "default",
        "reason": "默认时限",
    }
    assert (await choice(hands, urgency="U2"))["dispatch"]["limit"] == {"unit": "h", "amount": 12}


async def test_the_most_specific_policy_holds_and_its_reason_is_shown(hands: Hands):  # 21
    places = hands.town.places
    near = policy(
        "near", place_id=str(places["community-1"]), limits={"dispatch": {"unit": "wd", "amount": 1}}
    )
    answer = await put(
        hands, [policy("item"), near, policy("u2", item_code=None, urgency="U2", limits={"take": None})]
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"][1]["place_id"] == str(places["community-1"])
    inside = await choice(hands, place_id=places["grid-11"])
    outside = await choice(hands, place_id=places["grid-21"])
    assert inside["dispatch"]["limit"] == {"unit": "wd", "amount": 1}
    assert (inside["dispatch"]["source"], inside["dispatch"]["reason"]) == (
        "near",
        "策略“名near”：按事项、地点",
    )
    assert (outside["dispatch"]["source"], outside["dispatch"]["limit"]) == ("item", HOURS_4)
    urgent = await choice(hands, urgency="U2")
    assert (urgent["take"]["limit"], urgent["take"]["source"]) == (None, "u2")


async def test_a_tenant_has_its_own_table_for_urgency(hands: Hands):
    assert (await put(hands, [], scale={"up_1": 0.25})).status_code == 200
    assert (await choice(hands, urgency="U2"))["dispatch"]["limit"] == {"unit": "h", "amount": 6}
    assert (await hands.get("admin-1", "/v1/policies")).json()["scale"]["up_1"] == 0.25


async def test_only_an_administrator_replaces_them_and_only_what_was_seen(hands: Hands):
    refused = await put(hands, [policy("a")], login="district-1")
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert (await put(hands, [policy("a")])).status_code == 200
    stale = await put(hands, [policy("b")])
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (412, "CHANGED_MEANWHILE", 1)
    blind = await hands.client.put(
        "/v1/policies", json={"items": [], "apply_to": "future"}, headers=hands.town["admin-1"].headers
    )
    assert (blind.status_code, blind.json()["errors"][0]["loc"]) == (422, ["header", "If-Match"])
    assert [item["code"] for item in (await hands.get("admin-1", "/v1/policies")).json()["items"]] == ["a"]


async def test_only_open_orders_too_is_told(hands: Hands):  # 19
    mine = select(outbox.c.body).where(
        outbox.c.tenant_id == hands.town.tenant_id, outbox.c.fact == "policies.changed"
    )
    await put(hands, [policy("a")])
    assert await hands.town.rows(mine) == []
    key = uuid4().hex
    await put(hands, [policy("b")], version=1, apply_to="open", key=key)
    again = await put(hands, [policy("b")], version=1, apply_to="open", key=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert [row.body for row in await hands.town.rows(mine)] == [{"version": 2, "scope": "open"}]


@pytest.mark.parametrize(
    ("items", "loc"),
    [
        ([policy("a", item_code=None)], ["items", 0, "conditions"]),
        ([policy("a"), policy("b")], ["items", 1, "conditions"]),
        ([policy("a"), policy("a", item_code="0103")], ["items", 1, "code"]),
        ([policy("a", item_code="9999")], ["items", 0, "item_code"]),
        ([policy("a", place_id=str(uuid4()))], ["items", 0, "place_id"]),
        ([policy("a", limits={})], ["items", 0, "limits"]),
        (
            [policy("a", limits={"dispatch": {"unit": "wd", "amount": 8000}})],
            ["items", 0, "limits", "dispatch"],
        ),
        ([policy("a", limits={"dispatch": {"unit": "h"}})], ["items", 0, "limits", "dispatch"]),
        (
            [policy("a", limits={"dispatch": {"unit": "h", "amount": 0}})],
            ["items", 0, "limits", "dispatch", "amount"],
        ),
        ([policy("a", limits={"accept": {"unit": "appointment"}})], ["items", 0, "limits"]),
    ],
)
async def test_policies_without_sense_change_nothing(hands: Hands, items, loc):  # 21
    refused = await put(hands, items)
    assert refused.status_code == 422, refused.text
    assert [error["loc"] for error in refused.json()["errors"]] == [["body", *loc]]
    assert (await hands.get("admin-1", "/v1/policies")).json()["version"] == 0


def test_every_stage_may_be_set_over_http():
    limits = PolicyIn.model_fields["limits"].annotation
    assert limits.__args__[0].__args__ == STAGES


async def test_a_limit_that_the_calendar_cannot_follow_is_refused(hands: Hands):
    week = {
        "weekly": [["09:00-09:01"], *[[]] * 6],
        "days": [],
        "known_until": "2026-12-31",
        "apply_to": "future",
    }
    headers = hands.town["admin-1"].headers | {"If-Match": '"1"'}
    assert (await hands.client.put("/v1/calendar", json=week, headers=headers)).status_code == 200
    refused = await put(hands, [policy("a", limits={"dispatch": {"unit": "wh", "amount": 200}})])
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "items", 0, "limits"])
