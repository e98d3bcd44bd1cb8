"""Writes of clocks and timers, all of them dependents of the guarded write that moves the order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, bindparam, case
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.guarding import Change, Dependent, Removal, Rows, guarded
from dispatch.db.types import Instant
from dispatch.domain import planning
from dispatch.domain.running import Run
from dispatch.domain.sla import Aim, Basis, Outcome, ladder
from dispatch.sla.queries import Terms
from dispatch.sla.tables import clocks, deadline_changes, timers


def written(
    tenant_id: int,
    order_id: UUID,
    changes: Sequence[planning.Change],
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
    change: planning.Change,
    terms: Terms,
    basis: Basis,
    *,
    cause: str,
    at: datetime,
) -> bool:
    """Move the deadline of a running clock outside of any move. False if the clock is no longer as it was seen."""
    assert change.before is not None
    moved = _update(tenant_id, order_id, change, terms, basis)
    still = {"stopped_at": None, "deadline_no": change.before.deadline_no}
    guard = replace(moved, where={**moved.where, **still}, returning=("clock",))
    others = written(tenant_id, order_id, [change], terms, basis, cause=cause, at=at)
    hanging = [other for other in others if not isinstance(other, Change) or other.table is not clocks]
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


def _differs(change: planning.Change) -> bool:
    return change.before is not None and change.before != change.after


def _update(tenant_id: int, order_id: UUID, change: planning.Change, terms: Terms, basis: Basis) -> Change:
    before, after = change.before, change.after
    assert before is not None
    measured = _measured(after, terms, basis)
    values: dict[str, Any] = {name: measured[name] for name in ("pauses", "paused_at")}
    if _measure(before) != _measure(after):
        values = measured
        if before.limit == after.limit:
            del values["policy"]  # it still has its limit from where it had it
    bound: dict[str, Any] = {}
    if after.stopped_at is not None:
        outcome, bound = _outcome(change)
        values |= {"stopped_at": after.stopped_at, "reason": after.reason, "outcome": outcome}
    where = {"tenant_id": tenant_id, "order_id": order_id}
    where |= {"clock": before.clock, "subject_id": before.subject_id, "nth": before.nth}
    return Change(clocks, where, values, bound=bound)


def _measure(run: Run) -> tuple[Any, ...]:
    return (run.due_at, run.provisional, run.limit, run.dated)


def _verdict(in_time: Outcome) -> ColumnElement[str]:
    late = clocks.c.due_at < bindparam("stood", type_=Instant())
    return case((late, Outcome.LATE.value), else_=in_time.value)


_VERDICTS = {outcome: _verdict(outcome) for outcome in (Outcome.ON_TIME, Outcome.EXCLUDED)}


def _outcome(change: planning.Change) -> tuple[Any, dict[str, Any]]:
    """The verdict, taken on the row as the write finds it: a deadline that was recomputed meanwhile counts."""
    run, before = change.after, change.before
    assert before is not None
    if change.aim in (None, Aim.VOID) or run.due_at is None or run.due_at != before.due_at:
        return run.outcome, {}
    in_time = Outcome.ON_TIME if change.aim is Aim.REACHED else Outcome.EXCLUDED
    return _VERDICTS[in_time], {"stood": before.paused_at or run.stopped_at}


_UP_TO = (timers.c.deadline_no <= bindparam("armed_up_to", type_=Integer()),)


def _armed(tenant_id: int, order_id: UUID, run: Run) -> dict[str, Any]:
    """The timers of a run that have not fired."""
    where = {"tenant_id": tenant_id, "order_id": order_id, "clock": run.clock, "subject_id": run.subject_id}
    return {
        "where": {**where, "fired_at": None},
        "holds": _UP_TO,
        "bound": {"armed_up_to": run.deadline_no},
    }


def _disarmed(tenant_id: int, order_id: UUID, changes: Iterable[planning.Change]) -> list[Dependent]:
    return [
        Removal(timers, **_armed(tenant_id, order_id, change.before))
        for change in changes
        if change.disarm and change.before
    ]


def _heard(
    tenant_id: int, order_id: UUID, changes: Iterable[planning.Change], basis: Basis, at: datetime
) -> list[Dependent]:
    """The owner gave a sign of life: the ladder waits for silence again."""
    runs = [change.after for change in changes if change.heard]
    if not runs:
        return []
    found: list[Dependent] = []
    for step, when in ladder(basis.urgency, at, basis.calendar):
        for run in runs:
            armed = _armed(tenant_id, order_id, run)
            armed["where"]["level"] = step
            found.append(Change(timers, values={"due_at": when}, **armed))
    return found
