"""What follows when somebody takes back what WeChat gave us."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.people import actions as people
from dispatch.people.tables import identities


async def forget_identity(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Nobody signs in by this identity any more, and who is signed in is out."""
    account_id = UUID(body["account_id"])
    await db.execute(
        delete(identities).where(
            identities.c.appid == body["appid"],
            identities.c.tenant_id == tenant_id,
            identities.c.account_id == account_id,
        )
    )
    await people.revoke_sessions(db, tenant_id, account_id, at=at)
