"""Lists of orders: views, filters, pages, harvests, and how many wait in each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import AT, TENANT, made_once
from dispatch.db.dialect import among
from dispatch.db.types import Id, Instant
from dispatch.domain.order import LIVE, UNDERWAY, AskState, State
from dispatch.domain.people import Actor
from dispatch.domain.sla import WAITS
from dispatch.orders import ring, visibility
from dispatch.orders.search import found_by
from dispatch.orders.tables import orders, requests
from dispatch.orders.visibility import Way, asked, drawn
from dispatch.orders.whole import HUNG, ROW, SOURCE, Whole, wholes
from dispatch.people.queries import PROOF, proven
from dispatch.people.shapes import Shape, shape_of, values
from dispatch.sla.tables import clocks

LAG = timedelta(seconds=2)
"""``updated_since`` stays this far behind, so that no transaction that was slower is skipped."""


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

    def form(self) -> "Wanted":
        """The same filters with what is bound in place of values, but for words that are sought."""
        return replace(
            self,
            states=tuple(sorted(set(self.states))),
            **{name: bind for name, bind in _BOUND.items() if getattr(self, name) is not None},
        )

    def values(self) -> dict[str, Any]:
        """What is bound in the ``form``."""
        told = {f"wanted_{name}": getattr(self, name) for name in _BOUND}
        return {name: value for name, value in told.items() if value is not None}


_BOUND: dict[str, Any] = {
    "place_id": bindparam("wanted_place_id", type_=Id()),
    "item_code": bindparam("wanted_item_code", type_=orders.c.item_code.type),
    "created_from": bindparam("wanted_created_from", type_=Instant()),
    "created_to": bindparam("wanted_created_to", type_=Instant()),
    "updated_since": bindparam("wanted_updated_since", type_=Instant()),
    "member_id": bindparam("wanted_member_id", type_=Id()),
}


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that a mirror may hold and that is no longer in the list."""

    id: UUID
    updated_at: datetime


def _view(
    shape: Shape, wanted: Wanted, way: Way
) -> tuple[Sequence[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """(branches, conditions on each) of a view."""
    view = wanted.view
    if view == "mine":
        return visibility.mine(), []
    if view == "queue":
        return visibility.scoped(shape), [orders.c.state.in_(LIVE)]
    if view == "pool":
        return visibility.pool(shape, way, now=True), []
    if view == "taken":
        return visibility.taken(shape, way), []
    if view == "unit":
        member_id = _BOUND["member_id"] if wanted.member_id is not None else None
        return visibility.of_bodies(shape, way, member_id=member_id), []
    return visibility.branches(shape, way), []


def _filters(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Conditions of a ``form``."""
    found: list[ColumnElement[bool]] = []
    if wanted.states:
        found.append(orders.c.state.in_(wanted.states))
    if wanted.place_id is not None:
        found.append(visibility.within(wanted.place_id))
    if wanted.item_code is not None:
        found.append(orders.c.item_code == wanted.item_code)
    if wanted.created_from is not None:
        found.append(orders.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(orders.c.created_at < wanted.created_to)
    if wanted.q is not None:
        found.append(found_by(wanted.q))
    if wanted.overdue is not None:
        found.append(OVERDUE if wanted.overdue else ~OVERDUE)
    return found


OVERDUE_CLOCK: ColumnElement[bool] = and_(
    clocks.c.stopped_at.is_(None),
    clocks.c.clock.notin_(WAITS),
    clocks.c.due_at < func.coalesce(clocks.c.paused_at, AT),
)
"""Whether a clock says at ``AT`` that its time is over: it runs, or stands, and its time was over."""

OVERDUE: ColumnElement[bool] = exists().where(
    clocks.c.tenant_id == orders.c.tenant_id, clocks.c.order_id == orders.c.id, OVERDUE_CLOCK
)
"""Whether somebody's time for the order is over at ``AT`` (``Run.overdue`` in SQL)."""


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
    build = _page if wanted.q is None else _built  # words are values: what is made for them is not kept
    found = build(shape_of(actor), wanted.form(), after is not None)
    bound = values(actor) | wanted.values() | {"at": at, "until": at - LAG, "most": limit + 1}
    if wanted.turned:
        bound |= ring.values(actor.account_id, after[1] if after else None)
    elif after is not None:
        bound |= {"after_at": after[0], "after_id": after[1]}
    rows = sorted(
        (await db.execute(found, bound)).all(),
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


_AFTER = (bindparam("after_at", type_=Instant()), bindparam("after_id", type_=Id()))
_MOST = bindparam("most", type_=Integer())
_UNTIL = bindparam("until", type_=Instant())


def _list(shape: Shape, form: Wanted, following: bool) -> Select[Any]:
    ways, conditions = _view(shape, form, drawn)
    conditions = [*conditions, *_filters(form)]
    by: tuple[ColumnElement[Any], ...] = (orders.c.created_at, orders.c.id)
    newest_first = form.newest_first
    keyset: list[ColumnElement[bool]] = []
    if form.turned:
        by = ring.COLUMNS
        keyset = [ring.BEYOND] if following else []
    elif following:
        keyset = [tuple_(*by) < tuple_(*_AFTER) if newest_first else tuple_(*by) > tuple_(*_AFTER)]
    order = tuple(column.desc() for column in by) if newest_first else by
    pages = [
        select(*by)
        .where(orders.c.tenant_id == TENANT, way, *conditions, *keyset)
        .order_by(*order)
        .limit(_MOST)
        for way in ways
    ]
    ids = _merged(pages, newest_first=newest_first)
    return _rows(literal(True)).where(among(orders.c.id, ids))


def _harvest(shape: Shape, form: Wanted, following: bool) -> Select[Any]:
    """Everything that changed since, seen or once seen; what is not (or no longer) in the list comes as gone."""
    ways, conditions = _view(shape, form, asked)
    matches = and_(or_(*ways), *conditions, *_filters(form)) if ways else literal(False)
    by = (orders.c.updated_at, orders.c.id)
    changed = [orders.c.updated_at >= form.updated_since, orders.c.updated_at <= _UNTIL]
    keyset = [tuple_(*by) > tuple_(*_AFTER)] if following else []
    pages = [
        select(*by).where(orders.c.tenant_id == TENANT, way, *changed, *keyset).order_by(*by).limit(_MOST)
        for way in visibility.ever(shape)
    ]
    ids = _merged(pages, newest_first=False)
    return _rows(matches).where(among(orders.c.id, ids))


def _built(shape: Shape, form: Wanted, following: bool) -> Select[Any]:
    return (_harvest if form.updated_since is not None else _list)(shape, form, following)


_page = made_once(_built)


def _rows(matches: ColumnElement[bool]) -> Select[Any]:
    told = case((matches, True), else_=False).label("matches")
    return _ROWS.add_columns(PROOF, told).where(orders.c.tenant_id == TENANT)


_ROWS: Select[Any] = select(*ROW).select_from(SOURCE)


_NONE: Select[Any] = select(cast(null(), Id).label("id")).where(false())
"""No order at all."""


def _merged(pages: Sequence[Select[Any]], *, newest_first: bool) -> Select[Any]:
    """The ids of one page out of several branches' pages; each keeps its own order and limit, and so its own index.

    Cut here and put in order by whoever reads them: asked for an order outside, SQLite would walk all orders in it.
    """
    if not pages:
        return _NONE
    merged = union(*(select(*part.subquery().c) for part in pages)).subquery()
    order = [column.desc() for column in merged.c] if newest_first else list(merged.c)
    return select(merged.c.id).order_by(*order).limit(_MOST)


async def backlog(
    db: AsyncConnection,
    actor: Actor,
    *,
    place_id: UUID | None = None,
    only: Sequence[ColumnElement[bool]] = (),
    limit: int,
    at: datetime,
) -> list[Whole]:
    """Orders in the actor's scope that wait to be handed out, the most urgent and then the oldest first.

    Args:
        only: of these alone; what is left out takes no place within the limit.
    """
    wanted = Wanted(states=(State.ACCEPTED, State.REDO), place_id=place_id)
    found = _backlog(shape_of(actor), wanted.form())
    if only:
        found = found.where(*only)
    rows = (await db.execute(found, values(actor) | wanted.values() | {"most": limit})).all()
    if not rows:
        return []
    parameters = {"tenant_id": actor.tenant.id, "order_ids": [row.id for row in rows]}
    return wholes(rows, (await db.execute(HUNG, parameters)).one())


@made_once
def _backlog(shape: Shape, form: Wanted) -> Select[Any]:
    return (
        _ROWS.where(orders.c.tenant_id == TENANT, or_(false(), *visibility.scoped(shape)), *_filters(form))
        .order_by(orders.c.urgency, orders.c.created_at, orders.c.id)
        .limit(_MOST)
    )


MOST_COUNTED = 100
"""Badges count this far and then say so."""


async def counts(db: AsyncConnection, actor: Actor, *, at: datetime) -> dict[str, int]:
    """How many orders wait in each view, at most ``MOST_COUNTED``; only views that the actor has."""
    row = (await db.execute(_counts(shape_of(actor)), values(actor) | {"at": at})).one()
    proven(actor, row.proof)
    return {name: count for name, count in row._mapping.items() if name != "proof"}


@made_once
def _counts(shape: Shape) -> Select[Any]:
    scoped = visibility.scoped(shape)
    wanted: dict[str, Select[Any]] = {
        "to_rate": _some(visibility.mine(), orders.c.state == State.DONE),
        "taken": _some(visibility.taken(shape, drawn), orders.c.state.in_(UNDERWAY)),
    }
    if visibility.takers(shape):
        wanted["pool"] = _some(visibility.pool(shape, drawn, now=True))
    if scoped:
        wanted["queue"] = _some(scoped, orders.c.state.in_(LIVE))
        wanted["requests"] = (
            select(requests.c.id)
            .join(
                orders, and_(orders.c.tenant_id == requests.c.tenant_id, orders.c.id == requests.c.order_id)
            )
            .where(requests.c.tenant_id == TENANT, requests.c.status == AskState.PENDING, or_(*scoped))
            .limit(MOST_COUNTED)
        )
    columns = [
        select(func.count()).select_from(found.subquery()).scalar_subquery().label(name)
        for name, found in wanted.items()
    ]
    return select(*columns, PROOF)


def _some(ways: Sequence[ColumnElement[bool]], *conditions: ColumnElement[bool]) -> Select[Any]:
    """As many ids as are counted, at most. Of every way as many, so that each is found by its own index."""
    parts = [
        select(orders.c.id).where(orders.c.tenant_id == TENANT, way, *conditions).limit(MOST_COUNTED)
        for way in ways
    ]
    if not parts:
        return _NONE
    merged = union(*(select(part.subquery().c.id) for part in parts)).subquery()
    return select(merged.c.id).limit(MOST_COUNTED)
