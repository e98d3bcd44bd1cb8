"""Which policy wins, and which are refused."""

from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.catalog import CLOCKS, Limit, Unit, Urgency
from dispatch.domain.policy import (
    FIXED,
    STAGES,
    Case,
    Policies,
    Policy,
    PolicyInvalid,
    check,
    choose,
    read_policy,
    write_policy,
)

DISTRICT, STREET, COMMUNITY, ELSEWHERE = (UUID(int=number) for number in range(1, 5))
H = Unit.HOURS
LIMITS = {"dispatch": Limit(H, 24), "take": Limit(H, 12), "contact": None, "finish": Limit(Unit.APPOINTMENT)}


def case(wanted: Urgency = Urgency.U3) -> Case:
    return Case("0102", LIMITS, Urgency.U3, wanted, (DISTRICT, STREET, COMMUNITY))


def policy(code: str, amount: float = 1, stage: str = "dispatch", **conditions) -> Policy:
    return Policy(code, f"名{code}", {stage: Limit(H, amount)}, **conditions)


def test_without_policies_the_item_and_the_defaults_hold():
    chosen = choose(Policies(0), case())
    assert {stage: c.limit for stage, c in chosen.items()} == {"accept": Limit(H, 12), **LIMITS, **FIXED}
    assert set(chosen) == set(STAGES)
    assert {stage: c.source for stage, c in chosen.items()} == {
        "accept": "item",
        **dict.fromkeys(CLOCKS, "item"),
        **dict.fromkeys(FIXED, "default"),
    }
    assert chosen["finish"].reason == "事项时限"


def test_another_urgency_scales_what_the_item_gives_and_no_fixed_limit():
    chosen = choose(Policies(0), case(Urgency.U2))
    assert chosen["dispatch"].limit == Limit(H, 12)
    assert chosen["accept"].limit == Limit(H, 6)
    assert chosen["finish"].limit == Limit(Unit.APPOINTMENT)
    assert chosen["level"].limit == FIXED["level"]
    assert "换算" in chosen["dispatch"].reason
    table = dict.fromkeys(range(-3, 4), 1.0) | {-1: 0.25}
    assert choose(Policies(1, (), table), case(Urgency.U2))["dispatch"].limit == Limit(H, 6)


RANKED = [
    policy("item-place-urgency", item_code="0102", place_id=COMMUNITY, urgency=Urgency.U3),
    policy("item-near", item_code="0102", place_id=COMMUNITY),
    policy("item-far", item_code="0102", place_id=DISTRICT),
    policy("item-urgency", item_code="0102", urgency=Urgency.U3),
    policy("item", item_code="0102"),
    policy("near-urgency", place_id=COMMUNITY, urgency=Urgency.U3),
    policy("near", place_id=COMMUNITY),
    policy("far", place_id=DISTRICT),
    policy("urgency", urgency=Urgency.U3),
]


@pytest.mark.parametrize("first", range(len(RANKED)))
def test_the_most_specific_wins_in_whatever_order_they_stand(first):  # 21
    field = RANKED[first:]
    for order in list(permutations(field[:3])):
        chosen = choose(Policies(1, (*field[3:], *order)), case())["dispatch"]
        assert chosen.source == RANKED[first].code
        assert RANKED[first].name in chosen.reason


@given(st.permutations(RANKED))
def test_the_choice_does_not_depend_on_the_order(order):  # 21
    assert choose(Policies(1, tuple(order)), case()) == choose(Policies(1, tuple(RANKED)), case())


@pytest.mark.parametrize(
    "stranger",
    [
        policy("x", item_code="0103"),
        policy("x", place_id=ELSEWHERE),
        policy("x", urgency=Urgency.U1),
        policy("x", item_code="0102", place_id=ELSEWHERE),
    ],
)
def test_what_asks_for_something_else_does_not_count(stranger):  # 21
    assert choose(Policies(1, (stranger,)), case())["dispatch"].source == "item"


def test_each_stage_has_its_own_winner():
    rules = (
        policy("dispatch", 2, item_code="0102"),
        policy("take", 3, "take", place_id=STREET),
        Policy("review", "复核", {"review": Limit(Unit.WORKING_DAYS, 5)}, urgency=Urgency.U3),
    )
    chosen = choose(Policies(1, rules), case())
    assert {stage: chosen[stage].source for stage in ("dispatch", "take", "review", "contact", "level")} == {
        "dispatch": "dispatch",
        "take": "take",
        "review": "review",
        "contact": "item",
        "level": "default",
    }
    assert chosen["accept"].limit == Limit(H, 1), "half of what the policy gives for handing out"
    assert chosen["accept"].source == "dispatch"


def test_a_policy_may_say_that_there_is_no_limit():
    none = Policy("none", "不限", {"take": None}, item_code="0102")
    assert choose(Policies(1, (none,)), case())["take"].limit is None


def test_limits_of_a_policy_scale_unless_it_names_an_urgency():
    without, named = policy("w", 8, item_code="0102"), policy("n", 8, urgency=Urgency.U2)
    assert choose(Policies(1, (without,)), case(Urgency.U2))["dispatch"].limit == Limit(H, 4)
    assert choose(Policies(1, (named,)), case(Urgency.U2))["dispatch"].limit == Limit(H, 8)


def test_no_table_makes_a_limit_longer_than_any_may_be():
    table = dict.fromkeys(range(-3, 4), 16.0)
    months = Policy("m", "月", {"dispatch": Limit(H, 8000)}, item_code="0102")
    assert choose(Policies(1, (months,), table), case(Urgency.U4))["dispatch"].limit == Limit(H, 366 * 24)


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        ([policy("blank")], [(0, "conditions")]),
        ([policy("a", item_code="0102"), policy("a", item_code="0103")], [(1, "code")]),
        ([policy("a", item_code="0102"), policy("b", item_code="0102")], [(1, "conditions")]),
        ([Policy("a", "空", {}, item_code="0102")], [(0, "limits")]),
        ([policy("a", 1, "cooking", item_code="0102")], [(0, "limits")]),
        ([Policy("a", "约", {"accept": Limit(Unit.APPOINTMENT)}, item_code="0102")], [(0, "limits")]),
    ],
)
def test_policies_without_sense_are_refused_by_row(rules, where):  # 21
    with pytest.raises(PolicyInvalid) as refused:
        check(rules)
    assert [(row, field) for row, field, _ in refused.value.problems] == where


def test_policies_are_read_as_they_were_written():
    for rule in RANKED:
        assert read_policy(write_policy(rule)) == rule
    check(RANKED)
