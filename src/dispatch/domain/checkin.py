"""报到: what a check-in must say, who decides on it, how long it holds. Days are the tenant's.

Sources: the check-in form of domain.md §1.2 (20) with its list of 16 items; receipts (回执) and the half-yearly
re-check-in of §1.6. 国办函〔2026〕12号 bans compulsory check-in and repeat form-filling: nobody is enrolled
against their will, and renewing is one word, not another form.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from dispatch.domain.calendar import Calendar, due
from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.people import DISPATCHING_ROLES, STREET_ROLES, Actor, Role

Problem = tuple[str, str]
"""A field, and what is wrong with it in Chinese."""

RENEWAL_MONTHS = 6
"""domain.md §1.6: re-check-in each half-year (佛山)."""

REGISTRATION_MONTHS = {"unit": 12, "team": 6}
"""Units report yearly, those who serve half-yearly (domain.md §1.6: 双报告)."""

REMIND_DAYS = 14
"""How long before the end one is first reminded: two weekends. Our own judgement."""

GRACE_WORKING_DAYS = 10
"""How long after the end the check-in still holds. Working days: over 春节 nobody can ask the community. Our own."""

LONGEST_AGREEMENT_YEARS = 5
LONGEST_LEAVE_DAYS = 366
MOST_LEAVES = 20
"""Kept of one member: those that lie ahead, and of the others the newest."""

PARTY_ROLES = frozenset({Role.COMMUNITY_SECRETARY}) | STREET_ROLES
"""Who approves units and teams: the community's or the street's party organisation (domain.md §1.2, 19)."""


def registers(actor: Actor, path: Sequence[UUID]) -> bool:
    """Whether the actor decides on members' check-ins at the place with this path (ids from the root down)."""
    return _in_scope(actor, path, DISPATCHING_ROLES)


def approves_bodies(actor: Actor, path: Sequence[UUID]) -> bool:
    """Whether the actor decides on units and teams there."""
    return _in_scope(actor, path, PARTY_ROLES)


def _in_scope(actor: Actor, path: Sequence[UUID], roles: frozenset[Role]) -> bool:
    acting = actor.acting
    return acting is not None and acting.role in roles and acting.place_id in path


def later(day: date, months: int) -> date:
    """So many months on; the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def renewed(renew_by: date | None, today: date) -> date:
    """Until when a check-in holds that is renewed today: half a year on, from its end where that is still ahead.

    One that holds for half a year and more stays: the same word twice is one renewal, and nobody stacks them.
    """
    half = later(today, RENEWAL_MONTHS)
    if renew_by is not None and renew_by >= half:
        return renew_by
    return later(max(renew_by or today, today), RENEWAL_MONTHS)


def grace_ends(last_day: date, calendar: Calendar) -> datetime:
    """When the grace after a last good day is over."""
    start = datetime.combine(last_day + timedelta(days=1), time(), calendar.zone)
    ends = due(Limit(Unit.WORKING_DAYS, GRACE_WORKING_DAYS), start, calendar)
    assert ends is not None  # a limit in working days has an end
    return ends.due_at


def form_problems(form: Mapping[str, Any], offered: Iterable[str]) -> list[Problem]:
    """What is wrong with a filled form beyond its types. ``offered``: codes of the tenant's check-in list."""
    known = set(offered)
    problems = [("items", f"没有“{code}”这个服务项目") for code in form["items"] if code not in known]
    if len(set(form["items"])) < len(form["items"]):
        problems.append(("items", "服务项目重复"))
    codes = [skill["code"] for skill in form["skills"]]
    if len(set(codes)) < len(codes):
        problems.append(("skills", "技能重复"))
    return problems + free_time_problems(form["free_times"]) + limit_problems(form)


def free_time_problems(lines: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Free times that end before they begin, or overlap."""
    spans = sorted((line["weekday"], line["from"], line["to"]) for line in lines)
    problems = []
    if any(start >= end for _, start, end in spans):
        problems.append(("free_times", "结束时间应晚于开始时间"))
    if any(one[0] == other[0] and other[1] < one[2] for one, other in pairwise(spans)):
        problems.append(("free_times", "空闲时间重叠"))
    return problems


def limit_problems(form: Mapping[str, Any]) -> list[Problem]:
    """A day that holds more than the week."""
    day, week = form.get("most_a_day"), form.get("most_a_week")
    return [("most_a_week", "每周上限不能小于每日上限")] if day and week and week < day else []


def after_hours(weekdays: Iterable[int] = range(1, 6)) -> list[dict[str, Any]]:
    """八小时之外: evenings of working days and both days of the weekend (domain.md §1.2, 18)."""
    evenings = [{"weekday": day, "from": "18:30", "to": "21:00"} for day in weekdays]
    return evenings + [{"weekday": day, "from": "09:00", "to": "21:00"} for day in (6, 7)]


def with_leave(
    leaves: Sequence[Mapping[str, str]], start: date, until: date, today: date
) -> list[dict[str, str]] | None:
    """The leaves with another one; None if it overlaps one that is there. ``until`` is excluded.

    Those that are over make room for it.

    Raises:
        ValueError: too many lie ahead.
    """
    spans = [(date.fromisoformat(line["from"]), date.fromisoformat(line["until"])) for line in leaves]
    if any(start < end and begin < until for begin, end in spans):
        return None
    ahead = [span for span in spans if span[1] > today]
    if len(ahead) >= MOST_LEAVES:
        raise ValueError(f"最多登记{MOST_LEAVES}次请假")
    over = sorted(span for span in spans if span[1] <= today)
    return _written([*over, *ahead, (start, until)][-MOST_LEAVES:])


def without_leave(leaves: Sequence[Mapping[str, str]], start: date, today: date) -> list[dict[str, str]]:
    """The leaves once the one that begins on a day is given up: it ends today if it has begun, else it never was."""
    spans = [(date.fromisoformat(line["from"]), date.fromisoformat(line["until"])) for line in leaves]
    kept = [(begin, min(end, today) if begin == start else end) for begin, end in spans]
    return _written(span for span in kept if span[0] < span[1])


def _written(spans: Iterable[tuple[date, date]]) -> list[dict[str, str]]:
    return [{"from": begin.isoformat(), "until": end.isoformat()} for begin, end in sorted(spans)]


def receipt(day: str, serial: int) -> str:
    """The number of a receipt (回执): ``H20261125-000123``."""
    return f"H{day}-{serial:06d}"
