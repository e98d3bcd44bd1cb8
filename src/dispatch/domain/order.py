"""The life of an order as data: states, moves, who may make them, what they need.

This file *is* the rulebook. The diagram and words in ``docs/``, the enums of the API, the ``moves``
offered to a client and the generated tests are all read from ``EDGES`` and ``ASKS`` below; nothing
else in the code base says which move is allowed to whom.

Sources: 三单制 practice and the states of comparable systems (research notes on 衡阳, 夏阳, 数字城管,
北京 DB11/T 2021—2022), 国办函〔2025〕66号 for merging and the review of dispatch objections.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dispatch.domain.people import (
    DISPATCHING_ROLES,
    FILING_ROLES,
    STAFF_ROLES,
    STREET_ROLES,
    Role,
)


class State(StrEnum):
    """Where an order stands."""

    SUBMITTED = "submitted"
    NEED_INFO = "need_info"
    REJECTED = "rejected"
    MERGED = "merged"
    ACCEPTED = "accepted"
    OPEN = "open"
    OFFERED = "offered"
    TAKEN = "taken"
    IN_SERVICE = "in_service"
    PAUSED = "paused"
    ESCALATED = "escalated"
    DONE = "done"
    REDO = "redo"
    EVALUATED = "evaluated"
    CLOSED = "closed"
    CANCELLED = "cancelled"


STATE_LABELS = {
    State.SUBMITTED: "待受理",
    State.NEED_INFO: "待补充",
    State.REJECTED: "不予受理",
    State.MERGED: "已并单",
    State.ACCEPTED: "待派单",
    State.OPEN: "待认领",
    State.OFFERED: "已派待接",
    State.TAKEN: "已接单",
    State.IN_SERVICE: "办理中",
    State.PAUSED: "已挂账",
    State.ESCALATED: "已上报",
    State.DONE: "待评价",
    State.REDO: "待重办",
    State.EVALUATED: "已评价",
    State.CLOSED: "已办结",
    State.CANCELLED: "已撤单",
}

RESTING = frozenset({State.REJECTED, State.MERGED, State.CANCELLED, State.CLOSED})
"""Nothing more happens by itself. From every other state one of these is reachable."""

LIVE = frozenset(State) - RESTING


class Category(StrEnum):
    """What time does to an order in a state."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


_PAUSED = frozenset({State.NEED_INFO, State.PAUSED})
_STOPPED = RESTING | {State.EVALUATED}


def category(state: State) -> Category:
    """The clock category of a state: ``done`` still runs, since a verdict is awaited."""
    if state in _PAUSED:
        return Category.PAUSED
    return Category.STOPPED if state in _STOPPED else Category.RUNNING


class Move(StrEnum):
    """What may happen to an order."""

    SUBMIT = "submit"
    ASK = "ask"
    SUPPLEMENT = "supplement"
    ACCEPT = "accept"
    REJECT = "reject"
    ADMIT = "admit"
    MERGE = "merge"
    UNMERGE = "unmerge"
    FOLLOW = "follow"
    RESOLVE = "resolve"
    DISPATCH = "dispatch"
    RECALL = "recall"
    TAKE = "take"
    DECLINE = "decline"
    LAPSE = "lapse"
    PROCEED = "proceed"
    RELEASE = "release"
    STAFF = "staff"
    LEAD = "lead"
    CONTACT = "contact"
    START = "start"
    PROGRESS = "progress"
    FINISH = "finish"
    ESCALATE = "escalate"
    DELIBERATE = "deliberate"
    RESUME = "resume"
    PARK = "park"
    RATE = "rate"
    CLOSE = "close"
    REDO = "redo"
    CANCEL = "cancel"
    URGE = "urge"
    SUPERVISE = "supervise"


MOVE_LABELS = {
    Move.SUBMIT: "点单",
    Move.ASK: "要求补充",
    Move.SUPPLEMENT: "补充说明",
    Move.ACCEPT: "受理",
    Move.REJECT: "不予受理",
    Move.ADMIT: "恢复受理",
    Move.MERGE: "并单",
    Move.UNMERGE: "取消并单",
    Move.FOLLOW: "随并",
    Move.RESOLVE: "直接办结",
    Move.DISPATCH: "派单",
    Move.RECALL: "收回派单",
    Move.TAKE: "接单",
    Move.DECLINE: "婉拒",
    Move.LAPSE: "到期未接",
    Move.PROCEED: "按现有办",
    Move.RELEASE: "退出接单",
    Move.STAFF: "安排人员",
    Move.LEAD: "更换牵头",
    Move.CONTACT: "联系居民",
    Move.START: "开始办理",
    Move.PROGRESS: "报告进展",
    Move.FINISH: "办理完成",
    Move.ESCALATE: "上报",
    Move.DELIBERATE: "研究决定",
    Move.RESUME: "恢复办理",
    Move.PARK: "挂账",
    Move.RATE: "评单",
    Move.CLOSE: "归档",
    Move.REDO: "重办",
    Move.CANCEL: "撤单",
    Move.URGE: "催办",
    Move.SUPERVISE: "督办",
}


class Relation(StrEnum):
    """What an actor is to one order."""

    FILER = "filer"
    BENEFICIARY = "beneficiary"
    TAKER = "taker"
    LEAD = "lead"
    INVITED = "invited"
    AUDIENCE = "audience"
    IN_SCOPE = "in_scope"


@dataclass(frozen=True, slots=True)
class Right:
    """Someone who may: any of the roles (None: whatever role) standing in a relation (None: in none)."""

    roles: frozenset[Role] | None = None
    relation: Relation | None = None


SYSTEM = Right(roles=frozenset({Role.SYSTEM}))
ANY_FILER = Right(roles=FILING_ROLES)
DISPATCHER = Right(DISPATCHING_ROLES, Relation.IN_SCOPE)
STREET = Right(STREET_ROLES, Relation.IN_SCOPE)
GRID = Right(frozenset({Role.GRID_WORKER}), Relation.IN_SCOPE)
STAFF = Right(STAFF_ROLES, Relation.IN_SCOPE)
BODY_TAKER = Right(frozenset({Role.UNIT_ADMIN, Role.TEAM_LEAD}), Relation.TAKER)
FILER = Right(relation=Relation.FILER)
BENEFICIARY = Right(relation=Relation.BENEFICIARY)
TAKER = Right(relation=Relation.TAKER)
LEAD = Right(relation=Relation.LEAD)
INVITED = Right(relation=Relation.INVITED)
AUDIENCE = Right(relation=Relation.AUDIENCE)


@dataclass(frozen=True, slots=True)
class Edge:
    """One row of the table.

    ``targets`` lists every state the move may lead to from ``source`` (``source`` itself when
    the order stays where it is); ``needs`` the fields that must be given.
    """

    move: Move
    source: State | None
    targets: tuple[State, ...]
    rights: tuple[Right, ...]
    needs: tuple[str, ...] = ()


S, M = State, Move
UNDERWAY = (S.OPEN, S.OFFERED, S.TAKEN, S.IN_SERVICE)
"""Handed out and not done: states in which somebody may hold a take."""


def _rows(
    move: Move,
    sources: Iterable[State],
    targets: Iterable[State],
    *rights: Right,
    needs: tuple[str, ...] = (),
    stay: bool = False,
) -> tuple[Edge, ...]:
    """One edge per source; with ``stay`` the order may also (or only) remain where it is."""
    return tuple(
        Edge(
            move,
            source,
            (*((source,) if stay else ()), *(t for t in targets if t != source or not stay)),
            rights,
            needs,
        )
        for source in sources
    )


EDGES_IN_ORDER: tuple[Edge, ...] = (
    Edge(M.SUBMIT, None, (S.SUBMITTED,), (ANY_FILER,), ("item_code", "text")),
    *_rows(M.ASK, (S.SUBMITTED,), (S.NEED_INFO,), DISPATCHER, needs=("text",)),
    # An agent (代办人) sees only what he filed, so "filer" already says "agent".
    *_rows(M.SUPPLEMENT, (S.NEED_INFO,), (S.SUBMITTED,), FILER, BENEFICIARY, needs=("text",)),
    *_rows(
        M.SUPPLEMENT,
        (S.SUBMITTED, S.ACCEPTED, *UNDERWAY),
        (),
        FILER,
        BENEFICIARY,
        needs=("text",),
        stay=True,
    ),
    *_rows(M.ACCEPT, (S.SUBMITTED,), (S.ACCEPTED,), DISPATCHER),
    *_rows(M.REJECT, (S.SUBMITTED, S.NEED_INFO), (S.REJECTED,), DISPATCHER, needs=("reason_code", "text")),
    *_rows(M.ADMIT, (S.REJECTED,), (S.SUBMITTED,), SYSTEM),
    *_rows(M.MERGE, (S.SUBMITTED, S.NEED_INFO, S.ACCEPTED), (S.MERGED,), DISPATCHER, needs=("parent_id",)),
    *_rows(M.UNMERGE, (S.MERGED,), (S.SUBMITTED,), DISPATCHER, needs=("text",)),
    # A child whose parent was merged or withdrawn: it follows another parent, or takes the parent's place (ADR 0013).
    *_rows(
        M.FOLLOW,
        (S.MERGED,),
        (S.SUBMITTED, S.NEED_INFO, S.ACCEPTED, *UNDERWAY, S.PAUSED, S.ESCALATED),
        SYSTEM,
        stay=True,
    ),
    *_rows(M.RESOLVE, (S.SUBMITTED, S.ACCEPTED), (S.DONE,), GRID, DISPATCHER, needs=("result", "closing")),
    *_rows(M.RESOLVE, (S.ESCALATED,), (S.DONE,), DISPATCHER, needs=("result", "closing")),
    *_rows(M.DISPATCH, (S.ACCEPTED, S.REDO), (S.OPEN, S.OFFERED), DISPATCHER, SYSTEM, needs=("mode",)),
    *_rows(M.DISPATCH, (S.ESCALATED,), (S.OPEN, S.OFFERED), DISPATCHER, needs=("mode",)),
    *_rows(M.RECALL, (S.OPEN, S.OFFERED), (S.ACCEPTED,), DISPATCHER, needs=("reason_code",)),
    *_rows(M.TAKE, (S.OPEN, S.OFFERED), (S.TAKEN,), AUDIENCE, INVITED, stay=True),
    *_rows(M.TAKE, (S.TAKEN, S.IN_SERVICE), (), AUDIENCE, INVITED, stay=True),
    *_rows(M.DECLINE, (S.OFFERED,), (S.ACCEPTED,), INVITED, stay=True),
    *_rows(M.LAPSE, (S.OPEN, S.OFFERED), (S.ACCEPTED,), SYSTEM, stay=True),
    # A place that was kept for the first in line of the waiting list was not taken (ADR 0049).
    *_rows(M.LAPSE, (S.TAKEN, S.IN_SERVICE), (), SYSTEM, stay=True),
    *_rows(M.PROCEED, (S.OPEN, S.OFFERED), (S.TAKEN,), DISPATCHER),
    *_rows(M.RELEASE, (S.OPEN,), (), TAKER, SYSTEM, needs=("reason_code",), stay=True),
    # To accepted when an assignee is relieved before anybody has taken.
    *_rows(M.RELEASE, (S.OFFERED,), (S.ACCEPTED,), TAKER, SYSTEM, needs=("reason_code",), stay=True),
    *_rows(
        M.RELEASE,
        (S.TAKEN, S.IN_SERVICE),
        (S.OPEN, S.OFFERED, S.ACCEPTED),
        TAKER,
        SYSTEM,
        needs=("reason_code",),
        stay=True,
    ),
    *_rows(M.RELEASE, (S.ESCALATED, S.PAUSED), (), TAKER, SYSTEM, needs=("reason_code",), stay=True),
    *_rows(M.STAFF, UNDERWAY, (), BODY_TAKER, needs=("member_ids",), stay=True),
    *_rows(M.LEAD, (S.TAKEN, S.IN_SERVICE), (), LEAD, DISPATCHER, needs=("take_id",), stay=True),
    *_rows(M.CONTACT, UNDERWAY, (), TAKER, needs=("reached",), stay=True),
    *_rows(M.START, (S.TAKEN,), (S.IN_SERVICE,), TAKER),
    *_rows(
        M.PROGRESS,
        (S.TAKEN, S.IN_SERVICE, S.ESCALATED),
        (),
        TAKER,
        INVITED,
        STAFF,
        needs=("text",),
        stay=True,
    ),
    *_rows(M.FINISH, (S.TAKEN, S.IN_SERVICE), (S.DONE,), LEAD, needs=("result", "closing")),
    *_rows(M.ESCALATE, (S.ACCEPTED, *UNDERWAY, S.REDO), (S.ESCALATED,), DISPATCHER, needs=("level", "text")),
    *_rows(M.ESCALATE, (S.ESCALATED,), (), DISPATCHER, needs=("level", "text"), stay=True),
    *_rows(M.DELIBERATE, (S.ESCALATED,), (), DISPATCHER, needs=("decision",), stay=True),
    *_rows(
        M.RESUME, (S.PAUSED,), (S.ACCEPTED, S.TAKEN, S.IN_SERVICE, S.ESCALATED, S.REDO), DISPATCHER, SYSTEM
    ),
    *_rows(M.RESUME, (S.ESCALATED,), (S.IN_SERVICE, S.TAKEN), DISPATCHER),
    *_rows(M.PARK, (S.ACCEPTED, S.TAKEN, S.IN_SERVICE, S.ESCALATED, S.REDO), (S.PAUSED,), SYSTEM),
    *_rows(
        M.RATE, (S.DONE,), (S.EVALUATED,), FILER, BENEFICIARY, STAFF, needs=("score", "solved", "contacted")
    ),
    *_rows(
        M.RATE,
        (S.EVALUATED, S.CLOSED, S.MERGED),
        (),
        FILER,
        BENEFICIARY,
        STAFF,
        needs=("score", "solved", "contacted"),
        stay=True,
    ),
    *_rows(M.CLOSE, (S.EVALUATED,), (S.CLOSED,), DISPATCHER, SYSTEM, needs=("exit",)),
    *_rows(M.CLOSE, (S.DONE,), (S.CLOSED,), SYSTEM, needs=("exit",)),
    *_rows(M.CLOSE, (S.REDO,), (S.CLOSED,), DISPATCHER, needs=("exit",)),
    *_rows(
        M.REDO,
        (S.DONE, S.EVALUATED, S.CLOSED),
        (S.REDO, S.IN_SERVICE),
        DISPATCHER,
        SYSTEM,
        needs=("reason_code", "text"),
    ),
    *_rows(
        M.CANCEL,
        (S.SUBMITTED, S.NEED_INFO, S.ACCEPTED, S.OPEN, S.OFFERED),
        (S.CANCELLED,),
        FILER,
        BENEFICIARY,
        DISPATCHER,
        SYSTEM,
    ),
    *_rows(
        M.CANCEL,
        (S.TAKEN, S.IN_SERVICE, S.PAUSED, S.ESCALATED),
        (S.CANCELLED,),
        FILER,
        BENEFICIARY,
        DISPATCHER,
        SYSTEM,
        needs=("reason_code",),
    ),
    # The system presses where a clock is overdue and nothing is heard (domain/sla.py, SILENCE).
    *_rows(M.URGE, tuple(s for s in State if s in LIVE), (), DISPATCHER, SYSTEM, needs=("text",), stay=True),
    *_rows(M.SUPERVISE, tuple(s for s in State if s in LIVE), (), STREET, SYSTEM, needs=("text",), stay=True),
)

EDGES: dict[tuple[State | None, Move], Edge] = {(edge.source, edge.move): edge for edge in EDGES_IN_ORDER}

SYSTEM_MOVES = frozenset({M.ADMIT, M.FOLLOW, M.LAPSE, M.PARK})
"""Moves that nobody calls: they follow from a decision, from another move or from time."""


class Flag(StrEnum):
    """What an order is besides its state."""

    URGED = "urged"
    SUPERVISED = "supervised"
    SHORT_HANDED = "short_handed"
    ABOUT_PERSON = "about_person"
    EXCLUDED = "excluded"
    DISPUTED = "disputed"
    CONTACT_IN_TEXT = "contact_in_text"
    OWN_TAKE = "own_take"
    OVERDUE = "overdue"


class DispatchState(StrEnum):
    """How one round of handing out stands."""

    RUNNING = "running"
    FILLED = "filled"
    EXPIRED = "expired"
    DECLINED = "declined"
    RECALLED = "recalled"
    DONE = "done"


HELD = frozenset({DispatchState.RUNNING, DispatchState.FILLED})
"""An order has at most one dispatch in these states."""


class TakeState(StrEnum):
    """How one taker's commitment stands."""

    ACTIVE = "active"
    RELEASED = "released"
    RETURNED = "returned"
    RECALLED = "recalled"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    DONE = "done"


GIVEN_BACK = frozenset({TakeState.RELEASED, TakeState.LAPSED})
"""Ends that the taker brought about, by a word or by silence."""

HANDOVER, LEASE_EXPIRED = "handover", "lease_expired"
"""Reasons of a release that no person chooses from the list: the take passed to another, or time ended it."""


class TargetState(StrEnum):
    """How an offer to one candidate stands."""

    WAITING = "waiting"
    ASKED = "asked"
    TAKEN = "taken"
    DECLINED = "declined"
    LAPSED = "lapsed"


class Mode(StrEnum):
    """How an order is handed out: to everyone eligible, to named candidates, or by assignment."""

    OPEN = "open"
    OFFER = "offer"
    ASSIGN = "assign"


class TakerKind(StrEnum):
    """What takes an order."""

    MEMBER = "member"
    UNIT = "unit"
    TEAM = "team"
    STAFF = "staff"
    PROVIDER = "provider"
    DEPARTMENT = "department"


ASSIGNABLE = frozenset({TakerKind.UNIT, TakerKind.STAFF, TakerKind.PROVIDER, TakerKind.DEPARTMENT})
"""Who may be told rather than asked. 志愿服务条例: helping is voluntary, so members and teams are only asked."""

PEOPLE = frozenset({TakerKind.MEMBER, TakerKind.STAFF})
"""Takers that are one person; all others are bodies."""

OPEN_KINDS = frozenset({TakerKind.MEMBER, TakerKind.TEAM, TakerKind.UNIT})
"""The default audience of an open dispatch."""


class Level(StrEnum):
    """Where an escalated order stands."""

    COMMUNITY = "community"
    STREET = "street"
    DISTRICT = "district"


LEVELS = (Level.COMMUNITY, Level.STREET, Level.DISTRICT)


class Closing(StrEnum):
    """How the work ended, in the taker's word."""

    SOLVED = "solved"
    EXPLAINED = "explained"
    TRANSFERRED = "transferred"


class Exit(StrEnum):
    """By which door an order left; the four exits of an unhappy order, and silence."""

    SOLVED = "solved"
    EXPLAINED = "explained"
    PARKED = "parked"
    TRANSFERRED = "transferred"
    NO_VERDICT = "no_verdict"


class Ask(StrEnum):
    """What may be asked of those who decide."""

    RETURN = "return"
    EXTENSION = "extension"
    PARK = "park"
    ESCALATION = "escalation"
    EXCLUSION = "exclusion"
    OBJECTION = "objection"
    REOPEN = "reopen"


class AskState(StrEnum):
    """How a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class AskRule:
    """Who may ask in which states, and who decides the first and any later one."""

    states: frozenset[State]
    rights: tuple[Right, ...]
    decider: Right
    later: Right
    most: int | None = None
    days: int | None = None


ASKS: dict[Ask, AskRule] = {
    # 衡阳, 数字城管: a return is asked and decided; from the second on the street rules (国办函〔2025〕66号 派单异议).
    Ask.RETURN: AskRule(frozenset({*UNDERWAY, S.ESCALATED, S.PAUSED}), (TAKER, INVITED), DISPATCHER, STREET),
    # One built-in extension by the dispatcher, the second one level up, never a third (数字城管 延期).
    Ask.EXTENSION: AskRule(
        frozenset({S.TAKEN, S.IN_SERVICE, S.ESCALATED}), (TAKER,), DISPATCHER, STREET, most=2
    ),
    Ask.PARK: AskRule(
        frozenset({S.ACCEPTED, S.TAKEN, S.IN_SERVICE, S.ESCALATED, S.REDO}),
        (TAKER, DISPATCHER),
        STREET,
        STREET,
    ),
    Ask.ESCALATION: AskRule(
        frozenset({S.ACCEPTED, *UNDERWAY, S.ESCALATED, S.REDO}), (TAKER, GRID), DISPATCHER, DISPATCHER
    ),
    Ask.EXCLUSION: AskRule(frozenset(State), (DISPATCHER,), STREET, STREET),
    Ask.OBJECTION: AskRule(frozenset({S.REJECTED}), (FILER,), STREET, STREET, days=15),
    Ask.REOPEN: AskRule(
        frozenset({S.DONE, S.EVALUATED, S.CLOSED}), (FILER, BENEFICIARY), DISPATCHER, STREET, days=15
    ),
}

REOPEN_DAYS = 15
"""How long a closed order may be reopened, days (domain research §2.3: windows of 7–15 days in use)."""

ASK_LABELS = {
    Ask.RETURN: "退单",
    Ask.EXTENSION: "延期",
    Ask.PARK: "挂账",
    Ask.ESCALATION: "提级",
    Ask.EXCLUSION: "剔除",
    Ask.OBJECTION: "异议",
    Ask.REOPEN: "重办",
}
