"""Reads of the tree of places."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.refusal import PlaceNotFound
from dispatch.places.tables import place_links, places


@lru_cache(maxsize=4096)
def ids_of(path: str) -> tuple[UUID, ...]:
    """The places that a path runs through, the root first. Kept: the orders of a page lie at few places."""
    return tuple(UUID(part) for part in path.strip("/").split("/") if part)


def path_of(ids: Iterable[UUID]) -> str:
    """The path as it is stored, of the places that it runs through, the root first."""
    return "/" + "".join(f"{id.hex}/" for id in ids)


def under(column: ColumnElement[UUID], tenant_id: int, path: str) -> ColumnElement[bool]:
    """Whether a column names the place with this path or one below it."""
    return column.in_(below(tenant_id, path))


def below(tenant_id: int, path: str) -> Select[Any]:
    """The ids of a place and of all below it, retired ones too."""
    return select(places.c.id).where(places.c.tenant_id == tenant_id, beginning(places.c.path, path))


def beginning(column: ColumnElement[str], path: str | ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a place's path begins with another place's: it is that place, or below it.

    A range and no LIKE: of a pattern that it does not know a plan makes no range, and reads every place.
    """
    return and_(column >= path, column < path + "~")  # "/" < "~"


async def place(db: AsyncConnection, tenant_id: int, place_id: UUID) -> Row[Any]:
    """One place; a retired one too, since what happened there stays readable.

    Raises:
        PlaceNotFound: unknown here, or another tenant's.
    """
    found = await db.execute(select(places).where(places.c.tenant_id == tenant_id, places.c.id == place_id))
    row = found.one_or_none()
    if row is None:
        raise PlaceNotFound()
    return row


async def children(
    db: AsyncConnection, tenant_id: int, parent_id: UUID | None, *, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Places directly below another (None: the roots) in the order they were made, at most ``limit``.

    Raises:
        PlaceNotFound: the parent is unknown here, or another tenant's.
    """
    below = places.c.parent_id.is_(None) if parent_id is None else places.c.parent_id == parent_id
    statement = select(places).where(places.c.tenant_id == tenant_id, below, places.c.retired_at.is_(None))
    if after is not None:
        statement = statement.where(places.c.id > after)
    rows = (await db.execute(statement.order_by(places.c.id).limit(limit))).all()
    if not rows and parent_id is not None:
        await place(db, tenant_id, parent_id)
    return rows


async def ancestors(db: AsyncConnection, tenant_id: int, path: str) -> Sequence[Any]:
    """The places above the one with this path, the root first."""
    ids = ids_of(path)[:-1]
    if not ids:
        return ()
    rows = await db.execute(
        select(places.c.id, places.c.kind, places.c.name)
        .where(places.c.tenant_id == tenant_id, places.c.id.in_(ids))
        .order_by(places.c.depth)
    )
    return rows.all()


@dataclass(frozen=True, slots=True)
class Located:
    """The special places around a place, itself included."""

    street_id: UUID | None
    community_id: UUID | None
    grid_id: UUID | None


async def locate(db: AsyncConnection, tenant_id: int, place_id: UUID) -> Located:
    """Street, community and grid of a place that is in use.

    A residential compound belongs to a grid only if it lies in exactly one (``place_links``).

    Raises:
        PlaceNotFound: unknown here, another tenant's, or retired.
    """
    linked = select(place_links.c.grid_id).where(
        place_links.c.tenant_id == tenant_id, place_links.c.place_id == place_id
    )
    found = await db.execute(
        select(
            places.c.street_id,
            places.c.community_id,
            places.c.grid_id,
            select(func.count()).select_from(linked.subquery()).scalar_subquery().label("links"),
            linked.limit(1).scalar_subquery().label("linked"),
        ).where(places.c.tenant_id == tenant_id, places.c.id == place_id, places.c.retired_at.is_(None))
    )
    row = found.one_or_none()
    if row is None:
        raise PlaceNotFound()
    return Located(row.street_id, row.community_id, row.grid_id or (row.linked if row.links == 1 else None))
