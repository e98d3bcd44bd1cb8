"""Open orders that belong together: groups whose members are linked by likeness, none too large or too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from uuid import UUID

from dispatch.domain.duplicates import LONGEST, Likeness, Report, likeness

LARGEST = 50
"""Orders of one group. A chain of likenesses longer than that says that a word is common, not that a thing is one."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group, the oldest first: the one into which the others would be merged.

    ``score`` and ``why``: of the weakest link that holds it together.
    """

    members: tuple[Report, ...]
    score: float
    why: tuple[str, ...]

    @property
    def households(self) -> int:
        """How many filed them."""
        return len({report.filer_id for report in self.members})


def clusters(
    reports: Sequence[Report], *, largest: int = LARGEST, longest: timedelta = LONGEST
) -> list[Cluster]:
    """Group orders by likeness, the likeliest links first; the largest group first.

    A link that would make a group larger than ``largest``, or span more than ``longest``, is left out. The
    same orders give the same groups, in whatever order they come.
    """
    oldest_first = sorted(reports, key=lambda report: (report.at, report.id))
    links = [
        (one, other, alike)
        for one, other in combinations(oldest_first, 2)
        if (alike := likeness(one, other)) is not None
    ]
    links.sort(key=lambda link: -link[2].score)  # stable: equal scores keep the order of time
    group: dict[UUID, _Group] = {}
    for one, other, alike in links:
        mine, theirs = group.get(one.id) or _Group([one]), group.get(other.id) or _Group([other])
        if mine is theirs:
            continue
        members = [*mine.members, *theirs.members]
        at = [report.at for report in members]
        if len(members) > largest or max(at) - min(at) > longest:
            continue
        joined = _Group(members, alike)
        group.update(dict.fromkeys((report.id for report in members), joined))
    found = {id(each): each for each in group.values()}
    told = [each.told() for each in found.values()]
    return sorted(told, key=lambda each: (-len(each.members), each.members[0].at, each.members[0].id))


@dataclass(slots=True)
class _Group:
    """Members so far, and the link that was added last: the weakest, since the strongest come first."""

    members: list[Report]
    weakest: Likeness | None = None

    def told(self) -> Cluster:
        assert self.weakest is not None
        members = sorted(self.members, key=lambda report: (report.at, report.id))
        return Cluster(tuple(members), self.weakest.score, self.weakest.why)
