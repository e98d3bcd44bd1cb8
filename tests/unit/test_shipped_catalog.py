"""The catalogue that ships, and the arithmetic of limits."""

import pytest
from jsonschema import Draft202012Validator

from dispatch.catalog.actions import shipped
from dispatch.domain.catalog import (
    CLOCKS,
    KINDS,
    Limit,
    Unit,
    Urgency,
    read_flags,
    read_limit,
    read_limits,
    scaled,
    write_limits,
)
from dispatch.domain.order import EDGES_IN_ORDER, Ask, Move

ITEMS = {item["code"]: item for category in shipped()["categories"] for item in category["items"]}


def test_there_are_12_categories_and_82_items():
    per_category = {category["code"]: len(category["items"]) for category in shipped()["categories"]}

    assert per_category == {
        "01": 11,
        "02": 8,
        "03": 6,
        "04": 5,
        "05": 5,
        "06": 7,
        "07": 13,
        "08": 7,
        "09": 6,
        "10": 4,
        "11": 5,
        "12": 5,
    }
    assert len(ITEMS) == 82
    assert all(
        code.startswith(category["code"]) for category in shipped()["categories"] for code in _codes(category)
    )


def _codes(category):
    return [item["code"] for item in category["items"]]


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_every_item_is_well_formed(item):
    assert item["kind"] in KINDS
    assert item["urgency"] in set(Urgency)
    assert write_limits(read_limits(item["limits"])) == item["limits"]
    assert [flag.value for flag in read_flags(item["flags"])] == item["flags"]
    assert len(item["name"]) <= 64
    assert len(item.get("stop_message", "")) <= 256


@pytest.mark.parametrize(
    ("code", "limits", "flags"),
    [
        ("0102", "24h 24h 24h appointment", "sensitive"),
        ("0103", "2h 4h 4h 24h", "sensitive"),
        ("0111", "0.5h 0.5h 0.5h 2h", "staff_only"),
        ("0207", "- - - planned", ""),
        ("0501", "24h 3d 48h planned", "sensitive two_people minors"),
        ("0605", "3d 15d 7d 30d", ""),
        ("0701", "4wh 1wd 1wd 2wd", "sensitive"),
        ("0802", "4wh 4wh - 1wd", ""),
        ("0805", "24h 24h 1wd 5wd", "about_person whistle"),
        ("0903", "0.5h - - -", ""),
        ("0905", "1h 1h 2h 15wd", ""),
        ("1004", "24h 2wd 2wd -", ""),
        ("1204", "24h - 1wd 5wd", ""),
    ],
)
def test_the_table_is_kept_as_it_was_researched(code, limits, flags):
    told = [
        "-" if limit is None else f"{limit.get('amount', '')}{limit['unit']}"
        for limit in (ITEMS[code]["limits"][clock] for clock in CLOCKS)
    ]

    assert " ".join(told) == limits
    assert " ".join(ITEMS[code]["flags"]) == flags


def test_whoever_has_an_emergency_is_told_first_whom_to_call():
    for item in ITEMS.values():
        assert ("stop_message" in item) == (item["urgency"] == "U1")
        for number in ("110", "119", "120") if item["urgency"] == "U1" else ():
            assert number in item["stop_message"]


def test_a_form_can_be_left_empty_because_most_orders_come_by_phone():
    forms = [item["form"] for item in ITEMS.values() if "form" in item]

    assert forms
    for form in forms:
        Draft202012Validator.check_schema(form)
        assert Draft202012Validator(form).is_valid({})
        assert not Draft202012Validator(form).is_valid({"neither": "known"})


def test_16_things_can_be_offered_and_each_answers_known_items():
    offers = shipped()["checkin_items"]

    assert len({offer["code"] for offer in offers}) == 16
    for offer in offers:
        assert offer["item_codes"]
        assert set(offer["item_codes"]) <= ITEMS.keys()


def test_every_act_that_takes_a_reason_has_reasons_to_choose_from():
    reasons = shipped()["reasons"]
    needing = {edge.move.value for edge in EDGES_IN_ORDER if "reason_code" in edge.needs}

    assert needing | {Move.DECLINE.value} | {ask.value for ask in Ask} == reasons.keys()
    for act, listed in reasons.items():
        codes = [reason["code"] for reason in listed]
        assert len(codes) == len(set(codes)), act
        assert codes[-1] == "other"


def test_the_reasons_that_the_rules_give_themselves_are_in_the_list():
    codes = {act: {reason["code"] for reason in listed} for act, listed in shipped()["reasons"].items()}

    assert {"no_answer", "no_longer_needed", "duplicate", "solved_otherwise"} <= codes["cancel"]
    assert "unhappy" in codes["reopen"] & codes["redo"]
    assert "unavailable" in codes["release"]


@pytest.mark.parametrize(
    "wire",
    [
        {"unit": "h"},
        {"unit": "h", "amount": 0},
        {"unit": "h", "amount": -1},
        {"unit": "h", "amount": True},
        {"unit": "h", "amount": "24"},
        {"unit": "h", "amount": float("nan")},
        {"unit": "h", "amount": float("inf")},
        {"unit": "month", "amount": 1},
        {"unit": "planned", "amount": 1},
        {"amount": 1},
        {"unit": "h", "amount": 1, "of": "work"},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(wire):
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        read_limit(wire)


def test_an_item_limits_every_clock_or_says_that_it_does_not():
    with pytest.raises(ValueError, match="dispatch"):
        read_limits({"dispatch": None, "take": None, "contact": None})


def test_a_flag_outside_the_closed_set_is_refused():
    with pytest.raises(ValueError, match="urgent"):
        read_flags(["sensitive", "urgent"])


def test_one_step_up_halves_and_one_step_down_doubles():
    limits = {
        "dispatch": Limit(Unit.HOURS, 24),
        "take": Limit(Unit.WORKING_DAYS, 1),
        "contact": None,
        "finish": Limit(Unit.APPOINTMENT),
    }

    up = scaled(limits, Urgency.U3, Urgency.U2)
    down = scaled(limits, Urgency.U3, Urgency.U4)

    assert up == {**limits, "dispatch": Limit(Unit.HOURS, 12), "take": Limit(Unit.WORKING_DAYS, 0.5)}
    assert down == {**limits, "dispatch": Limit(Unit.HOURS, 48), "take": Limit(Unit.WORKING_DAYS, 2)}
    assert scaled(limits, Urgency.U3, Urgency.U3) == limits
    assert scaled(up, Urgency.U2, Urgency.U3) == limits
