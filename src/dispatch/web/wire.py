"""Shapes on the wire: the two base models, and the types of text, phone, name, instant, id and location.

Input is read as meant and not as could be: a number is no text, a text is no number, nothing unknown passes.
What people type is made uniform here (NFC, digits, separators): the rest of the code meets one form of it.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dispatch.domain.calendar import EARLIEST_YEAR, LATEST_YEAR

STRICT_TYPES = frozenset({"bool", "int", "float", "str"})
FROM_TEXT_ONLY = frozenset({"datetime", "date", "time", "timedelta"})


def _make_strict(node: Any) -> None:
    """Walk a core schema: scalars become strict, instants and dates take text only. Safe to repeat."""
    if isinstance(node, list | tuple):
        for each in node:
            _make_strict(each)
        return
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind in STRICT_TYPES:
        node["strict"] = True
    elif kind in FROM_TEXT_ONLY:
        inner = dict(node)
        node.clear()
        node.update(core_schema.no_info_before_validator_function(_text_only, inner))
        return
    elif kind == "function-before" and node.get("function", {}).get("function") is _text_only:
        return
    for name, value in node.items():
        if name not in {"metadata", "serialization", "default", "cls", "config", "ref"}:
            _make_strict(value)


def _text_only(value: object) -> object:
    if isinstance(value, str) and _ISO.match(value.strip()):
        return value
    raise PydanticCustomError("instant_invalid", "应为带时区的时间，如 2026-11-22T09:30:00+08:00")


_ISO = re.compile(r"P|-P|\d{4}-\d{2}-\d{2}|\d{2}:\d{2}")


def example(**fields: Any) -> dict[str, Any]:
    """A body's JSON Schema with an example that passes as it stands: ``class TextIn(Body, json_schema_extra=…)``.

    Optional ids are left out of it, so that it can be tried at ``/docs``; for ids that are needed stand some
    that look like ids.
    """
    return {"examples": [fields]}


class Body(BaseModel):
    """Base of everything that clients send: unknown fields are refused, and nothing is converted.

    Pydantic's strict mode would refuse ids, instants and enums too, because FastAPI hands over parsed JSON.
    """

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_strict(schema)
        return schema


class Wire(BaseModel):
    """Base of everything that we send; made from rows and other objects by their attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


# Text

_DIRECTION = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_ENDS = re.compile("\r\n|\r|\u2028|\u2029")
_EDGES = " \t\n\r\u00a0\u3000\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True, slots=True)
class TextRule:
    """What a text must be; use inside ``Annotated[str, TextRule(…)]``.

    The text is NFC, has a line feed for every line end, no blanks or invisible signs at its edges and no
    signs that turn the direction of writing. Control signs other than tab and line feed are refused.

    Args:
        shortest, longest: in code points, of the text as it is kept.
        lines: whether it may have line ends.
    """

    shortest: int = 1
    longest: int = 2000
    lines: bool = True

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(strict=True, min_length=self.shortest, max_length=self.longest)
        return core_schema.no_info_before_validator_function(self.tidy, text)

    def tidy(self, value: object) -> object:
        """The text in the form in which it is kept; what is no text stays as it is."""
        if not isinstance(value, str):
            return value
        text = unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", value)).translate(_DIRECTION).strip(_EDGES)
        if _CONTROL.search(text):
            raise PydanticCustomError("control_characters", "含有不能使用的控制字符")
        if not self.lines and ("\n" in text or "\t" in text):
            raise PydanticCustomError("line_break", "不能换行")
        return text


Text = Annotated[str, TextRule(1, 2000)]
"""What people tell: 1 to 2000 code points."""
ShortText = Annotated[str, TextRule(1, 200, lines=False)]
"""One line of 1 to 200 code points: an address, a relation."""
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]
"""A stable word of ours: an item, a reason."""


# Answers to a form

MOST_ANSWERS = 200
"""Values in all the answers to one form: ten times the longest form of the default catalogue."""
DEEPEST_ANSWER = 4
"""Lists and groups within each other."""
LARGEST_NUMBER = 2**53 - 1  # what JavaScript and a double hold exactly

_ANSWER = TextRule(0, 2000)


def _answers(given: dict[str, Any]) -> dict[str, Any]:
    """Free JSON held to the rules of all other input: its texts are texts, its numbers exact, its size bounded."""
    seen = 0

    def tidy(value: Any, depth: int) -> Any:
        nonlocal seen
        seen += 1
        if depth > DEEPEST_ANSWER or seen > MOST_ANSWERS:
            raise PydanticCustomError("answers_too_many", "答案太多或层次太深")
        if isinstance(value, dict):
            return {_tidied(name): tidy(each, depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            return [tidy(each, depth + 1) for each in value]
        if isinstance(value, str):
            return _tidied(value)
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            raise PydanticCustomError("answers_number", "数字超出范围")
        return value

    tidied: dict[str, Any] = tidy(given, 0)
    return tidied


def _tidied(text: str) -> str:
    kept = _ANSWER.tidy(text)
    assert isinstance(kept, str)
    if len(kept) > _ANSWER.longest:
        raise PydanticCustomError(
            "string_too_long", "最多 {max_length} 个字", {"max_length": _ANSWER.longest}
        )
    try:
        kept.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no database keeps it
        raise PydanticCustomError("string_unicode", "含有无法识别的字符") from None
    return kept


Answers = Annotated[dict[str, Any], AfterValidator(_answers)]
"""Answers to an item's form; which are wanted, the form's JSON Schema says."""


# Phones and names

LONGEST_SAID = 200  # before blanks are taken out

_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_LANDLINE = re.compile(r"(010|02[0-9]|0[3-9][0-9]{2})([2-9][0-9]{6,7})(?:-([0-9]{1,6}))?")
_SHORT = re.compile(r"[1-9][0-9]{4,7}")
_EXTENSION = re.compile(r"(?:转|轉|ext\.?|[xX#,])(?=[0-9]{1,6}$)")


def normal_phone(said: str) -> str:
    """The one form in which a phone number is kept.

    A mobile is 11 digits, a landline ``0731-82345678`` with ``-123`` for an extension, a short number its
    digits. Full-width digits, blanks, dashes, brackets, ``+86`` and ``0086`` are read over. Elders often have
    only a landline, offices a short number.

    Raises:
        ValueError: none of the three.
    """
    if len(said) > LONGEST_SAID:
        raise ValueError("too long for a phone number")
    text = unicodedata.normalize("NFKC", said).translate(_DIRECTION).strip(_EDGES)
    text = re.sub(r"[\s\u200b\u2060\ufeff()]", "", re.sub(r"[\u2010-\u2015\u2212]", "-", text))
    text = _EXTENSION.sub("-", text)
    text, _, extension = text.rpartition("-") if re.search(r"[0-9]{7}-[0-9]{1,6}$", text) else (text, "", "")
    text = text.replace("-", "")
    if match := re.fullmatch(r"(?:\+|00)86([0-9]+)|86(1[3-9][0-9]{9})", text):
        text = match[1] or match[2]
        if not text.startswith("0") and not _MOBILE.fullmatch(text):
            text = f"0{text}"
    if _MOBILE.fullmatch(text) and not extension:
        return text
    if match := _LANDLINE.fullmatch(f"{text}-{extension}" if extension else text):
        return "-".join(part for part in match.groups() if part)
    if _SHORT.fullmatch(text) and not extension:
        return text
    raise ValueError("no phone number")


def _phone(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return normal_phone(value)
    except ValueError:
        raise PydanticCustomError("phone_invalid", "请填写正确的手机号码或座机号码") from None


Phone = Annotated[
    str, BeforeValidator(_phone), Field(max_length=32, examples=["13800001111", "0731-82345678"])
]
"""A mobile, a landline with its area code, or a short number of 5 to 8 digits, in normal form."""

_DOTS = re.compile("[\u2022\u2027\u2219\u22c5\u30fb\uff65\uff0e\u00b7]")
_HAN_DOT = re.compile(
    r"(?<=[\u3400-\u9fff\U00020000-\U0003ffff])\.(?=\w)|(?<=\w)\.(?=[\u3400-\u9fff\U00020000-\U0003ffff])"
)


def normal_name(said: str) -> str:
    """The one form of a person's name: its only separator is ``·`` (U+00B7; 民委发〔2016〕33号).

    Every sign of Unicode may occur, one sign is enough, Latin names keep their blanks.

    Raises:
        ValueError: no letter in it.
    """
    text = _HAN_DOT.sub("·", _DOTS.sub("·", said))
    text = re.sub(r"\s*·\s*", "·", re.sub(r"[^\S\n\r]+", " ", text)).strip(" ·")
    if not any(unicodedata.category(sign)[0] == "L" or unicodedata.category(sign) == "Co" for sign in text):
        raise ValueError("no name")
    return text


def _name(value: object) -> object:
    if not isinstance(value, str) or len(value) > LONGEST_SAID:
        return value  # the length says no
    try:
        return normal_name(value)
    except ValueError:
        raise PydanticCustomError("name_invalid", "请填写正确的姓名") from None


PersonName = Annotated[
    str, TextRule(1, 50, lines=False), BeforeValidator(_name), Field(examples=["阿依古丽·买买提"])
]
"""A person's name, at most 50 code points."""


# Instants and dates

_RFC3339 = re.compile(
    r"(\d{4})-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+\- ]\d{2}:\d{2})", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _read_instant(value: object) -> object:
    """RFC 3339 with an offset. A blank before the offset is a plus sign that was not escaped in a query."""
    text = value.strip() if isinstance(value, str) else ""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise PydanticCustomError("instant_invalid", "应为带时区的时间，如 2026-11-22T09:30:00+08:00")
    if not EARLIEST_YEAR < int(match[1]) < LATEST_YEAR:
        raise PydanticCustomError("instant_out_of_range", "时间超出范围")
    return f"{text[:-6]}+{text[-5:]}" if text[-6] == " " else text


def _to_utc_millis(value: datetime) -> datetime:
    at = value.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _read_date(value: object) -> object:
    text = value.strip() if isinstance(value, str) else ""
    if _DATE.fullmatch(text):
        if not EARLIEST_YEAR <= int(text[:4]) < LATEST_YEAR:
            raise PydanticCustomError("date_out_of_range", "日期超出范围，应在1900年至2199年之间")
        return text
    raise PydanticCustomError("date_invalid", "应为日期，如 2026-11-22")


def _write_instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a naive datetime is not an instant")
    return value.isoformat(timespec="milliseconds")


_INSTANT_SCHEMA = {"type": "string", "format": "date-time", "examples": ["2026-11-22T09:30:00.000+08:00"]}

InstantIn = Annotated[
    datetime, AfterValidator(_to_utc_millis), BeforeValidator(_read_instant), WithJsonSchema(_INSTANT_SCHEMA)
]
"""An instant as clients send it, offset required; becomes aware UTC in whole milliseconds."""
InstantOut = Annotated[
    datetime, PlainSerializer(_write_instant, return_type=str), WithJsonSchema(_INSTANT_SCHEMA)
]
"""An aware instant, shown in the zone it is in (put it into the tenant's) with milliseconds."""
DateIn = Annotated[
    date,
    BeforeValidator(_read_date),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-22"]}),
]
"""A date as clients send it, ``YYYY-MM-DD``, from 1900 to 2199."""


# Ids

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def _read_id(value: object) -> object:
    if isinstance(value, UUID) or (isinstance(value, str) and _UUID.fullmatch(value)):
        return value
    raise PydanticCustomError("uuid_parsing", "编号格式不正确")


IdIn = Annotated[UUID, BeforeValidator(_read_id)]
"""An id in its written form, 8-4-4-4-12; an impossible one in a path is a 404 (web/problems.py)."""


# Places on the map


class Location(Body):
    """A point as the client's map or receiver gives it."""

    lng: float = Field(ge=-180, le=180, description="Longitude, degrees.", examples=[112.938882])
    lat: float = Field(ge=-90, le=90, description="Latitude, degrees.", examples=[28.228304])
    crs: Literal["gcj02", "wgs84"] = Field(description="gcj02: maps and place pickers. wgs84: receivers.")


class LocationOut(Wire):
    """A point as it was given."""

    lng: float
    lat: float
    crs: Literal["gcj02", "wgs84"]
