"""Whether what takers saw could have happened one act after the other (linearizability).

The model of one order: so many slots, and who holds them.

- ``take`` answers ``taken`` if a slot is free and the member holds none, ``already_yours`` if the member holds one,
  ``SLOT_TAKEN`` if none is free. Nothing else changes.
- ``release`` answers ``released`` and frees the member's slot.

Every act takes effect at one instant between its call and its answer. An act without an answer (the client gave up,
the server died) may have taken effect at any time after its call, or never. The search is Wing and Gong's with Lowe's
memory of what was tried (Testing and Verification of Concurrent Objects, 1993; Testing for linearizability, 2017):
pick an act that no answered act precedes, see whether the model would have answered so, go on, else go back.
No checker is to be had for Python; this one is shown histories that are impossible (tests/unit/test_history.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

Holders = frozenset[str]


@dataclass(frozen=True, slots=True)
class Act:
    """What one client did, when it called, when it was answered (``inf``: never), and what it was told."""

    who: str
    what: str
    called: float
    answered: float = inf
    told: str | None = None


def linearizable(acts: Sequence[Act], slots: int, holders: Holders = frozenset()) -> list[Act] | None:
    """An order in which the acts could have happened one after the other; None if there is none.

    Args:
        acts: of one order.
        holders: who held a slot before the first of them.
    """
    acts = sorted(acts, key=lambda act: act.called)
    every = (1 << len(acts)) - 1
    must = sum(1 << n for n, act in enumerate(acts) if act.answered != inf)
    tried: set[tuple[int, Holders]] = set()
    way: list[tuple[int, int, Holders]] = []  # (acts left, next one to try, who holds)
    left, held, start = every, holders, 0
    while left & must:
        nth, after = _next(acts, left, held, slots, start, tried)
        if after is not None:
            way.append((left, nth, held))
            left, held, start = left & ~(1 << nth), after, 0
            tried.add((left, held))
        elif way:
            left, nth, held = way.pop()
            start = nth + 1
        else:
            return None
    return [acts[nth] for _, nth, _ in way]


def _next(
    acts: Sequence[Act], left: int, held: Holders, slots: int, start: int, tried: set[tuple[int, Holders]]
) -> tuple[int, Holders | None]:
    """The first act from ``start`` on that may come now, and who holds a slot after it."""
    first_answer = min(act.answered for n, act in enumerate(acts) if left >> n & 1)
    for nth in range(start, len(acts)):
        if not left >> nth & 1:
            continue
        if acts[nth].called > first_answer:
            break
        after = _after(acts[nth], held, slots)
        if after is not None and (left & ~(1 << nth), after) not in tried:
            return nth, after
    return -1, None


def _after(act: Act, held: Holders, slots: int) -> Holders | None:
    """Who holds a slot after the act; None if the model would have told something else."""
    if act.what == "release":
        return held - {act.who} if act.who in held or act.told is None else None
    if act.who in held:
        return held if act.told in ("already_yours", None) else None
    if len(held) < slots:
        return held | {act.who} if act.told in ("taken", None) else None
    return held if act.told in ("SLOT_TAKEN", None) else None
