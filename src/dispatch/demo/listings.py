"""What units and communities of the demonstration offer, ask for and claim, through the real verbs."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.demo.orders import actor_of
from dispatch.domain.listings import Act
from dispatch.resources import actions

ZONE = ZoneInfo("Asia/Shanghai")
AGO = timedelta(days=2)
"""When it was published and claimed."""

DAILY = [{"weekday": day, "from": "09:00", "to": "21:00"} for day in range(1, 8)]

RESOURCES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "unit-1",
        {
            "kind": "venue",
            "title": "图书馆二楼报告厅",
            "text": "可容纳八十人，有投影和音响，免费用于社区公益活动。",
            "spot": "柳溪路12号二楼",
            "seats": 80,
            "terms": "用后请打扫干净。",
            "opening_hours": DAILY,
        },
    ),
    (
        "unit-1",
        {
            "kind": "goods",
            "title": "闲置轮椅",
            "text": "九成新，可长期借用。",
            "quantity": 5,
            "measure": "辆",
        },
    ),
    (
        "unit-2",
        {"kind": "expertise", "title": "家庭教育讲师", "text": "实验中学骨干教师，每月一次公益讲座。"},
    ),
    (
        "dispatcher-1",
        {"kind": "venue", "title": "春晓社区活动室", "text": "党群服务中心一楼，三十座。", "seats": 30},
    ),
)
DEMANDS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "dispatcher-1",
        {"kind": "goods", "title": "重阳节慰问品", "text": "高龄老人米油。", "quantity": 60, "measure": "份"},
    ),
    ("dispatcher-2", {"kind": "service", "title": "电动车充电安全检查", "text": "入冬前检查一遍充电桩。"}),
)


async def seed_listings(
    db: AsyncConnection, tenant_id: int, accounts: Mapping[str, UUID], *, at: datetime
) -> None:
    """Both lists, a confirmed and a requested booking, and claims on goods and demands."""
    then = at - AGO
    made: dict[str, UUID] = {}
    for side, lines in (("resource", RESOURCES), ("demand", DEMANDS)):
        for login, said in lines:
            actor = await actor_of(db, tenant_id, accounts[login])
            id, _ = await actions.publish(db, actor, {"side": side, **said}, None, at=then)
            made[said["title"]] = id

    async def claim(login: str, title: str, **said: Any) -> UUID:
        actor = await actor_of(db, tenant_id, accounts[login])
        id, _ = await actions.claim(db, actor, made[title], said, None, at=then)
        return id

    hall = await claim(
        "dispatcher-1", "图书馆二楼报告厅", purpose="健康讲座，约六十人。", **_morning(at, days=3)
    )
    await claim("team-1", "图书馆二楼报告厅", purpose="志愿队季度例会。", **_morning(at, days=4))
    await claim("dispatcher-1", "闲置轮椅", purpose="两位出院老人借用。", quantity=2)
    await claim("unit-3", "重阳节慰问品", purpose="供水中心认领一部分。", quantity=20)
    unit = await actor_of(db, tenant_id, accounts["unit-1"])
    await actions.move(db, unit, hall, Act.CONFIRM, {}, None, at=then)


def _morning(at: datetime, *, days: int) -> dict[str, datetime]:
    day = (at + timedelta(days=days)).astimezone(ZONE).date()
    return {
        "starts_at": datetime.combine(day, time(9), ZONE),
        "ends_at": datetime.combine(day, time(11), ZONE),
    }
