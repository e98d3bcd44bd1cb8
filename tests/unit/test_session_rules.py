"""How long a sign-in lasts, and how often one may try."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.people import Role
from dispatch.domain.sessions import GRACE, renewal, reused
from dispatch.domain.throttle import PER_ADDRESS, PER_LOGIN, Throttle

NOON = datetime(2026, 11, 22, 4, tzinfo=UTC)
INSTANTS = st.integers(1_577_836_800_000, 2_208_988_800_000).map(
    lambda ms: datetime.fromtimestamp(ms / 1000, UTC)
)
ROLES = st.sets(st.sampled_from(sorted(set(Role) - {Role.SYSTEM})))


@given(ROLES, ROLES)
def test_one_more_role_never_makes_a_session_longer_or_looser(held: set[Role], more: set[Role]):
    before, after = renewal(held), renewal(held | more)

    assert after.until(NOON, NOON) <= before.until(NOON, NOON)
    if Role.ADMIN not in held | more:
        assert after.device_bound >= before.device_bound


@pytest.mark.parametrize(
    ("roles", "lasts", "bound"),
    [
        (set(), timedelta(days=30), False),
        ({Role.RESIDENT, Role.AGENT}, timedelta(days=30), False),
        ({Role.RESIDENT, Role.MEMBER}, timedelta(days=30), True),
        ({Role.GRID_WORKER}, timedelta(days=30), True),
        ({Role.ADMIN, Role.MEMBER}, timedelta(hours=12), False),
    ],
)
def test_residents_workers_and_admins_have_their_own_rule(roles: set[Role], lasts: timedelta, bound: bool):
    rule = renewal(roles)

    assert (rule.until(NOON, NOON) - NOON, rule.device_bound) == (lasts, bound)
    later = NOON + timedelta(hours=11)
    assert (rule.until(NOON, later) == NOON + lasts) == (Role.ADMIN in roles)


def test_a_refresh_token_is_reused_from_the_end_of_the_grace_on():
    assert not reused(None, at=NOON)
    assert not reused(NOON, at=NOON + GRACE - timedelta(milliseconds=1))
    assert reused(NOON, at=NOON + GRACE)


@given(INSTANTS, st.sampled_from([PER_LOGIN, PER_ADDRESS]))
def test_after_the_wait_another_window_has_begun_and_not_before(at: datetime, throttle: Throttle):
    wait = throttle.wait(at)

    assert 1 <= wait <= throttle.window.total_seconds()
    then = at.replace(microsecond=0) + timedelta(seconds=wait)
    assert throttle.number(then) == throttle.number(at) + 1
    assert throttle.number(then - timedelta(seconds=1)) == throttle.number(at)
