"""Tenants: the unit of isolation and of distribution."""

from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, Column, Integer, SmallInteger, String, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.base import reference_table
from dispatch.db.types import Json

tenants = reference_table(
    "tenants",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("code", String(32), nullable=False, unique=True),
    Column("name", String(64), nullable=False),
    Column("zone", String(64), nullable=False, default="Asia/Shanghai", server_default="Asia/Shanghai"),
    # Words of this tenant for states and moves, ≤ 5 Han characters each; absent ones fall back to ours.
    Column("labels", Json, nullable=False, default=dict, server_default="{}"),
    # Staff who sign in with a password need a second factor too.
    Column("totp_required", Boolean, nullable=False, default=False, server_default=text("false")),
    # Publishes numbers of its work, of cells with at least so many households (domain.publishing); null: it does not.
    Column("publishes_from", SmallInteger),
    # The written basis on which it does; without one nothing is published.
    Column("publishes_because", String(200)),
)


async def zones(db: AsyncConnection) -> list[tuple[int, ZoneInfo]]:
    """Every tenant with its time zone."""
    rows = await db.execute(select(tenants.c.id, tenants.c.zone).order_by(tenants.c.id))
    return [(row.id, ZoneInfo(row.zone)) for row in rows]


async def tenants_by_code(db: AsyncConnection) -> dict[str, int]:
    """The number of every tenant, by its code."""
    return {row.code: row.id for row in await db.execute(select(tenants.c.code, tenants.c.id))}


async def tenant_ids(db: AsyncConnection) -> list[int]:
    """Every tenant, for work that goes tenant by tenant."""
    return list((await db.execute(select(tenants.c.id).order_by(tenants.c.id))).scalars())
