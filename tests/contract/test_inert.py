"""What people write stays text, and what they ask for stays a value: nothing of it is ever executed (peers' 141, 142)."""

import pytest
from sqlalchemy import func, select

from dispatch.orders.tables import orders
from tests.town import Hands

TEXTS = (
    "{{7*7}} {% include '/etc/passwd' %} ${7*7}",
    "<script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1)",
    "'; DROP TABLE orders; --",
    "%(id)s :id ? $1 {0}",
)
ASKED = (
    "' OR '1'='1",
    "1; SELECT pg_sleep(9)",
    "0102' --",
    "%' OR 1=1 --",
    '{"$ne": null}',
    "created_at DESC",
)


@pytest.mark.parametrize("text", TEXTS)
async def test_what_people_write_is_given_back_as_they_wrote_it(hands: Hands, text: str):
    order = await hands.file(text=text)
    seen = await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")
    assert seen.json()["text"] == text
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-content-type-options"] == "nosniff"
    await hands.move("dispatcher-1", order, "ask", text=text)
    timeline = (await hands.get("resident-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert text in timeline[-1]["text"]


@pytest.mark.parametrize("asked", ASKED)
async def test_what_a_filter_is_given_is_a_value(hands: Hands, asked: str):
    order = await hands.file()
    for name in (
        "item_code",
        "state",
        "place_id",
        "view",
        "created_from",
        "updated_since",
        "cursor",
        "limit",
    ):
        answer = await hands.get("dispatcher-1", "/v1/orders", **{name: asked})
        assert answer.status_code == 422, (name, answer.text)
    assert (await hands.get("dispatcher-1", f"/v1/orders/{asked}")).status_code in (404, 422)
    count = select(func.count()).where(orders.c.tenant_id == hands.town.tenant_id)
    assert (await hands.town.rows(count))[0][0] == 1
    assert (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).status_code == 200
