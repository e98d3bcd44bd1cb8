"""Rosters of members in rows and columns: what may stand in a line, and what is wrong with it, line by line."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from dispatch.domain.checkin import after_hours, free_time_problems, limit_problems

HEADINGS: Mapping[str, str] = {
    "name": "姓名",
    "phone": "手机号",
    "id_number": "身份证号",
    "unit": "单位",
    "community": "报到社区",
    "grid": "网格",
    "address": "居住地址",
    "work_community": "工作社区",
    "items": "服务项目",
    "skills": "资质",
    "free_times": "空闲时间",
    "languages": "语言",
    "most_a_day": "每日上限",
    "most_a_week": "每周上限",
    "since": "报到日期",
}
"""Columns and what stands above them."""

REQUIRED = ("name", "community")
PASSED_OVER = frozenset({"状态", "续报截止"})
"""Columns of an export that an import does not read."""

MOST_LINES = 10_000
"""A district of reference size has 4,833 members (domain.md §8)."""

AFTER_HOURS = "八小时之外"
_WEEKDAYS = {
    name: day for day, names in enumerate(("一", "二", "三", "四", "五", "六", "日天"), 1) for name in names
}
_FREE = re.compile(
    r"(?:周|星期)([一二三四五六日天])\s*([0-9]{1,2}:[0-5][0-9])\s*[-–—~至]\s*([0-9]{1,2}:[0-5][0-9])"
)
_SPLIT = re.compile(r"[、，,;；\n]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a line, under which heading; the file as a whole is line 0."""

    line: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    """One member as a line tells of him; what the file has no column or no word for is absent."""

    number: int
    name: str
    community: str
    phone: str | None = None
    id_number: str | None = None
    unit: str | None = None
    grid: str | None = None
    address: str | None = None
    work_community: str | None = None
    since: date | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    """items, skills, free_times, languages, most_a_day, most_a_week: those that were told."""


Normal = Callable[[str], str]
"""Makes a phone or a name uniform. Raises: ValueError."""


def read(
    rows: Iterable[tuple[int, Sequence[str]]], *, phone: Normal, name: Normal
) -> tuple[list[Line], list[Problem]]:
    """Lines and problems of a table whose first row holds the headings; empty rows are passed over.

    Args:
        rows: (line number, cells).
        phone, name: how phones and names are made uniform.
    """
    told = ((number, [cell.strip() for cell in cells]) for number, cells in rows)
    filled = ((number, cells) for number, cells in told if any(cells))
    first, heads = next(filled, (1, []))
    columns, problems = _columns(first, heads)
    if problems:
        return [], problems
    lines: list[Line] = []
    for number, cells in filled:
        if len(lines) >= MOST_LINES:
            return [], [Problem(number, "", f"一次最多导入{MOST_LINES}行")]
        values = {key: cells[at] for key, at in columns.items() if at < len(cells) and cells[at]}
        line, wrong = _line(number, values, phone, name)
        problems += wrong
        if line is not None:
            lines.append(line)
    if not lines and not problems:
        problems.append(Problem(first, "", "名册里没有人员"))
    return lines, problems + doubles(lines)


def _columns(number: int, heads: Sequence[str]) -> tuple[dict[str, int], list[Problem]]:
    keys = {heading: key for key, heading in HEADINGS.items()}
    found: dict[str, int] = {}
    problems = []
    for at, head in enumerate(heads):
        clean = head.rstrip("*＊ ")
        if not clean or clean in PASSED_OVER:
            continue
        if clean not in keys:
            problems.append(
                Problem(number, clean[:20], "没有这一列；可用的列：" + "、".join(HEADINGS.values()))
            )
        elif keys[clean] in found:
            problems.append(Problem(number, clean, "这一列出现了两次"))
        else:
            found[keys[clean]] = at
    problems += [Problem(number, HEADINGS[key], "缺少这一列") for key in REQUIRED if key not in found]
    return found, problems


def _line(
    number: int, values: Mapping[str, str], phone: Normal, name: Normal
) -> tuple[Line | None, list[Problem]]:
    problems: list[Problem] = []
    made: dict[str, Any] = {}

    def put(key: str, make: Callable[[str], Any]) -> None:
        try:
            if key in values:
                made[key] = make(values[key])
        except ValueError as error:
            problems.append(Problem(number, HEADINGS[key], str(error)))

    for key in REQUIRED:
        if key not in values:
            problems.append(Problem(number, HEADINGS[key], "请填写此项"))
    put("name", _saying(name, "请填写正确的姓名", 50))
    put("phone", _saying(phone, "请填写正确的手机号码或座机号码", 32))
    put("id_number", read_id_number)
    for key, most in (
        ("community", 64),
        ("unit", 64),
        ("grid", 64),
        ("address", 200),
        ("work_community", 64),
    ):
        put(key, _short(most))
    put("items", _words)
    put("skills", read_skills)
    put("free_times", read_free_times)
    put("languages", _words)
    put("most_a_day", _count(20))
    put("most_a_week", _count(100))
    put("since", read_date)
    if not {"phone", "id_number", "unit"} & values.keys():
        problems.append(Problem(number, HEADINGS["phone"], "手机号、身份证号、单位至少填一项，否则无法查重"))
    problems += [Problem(number, HEADINGS[key], said) for key, said in limit_problems(made)]
    if problems:
        return None, problems
    told = {key: made.pop(key) for key in TOLD if key in made}
    return Line(number, told=told, **made), []


TOLD = ("items", "skills", "free_times", "languages", "most_a_day", "most_a_week")


def _saying(make: Normal, message: str, most: int) -> Normal:
    def made(text: str) -> str:
        try:
            done = make(text)
        except ValueError:
            raise ValueError(message) from None
        if len(done) > most:
            raise ValueError(f"最多{most}个字")
        return done

    return made


def _short(most: int) -> Normal:
    def made(text: str) -> str:
        if len(text) > most:
            raise ValueError(f"最多{most}个字")
        return text

    return made


def _count(most: int) -> Callable[[str], int]:
    def made(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,3}(\.0)?", text) or not 1 <= int(float(text)) <= most:
            raise ValueError(f"应为1到{most}的整数")
        return int(float(text))

    return made


def _words(text: str) -> list[str]:
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
        expires = (
            read_date(words.pop()) if len(words) > 2 and words[-1][:2] == "20" and "-" in words[-1] else None
        )
        if not 2 <= len(words) <= 3 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", words[0]):
            raise ValueError("资质应写成“electrician 持证电工 T430 2028-05-31”，多项用分号隔开")
        skill = {"code": words[0], "name": words[1][:32], "proof": words[2] if len(words) > 2 else None}
        found[words[0]] = {**skill, "expires_on": expires.isoformat() if expires else None}
    return list(found.values())


def write_skills(skills: Iterable[Mapping[str, Any]]) -> str:
    """As ``read_skills`` reads them."""
    parts = ([s["code"], s["name"], s.get("proof"), s.get("expires_on")] for s in skills)
    return "；".join(" ".join("".join(str(word).split()) for word in part if word) for part in parts)


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
    """A day as people and spreadsheets write it.

    Raises:
        ValueError: none.
    """
    match = re.fullmatch(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?", text)
    try:
        if match is not None:
            return date(*(int(part) for part in match.groups()))
    except ValueError:
        pass
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


def doubles(lines: Sequence[Line]) -> list[Problem]:
    """Lines that tell of somebody who stands in an earlier one: same phone with the name, id number, name and unit."""
    problems: list[Problem] = []
    seen: dict[tuple[Any, ...], int] = {}
    for line in lines:
        keys: list[tuple[str, tuple[Any, ...]]] = []
        if line.phone:
            keys.append((HEADINGS["phone"], ("phone", line.phone)))
        if line.id_number:
            keys.append((HEADINGS["id_number"], ("id", line.id_number)))
        if line.unit and not line.id_number:
            keys.append((HEADINGS["name"], ("name", line.name, line.unit)))
        for column, key in keys:
            if key in seen:
                problems.append(Problem(line.number, column, f"与第{seen[key]}行重复"))
                break
        for _, key in keys:
            seen.setdefault(key, line.number)
    return problems


# What spreadsheets take for a formula (OWASP, CSV injection), also full-width and behind a blank or a quote.
_FORMULA = re.compile(r"[ '\"\u3000]*[=+\-@\t\r＝＋－＠]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def neutral(text: str) -> str:
    """The text as it may stand in a CSV cell: what a spreadsheet would compute gets a ``'`` in front."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """The text that ``neutral`` was given."""
    return text[1:] if text.startswith("'") and neutral(text[1:]) == text else text
