"""How long a sign-in lasts, and what a refresh token that comes back means."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.domain.people import Role

SAME_CODE = timedelta(seconds=60)
"""How long the same login code finds the same session: a lost answer may be asked for again (wechat.md §3.1)."""
GRACE = timedelta(seconds=60)
"""How long a refresh token that was used may be used again: parallel calls race (wechat.md §3.1)."""

RESIDENT_LASTS = timedelta(days=30)
WORKER_LASTS = timedelta(days=30)
ADMIN_LASTS = timedelta(hours=12)

ADMIN_ROLES = frozenset({Role.ADMIN})
"""Who sets things for everybody: their sign-in ends with the working day (wechat.md §3.1: 8 to 12 h)."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a session is renewed.

    Args:
        lasts: life of a refresh token that nobody uses.
        ends: how long after the sign-in the session ends whatever happens; None is never.
        device_bound: only the device that signed in may renew it.
    """

    lasts: timedelta
    ends: timedelta | None = None
    device_bound: bool = False

    def until(self, begun: datetime, at: datetime) -> datetime:
        """When a refresh token made at an instant runs out, for a session that began at another one."""
        return self.within(begun, at + self.lasts)

    def within(self, begun: datetime, until: datetime) -> datetime:
        """The end of a token that would run until an instant: nothing outlives its session."""
        return until if self.ends is None else min(until, begun + self.ends)


def renewal(roles: Collection[Role]) -> Renewal:
    """The rule for somebody who holds these roles now; the strictest one counts (wechat.md §3.1)."""
    if ADMIN_ROLES & set(roles):
        return Renewal(ADMIN_LASTS, ends=ADMIN_LASTS)
    if set(roles) - {Role.RESIDENT, Role.AGENT}:
        return Renewal(WORKER_LASTS, device_bound=True)
    return Renewal(RESIDENT_LASTS)


def reused(used_at: datetime | None, *, at: datetime) -> bool:
    """Whether a refresh token that is shown was used longer ago than ``GRACE``: it was copied, and its family ends."""
    return used_at is not None and at >= used_at + GRACE
