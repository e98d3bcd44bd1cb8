"""Who may sign in at the demonstration."""

from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.tenants import tenants
from dispatch.demo import cast
from dispatch.people.tables import accounts, bodies, grants
from dispatch.places.tables import places


async def everyone(db: AsyncConnection) -> list[Any]:
    """Every account with its one grant and its place (a body's grant: the body's place), in the cast's order."""
    rows = await db.execute(
        select(
            accounts.c.id.label("account_id"),
            accounts.c.login,
            accounts.c.name,
            grants.c.id.label("grant_id"),
            grants.c.role,
            places.c.id.label("place_id"),
            places.c.name.label("place_name"),
            places.c.kind.label("place_kind"),
            bodies.c.id.label("body_id"),
            bodies.c.name.label("body_name"),
            bodies.c.kind.label("body_kind"),
        )
        .select_from(
            tenants.join(accounts, accounts.c.tenant_id == tenants.c.id)
            .join(
                grants, and_(grants.c.tenant_id == accounts.c.tenant_id, grants.c.account_id == accounts.c.id)
            )
            .outerjoin(
                bodies, and_(bodies.c.tenant_id == grants.c.tenant_id, bodies.c.id == grants.c.body_id)
            )
            .join(
                places,
                and_(
                    places.c.tenant_id == grants.c.tenant_id,
                    places.c.id == func.coalesce(grants.c.place_id, bodies.c.place_id),
                ),
            )
        )
        .where(tenants.c.code == cast.TENANT_CODE, grants.c.valid_to.is_(None))
        .execution_options(fanout=True)
    )
    order = {part.login: number for number, part in enumerate(cast.PARTS)}
    return sorted(rows.all(), key=lambda row: order.get(row.login, len(order)))
