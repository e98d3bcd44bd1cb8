"""Who hears of a registration: the party organisation when it is filed, the filer when it is decided."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.checkin import PARTY_ROLES, receipt
from dispatch.notices.actions import tell
from dispatch.people.queries import holders
from dispatch.registering.tables import registrations

NOUNS = {"unit": "单位", "team": "志愿队"}


async def tell_of_registration(
    db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime
) -> None:
    """Tell of a registration that was filed, approved or returned."""
    if body["kind"] != "body":
        return
    id, state = UUID(body["id"]), body["state"]
    mine = registrations.c.tenant_id == tenant_id, registrations.c.id == id
    row = (await db.execute(select(registrations).where(*mine))).one()
    event, cause, noun = f"registration.{state}", f"registration:{id}:{state}", NOUNS[row.kind]
    if state == "filed":
        desk = await holders(db, tenant_id, PARTY_ROLES, place_id=row.place_id, at=at)
        await tell(db, tenant_id, desk - {row.filed_by}, cause, event, f"有一份{noun}报到等您审核。", at=at)
        return
    said = f"您的{noun}报到被退回，请查看原因后重新提交。"
    if state == "approved":
        said = f"您的{noun}报到已通过，回执号{receipt(row.day, row.serial)}。"
    await tell(db, tenant_id, [row.filed_by], cause, event, said, at=at)
