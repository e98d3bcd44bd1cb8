"""What follows for personal data from what WeChat tells of a person, and when an order comes to rest."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.keeping import Purpose
from dispatch.domain.order import RESTING
from dispatch.privacy.actions import consenting


async def phone_withdrawn(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """The phone goes from orders at rest; an open one keeps what its taker calls by until it has come to rest."""
    await consenting.take_back(db, tenant_id, UUID(body["account_id"]), Purpose.PHONE, at=at)


async def location_withdrawn(
    db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime
) -> None:
    """The point on the map goes from orders at rest, and from an open one once it has come to rest."""
    await consenting.take_back(db, tenant_id, UUID(body["account_id"]), Purpose.LOCATION, at=at)


async def came_to_rest(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """What was taken back while the order needed it goes now."""
    if body["state"] in RESTING:
        await consenting.clear_at_rest(db, tenant_id, UUID(body["order_id"]), at=at)
