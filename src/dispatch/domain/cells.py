"""Cells of a roster: what people and spreadsheets write, and what comes of it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from dispatch.domain.calendar import EARLIEST_YEAR, LATEST_YEAR
from dispatch.domain.checkin import after_hours, free_time_problems

AFTER_HOURS = "八小时之外"
_WEEKDAYS = {
    name: day for day, names in enumerate(("一", "二", "三", "四", "五", "六", "日天"), 1) for name in names
}
_FREE = re.compile(
    r"(?:周|星期)([一二三四五六日天])\s*([0-9]{1,2}:[0-5][0-9])\s*[-–—~至]\s*([0-9]{1,2}:[0-5][0-9])"
)
_SPLIT = re.compile(r"[、，,;；\n]+")

_EDGES = " \t\n\u200b\u200c\u200d\u2060\ufeff"
NONE = "-"
"""Stands for no last day."""
EXCEL_EPOCH = date(1899, 12, 30)
"""Day 0 of Excel's count, which takes 1900 for a leap year: right from March 1900 on."""
_DATE = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """The text in compatibility form (NFKC), without blanks at its edges: full-width digits and colons are plain ones."""
    return unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n")).strip(_EDGES)


def allowed(text: str) -> str:
    """The text, without signs that no database keeps; tab and line feed are none of them.

    Raises:
        ValueError: there are some.
    """
    if _CONTROL.search(text):
        raise ValueError("含有不能使用的控制字符")
    return text


def read_words(text: str) -> list[str]:
    """Words with ``、`` or a comma between them.

    Raises:
        ValueError: too many or too long.
    """
    found = [word.strip() for word in _SPLIT.split(text) if word.strip()]
    if len(found) > 40 or any(len(word) > 32 for word in found):
        raise ValueError("用顿号隔开，每项最多32个字")
    return list(dict.fromkeys(found))


def read_skills(text: str) -> list[dict[str, Any]]:
    """``electrician 持证电工 T430 2028-05-31；nurse 护士``: code, name, then proof and last day where there are.

    Raises:
        ValueError: of another form.
    """
    found: dict[str, dict[str, Any]] = {}
    for part in re.split(r"[;；\n]+", text):
        words = part.split()
        if not words:
            continue
        expires = None
        if len(words) > 2 and (words[-1] == NONE or _DATE.fullmatch(words[-1])):
            last = words.pop()
            expires = None if last == NONE else read_date(last)
        if not 2 <= len(words) <= 3 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", words[0]):
            raise ValueError("资质应写成“electrician 持证电工 T430 2028-05-31”，多项用分号隔开")
        skill = {"code": words[0], "name": words[1][:32], "proof": words[2] if len(words) > 2 else None}
        found[words[0]] = {**skill, "expires_on": expires.isoformat() if expires else None}
    return list(found.values())


def write_skills(skills: Iterable[Mapping[str, Any]]) -> str:
    """As ``read_skills`` reads them: what divides words or skills is left out of a word."""
    return "；".join(" ".join(_skill(skill)) for skill in skills)


def _skill(skill: Mapping[str, Any]) -> Iterator[str]:
    proof, expires = skill.get("proof"), skill.get("expires_on")
    for word in (skill["code"], skill["name"], proof):
        if word:
            yield "".join(plain(str(word)).replace(";", ",").split())
    if expires:
        yield str(expires)
    elif proof and _DATE.fullmatch(plain(proof)):
        yield NONE  # else the proof would be read as the last day


def as_told(name: str, value: Any) -> Any:
    """What a roster tells of skills or words that stand: what comes back of them through a file."""
    try:
        if name == "skills":
            return read_skills(plain(write_skills(value)))
        if name == "languages":
            return read_words(plain("、".join(value)))
    except ValueError:
        pass  # no file can tell it
    return value


def read_free_times(text: str) -> list[dict[str, Any]]:
    """``八小时之外``, or ``周一18:30-21:00、周六9:00-12:00``.

    Raises:
        ValueError: of another form, reversed or overlapping.
    """
    if text == AFTER_HOURS:
        return after_hours()
    found = []
    for part in (part.strip() for part in _SPLIT.split(text)):
        match = _FREE.fullmatch(part)
        if match is None:
            raise ValueError("应写成“周一18:30-21:00、周六9:00-12:00”，或“八小时之外”")
        times = [f"{int(clock.split(':')[0]):02}:{clock.split(':')[1]}" for clock in match.groups()[1:]]
        if times[0] > "23:59" or times[1] > "24:00":
            raise ValueError("一天只有24小时")
        found.append({"weekday": _WEEKDAYS[match[1]], "from": times[0], "to": times[1]})
    if problems := free_time_problems(found):
        raise ValueError(problems[0][1])
    return found


def write_free_times(lines: Sequence[Mapping[str, Any]]) -> str:
    """As ``read_free_times`` reads them."""
    if list(lines) == after_hours():
        return AFTER_HOURS
    days = "一二三四五六日"
    return "、".join(f"周{days[line['weekday'] - 1]}{line['from']}-{line['to']}" for line in lines)


def read_date(text: str) -> date:
    """A day as people and spreadsheets write it: ``2026-12-01``, ``2026年12月1日``, ``20261201``, or Excel's 46357.

    Raises:
        ValueError: none, or not from 1900 to 2199.
    """
    match = _DATE.fullmatch(text) or re.fullmatch(r"([0-9]{4})([0-9]{2})([0-9]{2})", text)
    try:
        day = None
        if match is not None:
            day = date(*(int(part) for part in match.groups()))
        elif re.fullmatch(r"[0-9]{5}", text):
            day = EXCEL_EPOCH + timedelta(days=int(text))
        if day is not None and EARLIEST_YEAR <= day.year < LATEST_YEAR:
            return day
    except ValueError:
        pass  # no such day
    raise ValueError(f"“{text[:20]}”不是2026-12-01这样的日期")


_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def read_id_number(text: str) -> str:
    """An 18-digit id number with its check digit (GB 11643-1999: ISO 7064 MOD 11-2).

    Raises:
        ValueError: wrong; spreadsheets round numbers of 18 digits.
    """
    said = text.upper()
    if not re.fullmatch(r"[0-9]{17}[0-9X]", said, re.ASCII):
        raise ValueError("应为18位身份证号（表格中请设为文本格式）")
    total = sum(int(digit) * weight for digit, weight in zip(said, _WEIGHTS, strict=False))
    if said[-1] != "10X98765432"[total % 11]:
        raise ValueError("身份证号不正确（表格中请设为文本格式）")
    return said


# What spreadsheets take for a formula (OWASP, CSV injection), also full-width, behind a quote and behind what is not
# seen: blanks of any kind, line ends, control signs, signs of no width.
_FORMULA = re.compile(
    r"[\s\x00-\x1f\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff'\"]*[=+\-@\t\r＝＋－＠]"
)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def neutral(text: str) -> str:
    """The text as it may stand in a CSV cell: what a spreadsheet would compute gets a ``'`` in front."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """The text that ``neutral`` was given."""
    return text[1:] if text.startswith("'") and neutral(text[1:]) == text else text
