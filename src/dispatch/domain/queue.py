"""The waiting list of an open dispatch that is full: who is first gets the place that comes free, kept for a while.

Those who wait stand as the dispatch's targets, as the candidates of an offer do: ``waiting`` in line, ``asked`` while a
place is kept for them.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from dispatch.domain.life import Dispatch, Life, Party, Target
from dispatch.domain.moved import Moved
from dispatch.domain.order import Mode, Move, TargetState

IN_LINE = frozenset({TargetState.WAITING, TargetState.ASKED})
"""Who waits, or has a place kept."""


def kept(targets: Iterable[Target]) -> int:
    """How many places are kept."""
    return sum(target.state is TargetState.ASKED for target in targets)


def place_in_line(held: Dispatch, party: Party) -> int | None:
    """The how-manieth somebody is; None who does not wait."""
    line = sorted((t.seq, t.party) for t in held.targets if t.state in IN_LINE)
    return next((nth for nth, (_, other) in enumerate(line, start=1) if other == party), None)


def full(held: Dispatch) -> bool:
    """Whether every place is held or kept."""
    return held.slots_taken + held.slots_held >= held.slots_max


def after(targets: Iterable[Target], changed: Iterable[Target]) -> tuple[Target, ...]:
    """The lines as they stand once some have changed."""
    by_party = {target.party: target for target in changed}
    return tuple(by_party.get(target.party, target) for target in targets)


def next_in_line(held: Dispatch, targets: tuple[Target, ...], taken: int, at: datetime) -> tuple[Target, ...]:
    """Who is asked now, the longest waiting first, for every place that is neither held nor kept. Whoever no longer serves
    is passed over: the place would be kept for nobody."""
    free = held.slots_max - taken - kept(targets)
    waiting = [t for t in targets if t.state is TargetState.WAITING and t.serves]
    waiting.sort(key=lambda target: target.seq)
    until = at + timedelta(seconds=held.wait_seconds or 0)
    return tuple(replace(target, state=TargetState.ASKED, until=until) for target in waiting[: max(free, 0)])


def unclaimed(life: Life, gone: Iterable[Party], state: TargetState, at: datetime) -> Moved:
    """Some did not come for the place that was kept, or do not want it: the next in line are asked.

    Args:
        gone: who loses a kept place; those who have none any more change nothing.
        state: ``lapsed``, or ``declined`` of their own will.
    """
    held, parties = life.held, set(gone)
    if held is None or held.mode is not Mode.OPEN:
        return Moved(Move.LAPSE, life.state, life.state)
    out = tuple(
        replace(target, state=state, until=None)
        for target in held.targets
        if target.state is TargetState.ASKED and target.party in parties
    )
    asked = next_in_line(held, after(held.targets, out), held.slots_taken, at)
    return Moved(
        Move.LAPSE,
        life.state,
        life.state,
        detail={"place": "unclaimed"},
        dispatch_id=held.id,
        dispatch={"state": held.state, "slots_held": kept(after(held.targets, (*out, *asked)))},
        targets=(*out, *asked),
    )
