"""Who looked: contact data that stood open in an answer, and contact data that was asked for."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.domain.life import standing
from dispatch.domain.people import Actor
from dispatch.domain.privacy import Sight, by_office, concerned, view
from dispatch.orders.tables import order_views
from dispatch.orders.whole import Whole

CONTACT = ("contact_phone", "address", "location", "beneficiary_phone")
"""What of an order leads to a person."""
MOST_REMEMBERED = 10_000
"""Looks remembered per process, so that the second one of a day costs nothing."""

_noted: OrderedDict[tuple[int, UUID], None] = OrderedDict()


async def looked(database: Database, whole: Whole, actor: Actor, *, at: datetime) -> None:
    """Record that contact data stood open to somebody whose order it is not, or who filed it for another by office:
    once a day, person and order.

    Whoever acts on an order is in its timeline; this is for who only reads.
    """
    who = standing(whole.life, actor)
    seen = view(whole.life, who, hide_name=whole.row.hide_name, at=at)
    fields = [name for name in CONTACT if getattr(whole.row, name) is not None]
    own = concerned(who) and not by_office(whole.life, who)
    if own or seen.sight is not Sight.FULL or not seen.contact or not fields:
        return
    day = at.astimezone(actor.tenant.zone).date()
    id = uuid5(whole.life.id, f"{actor.account_id}/{day}")
    await _note(database, _row(whole, actor, id, "open", None, fields, at=at))


async def looked_at_file(database: Database, whole: Whole, actor: Actor, *, at: datetime) -> None:
    """Record that somebody whose order it is not looked at a file of it, which may show anything: once a day."""
    if concerned(standing(whole.life, actor)):
        return
    day = at.astimezone(actor.tenant.zone).date()
    id = uuid5(whole.life.id, f"{actor.account_id}/{day}/files")
    await _note(database, _row(whole, actor, id, "open", None, ["attachments"], at=at))


async def _note(database: Database, row: dict[str, Any]) -> None:
    if (noted := (row["tenant_id"], row["id"])) in _noted:
        return
    async with database.writing() as db:
        await insert_or_ignore(db, order_views, [row])
    _noted[noted] = None
    if len(_noted) > MOST_REMEMBERED:
        _noted.popitem(last=False)


async def asked(
    db: AsyncConnection,
    whole: Whole,
    actor: Actor,
    purpose: str,
    fields: Iterable[str],
    *,
    second: tuple[UUID, str] | None = None,
    at: datetime,
) -> UUID:
    """Record that contact data was shown for a purpose. Returns the record's id.

    Args:
        second: the person who confirmed it, and in which role.
    """
    row = _row(whole, actor, new_id(), "reveal", purpose, fields, at=at)
    if second is not None:
        row |= {"second_id": second[0], "second_role": second[1]}
    await insert_or_ignore(db, order_views, [row])
    id: UUID = row["id"]
    return id


def _row(
    whole: Whole,
    actor: Actor,
    id: UUID,
    kind: str,
    purpose: str | None,
    fields: Iterable[str],
    *,
    at: datetime,
) -> dict[str, Any]:
    filed_under = next((grant for grant in actor.grants if grant.id == whole.row.filer_grant_id), None)
    acting = actor.acting or filed_under or (actor.grants[0] if actor.grants else None)
    return {
        "tenant_id": actor.tenant.id,
        "id": id,
        "order_id": whole.life.id,
        "account_id": actor.account_id,
        "grant_id": acting.id if acting else None,
        "role": acting.role if acting else None,
        "kind": kind,
        "purpose": purpose,
        "fields": sorted(fields),
        "at": at,
    }
