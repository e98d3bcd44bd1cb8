"""Reads for what is published: a month's events on the way in, the published rows on the way out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, case, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import categories, items
from dispatch.db.tenants import tenants
from dispatch.domain.order import Ask, AskState, Flag
from dispatch.domain.publishing import households
from dispatch.domain.sla import Clock, Outcome
from dispatch.orders.tables import orders, ratings, requests
from dispatch.people.tables import accounts
from dispatch.places.tables import places
from dispatch.reports.tables import publications
from dispatch.sla.tables import clocks

SATISFIED = 3
"""基本满意 and above (domain.md §3.2)."""
JUDGED = (Outcome.ON_TIME, Outcome.LATE)
MEASURES = {
    "filed": (),
    "done": ("on_time", "late", "unjudged"),
    "verdicts": ("satisfied", "dissatisfied"),
}
"""What is counted, and the parts each falls into."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One order that was filed, done or judged in the month."""

    street_id: UUID | None
    community_id: UUID | None
    category_code: str
    household: Any
    part: str


async def happened(
    db: AsyncConnection, tenant_id: int, begin: datetime, end: datetime
) -> dict[str, list[Happened]]:
    """What a period is made of, by measure. Orders that somebody wants hidden are in none of it: those about a person,
    those that are kept from whom they complain of, and those whose filer hides the name.
    """
    on_time = (
        select(clocks.c.outcome)
        .where(
            clocks.c.tenant_id == orders.c.tenant_id,
            clocks.c.order_id == orders.c.id,
            clocks.c.clock == Clock.FINISH,
            clocks.c.round == orders.c.round,
            clocks.c.outcome.in_(JUDGED),
        )
        .order_by(clocks.c.nth.desc())
        .limit(1)
        .scalar_subquery()
    )
    later = ratings.alias("later")
    newest = ~exists().where(
        later.c.tenant_id == ratings.c.tenant_id,
        later.c.order_id == ratings.c.order_id,
        later.c.round == ratings.c.round,
        later.c.revision > ratings.c.revision,
    )
    filed = _events(tenant_id).where(orders.c.created_at >= begin, orders.c.created_at < end)
    done = _events(tenant_id, on_time.label("part")).where(orders.c.done_at >= begin, orders.c.done_at < end)
    satisfied = case((ratings.c.score >= SATISFIED, "satisfied"), else_="dissatisfied")
    judged = _events(tenant_id, satisfied.label("part"))
    judged = judged.join(
        ratings, (ratings.c.tenant_id == orders.c.tenant_id) & (ratings.c.order_id == orders.c.id)
    )
    judged = judged.where(
        ratings.c.tenant_id == tenant_id, ratings.c.rated_at >= begin, ratings.c.rated_at < end, newest
    )
    return {
        "filed": list(_told((await db.execute(filed)).all(), lambda row: "")),
        "done": list(_told((await db.execute(done)).all(), _how_done)),
        "verdicts": list(_told((await db.execute(judged)).all(), _how_judged)),
    }


def _events(tenant_id: int, *more: Any) -> Select[Any]:
    who = func.coalesce(
        orders.c.beneficiary_id, case((orders.c.on_behalf.is_(False), orders.c.filer_id), else_=None)
    )
    person = (accounts.c.tenant_id == orders.c.tenant_id) & (accounts.c.id == who)
    item = (items.c.tenant_id == orders.c.tenant_id) & (items.c.code == orders.c.item_code)
    excluded = exists().where(
        requests.c.tenant_id == orders.c.tenant_id,
        requests.c.order_id == orders.c.id,
        requests.c.kind == Ask.EXCLUSION,
        requests.c.status == AskState.APPROVED,
    )
    return (
        select(
            orders.c.street_id,
            orders.c.community_id,
            orders.c.flags,
            orders.c.filer_id,
            orders.c.address_key,
            accounts.c.id.label("person_id"),
            accounts.c.address_key.label("home_key"),
            items.c.category_code,
            excluded.label("excluded"),
            *more,
        )
        .join(items, item)
        .outerjoin(accounts, person)
        .where(orders.c.tenant_id == tenant_id, orders.c.recused == 0, orders.c.hide_name.is_(False))
    )


def _how_done(row: Row[Any]) -> str:
    return "unjudged" if row.part is None or row.excluded else str(row.part)


def _how_judged(row: Row[Any]) -> str | None:
    """None of an order that was taken out of the rates: it is in no rate of verdicts either."""
    return None if row.excluded else str(row.part)


def _told(rows: Iterable[Row[Any]], part: Callable[[Row[Any]], str | None]) -> Iterator[Happened]:
    open_ = [row for row in rows if Flag.ABOUT_PERSON not in row.flags]
    named = households(_ties(open_))
    for row, household in zip(open_, named, strict=True):
        if (which := part(row)) is not None:
            yield Happened(row.street_id, row.community_id, row.category_code, household, which)


def _ties(rows: Iterable[Row[Any]]) -> Iterator[tuple[Any, Any]]:
    """Door and person of each order. Of whom neither is known counts as of whom filed, all of them as one."""
    for row in rows:
        door = row.address_key or row.home_key
        yield door, row.person_id or (None if door else row.filer_id)


@dataclass(frozen=True, slots=True)
class Tree:
    """The places and categories of which a month has a row each."""

    root_id: UUID
    above: dict[UUID, UUID]
    categories: Sequence[str]


async def tree(db: AsyncConnection, tenant_id: int) -> Tree | None:
    """Streets and communities below the topmost place, retired ones too; None while there is no place."""
    rows = (
        await db.execute(
            select(places.c.id, places.c.kind, places.c.parent_id, places.c.street_id)
            .where(
                places.c.tenant_id == tenant_id,
                (places.c.parent_id.is_(None)) | places.c.kind.in_(("street", "community")),
            )
            .order_by(places.c.code)
        )
    ).all()
    root = next((row.id for row in rows if row.parent_id is None), None)
    if root is None:
        return None
    above = {
        row.id: root if row.kind == "street" or row.street_id is None else row.street_id
        for row in rows
        if row.id != root and row.parent_id is not None
    }
    codes = await db.execute(
        select(categories.c.code).where(categories.c.tenant_id == tenant_id).order_by(categories.c.code)
    )
    return Tree(root, above, [row.code for row in codes])


async def months_published(db: AsyncConnection, tenant_id: int) -> list[str]:
    """Oldest first."""
    rows = select(publications.c.month).where(publications.c.tenant_id == tenant_id, _OF_THE_WHOLE)
    return list((await db.execute(rows.order_by(publications.c.month))).scalars())


_OF_THE_WHOLE = publications.c.above_id.is_(None) & (publications.c.category_code == "")


async def publishers(db: AsyncConnection) -> list[Any]:
    """Tenants that publish, with their zone and the least number of households of a cell."""
    rows = select(tenants.c.id, tenants.c.zone, tenants.c.publishes_from)
    return list((await db.execute(rows.where(tenants.c.publishes_from.is_not(None)))).all())


async def publisher(db: AsyncConnection, code: str) -> Any | None:
    """The tenant of a code if it publishes."""
    found = select(tenants.c.id, tenants.c.publishes_from, tenants.c.publishes_because)
    return (
        await db.execute(found.where(tenants.c.code == code, tenants.c.publishes_from.is_not(None)))
    ).one_or_none()


async def published_place(db: AsyncConnection, tenant_id: int, place_id: UUID | None) -> Any | None:
    """A place that has published numbers, or the whole; with the first and the last month."""
    mine = (
        _OF_THE_WHOLE
        if place_id is None
        else (publications.c.place_id == place_id) & (publications.c.category_code == "")
    )
    rows = (
        select(
            publications.c.place_id,
            publications.c.above_id,
            func.min(publications.c.month).label("first"),
            func.max(publications.c.month).label("last"),
        )
        .where(publications.c.tenant_id == tenant_id, mine)
        .group_by(publications.c.place_id, publications.c.above_id)
        .order_by(func.max(publications.c.month).desc())
        .limit(1)
    )
    return (await db.execute(rows)).one_or_none()


async def published(
    db: AsyncConnection, tenant_id: int, place_id: UUID, by: str, begin: str, end: str
) -> list[Any]:
    """The rows of a place from one month to another: its own, those of the places below, or of its categories."""
    where = {
        "month": (publications.c.place_id == place_id) & (publications.c.category_code == ""),
        "place": publications.c.above_id == place_id,
        "category": (publications.c.place_id == place_id) & (publications.c.category_code != ""),
    }[by]
    rows = (
        select(publications, places.c.name.label("place"), places.c.kind, categories.c.name.label("category"))
        .join(
            places,
            (places.c.tenant_id == publications.c.tenant_id) & (places.c.id == publications.c.place_id),
        )
        .outerjoin(
            categories,
            (categories.c.tenant_id == publications.c.tenant_id)
            & (categories.c.code == publications.c.category_code),
        )
        .where(publications.c.tenant_id == tenant_id, where, publications.c.month.between(begin, end))
        # By their codes: no place stands above another for its numbers.
        .order_by(publications.c.month, places.c.code, publications.c.category_code)
    )
    return list((await db.execute(rows)).all())
