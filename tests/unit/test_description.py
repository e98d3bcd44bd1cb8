"""What the description promises to those who build on it: examples, bounds, refusals, chapters, words."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dispatch.domain.order import SYSTEM_MOVES, Move
from dispatch.domain.refusal import wrong
from dispatch.web.messages import LABELS
from dispatch.web.problems import sentence
from tests.described import document

JSON = "application/json"
Operation = dict[str, Any]


def operations() -> Iterator[tuple[str, str, Operation]]:
    for path, found in document()["paths"].items():
        for method, operation in found.items():
            yield method, path, operation


OPERATIONS = {f"{method} {path}": operation for method, path, operation in operations()}
BODIES = [
    name
    for name, operation in OPERATIONS.items()
    if JSON in operation.get("requestBody", {}).get("content", {})
]
KEY = {"IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED"}


def codes(operation: Operation) -> set[str]:
    refused = (answer for status, answer in operation["responses"].items() if status >= "400")
    return {code for answer in refused for code in answer["description"].split(", ")}


def resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema and of all that it refers to, by name."""
    ahead, seen = [schema], set[str]()
    while ahead:
        part = ahead.pop()
        if reference := part.get("$ref"):
            name = reference.rpartition("/")[2]
            ahead += [] if name in seen else [schemas[name]]
            seen.add(name)
        for name, field in part.get("properties", {}).items():
            yield name, field
            ahead.append(field)
        ahead += [*part.get("anyOf", ()), *part.get("oneOf", ()), *filter(None, [part.get("items")])]


def whole(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator by which an answer may hold no field that its schema does not know."""
    schemas = deepcopy(document()["components"]["schemas"])
    for known in schemas.values():
        if "properties" in known:
            known["additionalProperties"] = False
    shape = {**schema, "components": {"schemas": schemas}}
    return Draft202012Validator(shape, format_checker=Draft202012Validator.FORMAT_CHECKER)


def chinese(text: str) -> bool:
    return re.search("[一-鿿]", text) is not None


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_good_answer_has_an_example_that_is_whole_and_of_its_shape(name: str):
    good = {s: a for s, a in OPERATIONS[name]["responses"].items() if s < "300"}
    assert len(good) == 1
    for status, answer in good.items():
        if status == "204" or JSON not in answer["content"]:  # nothing, or a file
            continue
        content = answer["content"][JSON]
        (shown,) = content["examples"].values()
        example = document()["components"]["examples"][shown["$ref"].rpartition("/")[2]]["value"]
        errors = [error.message for error in whole(content["schema"]).iter_errors(example)]
        assert errors == [], "src/dispatch/web/examples.json"


@pytest.mark.parametrize("name", BODIES)
def test_every_body_has_an_example_that_passes_and_says_something_real(name: str):
    content = OPERATIONS[name]["requestBody"]["content"][JSON]
    assert list(whole(content["schema"]).iter_errors(content["example"])) == []
    said = [value for value in content["example"].values() if isinstance(value, str)]
    assert "string" not in said
    assert "additionalProp1" not in str(content)


def test_bounds_are_told_in_the_words_of_json_schema():
    def keys(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from part
            for value in part.values():
                yield from keys(value)
        elif isinstance(part, list):
            for value in part:
                yield from keys(value)

    assert set(keys(document()["paths"])) & {"ge", "gt", "le", "lt", "min_length", "max_length"} == set()
    limits = [
        parameter["schema"]
        for operation in OPERATIONS.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "limit"
    ]
    assert len(limits) >= 3
    assert {(limit["minimum"], limit["maximum"], limit["default"]) for limit in limits} == {(1, 50, 20)}


def test_filing_asks_for_a_key_and_nothing_else_does():
    asking = {
        name
        for name, operation in OPERATIONS.items()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "idempotency-key" and parameter["required"]
    }
    assert asking == {"post /v1/orders"}
    assert "IDEMPOTENCY_KEY_REQUIRED" in codes(OPERATIONS["post /v1/orders"])


@pytest.mark.parametrize("move", [move for move in Move if move not in SYSTEM_MOVES and move != Move.SUBMIT])
def test_every_move_tells_what_it_may_refuse(move: Move):
    told = codes(OPERATIONS[f"post /v1/orders/{{order_id}}/{move}"])
    assert told >= {"ORDER_NOT_FOUND", "ORDER_MOVED", "ROLE_FORBIDDEN", "VALIDATION_FAILED", *KEY}
    assert ("CHANGED_MEANWHILE" in told) == (move not in (Move.TAKE, Move.RATE))


def test_taking_tells_each_way_to_lose():
    told = codes(OPERATIONS["post /v1/orders/{order_id}/take"])
    assert told >= {"SLOT_TAKEN", "ORDER_CLOSED", "NOT_ELIGIBLE", "ORDER_MOVED", *KEY}


def test_chapters_are_told_and_none_is_empty():
    told = {tag["name"]: tag["description"] for tag in document()["tags"]}
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == set(told)
    assert all(chinese(words) for words in told.values())


def test_every_operation_is_called_by_its_own_chinese_name():
    names = [operation["summary"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert [name for name in names if not chinese(name) or len(name) > 40] == []


def test_every_field_and_parameter_that_can_be_wrong_has_a_chinese_name():
    schemas = document()["components"]["schemas"]
    names = {
        name
        for body in BODIES
        for name, _ in resolved(OPERATIONS[body]["requestBody"]["content"][JSON]["schema"], schemas)
    }
    names |= {parameter["name"] for o in OPERATIONS.values() for parameter in o.get("parameters", ())}
    assert len(names) > 60
    assert sorted(name for name in names if not chinese(LABELS.get(name, ""))) == []


def test_an_error_is_named_by_its_field_even_within_an_answer():
    def said(field: str, code: str = "INVALID") -> str:
        return sentence(wrong(field, "填写不正确", code))

    assert said("hide_name") == "是否匿名：填写不正确。"
    assert said("answers.kilos.[key]") == "补充问题：填写不正确。"
    assert said("targets.id") == "编号：填写不正确。"
    assert said("colour", "UNKNOWN_FIELD") == "colour：填写不正确。"
