"""Publishing and claiming over HTTP, for tests."""

from datetime import timedelta
from typing import Any

import httpx

from tests.town import T0, Hands

WEEK = [{"weekday": day, "from": "09:00", "to": "18:00"} for day in range(1, 8)]
HALL = {"kind": "venue", "title": "图书馆报告厅", "text": "可容纳八十人。", "opening_hours": WEEK}
RICE = {"kind": "goods", "title": "大米", "text": "五公斤装。", "quantity": 10, "measure": "袋"}
NEED = {"side": "demand", "kind": "expertise", "title": "健康讲座讲师", "text": "每月一次。"}


async def publish(hands: Hands, login: str = "unit-1", **said: Any) -> dict[str, Any]:
    answer = await hands.post(login, "/v1/listings", {"side": "resource", **said})
    assert answer.status_code == 201, answer.text
    listing: dict[str, Any] = answer.json()
    return listing


async def try_claim(hands: Hands, login: str, listing: dict[str, Any], **said: Any) -> httpx.Response:
    body = {"purpose": "社区活动。", **said}
    return await hands.post(login, f"/v1/listings/{listing['id']}/claim", body)


async def claim(hands: Hands, login: str, listing: dict[str, Any], **said: Any) -> dict[str, Any]:
    answer = await try_claim(hands, login, listing, **said)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def act_on(hands: Hands, login: str, claim: dict[str, Any], act: str, **said: Any) -> httpx.Response:
    return await hands.post(login, f"/v1/claims/{claim['id']}/{act}", said)


def hours(begins: float, ends: float, day: int = 3) -> dict[str, str]:
    """A time of a day to come, in local hours."""
    midnight = T0.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=day, hours=-8)
    times = {"starts_at": begins, "ends_at": ends}
    return {name: (midnight + timedelta(hours=hour)).isoformat() for name, hour in times.items()}
