"""Who sees which orders: the base of every select of orders.

Visibility is a set of *branches*, each a condition with an index of its own; an order is visible if
one of them holds (domain.md §4.1). A look-up joins them with OR; a list asks each branch for its
page and merges the pages, so that no branch drags another over the whole table.
"""

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select, true

from dispatch.domain.household import HOUSEHOLD
from dispatch.domain.life import Party, party_of
from dispatch.domain.order import (
    EDGES,
    HELD,
    Ask,
    AskState,
    DispatchState,
    Mode,
    Move,
    State,
    TakeState,
    TargetState,
)
from dispatch.domain.people import SCOPED_ROLES, Actor, Grant
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    order_bodies,
    order_recusals,
    orders,
    requests,
    take_people,
    takes,
)
from dispatch.people.queries import PEOPLE
from dispatch.people.tables import accounts, body_people, grants
from dispatch.places.tables import places

Condition = ColumnElement[bool]
T = TypeVar("T")

MOST_REMEMBERED = 64
"""Actors for whom a process keeps what it has built, some 160 KB each: a request asks for it twice and more, and
building it is a third of what a take costs (ADR 0057)."""


class Remembered(Generic[T]):
    """What was built for the actors used last, by all that it depends on."""

    def __init__(self) -> None:
        self._built: dict[Hashable, T] = {}

    def of(self, key: Hashable, build: Callable[[], T]) -> T:
        """What was built under the key; built now if it is not there."""
        found = self._built.pop(key, None)
        if found is None:
            found = build()
        self._built[key] = found  # the one used last is forgotten last
        if len(self._built) > MOST_REMEMBERED:
            del self._built[next(iter(self._built))]
        return found


_WAYS: Remembered[list[Condition]] = Remembered()

TAKEABLE = tuple(state for state in State if (state, Move.TAKE) in EDGES)
"""States in which an order may be taken."""


def visible_to(actor: Actor, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select columns of the orders that the actor may see. Every select of orders starts here."""
    return select(*columns).where(orders.c.tenant_id == actor.tenant.id, or_(*branches(actor)))


def branches(actor: Actor) -> list[Condition]:
    """The ways in which an order may be visible to this actor; the service itself sees all."""
    if actor.is_service:
        return [true()]
    key = actor.tenant.id, actor.account_id, actor.grants
    return _WAYS.of(key, lambda: [*mine(actor), *scoped(actor), *held(actor), *pool(actor)])


def mine(actor: Actor) -> list[Condition]:
    """Filed by the actor, or for the actor."""
    return [orders.c.filer_id == actor.account_id, orders.c.beneficiary_id == actor.account_id]


def kept_from(actor: Actor) -> Condition:
    """Whether the order complains of the actor, or of a body that the actor acts for or belongs to."""
    tenant_id, me = actor.tenant.id, actor.account_id
    acts_for = select(grants.c.body_id).where(
        grants.c.tenant_id == tenant_id, grants.c.account_id == me, grants.c.body_id.is_not(None)
    )
    belongs_to = select(body_people.c.body_id).where(
        body_people.c.tenant_id == tenant_id, body_people.c.account_id == me
    )
    party = order_recusals.c.party_id
    return exists().where(
        order_recusals.c.tenant_id == orders.c.tenant_id,
        order_recusals.c.order_id == orders.c.id,
        or_(party == me, party.in_(acts_for), party.in_(belongs_to)),
    )


def _unless_kept(actor: Actor, ways: list[Condition]) -> list[Condition]:
    """The same ways, closed to whom the order complains of (peers' law 131). One's own order is never closed."""
    open_ = or_(orders.c.recused == 0, ~kept_from(actor))
    return [and_(way, open_) for way in ways]


def scoped(actor: Actor) -> list[Condition]:
    """At a place that one of the actor's grants looks after."""
    if actor.is_service:
        return [true()]
    looks_after = [g for g in actor.grants if g.role in SCOPED_ROLES and g.place_id and not g.body_id]
    if any(len(grant.path) == 1 for grant in looks_after):
        return _unless_kept(actor, [true()])  # the root: the whole tenant
    return _unless_kept(actor, [_at(grant) for grant in looks_after])


def _at(grant: Grant) -> Condition:
    columns = {"street": orders.c.street_id, "community": orders.c.community_id, "grid": orders.c.grid_id}
    column = columns.get(grant.place_kind or "")
    if column is not None:
        return column == grant.place_id
    return orders.c.place_id.in_(below(grant.place_id))


def below(place_id: UUID | None) -> Select[tuple[UUID]]:
    """The ids of a place and of everything under it, within the order's tenant."""
    root = places.alias("root")
    return (
        select(places.c.id)
        .join(root, and_(root.c.tenant_id == places.c.tenant_id, root.c.id == place_id))
        .where(
            places.c.tenant_id == orders.c.tenant_id,
            places.c.path >= root.c.path,
            places.c.path < root.c.path + "~",  # "/" < "~": the paths that begin with the root's
        )
    )


def within(place_id: UUID) -> Condition:
    """At a place or at one under it."""
    return or_(
        orders.c.community_id == place_id,
        orders.c.street_id == place_id,
        orders.c.grid_id == place_id,
        orders.c.place_id.in_(below(place_id)),
    )


def parties(actor: Actor) -> list[tuple[Party, Grant]]:
    """What the actor may take as, and under which grant."""
    return [(party, grant) for grant in actor.grants if (party := party_of(grant, actor.account_id))]


def taken(actor: Actor) -> list[Condition]:
    """Taken by the actor, by the actor's body, or by a body that put the actor on it."""
    own = [
        exists().where(
            takes.c.tenant_id == orders.c.tenant_id,
            takes.c.order_id == orders.c.id,
            takes.c.kind == kind,
            takes.c.taker_id == id,
            takes.c.state.in_((TakeState.ACTIVE, TakeState.DONE)),
        )
        for (kind, id), _ in parties(actor)
    ]
    staffed = exists().where(
        take_people.c.tenant_id == orders.c.tenant_id,
        take_people.c.order_id == orders.c.id,
        take_people.c.account_id == actor.account_id,
    )
    return _unless_kept(actor, [*own, staffed])


def of_bodies(actor: Actor, member_id: UUID | None = None) -> list[Condition]:
    """Taken by a body that the actor acts for; with ``member_id`` only where that person was put on it."""
    ways: list[Condition] = []
    for (kind, id), _ in parties(actor):
        if kind in PEOPLE:
            continue
        served = [
            takes.c.tenant_id == orders.c.tenant_id,
            takes.c.order_id == orders.c.id,
            takes.c.kind == kind,
            takes.c.taker_id == id,
            takes.c.state.in_((TakeState.ACTIVE, TakeState.DONE)),
        ]
        if member_id is not None:
            put = exists().where(
                take_people.c.tenant_id == takes.c.tenant_id,
                take_people.c.take_id == takes.c.id,
                take_people.c.account_id == member_id,
            )
            served.append(put)
        ways.append(exists().where(*served))
    return _unless_kept(actor, ways)


def held(actor: Actor) -> list[Condition]:
    """Taken, offered or assigned to the actor, or one whose body was called to it."""
    conditions: list[Condition] = []
    for (kind, id), _ in parties(actor):
        conditions.append(
            exists().where(
                dispatches.c.tenant_id == orders.c.tenant_id,
                dispatches.c.order_id == orders.c.id,
                dispatches.c.state.in_(tuple(HELD)),
                dispatch_targets.c.tenant_id == dispatches.c.tenant_id,
                dispatch_targets.c.dispatch_id == dispatches.c.id,
                dispatch_targets.c.kind == kind,
                dispatch_targets.c.target_id == id,
                dispatch_targets.c.state == TargetState.ASKED,
            )
        )
        conditions.append(
            and_(
                orders.c.state == State.ESCALATED,
                exists().where(
                    order_bodies.c.tenant_id == orders.c.tenant_id,
                    order_bodies.c.order_id == orders.c.id,
                    order_bodies.c.kind == kind,
                    order_bodies.c.body_id == id,
                ),
            )
        )
    return [*taken(actor), *_unless_kept(actor, conditions)]


def pool(actor: Actor, *, at: datetime | None = None) -> list[Condition]:
    """Handed out to everyone eligible, the actor among them; with ``at`` only what can be taken then."""
    found: list[Condition] = []
    for (kind, id), grant in parties(actor):
        if not grant.path:
            continue
        open_to = [
            dispatches.c.tenant_id == orders.c.tenant_id,
            dispatches.c.order_id == orders.c.id,
            dispatches.c.state == DispatchState.RUNNING,
            dispatches.c.mode == Mode.OPEN,
            dispatches.c.ring_id.in_(grant.path),
            dispatches.c.kinds.like(f"% {kind} %"),
        ]
        if kind in PEOPLE:
            open_to.append(~_of_my_household(actor))
        if at is None:
            found.append(exists().where(*open_to))
            continue
        open_to.append(or_(dispatches.c.expires_at.is_(None), dispatches.c.expires_at >= at))
        open_to.append(dispatches.c.slots_taken + dispatches.c.slots_held < dispatches.c.slots_max)
        found.append(and_(exists().where(*open_to), orders.c.state.in_(TAKEABLE), ~_had(kind, id)))
    return _unless_kept(actor, found) or [false()]


def _of_my_household(actor: Actor) -> Condition:
    """At the actor's own door, or for somebody behind it: nobody is asked to serve the own household."""
    me, theirs, door = accounts.alias("me"), accounts.alias("theirs"), places.alias("door")
    return exists().where(
        me.c.tenant_id == orders.c.tenant_id,
        me.c.id == actor.account_id,
        or_(
            me.c.address_key == orders.c.address_key,
            exists().where(
                door.c.tenant_id == me.c.tenant_id,
                door.c.id == me.c.home_place_id,
                door.c.kind == HOUSEHOLD,
                or_(
                    door.c.id == orders.c.place_id,
                    exists().where(
                        theirs.c.tenant_id == orders.c.tenant_id,
                        theirs.c.id == orders.c.beneficiary_id,
                        theirs.c.home_place_id == door.c.id,
                    ),
                ),
            ),
            exists().where(
                theirs.c.tenant_id == orders.c.tenant_id,
                theirs.c.id == orders.c.beneficiary_id,
                theirs.c.address_key == me.c.address_key,
            ),
        ),
    )


def _had(kind: str, id: UUID) -> Condition:
    """Whether a party is on the order, or gave it back for good."""
    took = exists().where(
        takes.c.tenant_id == orders.c.tenant_id,
        takes.c.order_id == orders.c.id,
        takes.c.kind == kind,
        takes.c.taker_id == id,
        takes.c.state.in_((TakeState.ACTIVE, TakeState.RETURNED)),
    )
    returned = exists().where(
        requests.c.tenant_id == orders.c.tenant_id,
        requests.c.order_id == orders.c.id,
        requests.c.kind == Ask.RETURN,
        requests.c.status == AskState.APPROVED,
        requests.c.taker_kind == kind,
        requests.c.taker_id == id,
    )
    return or_(took, returned)


def ever(actor: Actor) -> list[Condition]:
    """Visible now or once: what a mirror may hold and must be told has gone."""
    once: list[Condition] = [*branches(actor)]
    for (kind, id), grant in parties(actor):
        once += [
            exists().where(
                takes.c.tenant_id == orders.c.tenant_id,
                takes.c.order_id == orders.c.id,
                takes.c.kind == kind,
                takes.c.taker_id == id,
            ),
            exists().where(
                dispatches.c.tenant_id == orders.c.tenant_id,
                dispatches.c.order_id == orders.c.id,
                dispatch_targets.c.tenant_id == dispatches.c.tenant_id,
                dispatch_targets.c.dispatch_id == dispatches.c.id,
                dispatch_targets.c.kind == kind,
                dispatch_targets.c.target_id == id,
            ),
            exists().where(
                order_bodies.c.tenant_id == orders.c.tenant_id,
                order_bodies.c.order_id == orders.c.id,
                order_bodies.c.kind == kind,
                order_bodies.c.body_id == id,
            ),
        ]
        if grant.path:
            once.append(
                exists().where(
                    dispatches.c.tenant_id == orders.c.tenant_id,
                    dispatches.c.order_id == orders.c.id,
                    dispatches.c.mode == Mode.OPEN,
                    dispatches.c.ring_id.in_(grant.path),
                    dispatches.c.kinds.like(f"% {kind} %"),
                )
            )
    return once
