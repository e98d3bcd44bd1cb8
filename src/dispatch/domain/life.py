"""An order as the rulebook sees it, and what an actor is to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dispatch.domain.order import (
    Ask,
    AskState,
    DispatchState,
    Flag,
    Level,
    Mode,
    Relation,
    Right,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import BODY_ROLES, SCOPED_ROLES, STAFF_ROLES, Actor, Grant, Role

Party = tuple[str, UUID]
"""A taker, target or called body: (kind, id). A member's or a staff's id is the account's."""


@dataclass(frozen=True, slots=True)
class Take:
    """One taker's commitment. ``people`` are those staffed by a body, the one in charge first.

    ``nth``: the how-manieth of its dispatch to be won; ``lease_until``: until when it is kept without a sign of life,
    None once there was one.
    """

    id: UUID
    dispatch_id: UUID
    kind: TakerKind
    taker_id: UUID
    state: TakeState
    taken_at: datetime
    account_id: UUID
    nth: int = 1
    reached_at: datetime | None = None
    failed_tries: int = 0
    last_try_at: datetime | None = None
    lease_until: datetime | None = None
    people: tuple[UUID, ...] = ()

    @property
    def party(self) -> Party:
        """Who holds it."""
        return (self.kind, self.taker_id)

    @property
    def won(self) -> tuple[datetime, int]:
        """Sorts takes by who won first, also of those won within one instant."""
        return (self.taken_at, self.nth)


@dataclass(frozen=True, slots=True)
class Target:
    """One named candidate of an offer or assignment, or one in the waiting list of an open dispatch.

    ``match``: {score, parts, reasons}, if matching named it; ``until``: until when a place is kept for who waited;
    ``serves``: no member who left or pauses, no body out of service.
    """

    kind: TakerKind
    id: UUID
    seq: int
    state: TargetState
    match: Mapping[str, Any] | None = None
    until: datetime | None = None
    serves: bool = True

    @property
    def party(self) -> Party:
        """Who is named."""
        return (self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One round of handing the order out.

    ``slots_held``: places kept for the first in line of its waiting list, which has changed ``waiters`` times.
    """

    id: UUID
    mode: Mode
    state: DispatchState
    slots_min: int
    slots_max: int
    slots_taken: int
    takes_made: int = 0
    made_at: datetime | None = None
    kinds: frozenset[str] = frozenset()
    ring_id: UUID | None = None
    expires_at: datetime | None = None
    lasts_seconds: int | None = None
    extended: bool = False
    parallel: bool = False
    slots_held: int = 0
    waiters: int = 0
    wait_seconds: int | None = None
    targets: tuple[Target, ...] = ()

    def unexpired(self, at: datetime) -> bool:
        """Whether it may still be taken from, as far as time goes (``now == due`` is in time)."""
        return self.expires_at is None or at <= self.expires_at


@dataclass(frozen=True, slots=True)
class Asked:
    """A pending request."""

    id: UUID
    kind: Ask
    asked_by: UUID
    party: Party | None = None
    by_street: bool = False
    status: AskState = AskState.PENDING


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rating of the current round."""

    score: int
    solved: bool
    by: UUID | None
    at: datetime
    revision: int
    follow_up: bool = False

    @property
    def happy(self) -> bool:
        """Three or more of five, and solved; anything else asks to reopen."""
        return self.score >= 3 and self.solved


@dataclass(frozen=True, slots=True)
class Life:
    """All that decides about one order: its row, its running dispatch, its takes and requests.

    ``takes`` are the active ones and those done in this round, ``former`` those done in earlier ones;
    ``barred`` are parties whose return was approved; ``held`` is the running or filled dispatch,
    ``last`` the newest of any state; ``filed_under`` is the grant it was filed under, ``filed_as`` that grant's role.
    """

    id: UUID
    state: State
    version: int
    round: int
    place: frozenset[UUID]
    filer_id: UUID
    filed_under: UUID | None = None
    filed_as: Role | None = None
    beneficiary_id: UUID | None = None
    on_behalf: bool = False
    urgency: str = "U3"
    item_code: str = ""
    item_flags: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    level: Level | None = None
    left: State | None = None
    started: bool = False
    lead_id: UUID | None = None
    resolver_id: UUID | None = None
    parent_id: UUID | None = None
    parent_state: State | None = None
    children: int = 0
    dispatches_made: int = 0
    held: Dispatch | None = None
    last: Dispatch | None = None
    takes: tuple[Take, ...] = ()
    former: tuple[Take, ...] = ()
    barred: frozenset[Party] = frozenset()
    called: frozenset[Party] = frozenset()
    pending: tuple[Asked, ...] = ()
    asked: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict | None = None
    done_at: datetime | None = None
    rested_at: datetime | None = None

    @property
    def active(self) -> tuple[Take, ...]:
        """Takes that bind somebody now, oldest first."""
        return tuple(take for take in self.takes if take.state == TakeState.ACTIVE)

    @property
    def lead(self) -> Take | None:
        """The active take in charge: the chosen one, else the oldest."""
        active = self.active
        return next((take for take in active if take.id == self.lead_id), active[0] if active else None)

    def later(self, at: datetime, *, but: UUID | None = None) -> datetime:
        """An instant, or that of the last active take: who wins now stands behind it, whatever clock says when.

        Args:
            but: a take that does not count.
        """
        return max([at, *(take.taken_at for take in self.active if take.id != but)])

    @property
    def led_by(self) -> UUID | None:
        """The take in charge; once the work is done, the one that was."""
        return self.lead.id if self.lead else self.lead_id

    @property
    def effective_state(self) -> State:
        """What the filer should read: a merged order shows its parent's progress."""
        return self.parent_state if self.state is State.MERGED and self.parent_state else self.state


@dataclass(frozen=True, slots=True)
class Standing:
    """What an actor is to one order, worked out once. ``grants`` are those that count in the request."""

    account_id: UUID | None
    roles: frozenset[Role]
    scoped: frozenset[Role]
    relations: frozenset[Relation]
    parties: frozenset[Party] = frozenset()
    grants: frozenset[UUID] = frozenset()

    def holds(self, right: Right) -> bool:
        """Whether the right is this actor's. A role *in scope* must be in scope by its own grant."""
        if right.relation is Relation.IN_SCOPE:
            return bool(self.scoped & (right.roles or self.scoped))
        if right.relation is not None and right.relation not in self.relations:
            return False
        return right.roles is None or bool(right.roles & self.roles)


THE_SYSTEM = Standing(None, frozenset({Role.SYSTEM}), frozenset(), frozenset())
"""Who acts when nobody does: time, an approved request, a rule."""


def party_of(grant: Grant, account_id: UUID) -> Party | None:
    """What takes when somebody acts under this grant; None if the role takes nothing."""
    if grant.role in BODY_ROLES:
        return (BODY_ROLES[grant.role], grant.body_id) if grant.body_id else None
    if grant.role is Role.MEMBER:
        return (TakerKind.MEMBER, account_id)
    return (TakerKind.STAFF, account_id) if grant.role in STAFF_ROLES else None


def covers(grant: Grant, place: frozenset[UUID]) -> bool:
    """Whether a grant's place is the order's place or lies above it. ``place``: ids up to the root."""
    return grant.place_id is not None and grant.body_id is None and grant.place_id in place


def in_audience(dispatch: Dispatch, grant: Grant, party: Party | None) -> bool:
    """Whether an open dispatch speaks to a grant: its kind is wanted and it lies within the ring."""
    ended_before = (
        grant.valid_to is not None and dispatch.made_at is not None and grant.valid_to <= dispatch.made_at
    )
    return (
        dispatch.mode is Mode.OPEN
        and not ended_before
        and party is not None
        and party[0] in dispatch.kinds
        and dispatch.ring_id in grant.path
    )


def named(dispatch: Dispatch, party: Party) -> Target | None:
    """The party's line in an offer or assignment."""
    return next((target for target in dispatch.targets if target.party == party), None)


def asked_of(dispatch: Dispatch, party: Party) -> bool:
    """Whether an offer or assignment waits for this party's word."""
    target = named(dispatch, party)
    return target is not None and target.state is TargetState.ASKED


def standing(life: Life, actor: Actor) -> Standing:
    """Work out what an actor is to an order, from the grants that count in this request."""
    me = actor.account_id
    relations: set[Relation] = set()
    if me == life.filer_id:
        relations.add(Relation.FILER)
    if me == life.beneficiary_id:
        relations.add(Relation.BENEFICIARY)
    parties = {party for grant in actor.grants if (party := party_of(grant, me))}
    scoped = frozenset(
        grant.role for grant in actor.grants if grant.role in SCOPED_ROLES and covers(grant, life.place)
    )
    if scoped:
        relations.add(Relation.IN_SCOPE)
    mine = [take for take in life.active if take.party in parties or me in take.people]
    if mine:
        relations.add(Relation.TAKER)
    if life.lead in mine and (life.lead.party in parties or me == life.lead.people[0]):
        relations.add(Relation.LEAD)
    if life.state is State.ESCALATED and parties & life.called:
        relations.add(Relation.INVITED)
    if life.held and life.held.state in (DispatchState.RUNNING, DispatchState.FILLED):
        if any(in_audience(life.held, grant, party_of(grant, me)) for grant in actor.grants):
            relations.add(Relation.AUDIENCE)
        targets = [named(life.held, party) for party in parties]
        if any(target and target.state in (TargetState.ASKED, TargetState.TAKEN) for target in targets):
            relations.add(Relation.INVITED)
    held = frozenset(grant.id for grant in actor.grants)
    return Standing(me, actor.roles, scoped, frozenset(relations), frozenset(parties), held)


def own_take(life: Life, who: Standing, *, staffed: bool = False) -> Take | None:
    """The actor's active take; with ``staffed`` also one that a body put the actor on."""
    for take in life.active:
        if take.party in who.parties or (staffed and who.account_id in take.people):
            return take
    return None


def served(life: Life, who: Standing, *, ever: bool = False) -> bool:
    """Whether the actor worked on the order in this round; with ``ever``, in any."""
    return any(
        take.party in who.parties or who.account_id in (take.account_id, *take.people)
        for take in (*life.takes, *(life.former if ever else ()))
        if take.state in (TakeState.ACTIVE, TakeState.DONE)
    )


def short_handed(life: Life) -> bool:
    """Whether the flag stands."""
    return Flag.SHORT_HANDED in life.flags


Data = Mapping[str, Any]
"""A move's body, already validated at the edge."""
