"""Who sees which orders: the base of every select of orders.

Visibility is a set of *branches*, each a condition with an index of its own; an order is visible if
one of them holds (domain.md §4.1). A look-up joins them with OR; a list asks each branch for its
page and merges the pages, so that no branch drags another over the whole table.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select, true

from dispatch.db.bound import AT, ME, TENANT, any_of, made_once
from dispatch.domain.household import HOUSEHOLD
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
from dispatch.domain.people import SCOPED_ROLES, Role
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
from dispatch.people.shapes import Shape, body_of, place_of, rings_of
from dispatch.people.tables import accounts, body_people, grants
from dispatch.places.tables import places

Condition = ColumnElement[bool]

TAKEABLE = tuple(state for state in State if (state, Move.TAKE) in EDGES)
"""States in which an order may be taken."""


def visible_to(shape: Shape, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select columns of the orders that the actor may see. Every select of orders starts here.

    It runs with ``shapes.values`` of the actor, as does every statement with conditions from here.
    """
    return select(*columns).where(orders.c.tenant_id == TENANT, or_(*branches(shape)))


@made_once
def branches(shape: Shape) -> tuple[Condition, ...]:
    """The ways in which an order may be visible to an actor; the service itself sees all."""
    if shape.is_service:
        return (true(),)
    return (*mine(), *scoped(shape), *held(shape), *pool(shape))


def mine() -> list[Condition]:
    """Filed by the actor, or for the actor."""
    return [orders.c.filer_id == ME, orders.c.beneficiary_id == ME]


def _kept_from() -> Condition:
    acts_for = select(grants.c.body_id).where(
        grants.c.tenant_id == TENANT, grants.c.account_id == ME, grants.c.body_id.is_not(None)
    )
    belongs_to = select(body_people.c.body_id).where(
        body_people.c.tenant_id == TENANT, body_people.c.account_id == ME
    )
    party = order_recusals.c.party_id
    return exists().where(
        order_recusals.c.tenant_id == orders.c.tenant_id,
        order_recusals.c.order_id == orders.c.id,
        or_(party == ME, party.in_(acts_for), party.in_(belongs_to)),
    )


KEPT_FROM = _kept_from()
"""Whether the order complains of the actor, or of a body that the actor acts for or belongs to."""


def _unless_kept(ways: list[Condition]) -> list[Condition]:
    """The same ways, closed to whom the order complains of (peers' law 131). One's own order is never closed."""
    open_ = or_(orders.c.recused == 0, ~KEPT_FROM)
    return [and_(way, open_) for way in ways]


def scoped(shape: Shape, roles: Collection[Role] = SCOPED_ROLES) -> list[Condition]:
    """At a place that one of the actor's grants looks after; ``roles``: of these grants only."""
    if shape.is_service:
        return [true()]
    looks_after = [
        (nth, grant)
        for nth, grant in enumerate(shape.grants)
        if grant.role in roles and grant.role in SCOPED_ROLES and grant.at_place and not grant.for_body
    ]
    if any(grant.depth == 1 for _, grant in looks_after):
        return _unless_kept([true()])  # the root: the whole tenant
    return _unless_kept([_at(place_of(nth), grant.place_kind) for nth, grant in looks_after])


def _at(place_id: ColumnElement[UUID], kind: str | None) -> Condition:
    columns = {"street": orders.c.street_id, "community": orders.c.community_id, "grid": orders.c.grid_id}
    column = columns.get(kind or "")
    return orders.c.place_id.in_(below(place_id)) if column is None else column == place_id


def below(place_id: Any) -> Select[tuple[UUID]]:
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


def within(place_id: Any) -> Condition:
    """At a place or at one under it."""
    return or_(
        orders.c.community_id == place_id,
        orders.c.street_id == place_id,
        orders.c.grid_id == place_id,
        orders.c.place_id.in_(below(place_id)),
    )


Taker = tuple[str, ColumnElement[UUID], int]


def takers(shape: Shape) -> list[Taker]:
    """What the actor may take as: kind, id, and which of the grants says so."""
    return [
        (grant.takes_as, ME if grant.takes_as in PEOPLE else body_of(nth), nth)
        for nth, grant in enumerate(shape.grants)
        if grant.takes_as is not None
    ]


def taken(shape: Shape) -> list[Condition]:
    """Taken by the actor, by the actor's body, or by a body that put the actor on it."""
    own = [
        exists().where(
            takes.c.tenant_id == orders.c.tenant_id,
            takes.c.order_id == orders.c.id,
            takes.c.kind == kind,
            takes.c.taker_id == id,
            any_of(takes.c.state, (TakeState.ACTIVE, TakeState.DONE)),
        )
        for kind, id, _ in takers(shape)
    ]
    staffed = exists().where(
        take_people.c.tenant_id == orders.c.tenant_id,
        take_people.c.order_id == orders.c.id,
        take_people.c.account_id == ME,
    )
    return _unless_kept([*own, staffed])


def of_bodies(shape: Shape, member_id: ColumnElement[UUID] | None = None) -> list[Condition]:
    """Taken by a body that the actor acts for; with ``member_id`` only where that person was put on it."""
    ways: list[Condition] = []
    for kind, id, _ in takers(shape):
        if kind in PEOPLE:
            continue
        served = [
            takes.c.tenant_id == orders.c.tenant_id,
            takes.c.order_id == orders.c.id,
            takes.c.kind == kind,
            takes.c.taker_id == id,
            any_of(takes.c.state, (TakeState.ACTIVE, TakeState.DONE)),
        ]
        if member_id is not None:
            put = exists().where(
                take_people.c.tenant_id == takes.c.tenant_id,
                take_people.c.take_id == takes.c.id,
                take_people.c.account_id == member_id,
            )
            served.append(put)
        ways.append(exists().where(*served))
    return _unless_kept(ways)


def held(shape: Shape) -> list[Condition]:
    """Taken, offered or assigned to the actor, or one whose body was called to it."""
    conditions: list[Condition] = []
    for kind, id, _ in takers(shape):
        conditions.append(
            exists().where(
                dispatches.c.tenant_id == orders.c.tenant_id,
                dispatches.c.order_id == orders.c.id,
                any_of(dispatches.c.state, HELD),
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
    return [*taken(shape), *_unless_kept(conditions)]


def pool(shape: Shape, *, now: bool = False) -> list[Condition]:
    """Handed out to everyone eligible, the actor among them; ``now``: only what can be taken at ``AT``."""
    found: list[Condition] = []
    for kind, id, nth in takers(shape):
        grant = shape.grants[nth]
        if not grant.depth:
            continue
        open_to = [
            dispatches.c.tenant_id == orders.c.tenant_id,
            dispatches.c.order_id == orders.c.id,
            dispatches.c.state == DispatchState.RUNNING,
            dispatches.c.mode == Mode.OPEN,
            dispatches.c.ring_id.in_(rings_of(nth, grant)),
            dispatches.c.kinds.like(f"% {kind} %"),
        ]
        if kind in PEOPLE:
            open_to.append(~_of_my_household())
        if not now:
            found.append(exists().where(*open_to))
            continue
        open_to.append(or_(dispatches.c.expires_at.is_(None), dispatches.c.expires_at >= AT))
        open_to.append(dispatches.c.slots_taken + dispatches.c.slots_held < dispatches.c.slots_max)
        found.append(and_(exists().where(*open_to), any_of(orders.c.state, TAKEABLE), ~_had(kind, id)))
    return _unless_kept(found) or [false()]


def _of_my_household() -> Condition:
    """At the actor's own door, or for somebody behind it: nobody is asked to serve the own household.

    Which tables come from outside is said: two levels down SQLAlchemy does not see it everywhere, and would ask it of
    every order there is.
    """
    me, theirs, door = accounts.alias("me"), accounts.alias("theirs"), places.alias("door")
    beneficiary = and_(theirs.c.tenant_id == orders.c.tenant_id, theirs.c.id == orders.c.beneficiary_id)
    behind_it = exists().where(beneficiary, theirs.c.home_place_id == door.c.id).correlate(orders, door)
    at_it = exists().where(
        door.c.tenant_id == me.c.tenant_id,
        door.c.id == me.c.home_place_id,
        door.c.kind == HOUSEHOLD,
        or_(door.c.id == orders.c.place_id, behind_it),
    )
    alike = exists().where(beneficiary, theirs.c.address_key == me.c.address_key).correlate(orders, me)
    mine = exists().where(
        me.c.tenant_id == orders.c.tenant_id,
        me.c.id == ME,
        or_(me.c.address_key == orders.c.address_key, at_it.correlate(orders, me), alike),
    )
    return mine.correlate(orders)


def _had(kind: str, id: ColumnElement[UUID]) -> Condition:
    """Whether a party is on the order, or gave it back for good."""
    took = exists().where(
        takes.c.tenant_id == orders.c.tenant_id,
        takes.c.order_id == orders.c.id,
        takes.c.kind == kind,
        takes.c.taker_id == id,
        any_of(takes.c.state, (TakeState.ACTIVE, TakeState.RETURNED)),
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


@made_once
def ever(shape: Shape) -> list[Condition]:
    """Visible now or once: what a mirror may hold and must be told has gone."""
    once: list[Condition] = [*branches(shape)]
    for kind, id, nth in takers(shape):
        grant = shape.grants[nth]
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
        if grant.depth:
            once.append(
                exists().where(
                    dispatches.c.tenant_id == orders.c.tenant_id,
                    dispatches.c.order_id == orders.c.id,
                    dispatches.c.mode == Mode.OPEN,
                    dispatches.c.ring_id.in_(rings_of(nth, grant)),
                    dispatches.c.kinds.like(f"% {kind} %"),
                )
            )
    return once
