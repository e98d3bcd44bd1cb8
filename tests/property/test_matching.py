"""Laws of matching: the fast way agrees with the plain one, conflicts never pass, turns go round."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.domain import matching
from dispatch.domain.conflict import conflicts
from dispatch.domain.explaining import scored
from dispatch.domain.matching import UNTOLD, WHY_NOT, rank, why_not
from dispatch.matching.pool import Pool
from tests.district import AT, Ground, a_member, a_need

seeds = st.integers(0, 2**32)


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_columns_and_single_candidates_agree_on_who_can_and_in_which_order(seed: int):
    dice = Random(seed)
    ground = Ground(dice)
    members = [a_member(dice, ground) for _ in range(60)]
    need = a_need(dice, ground, members, ring_id=ground.root)
    pool = Pool(members)
    assert pool.eligible(need).tolist() == [not why_not(need, one) for one in members]
    plain = rank(need, members)
    rows, values = pool.best(need)
    assert [members[row].id for row in rows] == [one.id for one, _ in plain]
    assert values.tolist() == pytest.approx([value for _, value in plain], abs=0.11)
    few, _ = pool.best(need, limit=3)
    assert few.tolist() == rows[:3].tolist()


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_every_filter_and_every_ring_agree_too(seed: int):
    dice = Random(seed)
    ground = Ground(dice)
    members = [a_member(dice, ground) for _ in range(80)]
    pool = Pool(members)
    for _ in range(5):
        need = a_need(dice, ground, members)
        assert pool.eligible(need).tolist() == [not why_not(need, one) for one in members]


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_leaves_and_the_members_own_limits_agree_too_and_bind(seed: int):
    dice = Random(seed)
    ground = Ground(dice)
    members = []
    for _ in range(80):
        start = AT.date() + timedelta(days=dice.randint(-3, 5))
        leaves = ((start, start + timedelta(days=dice.randint(1, 4))),) if dice.random() < 0.5 else ()
        limits = {"most_a_day": dice.choice((None, 1, 2)), "most_a_week": dice.choice((None, 2, 4))}
        done = {"this_day": dice.randint(0, 2), "this_week": dice.randint(2, 4)}
        members.append(a_member(dice, ground, leaves=leaves, **limits, **done))
    wanted_on = dice.choice((None, AT.date() + timedelta(days=dice.randint(0, 5))))
    need = a_need(dice, ground, members, ring_id=ground.root, wanted_on=wanted_on)
    eligible = Pool(members).eligible(need).tolist()
    assert eligible == [not why_not(need, one) for one in members]
    for one, can in zip(members, eligible, strict=True):
        if can:
            assert not any(start <= day < end for start, end in one.leaves for day in need.days)
            assert one.most_a_day is None or one.this_day < one.most_a_day
            assert one.most_a_week is None or one.this_week < one.most_a_week


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_household_beneficiary_and_those_kept_out_are_never_among_them(seed: int):
    dice = Random(seed)
    ground = Ground(dice)
    members = [a_member(dice, ground) for _ in range(80)]
    need = a_need(dice, ground, members, ring_id=ground.root)
    rows, _ = Pool(members).best(need)
    for one in (members[row] for row in rows):
        assert one.id not in need.concerned.kept | {need.concerned.beneficiary_id}
        assert one.household_id not in need.concerned.households
        assert one.address_key not in need.concerned.address_keys
    for one in members:
        clash = set(conflicts(need.concerned, one.id, one.household_id, one.address_key))
        assert clash <= {UNTOLD, "own_order", "same_household"}
        assert clash <= set(why_not(need, one)) <= set(WHY_NOT)


@given(seeds)
def test_a_value_lies_between_0_and_100_and_is_its_parts_weighted(seed: int):
    dice = Random(seed)
    ground = Ground(dice)
    one = a_member(dice, ground)
    need = a_need(dice, ground, [one])
    told = scored(need, one)
    assert set(told.parts) == set(matching.WEIGHTS)
    assert all(0 <= part <= 1 for part in told.parts.values())
    mean = sum(matching.WEIGHTS[name] * part for name, part in told.parts.items())
    assert told.value == pytest.approx(100 * mean / sum(matching.WEIGHTS.values()), abs=0.051)
    assert told.reasons
    assert all(reason and reason == reason.strip() for reason in told.reasons)


def test_equals_take_turns_a_thousand_orders_among_twenty_are_spread_evenly():
    dice = Random(80)
    ground = Ground(dice, streets=1, communities=1, grids=1)
    like = a_member(
        dice,
        ground,
        state="active",
        offers=frozenset({"errands"}),
        skills=(),
        free=None,
        born_on=None,
        active=0,
        asked=0,
        served=0,
        last_at=0.0,
        household_id=None,
        address_key=None,
        most_a_day=None,
    )
    members = {at: replace(like, id=UUID(int=at), capacity=10_000) for at in range(20)}
    loads: Counter[int] = Counter()
    first_round = []
    for number in range(1000):
        need = replace(
            a_need(dice, ground, []),
            offers=frozenset({"errands"}),
            qualifications=None,
            staff_only=False,
            wanted=None,
            capacity=None,
            member_limit=None,
        )
        rows, _ = Pool(list(members.values())).best(need, limit=1)
        won = int(rows[0])
        loads[won] += 1
        members[won] = replace(members[won], served=members[won].served + 1, last_at=float(number))
        first_round.append(won)
    assert max(loads.values()) - min(loads[at] for at in range(20)) <= 2
    assert first_round[:20] != sorted(first_round[:20]), "a fixed order favours the first for ever"


def test_the_same_question_has_the_same_answer():
    dice = Random(7)
    ground = Ground(dice)
    members = [a_member(dice, ground) for _ in range(200)]
    need = a_need(dice, ground, members)
    forward, backward = Pool(members), Pool(members[::-1])
    names = [members[row].id for row in forward.best(need)[0]]
    assert names == [members[::-1][row].id for row in backward.best(need)[0]]
