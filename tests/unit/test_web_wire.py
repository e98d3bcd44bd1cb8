"""What passes over the wire and what it becomes."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from dispatch.web.wire import (
    Body,
    Code,
    DateIn,
    IdIn,
    InstantIn,
    InstantOut,
    Location,
    PersonName,
    Phone,
    ShortText,
    Text,
    TextRule,
    Wire,
)


def error_of(model: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(value)
    return caught.value.errors()[0]["type"]


def read(model: Any, value: Any) -> Any:
    return TypeAdapter(model).validate_python(value)


class Colour(StrEnum):
    RED = "red"


class Inner(Body):
    count: int


class Everything(Body):
    count: int = 0
    ratio: float = 0.0
    yes: bool = False
    words: str = ""
    at: AwareDatetime | None = None
    day: date | None = None
    span: timedelta | None = None
    id: UUID | None = None
    colour: Colour | None = None
    choice: Literal["a", "b"] = "a"
    inner: Inner | None = None
    inners: list[Inner] = []
    numbers: dict[str, int] = {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", "1"),
        ("count", True),
        ("count", 1.5),
        ("ratio", "1"),
        ("ratio", float("nan")),
        ("ratio", float("inf")),
        ("yes", 1),
        ("yes", "true"),
        ("words", 1),
        ("at", 0),
        ("at", 1.5),
        ("at", "1700000000"),
        ("at", "2026-11-22T09:30:00"),
        ("day", 0),
        ("day", "0"),
        ("span", 3),
        ("span", "3"),
        ("id", 1),
        ("colour", "blue"),
        ("choice", "c"),
        ("inner", {"count": "1"}),
        ("inner", {"count": 1, "more": 1}),
        ("inners", [{"count": "1"}]),
        ("inners", {"count": 1}),
        ("numbers", {"a": "1"}),
        ("unknown", 1),
    ],
)
def test_a_body_converts_nothing_and_knows_its_fields(field, value):
    with pytest.raises(ValidationError):
        Everything.model_validate({field: value})


def test_a_body_takes_what_json_has_no_type_for_as_text():
    body = Everything.model_validate(
        {
            "count": 1,
            "ratio": 1,
            "yes": True,
            "words": " 三楼 ",
            "at": "2026-11-22T09:30:00+08:00",
            "day": "2026-11-22",
            "span": "PT3M",
            "id": "0190a3c4-0000-7000-8000-000000000001",
            "colour": "red",
            "choice": "b",
            "inner": {"count": 1},
            "inners": [{"count": 2}],
            "numbers": {"a": 1},
        }
    )

    assert body.words == "三楼"
    assert body.at == datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
    assert body.day == date(2026, 11, 22)
    assert body.colour is Colour.RED
    assert body.inners == [Inner(count=2)]
    assert Everything.model_json_schema()["properties"]["count"]["type"] == "integer"


def test_text_is_made_uniform():
    assert read(Text, "  一\r\n二\u2028三\ufeff ") == "一\n二\n三"
    assert read(Text, "e\u0301") == "é"
    assert read(Text, "\u202eabc\u2066") == "abc"
    assert read(Text, "👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"
    assert read(Text, "a\tb") == "a\tb"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", "string_too_short"),
        (" \u200b\u3000 ", "string_too_short"),
        ("字" * 2001, "string_too_long"),
        ("a\x00b", "control_characters"),
        ("a\x1bb", "control_characters"),
        ("a\x85b", "control_characters"),
        ("\ud800", "string_unicode"),
        (1, "string_type"),
        (None, "string_type"),
    ],
)
def test_text_that_is_none_is_refused(value, kind):
    assert error_of(Text, value) == kind


def test_length_is_counted_in_code_points_of_what_is_kept():
    assert read(Text, "𬱖" * 2000) == "𬱖" * 2000
    assert read(Annotated[str, TextRule(0, 2)], " ab ") == "ab"
    assert error_of(ShortText, "a\nb") == "line_break"
    schema = TypeAdapter(Text).json_schema()
    assert (schema["minLength"], schema["maxLength"]) == (1, 2000)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("13800001111", "13800001111"),
        (" 138 0000 1111 ", "13800001111"),
        ("138-0000-1111", "13800001111"),
        ("１３８００００１１１１", "13800001111"),
        ("+86 138 0000 1111", "13800001111"),
        ("+86-13800001111", "13800001111"),
        ("008613800001111", "13800001111"),
        ("8613800001111", "13800001111"),
        ("（0731）82345678", "0731-82345678"),
        ("0731-82345678", "0731-82345678"),
        ("073182345678", "0731-82345678"),
        ("010 6234 5678", "010-62345678"),
        ("0795-2345678", "0795-2345678"),
        ("010-62345678-1234", "010-62345678-1234"),
        ("0731-82345678转12", "0731-82345678-12"),
        ("010—62345678", "010-62345678"),
        ("+86 731 8234 5678", "0731-82345678"),
        ("+86-10-62345678", "010-62345678"),
        ("12345", "12345"),
        ("82345678", "82345678"),
        ("8234-5678", "82345678"),
        ("96118", "96118"),
    ],
)
def test_phones_are_kept_in_one_form(said, kept):
    assert read(Phone, said) == kept
    assert read(Phone, kept) == kept


@pytest.mark.parametrize(
    "said",
    [
        "",
        "110",
        "12800001111",
        "138000011112",
        "+852 1234 5678",
        "abc",
        "1380000111a",
        "0000000",
        "１",
        "0" * 90,
    ],
)
def test_what_is_no_phone_is_refused(said):
    assert error_of(Phone, said) == "phone_invalid"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("王芳", "王芳"),
        ("丁", "丁"),
        ("𬱖㛃", "𬱖㛃"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽・买买提", "阿依古丽·买买提"),
        ("阿依古丽 . 买买提", "阿依古丽 . 买买提"),
        ("阿依古丽.买买提", "阿依古丽·买买提"),
        ("阿依古丽 · 买买提", "阿依古丽·买买提"),
        ("John  R. Smith", "John R. Smith"),
        ("王阿姨(3楼)", "王阿姨(3楼)"),
        ("a" * 50, "a" * 50),
    ],
)
def test_names_keep_every_sign_and_have_one_separator(said, kept):
    assert read(PersonName, said) == kept


@pytest.mark.parametrize("said", ["", " ", "·", "123", "a" * 51, "王\n芳", "王\x00芳"])
def test_what_is_no_name_is_refused(said):
    with pytest.raises(ValidationError):
        read(PersonName, said)


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-22T09:30:00.1239+08:00",
        "2026-11-22T01:30:00.123Z",
        "2026-11-22 09:30:00.123456789+08:00",
        "2026-11-22T09:30:00.123 08:00",
    ],
)
def test_an_instant_becomes_utc_in_milliseconds(said):
    at = read(InstantIn, said)

    assert at == datetime(2026, 11, 22, 1, 30, 0, 123000, tzinfo=UTC)
    assert at.tzinfo is UTC


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-22T09:30:00",
        "2026-11-22",
        "1700000000",
        1700000000,
        0,
        "now",
        "",
        None,
        "2026-13-22T09:30:00Z",
        "2026-11-22T25:30:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "２０２６-11-22T09:30:00Z",
    ],
)
def test_what_is_no_instant_is_refused(said):
    with pytest.raises(ValidationError):
        read(InstantIn, said)


def test_an_instant_goes_out_in_its_zone_with_milliseconds():
    class Out(Wire):
        at: InstantOut

    out = Out(at=datetime(2026, 11, 22, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai")))

    assert out.model_dump_json() == '{"at":"2026-11-22T09:30:00.000+08:00"}'
    assert Out.model_json_schema(mode="serialization")["properties"]["at"]["format"] == "date-time"


def test_dates_are_dates():
    assert read(DateIn, "2026-11-22") == date(2026, 11, 22)
    for wrong in ("2026-02-30", "20261122", 0, "2026-11-22T00:00:00Z", None):
        with pytest.raises(ValidationError):
            read(DateIn, wrong)


def test_ids_have_one_written_form():
    assert read(IdIn, "0190A3C4-0000-7000-8000-000000000001") == UUID("0190a3c4-0000-7000-8000-000000000001")
    for wrong in (
        "urn:uuid:0190a3c4-0000-7000-8000-000000000001",
        "0190a3c4000070008000000000000001",
        1,
        "x",
        None,
    ):
        assert error_of(IdIn, wrong) == "uuid_parsing"


def test_codes_are_plain_words():
    assert read(Code, "repair.light-1") == "repair.light-1"
    for wrong in ("", "灯", "a b", "-a", "a" * 65):
        with pytest.raises(ValidationError):
            read(Code, wrong)


def test_a_location_knows_its_grid():
    assert Location(lng=116.41, lat=39.91, crs="gcj02").crs == "gcj02"
    for wrong in (
        {"lng": 181},
        {"lat": -91},
        {"crs": "bd09"},
        {"lng": "116"},
        {"lat": float("nan")},
        {"z": 1},
    ):
        with pytest.raises(ValidationError):
            Location.model_validate({"lng": 116.4, "lat": 39.9, "crs": "wgs84", **wrong})


def test_what_goes_out_is_read_from_rows_by_their_attributes():
    class Row:
        number = "D20261122-000001"

    class Out(Wire):
        number: str

    assert Out.model_validate(Row()).number == "D20261122-000001"
    assert issubclass(Out, BaseModel)
