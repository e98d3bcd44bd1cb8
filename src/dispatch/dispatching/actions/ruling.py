"""What a tenant sets for an item or for all of them: read, and replaced whole."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog import queries as catalog
from dispatch.db.dialect import insert_or_ignore
from dispatch.domain.granting import rules_tenant
from dispatch.domain.matchrule import EVERY_ITEM
from dispatch.domain.people import SETTING_ROLES, Actor
from dispatch.domain.refusal import ChangedMeanwhile, RoleForbidden

OURS = frozenset({"tenant_id", "item_code", "version", "updated_at"})
"""Columns of a table of rules that nobody sets."""


async def rules(db: AsyncConnection, table: Table, actor: Actor) -> list[Any]:
    """Every rule that the tenant has set, the one for all items first."""
    rows = select(table).where(table.c.tenant_id == actor.tenant.id)
    return list((await db.execute(rows.order_by(table.c.item_code))).all())


async def set_rule(
    db: AsyncConnection,
    table: Table,
    actor: Actor,
    item_code: str,
    values: Mapping[str, Any],
    match: frozenset[int] | None,
    *,
    at: datetime,
) -> Any:
    """Replace an item's rule (``*``: that of all items); what is not given falls back.

    Args:
        match: the versions it was meant for; 0 is a rule that is not there yet.

    Raises:
        RoleForbidden: neither admin nor district of the whole tenant.
        ItemNotFound: the tenant has no such item.
        ChangedMeanwhile: the rule is of another version.
    """
    if not rules_tenant(actor, SETTING_ROLES):
        raise RoleForbidden()
    tenant_id = actor.tenant.id
    if item_code != EVERY_ITEM:
        await catalog.item(db, tenant_id, item_code)
    key = {"tenant_id": tenant_id, "item_code": item_code}
    mine = (table.c.tenant_id == tenant_id, table.c.item_code == item_code)
    await insert_or_ignore(db, table, [{**key, "version": 0, "updated_at": at}])
    change = update(table).where(*mine)
    if match is not None:
        change = change.where(table.c.version.in_(match))
    whole = {column.key: values.get(column.key) for column in table.c if column.key not in OURS}
    found = await db.execute(
        change.values(**whole, version=table.c.version + 1, updated_at=at).returning(table)
    )
    row = found.one_or_none()
    if row is None:
        raise ChangedMeanwhile(version=await db.scalar(select(table.c.version).where(*mine)))
    return row
