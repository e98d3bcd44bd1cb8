"""What a decided move carries to storage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dispatch.domain.life import Dispatch, Target
from dispatch.domain.order import Ask, AskState, Move, State


@dataclass(frozen=True, slots=True)
class TakeChange:
    """A take changes; ``values`` are columns of its row."""

    id: UUID
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewAsk:
    """A request that a move files by itself."""

    kind: Ask
    reason_code: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """One decided move.

    ``order`` holds columns of the order's row besides state, version and flags; ``dispatch`` columns
    of the seen dispatch ``dispatch_id``; ``opens`` a new dispatch; ``targets`` lines of the seen
    dispatch that change; ``requests`` how pending requests end; ``detail`` what the log keeps
    (JSON values, ids and codes only). ``flags`` is the whole set afterwards, None if unchanged. ``item``: the
    catalogue's row of another item that the move fixed.
    """

    move: Move
    before: State | None
    after: State
    text: str | None = None
    order: Mapping[str, Any] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    flags: frozenset[str] | None = None
    dispatch_id: UUID | None = None
    dispatch: Mapping[str, Any] | None = None
    opens: Dispatch | None = None
    takes: tuple[TakeChange, ...] = ()
    targets: tuple[Target, ...] = ()
    requests: tuple[tuple[UUID, AskState], ...] = ()
    files: NewAsk | None = None
    item: Mapping[str, Any] | None = None
