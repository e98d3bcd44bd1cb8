"""Changing a tenant's policies: always another version."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.db.guarding import guarded
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.domain.calendar import Calendar, due
from dispatch.domain.catalog import Limit
from dispatch.domain.facts import Fact
from dispatch.domain.people import Actor
from dispatch.domain.policy import Policy, PolicyInvalid, check, write_policy
from dispatch.places.tables import places
from dispatch.sla import queries
from dispatch.sla.actions.editing import Asked, repeated, require_version
from dispatch.sla.tables import policies


async def edit(
    db: AsyncConnection,
    actor: Actor,
    rules: Sequence[Policy],
    scale: Mapping[int, float],
    asked: Asked,
    *,
    open_too: bool,
    at: datetime,
) -> bool:
    """An administrator's new policies. Returns whether the request had been answered before.

    Raises:
        RoleForbidden, ChangedMeanwhile: not theirs to change, or not what they had seen.
        PolicyInvalid: see ``checked``.
    """
    if await repeated(db, actor, asked, at=at):
        return True
    row = await queries.policies_row(db, actor.tenant.id)
    version = row.version if row else 0
    require_version(asked.match, version)
    by = actor.account_id
    await replace(db, actor.tenant.id, rules, scale, seen=version, by=by, at=at, open_too=open_too)
    return False


async def replace(
    db: AsyncConnection,
    tenant_id: int,
    rules: Sequence[Policy],
    scale: Mapping[int, float],
    *,
    seen: int,
    by: UUID | None,
    at: datetime,
    open_too: bool = False,
) -> int:
    """Put another version in place of the one that was seen, and return its number.

    Raises:
        PolicyInvalid: see ``checked``.
        IntegrityError: another version came between (``app.CONSTRAINTS``: ChangedMeanwhile).
    """
    await checked(db, tenant_id, rules, scale, at=at)
    row = {
        "tenant_id": tenant_id,
        "version": seen + 1,
        "id": new_id(),
        "rules": [write_policy(rule) for rule in rules],
        "scale": {str(steps): factor for steps, factor in scale.items()},
        "made_by": by,
        "made_at": at,
    }
    body = {"version": seen + 1, "scope": "open"}
    told = [announce(tenant_id, Fact.POLICIES_CHANGED, body, at=at)] if open_too else []
    await guarded(db, insert(policies).values(row).returning(policies.c.version), told)
    return seen + 1


async def checked(
    db: AsyncConnection, tenant_id: int, rules: Sequence[Policy], scale: Mapping[int, float], *, at: datetime
) -> None:
    """Whether policies make sense here.

    Raises:
        PolicyInvalid: they contradict each other, name an item or a place that is unknown here, or give more time
            than the calendar can follow, by row.
    """
    check(rules)
    calendar = await queries.calendar_for(db, tenant_id)
    codes = {rule.item_code for rule in rules if rule.item_code is not None}
    ids = {rule.place_id for rule in rules if rule.place_id is not None}
    known_items = select(items.c.code).where(items.c.tenant_id == tenant_id, items.c.code.in_(codes))
    known_places = select(places.c.id).where(places.c.tenant_id == tenant_id, places.c.id.in_(ids))
    there = set((await db.execute(known_items)).scalars()) if codes else set()
    here = set((await db.execute(known_places)).scalars()) if ids else set()
    problems = [
        *(
            (row, "item_code", "没有这个事项")
            for row, rule in enumerate(rules)
            if rule.item_code not in {None, *there}
        ),
        *(
            (row, "place_id", "没有这个地点")
            for row, rule in enumerate(rules)
            if rule.place_id not in {None, *here}
        ),
    ]
    for row, rule in enumerate(rules):
        factor = max(scale.values()) if rule.urgency is None else 1.0
        problems += [
            (row, "limits", f"“{stage}”的时限太长")
            for stage, limit in rule.limits.items()
            if limit is not None and not _fits(limit, factor, calendar, at)
        ]
    if problems:
        raise PolicyInvalid(problems)


def _fits(limit: Limit, factor: float, calendar: Calendar, at: datetime) -> bool:
    try:
        due(limit.scaled(factor), at, calendar)
    except ValueError:
        return False
    return True
