"""The pages of the documentation that are written by the code they describe."""

from collections.abc import Iterable, Mapping
from pathlib import Path

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
from dispatch.settings import Settings
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


def pages(root: Path) -> dict[Path, str]:
    """Every generated page, by its path under ``root``; pages with a hand-written part keep it."""
    docs = root / "docs"
    return {
        docs / "life-of-an-order.md": life_of_an_order(),
        docs / "errors.md": errors(),
        docs / "settings.md": settings(),
        docs / "words.md": _within(docs / "words.md", words()),
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
    """Codes and labels that the code uses."""
    plain: Mapping[str, Iterable[str]] = {
        "Take states": TakeState,
        "Dispatch states": DispatchState,
        "Target states": TargetState,
        "Facts": Fact,
    }
    return "\n".join(
        [
            "## States",
            *_table(["code", "label"], [[f"`{s}`", STATE_LABELS[s]] for s in State]),
            "",
            "## Moves",
            *_table(["code", "label"], [[f"`{m}`", MOVE_LABELS[m]] for m in Move]),
            "",
            "## Requests",
            *_table(["code", "label"], [[f"`{a}`", ASK_LABELS[a]] for a in Ask]),
            "",
            "## Roles",
            *_table(["code", "label"], [[f"`{r}`", ROLE_LABELS[r]] for r in Role]),
            "",
            "## Relations",
            *_table(["code", "meaning"], [[f"`{r}`", RELATION_WORDS[r]] for r in Relation]),
            *[f"\n**{name}:** {', '.join(f'`{code}`' for code in codes)}" for name, codes in plain.items()],
        ]
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
        secret = "secret" in str(field.annotation).lower() or field.default is None
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


def _flat(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
