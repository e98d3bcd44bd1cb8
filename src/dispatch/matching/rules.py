"""What a tenant sets about matching: read, and replaced whole."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog import queries as catalog
from dispatch.db.dialect import insert_or_ignore
from dispatch.domain.matchrule import EVERY_ITEM
from dispatch.domain.people import Actor
from dispatch.domain.refusal import ChangedMeanwhile
from dispatch.matching.tables import matching_rules

FIELDS = tuple(
    column.key
    for column in matching_rules.c
    if column.key not in ("tenant_id", "item_code", "version", "updated_at")
)


async def rules(db: AsyncConnection, actor: Actor) -> list[Any]:
    """Every rule that the tenant has set, the one for all items first."""
    rows = select(matching_rules).where(matching_rules.c.tenant_id == actor.tenant.id)
    return list((await db.execute(rows.order_by(matching_rules.c.item_code))).all())


async def set_rule(
    db: AsyncConnection,
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
        ItemNotFound: the tenant has no such item.
        ChangedMeanwhile: the rule is of another version.
    """
    tenant_id = actor.tenant.id
    if item_code != EVERY_ITEM:
        await catalog.item(db, tenant_id, item_code)
    key = {"tenant_id": tenant_id, "item_code": item_code}
    mine = (matching_rules.c.tenant_id == tenant_id, matching_rules.c.item_code == item_code)
    await insert_or_ignore(db, matching_rules, [{**key, "version": 0, "updated_at": at}])
    change = update(matching_rules).where(*mine)
    if match is not None:
        change = change.where(matching_rules.c.version.in_(match))
    whole = {name: values.get(name) for name in FIELDS}
    found = await db.execute(
        change.values(**whole, version=matching_rules.c.version + 1, updated_at=at).returning(matching_rules)
    )
    row = found.one_or_none()
    if row is None:
        version = await db.scalar(select(matching_rules.c.version).where(*mine))
        raise ChangedMeanwhile(version=version)
    return row
