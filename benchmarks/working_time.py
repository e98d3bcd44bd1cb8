"""Working-time arithmetic beside a minute-stepper and ``businesstimedelta``: the same cases, in the same run."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import businesstimedelta
import pytz

from benchmarks import results
from dispatch.domain.calendar import Calendar, DayKind, add_working_time, working_time_between
from dispatch.sla import shipped
from tests import stepper

ZONE = ZoneInfo("Asia/Shanghai")
CASES, ROUNDS, OURS_LOOPS = 120, 3, 50
STEPPER_TIMES, LIBRARY_TIMES = 100, 20
"""How many times faster than each we promise to be."""

Case = tuple[datetime, timedelta]


def cases() -> list[Case]:
    """Starts at any second of 2024 to 2026, one to sixty working hours."""
    rolled = random.Random(20261124)
    first = datetime(2024, 1, 1, tzinfo=ZONE)
    return [
        (first + timedelta(seconds=rolled.randrange(1000 * 86400)), timedelta(hours=rolled.randint(1, 60)))
        for _ in range(CASES)
    ]


def calendar() -> Calendar:
    days = {entry.on: entry.day for entry in shipped.official()}
    return Calendar("shipped", 1, ZONE, shipped.WEEK, days, shipped.KNOWN_UNTIL)


def library(calendar: Calendar) -> businesstimedelta.Rules:
    """The same calendar as far as the library can say it: it knows no working weekend."""
    zone = pytz.timezone("Asia/Shanghai")
    off = [on for on, day in calendar.days.items() if day.kind is DayKind.HOLIDAY] + [date(2099, 1, 1)]
    clock = datetime.min.time()
    return businesstimedelta.Rules(
        [
            businesstimedelta.WorkDayRule(clock.replace(9), clock.replace(18), [0, 1, 2, 3, 4], tz=zone),
            businesstimedelta.LunchTimeRule(clock.replace(12), clock.replace(14), [0, 1, 2, 3, 4], tz=zone),
            businesstimedelta.HolidayRule(set(off), tz=zone),
        ]
    )


def timed(act: Callable[[Case], object], todo: Sequence[Case], loops: int = 1) -> float:
    """Microseconds per case: the median of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(loops):
            for case in todo:
                act(case)
        found.append((time.perf_counter() - began) / loops / len(todo) * 1e6)
    return median(found)


def run() -> bool:
    """Whether everything was right and as fast as promised."""
    todo, ours = cases(), calendar()
    rules = library(ours)
    began = time.perf_counter()
    right = [add_working_time(start, amount, ours) for start, amount in todo]
    prepared = (time.perf_counter() - began) * 1e3
    checked = [stepper.add(start, amount, ours) for start, amount in todo]
    theirs = [start + businesstimedelta.BusinessTimeDelta(rules, timedelta=amount) for start, amount in todo]
    spans = list(zip(todo, right, strict=True))
    add = timed(lambda case: add_working_time(case[0], case[1], ours), todo, OURS_LOOPS)
    ends = dict(zip(todo, right, strict=True))
    measure = timed(lambda case: working_time_between(case[0], ends[case], ours), todo, OURS_LOOPS)
    step_add = timed(lambda case: stepper.add(case[0], case[1], ours), todo)
    step_measure = timed(lambda case: stepper.measure(case[0], ends[case], ours), todo)
    library_add = timed(
        lambda case: case[0] + businesstimedelta.BusinessTimeDelta(rules, timedelta=case[1]), todo
    )
    library_measure = timed(lambda case: rules.difference(case[0], ends[case]), todo)
    wrong = [(case, found, told) for (case, found), told in zip(spans, theirs, strict=True) if told != found]
    rows = [
        line("add", "dispatch", add, add),
        line("add", "minute-stepper", step_add, add),
        line("add", "businesstimedelta", library_add, add),
        line("measure", "dispatch", measure, measure),
        line("measure", "minute-stepper", step_measure, measure),
        line("measure", "businesstimedelta", library_measure, measure),
    ]
    said = (
        f"{CASES} cases: a start at any second of 2024 to 2026, 1 to 60 working hours, the calendar that ships. Working "
        f"out the years on first use took {prepared:.1f} ms, once per calendar version. All {len(todo)} answers equal "
        f"the minute-stepper's: {'yes' if right == checked else 'NO'}. businesstimedelta is wrong in {len(wrong)}."
    )
    results.write(
        "working_time",
        "Working-time arithmetic",
        said,
        ("act", "who", "µs", "times ours"),
        rows,
        complaints(wrong),
    )
    fast = min(step_add / add, step_measure / measure) >= STEPPER_TIMES
    return right == checked and fast and min(library_add / add, library_measure / measure) >= LIBRARY_TIMES


def line(act: str, who: str, micros: float, ours: float) -> tuple[str, str, str, str]:
    return act, who, f"{micros:.2f}", f"{micros / ours:.0f}"


def complaints(wrong: Sequence[tuple[Case, datetime, datetime]]) -> str:
    """The library's wrong answers; it cannot say that a weekend is worked (调休上班)."""
    rows = [
        f"| {start:%F %T} | {amount.total_seconds() / 3600:.0f} h | {found.astimezone(ZONE):%F %T} | {told.astimezone(ZONE):%F %T} |"
        for (start, amount), found, told in sorted(wrong)
    ]
    head = [
        "## Wrong answers of businesstimedelta",
        "",
        "| start | + | right | businesstimedelta |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, ""])
