"""The log holds together: every entry carries a hash of its content and of the entry before it (peers' law 138).

An entry's words enter by a salted hash of their own. When they are erased lawfully the salt goes with them: the chain
still holds, and the hash that stays tells nothing of what was said. Without the salt a phone number could be found by
trying them all.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dispatch.domain.order import RESTING, State

FIELDS = ("seq", "move", "state_from", "state_to", "account_id", "grant_id", "role")
"""What of an entry is hashed as it stands, besides its instant, its detail and its words."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong with an order's log, and at which entry.

    Args:
        why: ``gap``, ``altered``, ``unchained``, ``words_altered``, ``words_missing`` or ``head``.
    """

    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class Audited:
    """What an order's log was found to be.

    Args:
        erased: entries whose words were erased lawfully.
        unchained: entries from before logs were chained.
    """

    broken: Broken | None
    erased: int = 0
    unchained: int = 0


def at_rest_since(steps: Iterable[Mapping[str, Any]]) -> datetime | None:
    """Since when an order has been at rest, by its log alone: the order's own row is in no chain."""
    since: datetime | None = None
    for step in steps:
        if State(step["state_to"]) not in RESTING:
            since = None
        elif since is None:
            since = step["at"]
    return since


def words_hash(salt: str, text: str) -> str:
    """The hash of an entry's words."""
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()


def link(before: str | None, order_id: object, step: Mapping[str, Any]) -> str:
    """The hash of an entry that follows one whose hash is ``before``. ``step``: a row of the log."""
    content = [
        before,
        str(order_id),
        *(_plain(step[name]) for name in FIELDS),
        _instant(step["at"]),
        _plain(step["detail"]),
        step["text_hash"],
    ]
    written = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def audit(
    order_id: object,
    steps: Iterable[Mapping[str, Any]],
    *,
    version: int,
    head: str | None,
    erased: set[int],
    older: bool = False,
) -> Audited:
    """Check an order's log, oldest entry first, and name the first entry that is broken.

    Args:
        version, head: of the order's row: how many entries there are, and the newest one's hash.
        erased: entries whose words were erased lawfully.
        older: whether the order is from before logs were chained: only then may entries be without a hash.
    """
    before, last, gone, unchained = None, 0, 0, 0
    for step in steps:
        why = _wrong(before, order_id, step, last, erased, older)
        if why is not None:
            return Audited(Broken(step["seq"], why), gone, unchained)
        gone += step["text_hash"] is not None and step["text"] is None
        unchained += step["hash"] is None
        before, last = step["hash"], step["seq"]
    broken = Broken(last, "head") if (version, head) != (last, before) else None
    return Audited(broken, gone, unchained)


def _wrong(
    before: str | None, order_id: object, step: Mapping[str, Any], last: int, erased: set[int], older: bool
) -> str | None:
    if step["seq"] != last + 1:
        return "gap"
    if step["hash"] is None:
        return None if older and before is None and step["text_hash"] is None else "unchained"
    if step["hash"] != link(before, order_id, step):
        return "altered"
    if step["text"] is None:
        return "words_missing" if step["text_hash"] is not None and step["seq"] not in erased else None
    right = step["text_hash"] is not None and step["text_hash"] == words_hash(
        step["salt"] or "", step["text"]
    )
    return None if right else "words_altered"


def _plain(value: Any) -> Any:
    """A value as every database gives it back: codes and ids as text, whole numbers without a point."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
