"""Orders and actors as the rulebook sees them, made of nothing but what a test is about."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from dispatch.domain.life import Asked, Dispatch, Life, Party, Standing, Take, Target, Verdict
from dispatch.domain.order import (
    Ask,
    DispatchState,
    Mode,
    Relation,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Role

AT = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACE = UUID(int=7)
FILER, ANN, BEN, UNIT = (UUID(int=number) for number in (2, 101, 102, 201))
"""Who filed; two members; a unit."""


def order(state: State, **more: Any) -> Life:
    """An order of which nothing but its state is remarkable."""
    return Life(
        **{
            "id": UUID(int=9),
            "state": state,
            "version": 3,
            "round": 1,
            "place": frozenset({PLACE}),
            "filer_id": FILER,
            **more,
        }
    )


def take(who: UUID = ANN, kind: TakerKind = TakerKind.MEMBER, **more: Any) -> Take:
    """An active take, by whoever it says or (a body's) by somebody else for it."""
    account = who if kind in (TakerKind.MEMBER, TakerKind.STAFF) else uuid4()
    plain = Take(uuid4(), UUID(int=50), kind, who, TakeState.ACTIVE, AT, account)
    return replace(plain, **more)


def done_take(who: UUID = ANN, kind: TakerKind = TakerKind.MEMBER, **more: Any) -> Take:
    """A take whose work is done."""
    return take(who, kind, state=TakeState.DONE, **more)


def held(takes: Iterable[Take] = (), mode: Mode = Mode.OPEN, **more: Any) -> Dispatch:
    """The running dispatch of these takes, with room for one more unless told otherwise."""
    count = len(list(takes))
    plain = {"slots_min": max(count, 1), "slots_max": count + 1, "state": DispatchState.RUNNING}
    return Dispatch(UUID(int=50), mode, slots_taken=count, **{**plain, **more})


def handed(
    state: State, takes: tuple[Take, ...] = (), mode: Mode = Mode.OPEN, /, *, life: Any = None, **more: Any
) -> Life:
    """An order under a dispatch. ``more``: of the dispatch; ``life``: of the order."""
    dispatch = held(takes, mode, **more)
    return order(state, takes=takes, held=dispatch, last=dispatch, **(life or {}))


def target(who: UUID, seq: int, state: TargetState, kind: TakerKind = TakerKind.MEMBER) -> Target:
    """A named candidate."""
    return Target(kind, who, seq, state)


def asked(kind: Ask, by: UUID = FILER, *, party: Party | None = None, by_street: bool = False) -> Asked:
    """A pending request."""
    return Asked(uuid4(), kind, by, party, by_street)


def verdict(score: int = 1, *, solved: bool = False, at: datetime = AT, follow_up: bool = False) -> Verdict:
    """What the filer said, an unhappy word unless told otherwise."""
    return Verdict(score, solved, FILER, at, 1, follow_up)


def staff(role: Role = Role.DISPATCHER) -> Standing:
    """Somebody who looks after the order's place."""
    return Standing(UUID(int=1), frozenset({role}), frozenset({role}), frozenset({Relation.IN_SCOPE}))


def filer(*relations: Relation, account: UUID = FILER, parties: Iterable[Party] = ()) -> Standing:
    """Who filed the order (or stands in the relations that are given)."""
    return Standing(
        account,
        frozenset({Role.RESIDENT}),
        frozenset(),
        frozenset(relations or {Relation.FILER}),
        frozenset(parties),
    )


def member(who: UUID, *relations: Relation) -> Standing:
    """A member, in whatever relations."""
    party = (TakerKind.MEMBER, who)
    return Standing(who, frozenset({Role.MEMBER}), frozenset(), frozenset(relations), frozenset({party}))


def unit(*relations: Relation) -> Standing:
    """The unit's admin."""
    party = (TakerKind.UNIT, UNIT)
    return Standing(
        UUID(int=301), frozenset({Role.UNIT_ADMIN}), frozenset(), frozenset(relations), frozenset({party})
    )
