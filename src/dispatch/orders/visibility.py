"""Who sees which orders: the base of every select of orders.

Visibility is a set of *branches*, each a condition with an index of its own; an order is visible if
one of them holds (domain.md §4.1). A look-up joins them with OR; a list asks each branch for its
page and merges the pages, so that no branch drags another over the whole table.

A branch that rests on other rows (a take, a target) is said in one of two ways (``Way``): a look-up has the order and
asks for such a row (``asked``); a list reads the rows first, which are few, and has the orders from them (``drawn``).
"""

from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Select, and_, exists, literal_column, or_, select, true

from dispatch.db.bound import AT, ME, TENANT, made_once
from dispatch.db.dialect import among
from dispatch.domain.household import HOUSEHOLD
from dispatch.domain.order import (
    EDGES,
    HELD,
    PEOPLE,
    Ask,
    AskState,
    DispatchState,
    Mode,
    Move,
    State,
    TakerKind,
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
from dispatch.people.shapes import GrantShape, Shape, body_of, place_of, rings_of
from dispatch.people.tables import accounts, body_people, grants
from dispatch.places.queries import beginning
from dispatch.places.tables import places

Condition = ColumnElement[bool]


class Way(Protocol):
    """How an order is known by rows that hang on it."""

    def __call__(self, order_id: Column[UUID], *conditions: Condition) -> Condition:
        """Whether a row of ``order_id``'s table that meets the conditions hangs on the order."""


def asked(order_id: Column[UUID], *conditions: Condition) -> Condition:
    """Of an order that was found otherwise: whether it has such a row."""
    return exists().where(
        order_id.table.c.tenant_id == orders.c.tenant_id, order_id == orders.c.id, *conditions
    )


def drawn(order_id: Column[UUID], *conditions: Condition) -> Condition:
    """Of any order: whether it is one of those that have such a row. The rows are read first, and once."""
    return among(orders.c.id, select(order_id).where(order_id.table.c.tenant_id == TENANT, *conditions))


TAKEABLE = tuple(state for state in State if (state, Move.TAKE) in EDGES)
"""States in which an order may be taken."""


def visible_to(shape: Shape, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select columns of the orders that the actor may see. Every select of orders starts here.

    It runs with ``shapes.values`` of the actor, as does every statement with conditions from here.
    """
    return select(*columns).where(orders.c.tenant_id == TENANT, or_(*branches(shape)))


@made_once
def branches(shape: Shape, way: Way = asked) -> tuple[Condition, ...]:
    """The branches by which an order may be visible to an actor; the service itself sees all."""
    if shape.is_service:
        return (true(),)
    return (*mine(), *scoped(shape), *held(shape, way), *pool(shape, way))


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
            beginning(places.c.path, root.c.path),
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


Taker = tuple[TakerKind, ColumnElement[UUID], int]


def takers(shape: Shape) -> list[Taker]:
    """What the actor may take as: kind, id, and which of the grants says so."""
    return [
        (grant.takes_as, ME if grant.takes_as in PEOPLE else body_of(nth), nth)
        for nth, grant in enumerate(shape.grants)
        if grant.takes_as is not None
    ]


def taken(shape: Shape, way: Way = asked) -> list[Condition]:
    """Taken by the actor, by the actor's body, or by a body that put the actor on it."""
    own = [way(takes.c.order_id, *_kept_by(kind, id)) for kind, id, _ in takers(shape)]
    return _unless_kept([*own, way(take_people.c.order_id, take_people.c.account_id == ME)])


def _kept_by(kind: TakerKind, id: ColumnElement[UUID]) -> list[Condition]:
    return [
        takes.c.kind == kind,
        takes.c.taker_id == id,
        takes.c.state.in_((TakeState.ACTIVE, TakeState.DONE)),
    ]


def of_bodies(
    shape: Shape, way: Way = asked, *, member_id: ColumnElement[UUID] | None = None
) -> list[Condition]:
    """Taken by a body that the actor acts for; with ``member_id`` only where that person was put on it."""
    put: list[Condition] = []
    if member_id is not None:
        put.append(
            exists().where(
                take_people.c.tenant_id == takes.c.tenant_id,
                take_people.c.take_id == takes.c.id,
                take_people.c.account_id == member_id,
            )
        )
    return _unless_kept(
        [
            way(takes.c.order_id, *_kept_by(kind, id), *put)
            for kind, id, _ in takers(shape)
            if kind not in PEOPLE
        ]
    )


def held(shape: Shape, way: Way = asked) -> list[Condition]:
    """Taken, offered or assigned to the actor, or one whose body was called to it."""
    conditions: list[Condition] = []
    for kind, id, _ in takers(shape):
        offered = way(
            dispatches.c.order_id,
            dispatches.c.state.in_(HELD),
            *_names(kind, id),
            dispatch_targets.c.state == TargetState.ASKED,
        )
        conditions += [offered, and_(orders.c.state == State.ESCALATED, _calls(kind, id, way))]
    return [*taken(shape, way), *_unless_kept(conditions)]


def _names(kind: TakerKind, id: ColumnElement[UUID]) -> list[Condition]:
    """A dispatch with a target that is this party."""
    return [
        dispatch_targets.c.tenant_id == dispatches.c.tenant_id,
        dispatch_targets.c.dispatch_id == dispatches.c.id,
        dispatch_targets.c.kind == kind,
        dispatch_targets.c.target_id == id,
    ]


def _calls(kind: TakerKind, id: ColumnElement[UUID], way: Way) -> Condition:
    return way(order_bodies.c.order_id, order_bodies.c.kind == kind, order_bodies.c.body_id == id)


def pool(shape: Shape, way: Way = asked, *, now: bool = False) -> list[Condition]:
    """Handed out to everyone eligible, the actor among them; ``now``: only what can be taken at ``AT``."""
    found: list[Condition] = []
    for kind, id, nth in takers(shape):
        grant = shape.grants[nth]
        if not grant.depth:
            continue
        open_to = [dispatches.c.state == DispatchState.RUNNING, *_speaks_to(kind, nth, grant)]
        ours = [~_of_my_household()] if kind in PEOPLE else []
        if now:
            open_to.append(or_(dispatches.c.expires_at.is_(None), dispatches.c.expires_at >= AT))
            open_to.append(dispatches.c.slots_taken + dispatches.c.slots_held < dispatches.c.slots_max)
            ours += [orders.c.state.in_(TAKEABLE), ~_had(kind, id)]
        found.append(and_(way(dispatches.c.order_id, *open_to), *ours))
    return _unless_kept(found)


def _speaks_to(kind: TakerKind, nth: int, grant: GrantShape) -> list[Condition]:
    """A dispatch that is open to this kind of taker where the grant is."""
    return [
        dispatches.c.mode == Mode.OPEN,
        dispatches.c.ring_id.in_(rings_of(nth, grant)),
        # Written out: SQLite prepares a statement anew, at every run, that compares with a pattern it is handed.
        dispatches.c.kinds.like(literal_column(f"'% {kind} %'")),
    ]


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


def _had(kind: TakerKind, id: ColumnElement[UUID]) -> Condition:
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


@made_once
def ever(shape: Shape) -> list[Condition]:
    """Visible now or once: what a mirror may hold and must be told has gone.

    Asked of the orders that changed, which are few; what was ever open to somebody are not.
    """
    once: list[Condition] = [*branches(shape)]
    for kind, id, nth in takers(shape):
        grant = shape.grants[nth]
        once += [
            asked(takes.c.order_id, takes.c.kind == kind, takes.c.taker_id == id),
            asked(dispatches.c.order_id, *_names(kind, id)),
            _calls(kind, id, asked),
        ]
        if grant.depth:
            once.append(asked(dispatches.c.order_id, *_speaks_to(kind, nth, grant)))
    return once
