"""The rulebook's table once more, by hand and by move. An edit of EDGES must be made here too."""

from dispatch.domain.life import Standing
from dispatch.domain.order import SYSTEM_MOVES, Move, Relation, State
from dispatch.domain.people import Role

S, M, R = State, Move, Role

STAFF = {R.DISPATCHER, R.COMMUNITY_SECRETARY, R.STREET, R.DISTRICT}
UP = {R.STREET, R.DISTRICT}
ALL_STAFF = STAFF | {R.GRID_WORKER, R.GRID_SECRETARY}
UNDERWAY = "open offered taken in_service"
LIVE = "submitted need_info accepted open offered taken in_service paused escalated done redo evaluated"
BY_HAND: dict[str, tuple[str, set[Role], str]] = {
    # move: (sources, roles in scope, relations)
    "ask": ("submitted", STAFF, ""),
    "supplement": ("need_info submitted accepted open offered taken in_service", set(), "filer beneficiary"),
    "accept": ("submitted", STAFF, ""),
    "reject": ("submitted need_info", STAFF, ""),
    "admit": ("rejected", set(), ""),
    "merge": ("submitted need_info accepted", STAFF, ""),
    "unmerge": ("merged", STAFF, ""),
    "follow": ("merged", set(), ""),
    "dispatch": ("accepted redo escalated", STAFF, ""),
    "recall": ("open offered", STAFF, ""),
    "take": (UNDERWAY, set(), "audience invited"),
    "decline": ("offered", set(), "invited"),
    "lapse": (UNDERWAY, set(), ""),
    "proceed": ("open offered", STAFF, ""),
    "release": (f"{UNDERWAY} escalated paused", set(), "taker"),
    "lead": ("taken in_service", STAFF, "lead"),
    "contact": (UNDERWAY, set(), "taker"),
    "start": ("taken", set(), "taker"),
    "progress": ("taken in_service escalated", ALL_STAFF, "taker invited"),
    "finish": ("taken in_service", set(), "lead"),
    "escalate": (f"accepted {UNDERWAY} redo escalated", STAFF, ""),
    "deliberate": ("escalated", STAFF, ""),
    "resume": ("paused escalated", STAFF, ""),
    "park": ("accepted taken in_service escalated redo", set(), ""),
    "rate": ("done evaluated closed merged", ALL_STAFF, "filer beneficiary"),
    "redo": ("done evaluated closed", STAFF, ""),
    "cancel": (f"submitted need_info accepted {UNDERWAY} paused escalated", STAFF, "filer beneficiary"),
    "urge": (LIVE, STAFF, ""),
    "supervise": (LIVE, UP, ""),
}


def by_hand(state: State, move: Move, who: Standing) -> bool:
    """Whether the table lets somebody try a move from a state."""
    if move is M.RESOLVE:
        allowed = STAFF if state is S.ESCALATED else STAFF | {R.GRID_WORKER}
        return state in (S.SUBMITTED, S.ACCEPTED, S.ESCALATED) and bool(who.scoped & allowed)
    if move is M.CLOSE:
        system = Role.SYSTEM in who.roles and state in (S.EVALUATED, S.DONE)
        return system or (state in (S.EVALUATED, S.REDO) and bool(who.scoped & STAFF))
    if move is M.STAFF:
        taker = Relation.TAKER in who.relations and bool(who.roles & {R.UNIT_ADMIN, R.TEAM_LEAD})
        return state in UNDERWAY.split() and taker
    sources, roles, relations = BY_HAND[move.value]
    if state not in sources.split():
        return False
    system_too = {"release", "dispatch", "redo", "cancel", "resume", "urge", "supervise"}
    by_system = Role.SYSTEM in who.roles and (
        move in SYSTEM_MOVES
        or (move.value in system_too and not (move in (M.RESUME, M.DISPATCH) and state is S.ESCALATED))
    )
    return by_system or bool(who.scoped & roles) or any(r in relations.split() for r in who.relations)
