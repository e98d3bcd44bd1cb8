"""Who hears of a member's check-in: the community's desk when it is filed, the member when it is decided."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.tables import checkins
from dispatch.domain.checkin import receipt
from dispatch.domain.people import Role
from dispatch.notices.actions import tell
from dispatch.people.queries import holders

DESK = (Role.DISPATCHER, Role.COMMUNITY_SECRETARY)


async def tell_of_checkin(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell of a check-in that was filed, approved or returned."""
    if body["kind"] != "member":
        return
    id, state = UUID(body["id"]), body["state"]
    mine = checkins.c.tenant_id == tenant_id, checkins.c.id == id
    row = (await db.execute(select(checkins).where(*mine))).one()
    event = f"checkin.{state}"
    if state == "filed":
        desk = await holders(db, tenant_id, DESK, place_id=row.community_id, at=at)
        cause = f"checkin:{id}:{state}:{row.version}"
        await tell(
            db, tenant_id, desk - {row.account_id}, cause, event, "有一份在职党员报到等您审核。", at=at
        )
        return
    said = "您的报到被退回，请查看原因后重新填写。"
    if state == "approved":
        said = f"您的报到已通过，回执号{receipt(row.day, row.serial)}。"
    await tell(db, tenant_id, [row.account_id], f"checkin:{id}:{state}", event, said, at=at)
