"""Reads of API keys, for those who administer them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import KeyNotFound, RoleForbidden
from dispatch.people.tables import accounts, api_keys, bodies, grants
from dispatch.places.queries import path_of
from dispatch.places.tables import places

_place, _seat, _maker, _ender = (
    places.alias("place"),
    places.alias("seat"),
    accounts.alias("maker"),
    accounts.alias("ender"),
)


def _beside(table: Any, id: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(table.c.tenant_id == api_keys.c.tenant_id, table.c.id == id)


def _keys(actor: Actor) -> Select[Any]:
    """Keys of grants at or below a place that the actor administers. Raises: RoleForbidden: of none."""
    path = func.coalesce(_place.c.path, _seat.c.path)
    above = [path_of(g.path) for g in actor.grants if g.role is Role.ADMIN and g.path]
    if not above:
        raise RoleForbidden()
    kept = [column for column in api_keys.c if column.name != "secret_hash"]
    source = (
        api_keys.join(accounts, _beside(accounts, api_keys.c.account_id))
        .join(grants, _beside(grants, api_keys.c.grant_id))
        .outerjoin(_place, _beside(_place, grants.c.place_id))
        .outerjoin(bodies, _beside(bodies, grants.c.body_id))
        .outerjoin(_seat, _beside(_seat, bodies.c.place_id))
        .outerjoin(_maker, _beside(_maker, api_keys.c.created_by))
        .outerjoin(_ender, _beside(_ender, api_keys.c.revoked_by))
    )
    return (
        select(*kept, grants.c.role, grants.c.place_id, _place.c.name.label("place_name"))
        .add_columns(_place.c.kind.label("place_kind"), accounts.c.name.label("account_name"))
        .add_columns(_maker.c.name.label("maker_name"), _ender.c.name.label("ender_name"))
        .select_from(source)
        .where(
            api_keys.c.tenant_id == actor.tenant.id,
            or_(*(and_(path >= root, path < root + "~") for root in above)),
        )
        .execution_options(fanout=True)
    )


async def key(db: AsyncConnection, actor: Actor, key_id: str) -> Any:
    """One key, called back or not.

    Raises:
        KeyNotFound: none that the actor administers.
    """
    row = (await db.execute(_keys(actor).where(api_keys.c.key_id == key_id))).one_or_none()
    if row is None:
        raise KeyNotFound()
    return row


async def key_page(
    db: AsyncConnection, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Any]:
    """Keys that the actor administers, newest first, one more than ``limit``. Raises: RoleForbidden: no admin."""
    by = (api_keys.c.created_at, api_keys.c.session_id)
    rows = _keys(actor).order_by(*(column.desc() for column in by)).limit(limit + 1)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows)).all())
