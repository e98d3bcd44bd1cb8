"""Tenants, and their trees of places."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.db.tenants import tenants
from dispatch.places import queries
from dispatch.places.tables import place_links, places

DEEPEST = 15
"""Levels of a tree: what a path holds (places/tables.py). The deepest in use has six, down to the household."""
SPECIAL = ("street", "community", "grid")
"""Kinds that orders keep beside their exact place (lifecycle, "Place")."""


async def add_tenant(db: AsyncConnection, code: str, name: str, *, zone: str = "Asia/Shanghai") -> int:
    """Make a tenant and return its number, one above the highest. ``code`` is unique.

    Two made at the same time collide on the primary key, and one of them fails: it is a rare act of an operator.
    """
    tenant_id = int(await db.scalar(select(func.coalesce(func.max(tenants.c.id), 0) + 1)) or 1)
    row = {"id": tenant_id, "code": code, "name": name, "zone": zone, "labels": {}}
    await db.execute(tenants.insert().values(row))
    return tenant_id


@dataclass(frozen=True, slots=True)
class Placed:
    """A place that has just been made."""

    id: UUID
    kind: str
    name: str
    path: str
    depth: int
    street_id: UUID | None
    community_id: UUID | None
    grid_id: UUID | None


async def add_place(
    db: AsyncConnection,
    tenant_id: int,
    parent_id: UUID | None,
    kind: str,
    code: str,
    name: str,
    *,
    party_org: str | None = None,
) -> Placed:
    """Make a place below another (None: a root). ``code`` is unique in the tenant.

    Raises:
        PlaceNotFound: the parent is unknown here.
        ValueError: deeper than ``DEEPEST``.
    """
    place_id = new_id()
    parent = await queries.place(db, tenant_id, parent_id) if parent_id else None
    depth = parent.depth + 1 if parent else 0
    if depth >= DEEPEST:
        raise ValueError(f"a tree of places has at most {DEEPEST} levels")
    nearest = {f"{each}_id": getattr(parent, f"{each}_id") if parent else None for each in SPECIAL}
    if kind in SPECIAL:
        nearest[f"{kind}_id"] = place_id
    path = f"{parent.path if parent else '/'}{place_id.hex}/"
    row = {
        "tenant_id": tenant_id,
        "id": place_id,
        "parent_id": parent_id,
        "kind": kind,
        "code": code,
        "name": name,
        "party_org": party_org,
        "path": path,
        "depth": depth,
        **nearest,
    }
    await db.execute(places.insert().values(row))
    return Placed(place_id, kind, name, path, depth, **nearest)


async def link(db: AsyncConnection, tenant_id: int, place_id: UUID, grid_id: UUID) -> None:
    """Say that a compound lies, wholly or in part, in a grid. Safe to repeat."""
    row = {"tenant_id": tenant_id, "place_id": place_id, "grid_id": grid_id}
    await insert_or_ignore(db, place_links, [row])


async def retire(db: AsyncConnection, tenant_id: int, place_id: UUID, *, at: datetime) -> None:
    """Take a place and all below it out of use; what happened there stays readable. Safe to repeat.

    Raises:
        PlaceNotFound: unknown here.
    """
    place = await queries.place(db, tenant_id, place_id)
    await db.execute(
        update(places)
        .where(
            places.c.tenant_id == tenant_id,
            queries.beginning(places.c.path, place.path),
            places.c.retired_at.is_(None),
        )
        .values(retired_at=at)
    )
