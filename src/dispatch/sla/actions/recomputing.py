"""Deadlines of open clocks, measured again by another calendar or by other limits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.domain.planning import Change, remeasured
from dispatch.domain.sla import Clock
from dispatch.places.tables import places
from dispatch.sla.actions import timing
from dispatch.sla.queries import Terms, basis_for, run_of, standing
from dispatch.sla.tables import clocks

BATCH = 500
"""Orders read in one statement."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A deadline that moved, with what it was."""

    order_id: UUID
    clock: Clock
    old: datetime | None
    new: datetime | None


async def recompute(
    db: AsyncConnection,
    tenant_id: int,
    order_ids: Iterable[UUID],
    *,
    at: datetime,
    limits: bool = False,
    apply: bool = True,
) -> list[Moved]:
    """Measure the open clocks of these orders again, by the calendar that stands now.

    Stopped clocks, breaches and deadlines set as an instant stay. Old and new are kept in ``deadline_changes``.

    Args:
        limits: also by the limits that stand now ("open orders too"); else each keeps its own.
        apply: False only says what would move (a dry run).
    """
    wanted, moved = list(order_ids), list[Moved]()
    for first in range(0, len(wanted), BATCH):
        for row in await _open(db, tenant_id, wanted[first : first + BATCH]):
            terms = _terms(row)
            basis = await basis_for(db, tenant_id, terms, row)
            change = remeasured(run_of(row._mapping), basis, at, limits=limits)
            if change is None:
                continue
            if not apply or await timing.remeasure(
                db, tenant_id, row.order_id, change, terms, basis, cause="recompute", at=at
            ):
                moved += _told(row.order_id, change)
    return moved


async def _open(db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID]) -> Sequence[Any]:
    rows = (
        select(
            clocks,
            items.c.limits.label("item_limits"),
            items.c.urgency.label("item_urgency"),
            places.c.path.label("place_path"),
            *standing(tenant_id),
        )
        .join(items, and_(items.c.tenant_id == clocks.c.tenant_id, items.c.code == clocks.c.item_code))
        .join(places, and_(places.c.tenant_id == clocks.c.tenant_id, places.c.id == clocks.c.place_id))
        .where(
            clocks.c.tenant_id == tenant_id, clocks.c.order_id.in_(order_ids), clocks.c.stopped_at.is_(None)
        )
        .order_by(clocks.c.order_id, clocks.c.clock, clocks.c.subject_id)
    )
    return (await db.execute(rows)).all()


def _terms(row: Any) -> Terms:
    return Terms(
        item_code=row.item_code,
        limits=row.item_limits,
        own=row.item_urgency,
        urgency=row.urgency,
        round=row.round,
        places=tuple(UUID(part) for part in row.place_path.strip("/").split("/")),
        appointment=row.appointment,
    )


def _told(order_id: UUID, change: Change) -> list[Moved]:
    assert change.before is not None
    if change.before.due_at == change.after.due_at:
        return []
    return [Moved(order_id, change.after.clock, change.before.due_at, change.after.due_at)]
