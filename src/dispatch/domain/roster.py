"""Rosters of members in rows and columns: what may stand in a line, and what is wrong with it, line by line."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from dispatch.domain.cells import (
    allowed,
    plain,
    read_date,
    read_free_times,
    read_id_number,
    read_skills,
    read_words,
)
from dispatch.domain.checkin import limit_problems

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
    told = ((number, [plain(cell) for cell in cells]) for number, cells in rows)
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
                made[key] = make(allowed(values[key]))
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
    put("items", read_words)
    put("skills", read_skills)
    put("free_times", read_free_times)
    put("languages", read_words)
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


def doubles(lines: Sequence[Line]) -> list[Problem]:
    """Lines that tell of somebody who stands in an earlier one: by id number, phone, or name and unit.

    A family may share a phone: two with a phone and different id numbers are two people.
    """
    problems: list[Problem] = []
    seen: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        keys: list[tuple[str, tuple[Any, ...]]] = []
        if line.phone:
            keys.append((HEADINGS["phone"], ("phone", line.phone)))
        if line.id_number:
            keys.append((HEADINGS["id_number"], ("id", line.id_number)))
        if line.unit and not line.id_number:
            keys.append((HEADINGS["name"], ("name", line.name, line.unit)))
        for column, key in keys:
            same = [one.number for one in seen.get(key, ()) if not (key[0] == "phone" and _two(one, line))]
            if same:
                problems.append(Problem(line.number, column, f"与第{same[0]}行重复"))
                break
        for _, key in keys:
            seen.setdefault(key, []).append(line)
    return problems


def _two(one: Line, other: Line) -> bool:
    return bool(one.id_number and other.id_number and one.id_number != other.id_number)
