"""What follows when a tenant's rules change: open deadlines are worked out again, some orders at a time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.outbox import announce, outbox
from dispatch.domain.facts import Fact
from dispatch.sla.actions.recomputing import BATCH, open_orders, recompute

ONCE_MORE = timedelta(seconds=60)
"""When all is done once more, for moves that were under way while the rules changed and still went by the old ones."""


async def follow_calendar(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Work out again the deadlines that rest on the calendar: the provisional ones, or all of open orders."""
    await _some(db, tenant_id, Fact.CALENDAR_CHANGED, body, at, limits=False)


async def follow_policies(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Give open orders the limits that stand now."""
    await _some(db, tenant_id, Fact.POLICIES_CHANGED, body, at, limits=True)


async def _some(
    db: AsyncConnection, tenant_id: int, fact: Fact, body: Mapping[str, Any], at: datetime, *, limits: bool
) -> None:
    """One batch, and the fact that leads to the next."""
    after = UUID(body["after"]) if "after" in body else None
    ids = await open_orders(db, tenant_id, after=after, provisional=body["scope"] == "provisional")
    await recompute(db, tenant_id, ids, at=at, limits=limits)
    following = {name: value for name, value in body.items() if name != "after"}
    if len(ids) == BATCH:
        await _announce(db, tenant_id, fact, following | {"after": str(ids[-1])}, at)
    elif "again" not in body:
        await _announce(db, tenant_id, fact, following | {"again": True}, at + ONCE_MORE)


async def _announce(
    db: AsyncConnection, tenant_id: int, fact: Fact, body: Mapping[str, Any], at: datetime
) -> None:
    await db.execute(insert(outbox), list(announce(tenant_id, fact, body, at=at).rows))
