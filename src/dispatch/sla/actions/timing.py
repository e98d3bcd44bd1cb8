"""Writes of clocks and timers, all of them dependents of the guarded write that moves the order."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Update, and_, case, delete, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import Dependent, Rows, guarded
from dispatch.domain.planning import Change
from dispatch.domain.running import Run
from dispatch.domain.sla import Aim, Basis, Outcome, ladder
from dispatch.sla.queries import Terms
from dispatch.sla.tables import clocks, deadline_changes, timers


def written(
    tenant_id: int,
    order_id: UUID,
    changes: Sequence[Change],
    terms: Terms,
    basis: Basis,
    *,
    cause: str,
    at: datetime,
) -> list[Dependent]:
    """The writes that changes of an order's clocks come to; timers are taken away before new ones are set."""
    of_order: dict[str, Any] = {"tenant_id": tenant_id, "order_id": order_id}
    dependents: list[Dependent] = [
        *_disarmed(tenant_id, order_id, changes),
        *(_update(tenant_id, order_id, change, terms, basis) for change in changes if _differs(change)),
        *_heard(tenant_id, order_id, changes, basis, at),
    ]
    started = [of_order | _row(change.after, terms, basis) for change in changes if change.before is None]
    armed = [
        of_order
        | _subject(change.after)
        | {"level": step, "due_at": when, "fired_at": None, "loud": basis.loud}
        for change in changes
        for step, when in change.arm
    ]
    moved = [
        of_order
        | _subject(change.after)
        | {
            "old_due_at": change.before.due_at,
            "new_due_at": change.after.due_at,
            "cause": cause,
            "changed_at": at,
        }
        for change in changes
        if change.before is not None and change.before.due_at != change.after.due_at
    ]
    return [
        *dependents,
        Rows(clocks, started),
        Rows(timers, armed, skip=True),
        Rows(deadline_changes, moved),
    ]


async def remeasure(
    db: AsyncConnection,
    tenant_id: int,
    order_id: UUID,
    change: Change,
    terms: Terms,
    basis: Basis,
    *,
    cause: str,
    at: datetime,
) -> bool:
    """Move the deadline of a running clock outside of any move. False if the clock is no longer as it was seen."""
    assert change.before is not None
    guard = (
        _update(tenant_id, order_id, change, terms, basis)
        .where(clocks.c.stopped_at.is_(None), clocks.c.deadline_no == change.before.deadline_no)
        .returning(clocks.c.clock)
    )
    others = written(tenant_id, order_id, [change], terms, basis, cause=cause, at=at)
    hanging = [other for other in others if not isinstance(other, Update)]
    return await guarded(db, guard, hanging) is not None


def _subject(run: Run) -> dict[str, Any]:
    return {"clock": run.clock, "subject_id": run.subject_id, "deadline_no": run.deadline_no}


def _row(run: Run, terms: Terms, basis: Basis) -> dict[str, Any]:
    return _subject(run) | {
        "nth": run.nth,
        "round": run.round,
        "owner_kind": str(run.owner.kind),
        "owner_id": run.owner.id,
        "since": run.since,
        "started_at": run.started_at,
        "stopped_at": run.stopped_at,
        "outcome": run.outcome,
        "reason": run.reason,
        **_measured(run, terms, basis),
    }


def _measured(run: Run, terms: Terms, basis: Basis) -> dict[str, Any]:
    """The columns that a change of the deadline touches."""
    return {
        "limit": run.limit.wire() if run.limit else None,
        "due_at": run.due_at,
        "provisional": run.provisional,
        "dated": run.dated,
        "deadline_no": run.deadline_no,
        "pauses": [
            {
                "from": pause.start.isoformat(),
                "to": pause.end.isoformat() if pause.end else None,
                "reason": pause.reason,
            }
            for pause in run.pauses
        ],
        "paused_at": run.paused_at,
        "item_code": terms.item_code,
        "urgency": terms.urgency,
        "place_id": terms.places[-1],
        "appointment": terms.appointment,
        "policy": basis.sources.get(run.clock, "default"),
        "calendar": basis.calendar.version,
    }


def _differs(change: Change) -> bool:
    return change.before is not None and change.before != change.after


def _update(tenant_id: int, order_id: UUID, change: Change, terms: Terms, basis: Basis) -> Update:
    before, after = change.before, change.after
    assert before is not None
    measured = _measured(after, terms, basis)
    values: dict[str, Any] = {name: measured[name] for name in ("pauses", "paused_at")}
    if _measure(before) != _measure(after):
        values = measured
        if before.limit == after.limit:
            del values["policy"]  # it still has its limit from where it had it
    if after.stopped_at is not None:
        values |= {"stopped_at": after.stopped_at, "reason": after.reason, "outcome": _outcome(change)}
    return _of(before, tenant_id, order_id).values(**values)


def _measure(run: Run) -> tuple[Any, ...]:
    return (run.due_at, run.provisional, run.limit, run.dated)


def _of(run: Run, tenant_id: int, order_id: UUID) -> Update:
    return update(clocks).where(
        clocks.c.tenant_id == tenant_id,
        clocks.c.order_id == order_id,
        clocks.c.clock == run.clock,
        clocks.c.subject_id == run.subject_id,
        clocks.c.nth == run.nth,
    )


def _outcome(change: Change) -> Any:
    """The verdict, taken on the row as the write finds it: a deadline that was recomputed meanwhile counts."""
    run, before = change.after, change.before
    assert before is not None
    if change.aim in (None, Aim.VOID) or run.due_at is None or run.due_at != before.due_at:
        return run.outcome
    in_time = Outcome.ON_TIME if change.aim is Aim.REACHED else Outcome.EXCLUDED
    return case(
        (clocks.c.due_at < (before.paused_at or run.stopped_at), Outcome.LATE.value), else_=in_time.value
    )


def _armed(run: Run) -> ColumnElement[bool]:
    """The timers of a run that have not fired."""
    return and_(
        timers.c.clock == run.clock,
        timers.c.subject_id == run.subject_id,
        timers.c.deadline_no <= run.deadline_no,
        timers.c.fired_at.is_(None),
    )


def _of_order(tenant_id: int, order_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (timers.c.tenant_id == tenant_id, timers.c.order_id == order_id)


def _disarmed(tenant_id: int, order_id: UUID, changes: Iterable[Change]) -> list[Dependent]:
    gone = [_armed(change.before) for change in changes if change.disarm and change.before]
    return [delete(timers).where(*_of_order(tenant_id, order_id), or_(*gone))] if gone else []


def _heard(
    tenant_id: int, order_id: UUID, changes: Iterable[Change], basis: Basis, at: datetime
) -> list[Dependent]:
    """The owner gave a sign of life: the ladder waits for silence again."""
    runs = [change.after for change in changes if change.heard]
    if not runs:
        return []
    return [
        update(timers)
        .where(*_of_order(tenant_id, order_id), or_(*map(_armed, runs)), timers.c.level == step)
        .values(due_at=when)
        for step, when in ladder(basis.urgency, at, basis.calendar)
    ]
