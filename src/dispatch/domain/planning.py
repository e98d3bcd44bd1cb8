"""What a move does to the clocks of an order: ``plan`` compares those that run with those that should."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dispatch.domain.calendar import Calendar, Due, Pause, Segment, due, elapsed, segments
from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.order import Move, State
from dispatch.domain.running import OWN_SUBJECT, Key, Run, View, expected
from dispatch.domain.sla import (
    LEAST_REMAINDER,
    WAITS,
    Aim,
    Basis,
    Clock,
    Outcome,
    Owner,
    Step,
    day_begins,
    judged,
    ladder,
    steps,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a move does to one clock.

    ``before`` None: it starts. ``disarm``: its timers are taken away; ``arm``: these are set. ``heard``: its overdue
    owner gave a sign of life. ``aim``: why it stops, if not by changing hands.
    """

    before: Run | None
    after: Run
    arm: tuple[tuple[Step, datetime], ...] = ()
    disarm: bool = False
    heard: bool = False
    aim: Aim | None = None


def plan(
    view: View,
    runs: Sequence[Run],
    basis: Basis,
    moves: Sequence[Move],
    *,
    at: datetime,
    heard: Iterable[Owner] = (),
) -> list[Change]:
    """What moves that led to ``view`` do to an order's clocks.

    Args:
        runs: every clock the order ever had.
        heard: owners for whom whoever moved speaks.
    """
    open_ = {key_of(view, run): run for run in runs if run.stopped_at is None}
    wanted = expected(view, {run.clock for run in open_.values()})
    speaks = set(heard)
    changes: list[Change] = []
    for key, run in open_.items():
        if key not in wanted or _anew(view, run, wanted[key]):
            changes.append(_stopped(run, view, moves, at))
        elif wanted[key] != run.owner:
            changes += _handed_over(run, wanted[key], view, basis, at)
        elif (change := _kept(run, view, basis, at)) is not None:
            changes.append(change)
        elif run.owner in speaks and run.overdue(at) and run.paused_at is None:
            changes.append(Change(run, run, heard=True))
    stays = {key for key, run in open_.items() if key in wanted and not _anew(view, run, wanted[key])}
    changes += [_started(key, wanted[key], view, runs, basis, at) for key in wanted if key not in stays]
    return changes


def key_of(view: View, run: Run) -> Key:
    """What a run times; an order that took another's place times by its clocks."""
    return (run.clock, run.subject_id if run.clock in OWN_SUBJECT else view.order_id)


def _anew(view: View, run: Run, owner: Owner) -> bool:
    """A higher level gets time of its own; so does every round."""
    return (run.clock is Clock.LEVEL and run.owner != owner) or run.round != view.round


def _refixed(run: Run, basis: Basis) -> Run:
    """Another item or urgency: the time of what goes on is measured again from the original start, pauses kept.

    Peers' law 23. What the move ends is judged by what stood while it ran.
    """
    limit = basis.limits.get(run.clock)
    if limit == run.limit or run.dated or run.clock in WAITS:
        return run
    return redated(replace(run, limit=limit), deadline(replace(run, limit=limit), basis))


def redated(run: Run, found: Due | None) -> Run:
    """The run with a deadline as found; another instant is another deadline number."""
    due_at = found.due_at if found else None
    provisional = bool(found and found.provisional)
    if due_at == run.due_at:
        return replace(run, provisional=provisional)
    return replace(run, due_at=due_at, provisional=provisional, deadline_no=run.deadline_no + 1)


def deadline(run: Run, basis: Basis) -> Due | None:
    """When a run is due by its limit, its start and its pauses; None without a limit. An open pause does not count yet."""
    if run.limit is None:
        return None
    pauses = tuple(pause for pause in run.pauses if pause.end is not None)
    appointment = basis.appointment if run.clock is Clock.FINISH else None
    found = due(run.limit, run.since, basis.calendar, pauses=pauses, appointment=appointment)
    if run.clock in RESTARTED and run.started_at > run.since and run.limit.amount is not None:
        later = tuple(pause for pause in pauses if pause.start >= run.started_at)
        least = due(run.limit.scaled(LEAST_REMAINDER), run.started_at, basis.calendar, pauses=later)
        if found and least and least.due_at > found.due_at:
            return least
    return found


_REACHED_BY: Mapping[Clock, frozenset[Move]] = {
    Clock.ACCEPT: frozenset({Move.ACCEPT, Move.REJECT, Move.RESOLVE, Move.ASK}),
    Clock.DISPATCH: frozenset({Move.DISPATCH, Move.ESCALATE, Move.RESOLVE}),
    Clock.TAKE: frozenset({Move.TAKE, Move.PROCEED}),
    Clock.CONTACT: frozenset({Move.CONTACT, Move.FINISH, Move.RESOLVE}),
    Clock.FINISH: frozenset({Move.FINISH, Move.RESOLVE}),
    Clock.LEVEL: frozenset({Move.RESOLVE, Move.DISPATCH, Move.RESUME, Move.ESCALATE}),
    Clock.EVALUATE: frozenset({Move.RATE}),
    Clock.REVIEW: frozenset({Move.CLOSE, Move.REDO, Move.RATE}),
    Clock.ANSWER: frozenset({Move.SUPPLEMENT}),
    Clock.PAUSE: frozenset({Move.RESUME}),
    Clock.LEASE: frozenset({Move.CONTACT, Move.START, Move.PROGRESS, Move.STAFF, Move.FINISH}),
}


def _stopped(run: Run, view: View, moves: Sequence[Move], at: datetime) -> Change:
    why = next((move for move in moves if move in _REACHED_BY.get(run.clock, ())), None)
    aim = Aim.REACHED if why else Aim.ENDED
    if view.state in (State.MERGED, State.CANCELLED):
        aim = Aim.VOID
    at_rest = at if run.paused_at is None else run.paused_at
    outcome = judged(aim, run.due_at, at_rest)
    reason = None if aim is Aim.REACHED else moves[-1].value
    pauses = _closed(run.pauses, at)
    after = replace(run, stopped_at=at, outcome=outcome, reason=reason, pauses=pauses)
    return Change(run, after, disarm=True, aim=aim)


def _closed(pauses: tuple[Pause, ...], at: datetime) -> tuple[Pause, ...]:
    """The pauses with the last one ended."""
    if not pauses or pauses[-1].end is not None:
        return pauses
    return (*pauses[:-1], replace(pauses[-1], end=max(at, pauses[-1].start)))


def _handed_over(run: Run, owner: Owner, view: View, basis: Basis, at: datetime) -> list[Change]:
    """Somebody else answers for the same deadline: time with A is A's, as often as A has it (peers' law 39)."""
    was_over = run.due_at is not None and run.due_at < run.started_at
    outcome = Outcome.EXCLUDED if was_over else judged(Aim.ENDED, run.due_at, run.paused_at or at)
    ended = replace(run, stopped_at=at, outcome=outcome, reason=HANDED_OVER, pauses=_closed(run.pauses, at))
    taken_over = replace(run, nth=run.nth + 1, owner=owner, started_at=at)
    kept = _kept(taken_over, view, basis, at)
    return [Change(run, ended), replace(kept, before=None) if kept else Change(None, taken_over)]


def _kept(before: Run, view: View, basis: Basis, at: datetime) -> Change | None:
    """A clock that goes on: it may stand, run again, or be due at another time."""
    run = _refixed(before, basis) if view.refixed else before
    stands = view.paused and run.clock not in (Clock.ANSWER, Clock.PAUSE)
    if stands and run.paused_at is None:
        after = replace(run, pauses=(*run.pauses, Pause(at, None, view.state.value)))
        return Change(before, after, disarm=True)
    if run.paused_at is not None and not stands:
        return _resumed(before, run, basis, at)
    set_to = _set_instant(view, run, basis)
    if set_to is not None and set_to != run.due_at:
        run = replace(redated(run, Due(set_to, False)), dated=True)
    if run.deadline_no != before.deadline_no:
        return Change(before, run, arm=ahead(run, basis, at), disarm=True)
    return Change(before, run) if run != before else None


def _resumed(before: Run, run: Run, basis: Basis, at: datetime) -> Change:
    stood = run.paused_at
    assert stood is not None
    after = replace(run, pauses=_closed(run.pauses, at))
    if run.overdue(stood):
        return Change(before, after, arm=tuple(ladder(basis.urgency, at, basis.calendar)))
    found = Due(_shifted(run, stood, basis, at), run.provisional) if run.dated and run.due_at else None
    after = redated(after, found or deadline(after, basis))
    return Change(before, after, arm=ahead(after, basis, at), disarm=True)


def _shifted(run: Run, stood: datetime, basis: Basis, at: datetime) -> datetime:
    """A deadline given as an instant, later by what of its own time the pause took."""
    assert run.due_at is not None
    rest = segments(_unit(run), stood, run.due_at, basis.calendar)
    hours = sum((p.end - p.start for p in rest if p.counted), timedelta()).total_seconds() / 3600
    unit = Unit.WORKING_HOURS if _unit(run) in (Unit.WORKING_DAYS, Unit.WORKING_HOURS) else Unit.HOURS
    found = due(Limit(unit, hours), at, basis.calendar) if hours > 0 else None
    return found.due_at if found else at


def _unit(run: Run) -> Unit:
    return run.limit.unit if run.limit else Unit.HOURS


HANDED_OVER = "handed_over"
"""The reason of a run that ended because another owner took over."""


def ahead(run: Run, basis: Basis, at: datetime) -> tuple[tuple[Step, datetime], ...]:
    """The steps still to come; a deadline that is already over is one of them."""
    if run.due_at is None:
        return ()
    pieces = segments(_unit(run), run.since, run.due_at, basis.calendar, run.pauses)
    every = steps(run.clock, pieces, run.due_at)
    return tuple((step, when) for step, when in every if when >= at or step in (Step.BREACH, Step.ACT))


def _set_instant(view: View, run: Run, basis: Basis) -> datetime | None:
    """The due of a clock that some date decides."""
    if run.clock is Clock.EXPIRY:
        return view.dispatch.expires_at if view.dispatch else None
    if run.clock is Clock.PLACE:
        return view.place_until
    if run.clock is Clock.LEASE:
        return view.leases.get(run.subject_id)
    if run.clock is Clock.PAUSE and view.review_on:
        return day_begins(view.review_on, basis.calendar.zone)
    return view.level_due if run.clock is Clock.LEVEL else None


def _started(key: Key, owner: Owner, view: View, runs: Sequence[Run], basis: Basis, at: datetime) -> Change:
    clock, subject_id = key
    former = [run for run in runs if run.clock is clock and run.subject_id == subject_id]
    run = Run(
        clock=clock,
        subject_id=subject_id,
        nth=max((run.nth for run in former), default=0) + 1,
        round=view.round,
        owner=owner,
        since=at,
        started_at=at,
        limit=basis.limits.get(clock),
        due_at=None,
        deadline_no=max((run.deadline_no for run in former), default=0),
    )
    back = _came_back(key, view, runs)
    if back and back.stopped_at:
        gap = Pause(back.stopped_at, at, RESTARTED[clock])
        run = replace(run, since=back.since, limit=back.limit, pauses=(*back.pauses, gap))
    set_to = _set_instant(view, run, basis)
    found = Due(set_to, False) if set_to else deadline(run, basis)
    run = replace(redated(run, found), dated=set_to is not None, deadline_no=run.deadline_no + 1)
    if view.paused and clock not in (Clock.ANSWER, Clock.PAUSE):
        return Change(None, replace(run, pauses=(*run.pauses, Pause(at, None, view.state.value))))
    return Change(None, run, arm=ahead(run, basis, at))


RESTARTED: Mapping[Clock, str] = {Clock.DISPATCH: "handed_out", Clock.TAKE: "taken"}
"""Clocks that go on where they stopped when the order comes back, and what the time in between was (laws 39 and 74)."""


def _came_back(key: Key, view: View, runs: Sequence[Run]) -> Run | None:
    """The clock that the order's going on stopped in this round: what came back has the remainder."""
    clock, subject_id = key
    if clock not in RESTARTED:
        return None
    ended = [run for run in runs if run.clock is clock and run.round == view.round and run.stopped_at]
    if clock in OWN_SUBJECT:
        ended = [run for run in ended if run.subject_id == subject_id]
    last = max(ended, key=lambda run: (run.started_at, run.nth), default=None)
    return last if last and last.outcome in (Outcome.ON_TIME, Outcome.LATE) else None


def extended(run: Run, until: datetime, basis: Basis, at: datetime) -> Change:
    """An approved extension. What was missed meanwhile, waiting for the decision, is on time by the new deadline."""
    after = replace(redated(run, Due(until, False)), dated=True)
    return Change(run, after, arm=ahead(after, basis, at), disarm=True)


def remeasured(run: Run, basis: Basis, at: datetime, *, limits: bool) -> Change | None:
    """A running clock measured again by another calendar and, if asked for, by the limits that stand now.

    A breach stays a breach, and another calendar makes none after the fact (peers' laws 17 and 18).

    Returns:
        None if nothing moves.
    """
    if run.stopped_at is not None or run.dated or run.clock in _OF_A_DATE or run.overdue(at):
        return None
    after = replace(run, limit=basis.limits.get(run.clock)) if limits else run
    if run.paused_at is None:
        after = redated(after, deadline(after, basis))
    if after == run or (not limits and after.due_at is not None and after.due_at < at):
        return None
    moved = after.deadline_no != run.deadline_no
    return Change(run, after, arm=ahead(after, basis, at) if moved else (), disarm=moved)


_OF_A_DATE = (Clock.EXPIRY, Clock.PAUSE, Clock.LEASE, Clock.PLACE)


def explain(run: Run, end: datetime, calendar: Calendar) -> tuple[Segment, ...]:
    """Every second of a clock from its start to ``end``, counted or not, with the reason."""
    return segments(_unit(run), run.since, end, calendar, run.pauses)


def used(run: Run, end: datetime, calendar: Calendar) -> float:
    """Seconds of its own time between its start and an instant."""
    return elapsed(_unit(run), run.since, end, calendar, run.pauses).total_seconds()


def allowance(run: Run, calendar: Calendar) -> float | None:
    """Seconds of its own time from its start to its deadline; none without one. A pause still open takes nothing yet."""
    if run.due_at is None:
        return None
    ended = tuple(pause for pause in run.pauses if pause.end is not None)
    return used(replace(run, pauses=ended), run.due_at, calendar)


def remaining(run: Run, at: datetime, calendar: Calendar) -> float | None:
    """Seconds still to be counted; none without a deadline, or once it has stopped."""
    allowed = allowance(run, calendar)
    if allowed is None or run.stopped_at is not None:
        return None
    return max(0.0, allowed - used(run, max(at, run.since), calendar))
