"""Which clocks run for an order: a function of where it stands, so that no move has a list of its own to forget."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from dispatch.domain.calendar import Pause
from dispatch.domain.catalog import Limit
from dispatch.domain.life import Dispatch, Life, Party, Take
from dispatch.domain.moved import Moved
from dispatch.domain.order import HELD, Category, Level, Mode, State, TakeState, TargetState, category
from dispatch.domain.queue import after
from dispatch.domain.sla import FILER, NOBODY, WAITS, Clock, Outcome, Owner

Key = tuple[Clock, UUID]
OWN_SUBJECT = frozenset({Clock.TAKE, Clock.EXPIRY, Clock.CONTACT, Clock.LEASE, Clock.PLACE})
"""Clocks of a dispatch or of a take; all others are the order's."""


@dataclass(frozen=True, slots=True)
class Run:
    """A started clock: one row. Another owner, or another start, is another row (``nth``).

    ``since``: from when its time counts; ``started_at``: from when this owner answers for it. ``pauses`` are those of
    the log; the last has no end while the clock stands. ``dated``: its due was set as an instant, not by a limit.
    """

    clock: Clock
    subject_id: UUID
    nth: int
    round: int
    owner: Owner
    since: datetime
    started_at: datetime
    limit: Limit | None
    due_at: datetime | None
    provisional: bool = False
    dated: bool = False
    deadline_no: int = 1
    pauses: tuple[Pause, ...] = ()
    stopped_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None

    @property
    def paused_at(self) -> datetime | None:
        """Since when it stands; None while it runs."""
        return self.pauses[-1].start if self.pauses and self.pauses[-1].end is None else None

    def overdue(self, at: datetime) -> bool:
        """Whether its time is over and somebody answers for it. A pause that began before changes nothing."""
        if self.stopped_at is not None or self.due_at is None or self.clock in WAITS:
            return False
        return self.due_at < (self.paused_at or at)


@dataclass(frozen=True, slots=True)
class View:
    """An order after its moves, as far as clocks care. ``places``: ids of the levels that may own a clock; ``leases``:
    until when takes are kept without a sign of life.
    """

    order_id: UUID
    state: State
    round: int
    places: Mapping[Level, UUID | None]
    active: Mapping[UUID, Party] = field(default_factory=dict)
    contacted: frozenset[UUID] = frozenset()
    leases: Mapping[UUID, datetime] = field(default_factory=dict)
    lead: Party | None = None
    dispatch: Dispatch | None = None
    unhappy: bool = False
    level: Level | None = None
    left: State | None = None
    level_due: datetime | None = None
    review_on: date | None = None
    refixed: bool = False

    @property
    def place_until(self) -> datetime | None:
        """When the first of the places ends that are kept for those who waited."""
        targets = self.dispatch.targets if self.dispatch and self.dispatch.mode is Mode.OPEN else ()
        asked = (target.until for target in targets if target.state is TargetState.ASKED)
        return min((until for until in asked if until), default=None)

    @property
    def paused(self) -> bool:
        """Whether the clocks of its stages stand."""
        return category(self.state) is Category.PAUSED

    @property
    def community(self) -> Owner:
        """Who owns what nobody took; the street where there is no community."""
        id = self.places.get(Level.COMMUNITY)
        return Owner(Level.COMMUNITY, id) if id else Owner(Level.STREET, self.places.get(Level.STREET))


def view(
    life: Life, moves: Sequence[Moved], places: Mapping[Level, UUID | None], made: Take | None = None
) -> View:
    """What an order is after decided moves. ``made``: the take that was just won."""
    order: dict[str, Any] = {}
    detail: dict[str, Any] = {}
    for moved in moves:
        order |= dict(moved.order)
        detail |= {name: value for name, value in moved.detail.items() if name in _TOLD}
    takes = {take.id: take for take in (*life.takes, *((made,) if made else ()))}
    for moved in moves:
        for change in moved.takes:
            if change.id in takes:
                known = {n: v for n, v in change.values.items() if n in _OF_TAKE}
                takes[change.id] = replace(takes[change.id], **known)
    active = {take.id: take for take in takes.values() if take.state == TakeState.ACTIVE}
    lead = active.get(order.get("lead_id", life.lead_id)) or _oldest(active.values())
    return View(
        order_id=life.id,
        state=moves[-1].after if moves else life.state,
        round=order.get("round", life.round),
        places=places,
        active={take.id: take.party for take in active.values()},
        contacted=frozenset(t.id for t in active.values() if t.reached_at or t.failed_tries),
        leases={take.id: take.lease_until for take in active.values() if take.lease_until},
        lead=lead.party if lead else None,
        dispatch=_dispatch(life, moves),
        unhappy=_unhappy(life, moves, detail),
        level=order.get("level", life.level),
        left=order.get("left_state", life.left),
        level_due=datetime.fromisoformat(detail["due"]) if "due" in detail else None,
        review_on=order.get("review_on"),
        refixed=bool(order.keys() & {"item_code", "urgency"}),
    )


def _oldest(takes: Iterable[Take]) -> Take | None:
    return min(takes, key=lambda take: take.won, default=None)


_TOLD = ("due", "score", "solved")
_OF_TAKE = ("state", "reached_at", "failed_tries", "lease_until")


def _dispatch(life: Life, moves: Sequence[Moved]) -> Dispatch | None:
    held = life.held
    for moved in moves:
        if moved.opens:
            held = moved.opens
        elif moved.dispatch is not None:
            seen = held or life.last
            known = {n: v for n, v in moved.dispatch.items() if n in ("state", "expires_at")}
            held = replace(seen, **known) if seen and seen.id == moved.dispatch_id else held
        if held and moved.targets:
            held = replace(held, targets=after(held.targets, moved.targets))
    return held if held and held.state in HELD else None


def _unhappy(life: Life, moves: Sequence[Moved], detail: Mapping[str, Any]) -> bool:
    if "score" in detail:
        return not (detail["score"] >= 3 and detail["solved"])
    return bool(life.verdict and not life.verdict.happy and not any("round" in m.order for m in moves))


def expected(view: View, running: Iterable[Clock] = ()) -> dict[Key, Owner]:
    """The clocks of an order and their owners.

    Args:
        running: those that run already: a finish clock outlives its takers.
    """
    state = view.left if view.state is State.PAUSED and view.left else view.state
    clocks = set(_OF_STATE.get(state, ()))
    if state is State.EVALUATED and view.unhappy:
        clocks.add(Clock.REVIEW)
    if state in _AT_WORK or (state in _SERVED and Clock.FINISH in running):
        clocks.add(Clock.FINISH)
    if view.state is State.PAUSED:
        clocks.add(Clock.PAUSE)
    wanted: dict[Key, Owner] = {
        (clock, view.order_id): _owner(view, clock) for clock in Clock if clock in clocks
    }
    if state in _SERVED:
        open_takes = [(id, party) for id, party in view.active.items() if id not in view.contacted]
        wanted |= {(Clock.CONTACT, take_id): Owner(*party) for take_id, party in open_takes}
    wanted |= {(Clock.LEASE, take_id): Owner(*view.active[take_id]) for take_id in view.leases}
    if view.dispatch and state in (State.OPEN, State.OFFERED):
        wanted[Clock.TAKE, view.dispatch.id] = _asked(view, view.dispatch)
        if view.dispatch.expires_at:
            wanted[Clock.EXPIRY, view.dispatch.id] = NOBODY
    if view.dispatch and view.place_until:
        wanted[Clock.PLACE, view.dispatch.id] = NOBODY
    return wanted


_OF_STATE: Mapping[State, tuple[Clock, ...]] = {
    State.SUBMITTED: (Clock.ACCEPT, Clock.DISPATCH),
    State.NEED_INFO: (Clock.DISPATCH, Clock.ANSWER),
    State.ACCEPTED: (Clock.DISPATCH,),
    State.REDO: (Clock.DISPATCH,),
    State.ESCALATED: (Clock.LEVEL,),
    State.DONE: (Clock.EVALUATE,),
}
_AT_WORK = frozenset({State.TAKEN, State.IN_SERVICE})
_SERVED = _AT_WORK | {State.ACCEPTED, State.OPEN, State.OFFERED, State.ESCALATED}


def _owner(view: View, clock: Clock) -> Owner:
    if clock is Clock.ANSWER:
        return FILER
    if clock in WAITS:
        return NOBODY
    if clock is Clock.FINISH and view.lead:
        return Owner(*view.lead)
    if clock is Clock.LEVEL and view.level:
        return Owner(view.level, view.places.get(view.level))
    return view.community


def _asked(view: View, dispatch: Dispatch) -> Owner:
    """One who was told owns the time to take; of several, and of those who are only asked, the community does."""
    if dispatch.mode is Mode.ASSIGN and len(dispatch.targets) == 1:
        return Owner(*dispatch.targets[0].party)
    return view.community
