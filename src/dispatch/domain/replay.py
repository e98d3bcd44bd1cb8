"""The log tells the state: fold the steps of an order and compare with its row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dispatch.domain.order import EDGES, Move, State


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the log, as far as it decides anything."""

    seq: int
    move: Move
    before: State | None
    after: State
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the log says an order is."""

    state: State | None = None
    version: int = 0
    round: int = 1
    flags: frozenset[str] = frozenset()
    level: str | None = None
    left: str | None = None
    parent_id: str | None = None


class LogBroken(ValueError):
    """The log contradicts itself or the table."""


def replay(steps: Iterable[Logged]) -> Replayed:
    """Fold a log, oldest first.

    Raises:
        LogBroken: a gap, a step from a state the order was not in, or one the table does not know.
    """
    told = Replayed()
    for step in steps:
        edge = EDGES.get((step.before, step.move))
        if step.seq != told.version + 1 or step.before != told.state:
            raise LogBroken(f"step {step.seq} does not follow {told}")
        if edge is None or step.after not in edge.targets:
            raise LogBroken(f"step {step.seq}: {step.before} -{step.move}-> {step.after} is not in the table")
        told = _with(told, step)
    return told


def _with(told: Replayed, step: Logged) -> Replayed:
    detail = step.detail
    changes: dict[str, Any] = {"state": step.after, "version": step.seq}
    if "flags" in detail:
        changes["flags"] = frozenset(detail["flags"])
    for name in ("round", "level", "left", "parent_id"):
        if name in detail:
            changes[name] = detail[name]
    return replace(told, **changes)
