"""Orders that may ask for the same thing as another one: which are compared, and what a filer is told of them.

What is decided of them stands in ``domain/duplicates.py``.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, or_, select, union

from dispatch.catalog.tables import items
from dispatch.db.bound import TENANT, Brought, Columns, made_once
from dispatch.db.dialect import among, folded
from dispatch.db.types import Id, Instant
from dispatch.domain.catalog import ItemFlag
from dispatch.domain.duplicates import LONGEST, Likeness, Report, likeness
from dispatch.domain.geo import Point
from dispatch.domain.order import Flag, State
from dispatch.domain.people import Actor
from dispatch.orders.schemas import HintOut
from dispatch.orders.tables import orders
from dispatch.orders.visibility import branches
from dispatch.orders.whole import number
from dispatch.people.shapes import Shape, shape_of

MOST_COMPARED = 60
"""Orders of the same community, the newest, that a filed order is compared with."""

OWN_COMPARED = 10
"""The filer's own newest orders, wherever they are."""

MOST_TOLD = 3
"""Orders that a filer is told by number."""

OVER = (State.REJECTED, State.CANCELLED, State.CLOSED)
"""States of orders that nothing is the same as any more."""

COLUMNS: tuple[ColumnElement[Any], ...] = (
    orders.c.id,
    orders.c.day,
    orders.c.serial,
    orders.c.state,
    orders.c.flags,
    orders.c.recused,
    orders.c.item_code,
    orders.c.filer_id,
    orders.c.beneficiary_id,
    orders.c.place_id,
    orders.c.grid_id,
    orders.c.community_id,
    orders.c.location,
    orders.c.text,
    orders.c.created_at,
    items.c.kind.label("item_kind"),
    items.c.category_code,
    items.c.flags.label("item_flags"),
)
"""What is read of an order to compare it."""

SOURCE = orders.join(items, and_(items.c.tenant_id == orders.c.tenant_id, items.c.code == orders.c.item_code))


def earlier(actor: Actor, order_id: UUID, *, at: datetime) -> Brought:
    """The order itself and what it may repeat, as one column ``alike``; ``visible``: whether the actor may see it."""
    return Brought(_earlier(shape_of(actor)), {"this_id": order_id, "alike_since": at - LONGEST})


@made_once
def _earlier(shape: Shape) -> Columns:
    this, this_id = orders.alias("this"), bindparam("this_id", type_=Id())

    def of_this(column: str) -> ColumnElement[Any]:
        found = select(this.c[column]).where(this.c.tenant_id == TENANT, this.c.id == this_id)
        return found.scalar_subquery()

    def newest(same: str, most: int) -> Select[Any]:
        found = select(orders.c.id).where(
            orders.c.tenant_id == TENANT,
            orders.c[same] == of_this(same),
            orders.c.created_at >= bindparam("alike_since", type_=Instant()),
            orders.c.created_at <= of_this("created_at"),
            orders.c.state.notin_(OVER),
        )
        page = found.order_by(orders.c.created_at.desc(), orders.c.id.desc()).limit(most)
        return select(page.correlate(None).subquery().c.id)

    itself = select(this.c.id).where(this.c.tenant_id == TENANT, this.c.id == this_id)
    ids = union(itself, newest("community_id", MOST_COMPARED), newest("filer_id", OWN_COMPARED)).subquery()
    seen = case((or_(*branches(shape)), True), else_=False).label("visible")
    rows = select(*COLUMNS, seen).select_from(SOURCE)
    return Columns(
        alike=folded(rows.where(orders.c.tenant_id == TENANT, among(orders.c.id, select(ids.c.id))))
    )


def report(line: Mapping[str, Any]) -> Report:
    """What is compared of a row with ``COLUMNS``."""
    point = (line["location"] or {}).get("wgs84")
    return Report(
        id=line["id"],
        item_code=line["item_code"],
        category_code=line["category_code"],
        kind=line["item_kind"],
        personal=ItemFlag.SENSITIVE in line["item_flags"],
        filer_id=line["filer_id"],
        beneficiary_id=line["beneficiary_id"],
        place_id=line["place_id"],
        grid_id=line["grid_id"],
        community_id=line["community_id"],
        point=Point(point["lng"], point["lat"]) if point else None,
        at=line["created_at"],
        text=line["text"],
    )


def ranked(this: Report, lines: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Likeness]]:
    """The rows that are likely the same as an order, the likeliest first."""
    found = [
        (line, alike)
        for line in lines
        if line["id"] != this.id and (alike := likeness(this, report(line))) is not None
    ]
    return sorted(found, key=lambda pair: (-pair[1].score, pair[0]["created_at"], pair[0]["id"]))


def hints(order_id: UUID, lines: list[dict[str, Any]]) -> list[HintOut]:
    """What the filer is told: orders that he may see by number, of the others only how many households filed them.

    Orders about a person, or that keep somebody out, are not even counted: that somebody complained is already
    too much.
    """
    this = next(report(line) for line in lines if line["id"] == order_id)
    alike = ranked(this, lines)
    told = [
        HintOut(
            id=line["id"], number=number(line["day"], line["serial"]), why=list(found.why), score=found.score
        )
        for line, found in islice(((line, found) for line, found in alike if line["visible"]), MOST_TOLD)
    ]
    hidden = [
        (line["filer_id"], found.score)
        for line, found in alike
        if not line["visible"] and not line["recused"] and Flag.ABOUT_PERSON not in line["flags"]
    ]
    if hidden:
        households = len({filer_id for filer_id, _ in hidden})
        score = max(score for _, score in hidden)
        told.append(HintOut(id=None, number=None, why=[f"附近已有{households}户反映"], score=score))
    return told
