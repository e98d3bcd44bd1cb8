"""Another calendar, or other policies, stand: the deadlines of open orders follow, a batch per fact."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.outbox import announce, outbox
from dispatch.domain.facts import Fact
from dispatch.sla.actions.recomputing import BATCH, recompute
from dispatch.sla.tables import clocks


async def follow_calendar(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Measure open clocks again: those whose deadline is provisional, or by the scope ``open`` all of them."""
    await _follow(db, tenant_id, Fact.CALENDAR_CHANGED, body, at, limits=False)


async def follow_policies(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Measure open clocks again, by the limits that stand now."""
    await _follow(db, tenant_id, Fact.POLICIES_CHANGED, body, at, limits=True)


async def _follow(
    db: AsyncConnection,
    tenant_id: int,
    fact: Fact,
    body: Mapping[str, Any],
    at: datetime,
    *,
    limits: bool,
    batch: int = BATCH,
) -> None:
    """One batch of orders, and a fact for the next: no transaction grows with the number of open orders."""
    some = (
        select(clocks.c.order_id)
        .distinct()
        .where(clocks.c.tenant_id == tenant_id, clocks.c.stopped_at.is_(None))
        .order_by(clocks.c.order_id)
        .limit(batch)
    )
    if body["scope"] == "provisional":
        some = some.where(clocks.c.provisional.is_(True))
    if "after" in body:
        some = some.where(clocks.c.order_id > UUID(body["after"]))
    order_ids = list((await db.execute(some)).scalars())
    await recompute(db, tenant_id, order_ids, at=at, limits=limits)
    if len(order_ids) == batch:
        following = announce(tenant_id, fact, {**body, "after": str(order_ids[-1])}, at=at)
        await db.execute(insert(outbox), list(following.rows))
