"""What follows for personal data from what WeChat tells of a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.privacy.actions.consenting import erase_phone


async def phone_withdrawn(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """The phone goes from orders at rest too; an open one keeps what its taker calls by."""
    await erase_phone(db, tenant_id, UUID(body["account_id"]), at=at)
