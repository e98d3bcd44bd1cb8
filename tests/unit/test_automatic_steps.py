"""What is tried next, as a table."""

from datetime import timedelta

import pytest

from dispatch.domain.automatic import Step, next_step
from dispatch.domain.matchrule import Rule, rule_for
from tests.district import AT, Ground, Random, a_need

DICE = Random(1)
NEED = a_need(DICE, Ground(DICE), [], staff_only=False, at=AT)
RULE = Rule(unit_seconds=100, staff_seconds=200)


@pytest.mark.parametrize(
    ("people", "unit", "staff", "opened", "waited", "step"),
    [
        (True, True, True, True, 999, Step.OFFER),
        (False, True, True, False, 999, Step.OPEN),
        (False, True, True, True, 0, Step.WAIT),
        (False, True, True, True, 99, Step.WAIT),
        (False, True, True, True, 100, Step.UNIT),
        (False, False, True, True, 100, Step.WAIT),
        (False, False, True, True, 200, Step.STAFF),
        (False, False, False, True, 999, Step.WAIT),
    ],
)
def test_people_then_everyone_then_a_unit_then_staff(people, unit, staff, opened, waited, step):
    told = next_step(
        NEED, RULE, people=people, unit=unit, staff=staff, opened=opened, waited=timedelta(seconds=waited)
    )
    assert told is step


@pytest.mark.parametrize("urgent", [True, False])
def test_what_cannot_wait_goes_to_a_unit_or_staff_at_once(urgent: bool):
    from dataclasses import replace

    need = replace(NEED, urgency="U1") if urgent else replace(NEED, staff_only=True)
    common = {"people": False, "opened": False, "waited": timedelta(0)}
    assert next_step(need, RULE, unit=True, staff=True, **common) is Step.UNIT
    assert next_step(need, RULE, unit=False, staff=True, **common) is Step.STAFF
    assert next_step(need, RULE, unit=False, staff=False, **common) is Step.WAIT


def test_a_rule_falls_back_field_by_field():
    rows = {
        "*": {"auto": True, "capacity": 5, "weights": {"free": 1.0}, "qualifications": None},
        "0201": {"auto": None, "capacity": 2, "weights": None, "qualifications": None},
    }
    own = rule_for("0201", rows)
    assert (own.auto, own.capacity, own.weights["free"], own.weights["item"]) == (True, 2, 1.0, 25)
    assert own.qualifications == {"electrician"}
    assert rule_for("0102", rows).capacity == 5
    assert rule_for("0102", {}) == Rule(item_code="0102")
    assert not rule_for("0102", {}).auto
