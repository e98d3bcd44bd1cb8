"""The stage clocks: what each of them is, how long it gives, and what happens as it runs out.

A clock belongs to a stage of one order and to an owner; it starts with the commit of a step, never with somebody's
signature. ``CLOCKS`` is the table (lifecycle.md, "Clocks"); ``running.py`` says what a move does to the clocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from dispatch.domain.calendar import Calendar, Segment, due
from dispatch.domain.catalog import Limit, Unit, Urgency


class Clock(StrEnum):
    """The stages that are timed, then what merely waits for a date (``WAITS``)."""

    ACCEPT = "accept"
    DISPATCH = "dispatch"
    TAKE = "take"
    CONTACT = "contact"
    FINISH = "finish"
    LEVEL = "level"
    EVALUATE = "evaluate"
    REVIEW = "review"
    ANSWER = "answer"
    PAUSE = "pause"
    EXPIRY = "expiry"
    LEASE = "lease"
    PLACE = "place"


CLOCK_LABELS = {
    Clock.ACCEPT: "受理",
    Clock.DISPATCH: "派单",
    Clock.TAKE: "接单",
    Clock.CONTACT: "先行联系",
    Clock.FINISH: "办结",
    Clock.LEVEL: "上级处理",
    Clock.EVALUATE: "评价",
    Clock.REVIEW: "复核",
    Clock.ANSWER: "补充说明",
    Clock.PAUSE: "挂账复核",
    Clock.EXPIRY: "派单有效期",
    Clock.LEASE: "接单保留",
    Clock.PLACE: "候补名额保留",
}

WAITS = frozenset({Clock.EVALUATE, Clock.ANSWER, Clock.PAUSE, Clock.EXPIRY, Clock.LEASE, Clock.PLACE})
"""Nobody who serves owes them: they are never overdue, and the system itself acts when they end."""


class Step(StrEnum):
    """What is told or done as a clock runs out."""

    WARN_50 = "warn_50"
    WARN_80 = "warn_80"
    BREACH = "breach"
    URGE = "urge"
    SUPERVISE = "supervise"
    REMIND = "remind"
    ACT = "act"


class Outcome(StrEnum):
    """How a stopped clock is judged. ``excluded``: it ended before its aim; the reason stands beside it."""

    ON_TIME = "on_time"
    LATE = "late"
    EXCLUDED = "excluded"


class Aim(StrEnum):
    """Why a clock stops: its aim was reached, it ended before, or the whole order fell away."""

    REACHED = "reached"
    ENDED = "ended"
    VOID = "void"


def judged(aim: Aim, due_at: datetime | None, at: datetime) -> Outcome | None:
    """The verdict of a clock that stops. ``now == due`` is on time; without a deadline there is none.

    What ended before its aim is late if its time was over by then: giving back or escalating hides nothing. A
    merged or withdrawn order counts nowhere (peers' laws 34 and 35).
    """
    if aim is Aim.VOID:
        return Outcome.EXCLUDED
    if due_at is None:
        return None
    if at > due_at:
        return Outcome.LATE
    return Outcome.ON_TIME if aim is Aim.REACHED else Outcome.EXCLUDED


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a clock: ``community street district`` with a place, a kind of taker with its id, ``filer nobody``."""

    kind: str
    id: UUID | None = None


FILER, NOBODY = Owner("filer"), Owner("nobody")


@dataclass(frozen=True, slots=True)
class ClockRule:
    """One row of the table, for readers; ``running.expected`` is the same rule for machines."""

    starts: str
    stops: str
    owner: str
    limit: str


CLOCKS: Mapping[Clock, ClockRule] = {
    Clock.ACCEPT: ClockRule(
        "submit, supplement from need_info, admit, unmerge",
        "accept, reject, resolve, ask, merge, cancel",
        "community",
        "half of the dispatch limit",
    ),
    Clock.DISPATCH: ClockRule(
        "submit; redo; any return to accepted (the remainder, at least a quarter)",
        "dispatch, escalate, resolve",
        "community",
        "item",
    ),
    Clock.TAKE: ClockRule(
        "dispatch", "reaching taken, the end of the dispatch", "the one assigned, else community", "item"
    ),
    Clock.CONTACT: ClockRule("each take", "its first contact, its end", "that taker", "item"),
    Clock.FINISH: ClockRule(
        "first taken of the round", "done", "lead taker; community while nobody is active", "item"
    ),
    Clock.LEVEL: ClockRule(
        "escalate", "leaving escalated, a higher level", "that level", "2 wd, or the due of a deliberation"
    ),
    Clock.EVALUATE: ClockRule("done", "rate, close, redo", "nobody (a reminder at 3 d)", "7 d"),
    Clock.REVIEW: ClockRule("unhappy verdict", "close, redo", "community", "3 wd"),
    Clock.ANSWER: ClockRule("ask", "leaving need_info", "filer", "5 wd, then the order is withdrawn"),
    Clock.PAUSE: ClockRule("park", "leaving paused", "nobody", "the review date, then it resumes"),
    Clock.EXPIRY: ClockRule(
        "dispatch with an expiry", "leaving open or offered", "nobody", "the expiry, then it lapses"
    ),
    Clock.LEASE: ClockRule(
        "each take that was not assigned",
        "the taker's first sign of life, its end",
        "that taker",
        "the tenant's rule of taking, then the take ends",
    ),
    Clock.PLACE: ClockRule(
        "a place comes free while somebody waits for one",
        "the last place that is kept was taken or given up",
        "nobody",
        "the tenant's rule of taking, then the next in line is asked",
    ),
}

ANSWER_LIMIT = Limit(Unit.WORKING_DAYS, 5)
"""For the filer's answer to a question (lifecycle.md, "Moves", ask)."""

LATER_ROUNDS = 0.5
"""A redo's limits against the first round's: 夏阳 gives 3 working days for a second handling and 5 for the first, 大宁路
3 of 5 (domain research §2.3); half, and at least one of its unit, is ours (ADR 0026)."""

LEAST_REMAINDER = 0.25
"""What is left at least, of its limit, for handing out again what came back: nobody hands out in no time (ours, ADR 0026)."""


def stage_limits(first_round: Mapping[str, Limit | None], round: int) -> dict[Clock, Limit | None]:
    """The limit of each clock in a round, from those of the first round by stage."""
    limits = {Clock(stage): limit for stage, limit in first_round.items()}
    if round > 1:
        limits |= {clock: _shorter(limits.get(clock)) for clock in SHORTER}
    return {**limits, Clock.ANSWER: ANSWER_LIMIT}


SHORTER = (Clock.ACCEPT, Clock.DISPATCH, Clock.TAKE, Clock.CONTACT, Clock.FINISH)
"""Stages of the service itself: they are the ones that a redo has less time for."""


def _shorter(limit: Limit | None) -> Limit | None:
    if limit is None or limit.amount is None:
        return limit
    return Limit(limit.unit, min(limit.amount, max(1, limit.amount * LATER_ROUNDS)))


@dataclass(frozen=True, slots=True)
class Basis:
    """By what an order's clocks are judged now.

    ``sources``: where each limit comes from, a policy's code, ``item`` or ``default``, with the version of the policies;
    ``appointment``: the end of the window the filer wants.
    """

    limits: Mapping[Clock, Limit | None]
    calendar: Calendar
    sources: Mapping[Clock, str]
    appointment: datetime | None = None
    urgency: str = "U3"

    @property
    def loud(self) -> bool:
        """Life safety: told at night too."""
        return self.urgency == Urgency.U1


STAGE_STEPS = ((Step.WARN_50, 0.5), (Step.WARN_80, 0.8), (Step.BREACH, 1.0))
STEPS: Mapping[Clock, Sequence[tuple[Step, float]]] = {
    Clock.EVALUATE: ((Step.REMIND, 3 / 7), (Step.ACT, 1.0)),
    Clock.ANSWER: ((Step.REMIND, 0.8), (Step.ACT, 1.0)),
    Clock.PAUSE: ((Step.ACT, 1.0),),
    Clock.EXPIRY: ((Step.ACT, 1.0),),
    Clock.PLACE: ((Step.ACT, 1.0),),
    Clock.LEASE: ((Step.WARN_50, 0.5), (Step.WARN_80, 0.8), (Step.ACT, 1.0)),
}
"""What happens at which share of a clock's time; every other clock has ``STAGE_STEPS`` (product decision §5). A verdict is
asked once, and again at three of its seven days (§6)."""


def steps(clock: Clock, pieces: Sequence[Segment], due_at: datetime) -> list[tuple[Step, datetime]]:
    """When each step of a clock is due, by shares of its *counted* time: a night or a weekend warns nobody."""
    total = sum((piece.end - piece.start for piece in pieces if piece.counted), timedelta())
    return [
        (step, due_at if share == 1 else _reached(pieces, total * share) or due_at)
        for step, share in STEPS.get(clock, STAGE_STEPS)
    ]


def _reached(pieces: Sequence[Segment], wanted: timedelta) -> datetime | None:
    for piece in pieces:
        if piece.counted:
            length = piece.end - piece.start
            if wanted <= length:
                return piece.start + wanted
            wanted -= length
    return None


SILENCE: Mapping[Step, Limit] = {
    Step.URGE: Limit(Unit.WORKING_DAYS, 1),
    Step.SUPERVISE: Limit(Unit.WORKING_DAYS, 6),
}
"""After a breach, or after the owner's last sign of life: 《催办通知书》 on the next day; still over five working days
later, criticism (a bureau's rule and 巴彦淖尔, domain research §2.3)."""

SILENCE_IN_EMERGENCIES: Mapping[Step, Limit] = {
    Step.URGE: Limit(Unit.HOURS, 1),
    Step.SUPERVISE: Limit(Unit.HOURS, 4),
}
"""For U1, whose own limits are hours (ours, in the proportion of Beijing's 1 h for sudden events)."""


def ladder(urgency: str, silent_since: datetime, calendar: Calendar) -> list[tuple[Step, datetime]]:
    """When an overdue clock is urged and supervised, if nothing is heard of its owner since."""
    waits = SILENCE_IN_EMERGENCIES if urgency == Urgency.U1 else SILENCE
    found = [(step, due(limit, silent_since, calendar)) for step, limit in waits.items()]
    return [(step, when.due_at) for step, when in found if when is not None]


NIGHT_FALLS, DAY_BREAKS = time(22), time(7)
"""Nobody is told anything in between, except of life safety (product decision §9)."""


def spoken_at(at: datetime, zone: ZoneInfo, *, loud: bool) -> datetime:
    """When something that became due may be told."""
    local = at.astimezone(zone)
    if loud or DAY_BREAKS <= local.time() < NIGHT_FALLS:
        return at
    day = local.date() + timedelta(days=1 if local.time() >= NIGHT_FALLS else 0)
    return datetime.combine(day, DAY_BREAKS, zone)


def day_begins(on: date, zone: ZoneInfo) -> datetime:
    """The first instant of a date."""
    return datetime.combine(on, time(), zone)
