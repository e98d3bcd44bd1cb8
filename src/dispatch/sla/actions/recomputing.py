"""Deadlines of open clocks, measured again by another calendar or by other limits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.domain.planning import Change, remeasured
from dispatch.domain.sla import Basis, Clock
from dispatch.places.queries import ids_of
from dispatch.places.tables import places
from dispatch.sla.actions import timing
from dispatch.sla.queries import STANDING, Rules, Terms, basis_of, rules_for, run_of
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

    def is_over(self, at: datetime) -> bool:
        """Whether the new deadline has passed already."""
        return self.new is not None and self.new < at


async def recompute(
    db: AsyncConnection,
    tenant_id: int,
    order_ids: Iterable[UUID],
    *,
    at: datetime,
    limits: bool = False,
    rules: Rules | None = None,
) -> list[Moved]:
    """Measure the open clocks of these orders again, by the calendar that stands now.

    Stopped clocks, breaches and deadlines set as an instant stay. Old and new are kept in ``deadline_changes``.

    Args:
        limits: also by the limits that stand now ("open orders too"); else each keeps its own.
        rules: only say what these rules would move, and write nothing (a dry run).
    """
    wanted, moved = list(order_ids), list[Moved]()
    for first in range(0, len(wanted), BATCH):
        running = clocks.c.stopped_at.is_(None)
        rows = await clocks_of(db, tenant_id, wanted[first : first + BATCH], running)
        judge = Judge(rules or await rules_for(db, tenant_id, rows[0] if rows else None))
        for row in rows:
            terms, basis = judge.of(row)
            change = remeasured(run_of(row._mapping), basis, at, limits=limits)
            if change is None:
                continue
            if rules or await timing.remeasure(
                db, tenant_id, row.order_id, change, terms, basis, cause="recompute", at=at
            ):
                moved += _told(row.order_id, change)
    return moved


async def open_orders(
    db: AsyncConnection, tenant_id: int, *, after: UUID | None, provisional: bool = False
) -> Sequence[UUID]:
    """The next ``BATCH`` orders with running clocks, or only with provisional deadlines, by id."""
    found = select(clocks.c.order_id).where(clocks.c.tenant_id == tenant_id, clocks.c.stopped_at.is_(None))
    if provisional:
        found = found.where(clocks.c.provisional.is_(True))
    if after is not None:
        found = found.where(clocks.c.order_id > after)
    return list((await db.execute(found.distinct().order_by(clocks.c.order_id).limit(BATCH))).scalars())


async def clocks_of(
    db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID], which: ColumnElement[bool]
) -> Sequence[Any]:
    """Some clocks of some orders, with what is needed to measure them again."""
    rows = (
        select(
            clocks,
            items.c.limits.label("item_limits"),
            items.c.urgency.label("item_urgency"),
            places.c.path.label("place_path"),
            *STANDING,
        )
        .join(items, and_(items.c.tenant_id == clocks.c.tenant_id, items.c.code == clocks.c.item_code))
        .join(places, and_(places.c.tenant_id == clocks.c.tenant_id, places.c.id == clocks.c.place_id))
        .where(clocks.c.tenant_id == tenant_id, clocks.c.order_id.in_(order_ids), which)
        .order_by(clocks.c.order_id, clocks.c.clock, clocks.c.subject_id)
    )
    return (await db.execute(rows, {"tenant_id": tenant_id})).all()


class Judge:
    """By what the orders of such rows are judged under some rules: worked out once for all that are alike."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[tuple[Any, ...], tuple[Terms, Basis]] = {}

    def of(self, row: Any) -> tuple[Terms, Basis]:
        """What the order brings, and its limits and calendar."""
        alike = (row.item_code, row.urgency, row.round, row.place_id)
        if alike not in self._known:
            terms = _terms(row)
            self._known[alike] = terms, basis_of(self._rules, terms)
        terms, basis = self._known[alike]
        if row.appointment == terms.appointment:
            return terms, basis
        return replace(terms, appointment=row.appointment), replace(basis, appointment=row.appointment)


def _terms(row: Any) -> Terms:
    return Terms(
        item_code=row.item_code,
        limits=row.item_limits,
        own=row.item_urgency,
        urgency=row.urgency,
        round=row.round,
        places=ids_of(row.place_path),
        appointment=row.appointment,
    )


def _told(order_id: UUID, change: Change) -> list[Moved]:
    assert change.before is not None
    if change.before.due_at == change.after.due_at:
        return []
    return [Moved(order_id, change.after.clock, change.before.due_at, change.after.due_at)]
