"""The pages of the documentation that are written by the code they describe."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from dispatch.domain.calendar import Calendar, Pause, due, elapsed, segments
from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.facts import Fact
from dispatch.domain.order import (
    ASK_LABELS,
    ASKS,
    EDGES_IN_ORDER,
    MOVE_LABELS,
    RESTING,
    STATE_LABELS,
    SYSTEM_MOVES,
    Ask,
    AskRule,
    DispatchState,
    Edge,
    Move,
    Relation,
    Right,
    State,
    TakeState,
    TargetState,
    category,
)
from dispatch.domain.people import ROLE_LABELS, Role
from dispatch.domain.sla import CLOCK_LABELS, CLOCKS, Clock, Outcome, Step
from dispatch.domain.year_view import drawn
from dispatch.settings import Settings
from dispatch.sla import shipped
from dispatch.web.problems import every_problem

GENERATED = "<!-- Written by the code: make docs. -->"
BEGIN, END = "<!-- begin: make docs -->", "<!-- end: make docs -->"

RELATION_WORDS = {
    Relation.FILER: "点单人: filed it",
    Relation.BENEFICIARY: "受益人: it is for them",
    Relation.TAKER: "接单人: holds an active take, for oneself, one's unit or team",
    Relation.LEAD: "牵头人: the take in charge",
    Relation.INVITED: "受邀: named in an offer or assignment, or called by a deliberation",
    Relation.AUDIENCE: "可认领: the open dispatch's ring and kinds cover the grant",
    Relation.IN_SCOPE: "辖区内: the grant's place covers the order's",
}

STATE_WORDS = {
    State.SUBMITTED: "filed, not yet looked at",
    State.NEED_INFO: "the filer was asked something and has not answered",
    State.REJECTED: "not for this service; the filer may object",
    State.MERGED: "a duplicate: it follows its parent",
    State.ACCEPTED: "taken in, waits to be handed out; nobody holds a take",
    State.OPEN: "handed out to everyone eligible, too few takes yet",
    State.OFFERED: "handed out by name, too few takes yet",
    State.TAKEN: "enough takers, none has begun",
    State.IN_SERVICE: "somebody has begun",
    State.PAUSED: "put aside with the street's approval",
    State.ESCALATED: "with the committee, the street or the district",
    State.DONE: "the work has ended, a verdict is awaited",
    State.REDO: "another round begins, waits to be handed out",
    State.EVALUATED: "judged, and something still pends",
    State.CLOSED: "at its end; may be reopened for a while",
    State.CANCELLED: "withdrawn",
}

MOVE_WORDS = {
    Move.SUBMIT: "file an order",
    Move.ASK: "ask the filer for more",
    Move.SUPPLEMENT: "answer, or add to the order",
    Move.ACCEPT: "take it in and fix item and urgency",
    Move.REJECT: "refuse it with a reason",
    Move.ADMIT: "an objection was upheld: it comes in again",
    Move.MERGE: "make it the child of another order",
    Move.UNMERGE: "give it a life of its own again",
    Move.FOLLOW: "a child goes with its parent, or takes the parent's place",
    Move.RESOLVE: "end it on the spot, or by the work of a called body",
    Move.DISPATCH: "hand it out",
    Move.RECALL: "take the handing out back",
    Move.TAKE: "win a slot",
    Move.DECLINE: "say no to an offer",
    Move.LAPSE: "the time of a dispatch or of an offer is over",
    Move.PROCEED: "go on with the takers there are",
    Move.RELEASE: "give a take back",
    Move.STAFF: "say who of a unit or team does it",
    Move.LEAD: "put another take in charge",
    Move.CONTACT: "note a try to reach the resident",
    Move.START: "begin the work",
    Move.PROGRESS: "say how it goes",
    Move.FINISH: "end the work with a result",
    Move.ESCALATE: "bring it to a level",
    Move.DELIBERATE: "write down what a level decided, and whom it calls",
    Move.RESUME: "go on after a pause or an escalation",
    Move.PARK: "a pause was approved",
    Move.RATE: "judge, or key in a verdict given by call-back",
    Move.CLOSE: "end it by one of its exits",
    Move.REDO: "begin another round",
    Move.CANCEL: "withdraw it",
    Move.URGE: "remind those at work: a flag and notices",
    Move.SUPERVISE: "press from the street or district: a flag and notices",
}

ASK_WORDS = {
    Ask.RETURN: "to be relieved of a take or an assignment",
    Ask.EXTENSION: "a later deadline",
    Ask.PARK: "a pause until a date",
    Ask.ESCALATION: "that a level above look at it",
    Ask.EXCLUSION: "not to count it in a rate",
    Ask.OBJECTION: "that a refusal be looked at again",
    Ask.REOPEN: "another round after the work ended",
}

TAKE_WORDS = {
    TakeState.ACTIVE: ("在办", "the taker is on it"),
    TakeState.RELEASED: ("已退出", "given back by the taker"),
    TakeState.RETURNED: ("已退单", "given back by an approved return; the taker is barred"),
    TakeState.RECALLED: ("已收回", "the dispatch was recalled"),
    TakeState.LAPSED: ("已到期", "ended by time"),
    TakeState.CANCELLED: ("已撤销", "the order was withdrawn"),
    TakeState.DONE: ("已完成", "the work has ended"),
}

DISPATCH_WORDS = {
    DispatchState.RUNNING: ("派单中", "may be taken"),
    DispatchState.FILLED: ("已接满", "every slot is held; a release makes it run again"),
    DispatchState.EXPIRED: ("已到期", "its time is over"),
    DispatchState.DECLINED: ("无人愿接", "nobody is left to ask"),
    DispatchState.RECALLED: ("已收回", "taken back, or ended by an escalation or a withdrawal"),
    DispatchState.DONE: ("已完成", "the work, or the order, has ended"),
}

TARGET_WORDS = {
    TargetState.WAITING: ("排队", "not asked yet"),
    TargetState.ASKED: ("已询问", "may take or decline"),
    TargetState.TAKEN: ("已接单", "has taken"),
    TargetState.DECLINED: ("已婉拒", "said no"),
    TargetState.LAPSED: ("未答复", "did not answer in time"),
}

FACT_WORDS = {
    Fact.ORDER_MOVED: ("需求单有变化", "an order took a step"),
    Fact.REQUEST_ASKED: ("有新的申请", "a request waits for a decision"),
    Fact.REQUEST_DECIDED: ("申请有结果", "a request was approved or refused"),
    Fact.REVEAL_ASKED: (
        "申请查看联系方式",
        "the district asks for contact data, which a second person confirms",
    ),
    Fact.REVEAL_DECIDED: ("查看申请有结果", "a second person confirmed it or refused"),
    Fact.PHONE_WITHDRAWN: ("手机号授权撤回", "a person took back WeChat's leave to use the phone"),
    Fact.POINT_WITHDRAWN: ("位置授权撤回", "a person took back WeChat's leave to read where he is"),
    Fact.IDENTITY_ENDED: ("微信注销", "a person ended the account at WeChat"),
    Fact.HANDOVER_CHANGED: ("移交有变化", "a take is to pass to another, or was not wanted"),
    Fact.CLOCK_STEP: ("时限有动静", "a clock reached a step: a warning, a breach, the ladder, or its end"),
    Fact.CALENDAR_CHANGED: ("工作日历有变化", "another version of the working calendar stands"),
    Fact.CHECKIN_MOVED: ("报到有变化", "a check-in or a registration was filed, approved or returned"),
    Fact.POLICIES_CHANGED: ("时限策略有变化", "other limits hold for orders that are open, too"),
    Fact.CLAIM_MOVED: ("认领有变化", "a claim on a listing was made, or took a step"),
}


CLOCK_WORDS = {
    Clock.ACCEPT: "until it is taken in, refused or asked about",
    Clock.DISPATCH: "until it is handed out",
    Clock.TAKE: "until enough have taken it",
    Clock.CONTACT: "until a taker first reaches for the resident",
    Clock.FINISH: "until the work has ended",
    Clock.LEVEL: "until the level it was brought to has ruled",
    Clock.EVALUATE: "until a verdict is given; in the end it closes without",
    Clock.REVIEW: "until an unhappy verdict is answered",
    Clock.ANSWER: "until the filer answers; in the end it is withdrawn",
    Clock.PAUSE: "until the review date; then it goes on",
    Clock.EXPIRY: "as long as a dispatch or an offer stands; then it lapses",
    Clock.PLACE: "as long as a place that came free is kept for who waited",
    Clock.LEASE: "until the taker gives a first sign of life; in the end the take goes back",
}

STEP_WORDS = {
    Step.WARN_50: ("过半提醒", "half of the time is used: the owner is told"),
    Step.WARN_80: ("八成提醒", "four fifths are used: the owner is told"),
    Step.BREACH: ("超时", "the time is over: the owner and those above are told"),
    Step.URGE: ("催办", "nothing was heard of the owner since: the system urges"),
    Step.SUPERVISE: ("督办", "still nothing: the system supervises, the street is told"),
    Step.REMIND: ("提醒", "the filer is reminded"),
    Step.ACT: ("到期处理", "the system does what the end of the time brings"),
}

OUTCOME_WORDS = {
    Outcome.ON_TIME: ("按时", "stopped at its due or before"),
    Outcome.LATE: ("超时", "stopped after its due"),
    Outcome.EXCLUDED: ("不计", "ended before its aim; the reason stands beside it"),
}


def pages(root: Path) -> dict[Path, str]:
    """Every generated page, by its path under ``root``; pages with a hand-written part keep it."""
    docs = root / "docs"
    return {
        docs / "life-of-an-order.md": life_of_an_order(),
        docs / "errors.md": errors(),
        docs / "settings.md": settings(),
        docs / "words.md": _within(docs / "words.md", words()),
        docs / "working-time.md": _within(docs / "working-time.md", worked_examples()),
        docs / "calendar-2026.svg": drawn(_shipped(), 2026),
        docs / "calendar-2027.svg": drawn(_shipped(), 2027),
        root / "README.md": _within(root / "README.md", diagram(main_path_only=True)),
    }


def write(root: Path) -> None:
    """Write them."""
    for path, text in pages(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def differences(root: Path) -> list[str]:
    """Names of the pages that are not what the code says."""
    return [
        str(path.relative_to(root))
        for path, text in pages(root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def _within(path: Path, text: str) -> str:
    """A page whose generated part stands between two marks."""
    page = path.read_text(encoding="utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"


_MAIN_MOVES = (
    Move.ASK,
    Move.SUPPLEMENT,
    Move.ACCEPT,
    Move.REJECT,
    Move.MERGE,
    Move.DISPATCH,
    Move.RECALL,
    Move.TAKE,
    Move.START,
    Move.FINISH,
    Move.ESCALATE,
    Move.RATE,
    Move.CLOSE,
    Move.REDO,
)


def diagram(*, main_path_only: bool = False) -> str:
    """The life of an order as a Mermaid state diagram; moves that change no state are left out."""
    arrows: dict[tuple[State | None, State], list[str]] = {}
    for edge in EDGES_IN_ORDER:
        if main_path_only and edge.move not in (*_MAIN_MOVES, Move.SUBMIT):
            continue
        for target in edge.targets:
            if target is not edge.source:
                arrows.setdefault((edge.source, target), []).append(MOVE_LABELS[edge.move])
    lines = ["```mermaid", "stateDiagram-v2"]
    shown = {state for pair in arrows for state in pair if state}
    lines += [f"    {state}: {STATE_LABELS[state]}" for state in State if state in shown]
    lines += [
        f"    {source or '[*]'} --> {target}: {'、'.join(dict.fromkeys(labels))}"
        for (source, target), labels in arrows.items()
    ]
    lines += [f"    {state} --> [*]" for state in State if state in RESTING and state in shown]
    return "\n".join([*lines, "```"])


def life_of_an_order() -> str:
    """The rulebook as a page: diagram, states, moves, requests."""
    states = [[f"`{s}`", STATE_LABELS[s], category(s).value, "yes" if s in RESTING else ""] for s in State]
    asks = [[f"`{ask}`", ASK_LABELS[ask], *_asked(rule)] for ask, rule in ASKS.items()]
    return "\n".join(
        [
            GENERATED,
            "# The life of an order",
            "",
            "Drawn from `domain/order.py`, where the rules stand as data; the API offers `moves` by the same table.",
            "",
            diagram(),
            "",
            "## States",
            "",
            *_table(["state", "label", "clock", "resting"], states),
            "",
            "## Moves",
            "",
            *_table(["move", "label", "from → to", "who", "needs"], [_row(edge) for edge in EDGES_IN_ORDER]),
            "",
            "## Requests",
            "",
            *_table(["kind", "label", "while", "who asks", "decided by", "from the second on"], asks),
            "",
            "## Clocks",
            "",
            "From `domain/sla.py`; [clocks.md](clocks.md) says what follows from them.",
            "",
            *_table(
                ["clock", "label", "starts with the commit of", "stops at", "owner", "limit"],
                [[f"`{c}`", CLOCK_LABELS[c], r.starts, r.stops, r.owner, r.limit] for c, r in CLOCKS.items()],
            ),
            "",
        ]
    )


def _row(edge: Edge) -> list[str]:
    to = "、".join("itself" if target is edge.source else f"`{target}`" for target in edge.targets)
    name = f"`{edge.move}`" + (" (system)" if edge.move in SYSTEM_MOVES else "")
    source = f"`{edge.source}`" if edge.source else "–"
    return [name, MOVE_LABELS[edge.move], f"{source} → {to}", _who(edge.rights), ", ".join(edge.needs)]


def _asked(rule: AskRule) -> list[str]:
    while_ = (
        "any" if rule.states == frozenset(State) else ", ".join(f"`{s}`" for s in State if s in rule.states)
    )
    return [while_, _who(rule.rights), _who([rule.decider]), _who([rule.later])]


def _who(rights: Iterable[Right]) -> str:
    said = []
    for right in rights:
        roles = "/".join(role.value for role in Role if role in right.roles) if right.roles else ""
        said.append(
            " ".join(part for part in (roles, f"_{right.relation}_" if right.relation else "") if part)
        )
    return "; ".join(said)


def words() -> str:
    """Codes, labels and meanings of everything that has a name; a name without a meaning is an error here."""
    labelled: list[tuple[str, list[list[str]]]] = [
        ("States", [[s, STATE_LABELS[s], STATE_WORDS[s]] for s in State]),
        ("Moves", [[m, MOVE_LABELS[m], MOVE_WORDS[m]] for m in Move]),
        ("Requests", [[a, ASK_LABELS[a], ASK_WORDS[a]] for a in Ask]),
        ("Takes", [[t, *TAKE_WORDS[t]] for t in TakeState]),
        ("Dispatches", [[d, *DISPATCH_WORDS[d]] for d in DispatchState]),
        ("Targets of a dispatch", [[t, *TARGET_WORDS[t]] for t in TargetState]),
        ("Facts", [[f, *FACT_WORDS[f]] for f in Fact]),
        ("Clocks", [[c, CLOCK_LABELS[c], CLOCK_WORDS[c]] for c in Clock]),
        ("Steps of a clock", [[t, *STEP_WORDS[t]] for t in Step]),
        ("Verdicts of a clock", [[o, *OUTCOME_WORDS[o]] for o in Outcome]),
        ("Relations", [[r, *RELATION_WORDS[r].split(": ", 1)] for r in Relation]),
    ]
    lines = []
    for name, rows in labelled:
        lines += [f"## {name}", "", *_table(["code", "label", "meaning"], [_coded(row) for row in rows]), ""]
    roles = [[f"`{r}`", ROLE_LABELS[r], _may(r)] for r in Role]
    return "\n".join([*lines, "## Roles", "", *_table(["code", "label", "may"], roles)])


def _coded(row: list[str]) -> list[str]:
    return [f"`{row[0]}`", *row[1:]]


def _may(role: Role) -> str:
    """The moves that the table gives to a role by its name; relations give others to whoever stands in them."""
    named = {edge.move for edge in EDGES_IN_ORDER for right in edge.rights if role in (right.roles or ())}
    return (
        ", ".join(f"`{move}`" for move in Move if move in named) or "only what a relation to the order gives"
    )


def errors() -> str:
    """Every code that an answer may carry."""
    rows = [[f"`{e.code}`", str(e.status), e.message, _flat(e.meaning)] for e in every_problem()]
    return "\n".join(
        [
            GENERATED,
            "# Errors",
            "",
            "Every 4xx and 5xx is `application/problem+json` (RFC 9457). Programs read `code`, people `message`; "
            "codes are never renamed and never given a second meaning.",
            "",
            *_table(["code", "status", "message", "meaning"], rows),
            "",
        ]
    )


def settings() -> str:
    """Every setting."""
    rows = []
    for name, field in Settings.model_fields.items():
        secret = field.annotation is SecretStr
        default = "(development only)" if secret else f"`{field.get_default(call_default_factory=True)}`"
        rows.append([f"`DISPATCH_{name.upper()}`", default, _flat(field.description or "")])
    return "\n".join(
        [
            GENERATED,
            "# Settings",
            "",
            "Read once from the environment when a process starts; a wrong value stops it.",
            "",
            *_table(["variable", "default", "meaning"], rows),
            "",
        ]
    )


def worked_examples() -> str:
    """Deadlines of the calendar that ships, with every stretch of them."""
    return "\n".join(line for example in EXAMPLES for line in _explained(*example))


EXAMPLES = (
    ("Ten working hours over Spring Festival", Limit(Unit.WORKING_HOURS, 10), "2026-02-13T17:00", None),
    ("Two working days, asked for on a Thursday", Limit(Unit.WORKING_DAYS, 2), "2026-09-17T10:00", None),
    (
        "Four working hours, with a question to the filer in between",
        Limit(Unit.WORKING_HOURS, 4),
        "2026-11-20T16:00",
        ("2026-11-20T17:00", "2026-11-23T10:00"),
    ),
)
"""Title, limit, start, and a pause."""


def _explained(title: str, limit: Limit, start: str, paused: tuple[str, str] | None) -> list[str]:
    calendar = _shipped()
    begins, *between = (_local(text, calendar) for text in (start, *(paused or ())))
    pauses = (Pause(between[0], between[1], "need_info"),) if paused else ()
    found = due(limit, begins, calendar, pauses=pauses)
    assert found is not None
    rows = [
        [
            f"{_at(s.start, calendar)}",
            f"{_at(s.end, calendar)}",
            "yes" if s.counted else "",
            s.reason,
            f"{s.end - s.start}",
        ]
        for s in segments(limit.unit, begins, found.due_at, calendar, pauses)
    ]
    used = elapsed(limit.unit, begins, found.due_at, calendar, pauses)
    told = f"From {_at(begins, calendar)}, {limit.amount:g} `{limit.unit}`: due **{_at(found.due_at, calendar)}**, {used} counted."
    return [f"### {title}", "", told, "", *_table(["from", "to", "counts", "reason", "length"], rows), ""]


def _shipped() -> Calendar:
    days = {entry.on: entry.day for entry in (*shipped.official(), *shipped.statutory(range(2027, 2028)))}
    return Calendar("shipped", 1, ZoneInfo("Asia/Shanghai"), shipped.WEEK, days, shipped.KNOWN_UNTIL)


def _local(text: str, calendar: Calendar) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=calendar.zone)


def _at(instant: datetime, calendar: Calendar) -> str:
    return f"{instant.astimezone(calendar.zone):%m-%d %a %H:%M}"


def _flat(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
