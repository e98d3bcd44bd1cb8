"""Every read of orders."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import among
from dispatch.db.types import Id
from dispatch.domain.order import LIVE, UNDERWAY, AskState, State
from dispatch.domain.people import Actor
from dispatch.domain.refusal import OrderNotFound, RequestNotFound
from dispatch.domain.sla import WAITS
from dispatch.orders import ring, visibility
from dispatch.orders.search import found_by
from dispatch.orders.tables import order_recusals, order_steps, orders, requests
from dispatch.orders.visibility import visible_to
from dispatch.orders.whole import HUNG, LISTS, ROW, SOURCE, WHOLE, Whole, wholes
from dispatch.people.queries import former_names_of, proof, prove, proven
from dispatch.people.tables import accounts, body_people, grants
from dispatch.sla.queries import standing
from dispatch.sla.tables import clocks

LAG = timedelta(seconds=2)
"""``updated_since`` stays this far behind, so that no transaction that was slower is skipped."""


async def whole(
    db: AsyncConnection,
    actor: Actor,
    order_id: UUID,
    *,
    hidden: bool = False,
    also: Mapping[str, ColumnElement[Any]] | None = None,
) -> tuple[Whole, Any]:
    """One order with all that hangs on it, in one statement.

    Args:
        hidden: read it even if the actor may not see it (``take`` judges by the audience; a child's verdict
            needs its parent); the row's ``visible`` then tells.
        also: further columns to bring along.

    Returns:
        The order, and the row with the further columns.

    Raises:
        OrderNotFound: unknown, or none of the actor's business.
        TokenRevoked: the actor's grants have changed.
    """
    key = actor.tenant.id, actor.account_id, actor.grants, actor.session_id, hidden, actor.is_service
    statement = _WHOLE_AS_SEEN.of(key, lambda: _whole_as_seen(actor, hidden))
    if also:
        statement = statement.add_columns(*(column.label(name) for name, column in also.items()))
    row = (await db.execute(statement, {"wanted_id": order_id})).one_or_none()
    if row is None:
        await prove(db, actor)  # perhaps it is the token that is wrong
        raise OrderNotFound()
    proven(actor, row.proof)
    return Whole(row, {name: getattr(row, name) for name in LISTS}), row


def _whole_as_seen(actor: Actor, hidden: bool) -> Select[Any]:
    """An order by ``wanted_id``, as far as the actor may see it."""
    visible = or_(*visibility.branches(actor))
    statement = WHOLE.add_columns(
        proof(actor).label("proof"), visible.label("visible"), *standing(actor.tenant.id)
    ).where(orders.c.tenant_id == actor.tenant.id, orders.c.id == bindparam("wanted_id", type_=Id()))
    return statement if hidden else statement.where(visible)


_WHOLE_AS_SEEN: visibility.Remembered[Select[Any]] = visibility.Remembered()


async def whole_of(db: AsyncConnection, tenant_id: int, order_id: UUID) -> Whole:
    """One order with all that hangs on it, for the service itself."""
    statement = WHOLE.add_columns(*standing(tenant_id)).where(
        orders.c.tenant_id == tenant_id, orders.c.id == order_id
    )
    row = (await db.execute(statement)).one()
    return Whole(row, {name: getattr(row, name) for name in LISTS})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of a list. Ranges are half-open: from included, to excluded."""

    view: str = "all"
    states: tuple[str, ...] = ()
    place_id: UUID | None = None
    item_code: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_since: datetime | None = None
    overdue: bool | None = None
    q: str | None = None
    member_id: UUID | None = None

    @property
    def newest_first(self) -> bool:
        """Whether the list begins with the newest."""
        return self.view != "queue" and not self.turned and self.updated_since is None

    @property
    def turned(self) -> bool:
        """Whether every viewer reads the list from a place of his own."""
        return self.view == "pool" and self.updated_since is None

    def place_of(self, row: Any, viewer: Actor) -> Any:
        """Where a row stands in the list."""
        if self.turned:
            return ring.place(viewer.account_id, row.id)
        return (row.updated_at if self.updated_since else row.created_at), row.id


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that a mirror may hold and that is no longer in the list."""

    id: UUID
    updated_at: datetime


def _view(
    actor: Actor, wanted: Wanted, at: datetime
) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """(branches, conditions on each) of a view."""
    view = wanted.view
    if view == "mine":
        return visibility.mine(actor), []
    if view == "queue":
        return visibility.scoped(actor), [orders.c.state.in_(tuple(LIVE))]
    if view == "pool":
        return visibility.pool(actor, at=at), []
    if view == "taken":
        return visibility.taken(actor), []
    if view == "unit":
        return visibility.of_bodies(actor, wanted.member_id), []
    return visibility.branches(actor), []


def _filters(actor: Actor, wanted: Wanted, at: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.states:
        found.append(orders.c.state.in_(wanted.states))
    if wanted.place_id:
        found.append(visibility.within(wanted.place_id))
    if wanted.item_code:
        found.append(orders.c.item_code == wanted.item_code)
    if wanted.created_from:
        found.append(orders.c.created_at >= wanted.created_from)
    if wanted.created_to:
        found.append(orders.c.created_at < wanted.created_to)
    if wanted.q is not None:
        found.append(found_by(actor.tenant.id, wanted.q))
    if wanted.overdue is not None:
        late = overdue(at)
        found.append(late if wanted.overdue else ~late)
    return found


def overdue(at: datetime) -> ColumnElement[bool]:
    """Whether somebody's time for the order is over (``Run.overdue`` in SQL)."""
    return exists().where(
        clocks.c.tenant_id == orders.c.tenant_id, clocks.c.order_id == orders.c.id, overdue_clock(at)
    )


def overdue_clock(at: datetime) -> ColumnElement[bool]:
    """Whether a clock says so: it runs, or stands, and its time was over."""
    return and_(
        clocks.c.stopped_at.is_(None),
        clocks.c.clock.notin_(WAITS),
        clocks.c.due_at < func.coalesce(clocks.c.paused_at, literal(at, clocks.c.due_at.type)),
    )


async def page(
    db: AsyncConnection,
    actor: Actor,
    wanted: Wanted,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    at: datetime,
) -> list[Whole | Gone]:
    """One row more than ``limit`` of a list, to tell whether a page follows.

    ``queue`` is oldest first, ``pool`` from another place on for every viewer, ``updated_since`` by change, everything
    else newest first.
    """
    found = (
        _harvest(actor, wanted, after, limit, at)
        if wanted.updated_since
        else _list(actor, wanted, after, limit, at)
    )
    rows = sorted(
        (await db.execute(found)).all(),
        key=lambda row: wanted.place_of(row, actor),
        reverse=wanted.newest_first,
    )
    if not rows:
        return []
    proven(actor, rows[0].proof)
    kept = [row for row in rows if row.matches]
    hung = None
    if kept:
        parameters = {"tenant_id": actor.tenant.id, "order_ids": [row.id for row in kept]}
        hung = (await db.execute(HUNG, parameters)).one()
    seen = {item.row.id: item for item in wholes(kept, hung)} if kept else {}
    return [seen[row.id] if row.matches else Gone(row.id, row.updated_at) for row in rows]


def _list(
    actor: Actor, wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int, at: datetime
) -> Select[Any]:
    ways, conditions = _view(actor, wanted, at)
    conditions = [*conditions, *_filters(actor, wanted, at)]
    by: tuple[ColumnElement[Any], ...] = (orders.c.created_at, orders.c.id)
    newest_first = wanted.newest_first
    keyset: list[ColumnElement[bool]] = []
    if wanted.turned:
        by = ring.columns(actor.account_id)
        keyset = [ring.beyond(actor.account_id, after[1])] if after else []
    elif after is not None:
        keyset = [tuple_(*by) < tuple_(*after) if newest_first else tuple_(*by) > tuple_(*after)]
    order = tuple(column.desc() for column in by) if newest_first else by
    pages = [
        select(*by)
        .where(orders.c.tenant_id == actor.tenant.id, way, *conditions, *keyset)
        .order_by(*order)
        .limit(limit + 1)
        for way in ways
    ]
    ids = _merged(pages, limit, newest_first=newest_first)
    return _rows(actor, literal(True)).where(among(orders.c.id, ids))


def _harvest(
    actor: Actor, wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int, at: datetime
) -> Select[Any]:
    """Everything that changed since, seen or once seen; what is not (or no longer) in the list comes as gone."""
    ways, conditions = _view(actor, wanted, at)
    matches = and_(or_(*ways), *conditions, *_filters(actor, wanted, at)) if ways else literal(False)
    by = (orders.c.updated_at, orders.c.id)
    changed = [orders.c.updated_at >= wanted.updated_since, orders.c.updated_at <= at - LAG]
    keyset = [] if after is None else [tuple_(*by) > tuple_(*after)]
    pages = [
        select(*by)
        .where(orders.c.tenant_id == actor.tenant.id, way, *changed, *keyset)
        .order_by(*by)
        .limit(limit + 1)
        for way in visibility.ever(actor)
    ]
    ids = _merged(pages, limit, newest_first=False)
    return _rows(actor, matches).where(among(orders.c.id, ids))


def _rows(actor: Actor, matches: ColumnElement[bool]) -> Select[Any]:
    told = case((matches, True), else_=False).label("matches")
    return _ROWS.add_columns(proof(actor).label("proof"), told).where(orders.c.tenant_id == actor.tenant.id)


_ROWS: Select[Any] = select(*ROW).select_from(SOURCE)


def _merged(pages: Sequence[Select[Any]], limit: int, *, newest_first: bool) -> Select[Any]:
    """The ids of one page out of several branches' pages; each keeps its own order and limit, and so its own index.

    Cut here and put in order by whoever reads them: asked for an order outside, SQLite would walk all orders in it.
    """
    if not pages:
        return select(orders.c.id).where(literal(False))
    merged = union(*(select(*part.subquery().c) for part in pages)).subquery()
    order = [column.desc() for column in merged.c] if newest_first else list(merged.c)
    return select(merged.c.id).order_by(*order).limit(limit + 1)


async def backlog(
    db: AsyncConnection,
    actor: Actor,
    *,
    place_id: UUID | None = None,
    only: Iterable[ColumnElement[bool]] = (),
    limit: int,
    at: datetime,
) -> list[Whole]:
    """Orders in the actor's scope that wait to be handed out, the most urgent and then the oldest first.

    Args:
        only: of these alone; what is left out takes no place within the limit.
    """
    wanted = Wanted(states=(State.ACCEPTED, State.REDO), place_id=place_id)
    rows = (
        await db.execute(
            _ROWS.where(
                orders.c.tenant_id == actor.tenant.id,
                or_(false(), *visibility.scoped(actor)),
                *_filters(actor, wanted, at),
                *only,
            )
            .order_by(orders.c.urgency, orders.c.created_at, orders.c.id)
            .limit(limit)
        )
    ).all()
    if not rows:
        return []
    parameters = {"tenant_id": actor.tenant.id, "order_ids": [row.id for row in rows]}
    return wholes(rows, (await db.execute(HUNG, parameters)).one())


async def timeline(db: AsyncConnection, actor: Actor, order_id: UUID) -> list[Any]:
    """The log of an order that the actor may see, oldest first, with the names of who acted, now and before."""
    seen = visible_to(actor, orders.c.id).where(orders.c.id == order_id)
    acted = order_steps.alias("acted").c
    who = select(acted.account_id).where(acted.tenant_id == actor.tenant.id, acted.order_id == order_id)
    former = former_names_of(actor.tenant.id, who)
    rows = (
        await db.execute(
            select(order_steps, accounts.c.name, former.label("former"), proof(actor).label("proof"))
            .select_from(
                order_steps.outerjoin(
                    accounts,
                    and_(
                        accounts.c.tenant_id == order_steps.c.tenant_id,
                        accounts.c.id == order_steps.c.account_id,
                    ),
                )
            )
            .where(
                order_steps.c.tenant_id == actor.tenant.id,
                order_steps.c.order_id == order_id,
                order_steps.c.order_id.in_(seen),
            )
            .order_by(order_steps.c.seq)
        )
    ).all()
    if not rows:
        await prove(db, actor)
        raise OrderNotFound()
    proven(actor, rows[0].proof)
    return list(rows)


async def steps(db: AsyncConnection, tenant_id: int, order_id: UUID) -> list[Any]:
    """The log of an order, for the service itself (replay)."""
    rows = select(order_steps).where(order_steps.c.tenant_id == tenant_id, order_steps.c.order_id == order_id)
    return list((await db.execute(rows.order_by(order_steps.c.seq))).all())


def kept(tenant_id: int, order_ids: Collection[UUID]) -> Select[Any]:
    """Who is kept from these orders: (order_id, id) of every party named, and of the people of every body named."""
    these = (order_recusals.c.tenant_id == tenant_id, order_recusals.c.order_id.in_(order_ids))
    named = select(order_recusals.c.order_id, order_recusals.c.party_id.label("id")).where(*these)
    people = [
        select(order_recusals.c.order_id, of.c.account_id.label("id"))
        .join(
            of,
            and_(of.c.tenant_id == order_recusals.c.tenant_id, of.c.body_id == order_recusals.c.party_id),
        )
        .where(*these)
        for of in (body_people, grants)
    ]
    found = union(named, *people).subquery()
    return select(found.c.order_id, found.c.id)


async def recused(db: AsyncConnection, seen: Whole, among: Collection[UUID]) -> set[UUID]:
    """Which of these parties are kept from an order; no statement where nobody is."""
    if not seen.row.recused or not among:
        return set()
    rows = await db.execute(kept(seen.row.tenant_id, [seen.life.id]))
    return {row.id for row in rows} & set(among)


async def children(db: AsyncConnection, tenant_id: int, parent_id: UUID) -> list[Any]:
    """The orders merged into one, oldest first; for verbs and notices, not for viewers."""
    rows = (
        select(orders.c.id, orders.c.version, orders.c.state, orders.c.created_at, orders.c.filer_id)
        .add_columns(orders.c.beneficiary_id, orders.c.round, orders.c.flags, orders.c.head)
        .where(orders.c.tenant_id == tenant_id, orders.c.parent_id == parent_id)
        .order_by(orders.c.created_at, orders.c.id)
    )
    return list((await db.execute(rows)).all())


async def request(db: AsyncConnection, actor: Actor, request_id: UUID) -> Any:
    """A request on an order that the actor may see.

    Raises:
        RequestNotFound: unknown, or on an order that is none of the actor's business.
    """
    row = (
        await db.execute(
            select(requests, proof(actor).label("proof")).where(
                requests.c.tenant_id == actor.tenant.id,
                requests.c.id == request_id,
                or_(
                    requests.c.asked_by == actor.account_id,
                    requests.c.order_id.in_(visible_to(actor, orders.c.id)),
                ),
            )
        )
    ).one_or_none()
    if row is None:
        await prove(db, actor)
        raise RequestNotFound()
    proven(actor, row.proof)
    return row


_BESIDE_A_REQUEST = (
    *("day", "serial", "place_id", "street_id", "community_id", "grid_id"),
    *("filer_id", "beneficiary_id", "hide_name", "flags"),
)
"""What an order tells a list of requests: its number, where it is, and who must not be named."""


def _listed_requests() -> Select[Any]:
    asker = accounts.alias("asker")
    beside = [orders.c[name] for name in _BESIDE_A_REQUEST]
    return select(requests, *beside, asker.c.name.label("asker_name")).select_from(
        requests.join(
            orders, and_(orders.c.tenant_id == requests.c.tenant_id, orders.c.id == requests.c.order_id)
        ).join(asker, and_(asker.c.tenant_id == requests.c.tenant_id, asker.c.id == requests.c.asked_by))
    )


async def request_of(db: AsyncConnection, actor: Actor, request_id: UUID) -> Any:
    """A request as it now stands, for the answer to a verb that was allowed to act on it."""
    rows = _listed_requests().where(requests.c.tenant_id == actor.tenant.id, requests.c.id == request_id)
    return (await db.execute(rows)).one()


async def request_page(
    db: AsyncConnection,
    actor: Actor,
    *,
    status: str | None,
    kind: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Any]:
    """Requests the actor filed or, as staff, has in scope; newest first, one more than ``limit``."""
    by = (requests.c.asked_at, requests.c.id)
    ways = visibility.scoped(actor)
    mine = requests.c.asked_by == actor.account_id
    rows = (
        _listed_requests()
        .add_columns(proof(actor).label("proof"))
        .where(requests.c.tenant_id == actor.tenant.id, or_(mine, *ways))
        .order_by(*(column.desc() for column in by))
        .limit(limit + 1)
    )
    if status:
        rows = rows.where(requests.c.status == status)
    if kind:
        rows = rows.where(requests.c.kind == kind)
    if after:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    found = list((await db.execute(rows)).all())
    if found:
        proven(actor, found[0].proof)
    return found


MOST_COUNTED = 100
"""Badges count this far and then say so."""


async def counts(db: AsyncConnection, actor: Actor, *, at: datetime) -> dict[str, int]:
    """How many orders wait in each view, at most ``MOST_COUNTED``; only views that the actor has."""
    tenant_id, scoped = actor.tenant.id, visibility.scoped(actor)

    def seen(*conditions: ColumnElement[bool]) -> Select[Any]:
        return select(orders.c.id).where(orders.c.tenant_id == tenant_id, *conditions)

    wanted: dict[str, Select[Any]] = {
        "to_rate": seen(or_(*visibility.mine(actor)), orders.c.state == State.DONE),
        "taken": seen(or_(*visibility.taken(actor)), orders.c.state.in_(UNDERWAY)),
    }
    if visibility.parties(actor):
        wanted["pool"] = seen(or_(*visibility.pool(actor, at=at)))
    if scoped:
        wanted["queue"] = seen(or_(*scoped), orders.c.state.in_(tuple(LIVE)))
        wanted["requests"] = select(requests.c.id).where(
            requests.c.tenant_id == tenant_id,
            requests.c.status == AskState.PENDING,
            requests.c.order_id.in_(seen(or_(*scoped))),
        )
    columns = [
        select(func.count()).select_from(found.limit(MOST_COUNTED).subquery()).scalar_subquery().label(name)
        for name, found in wanted.items()
    ]
    row = (await db.execute(select(*columns, proof(actor).label("proof")))).one()
    proven(actor, row.proof)
    return {name: count for name, count in row._mapping.items() if name != "proof"}
