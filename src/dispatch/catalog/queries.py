"""Reads of the catalogue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import categories, checkin_items, items, reasons
from dispatch.db.dialect import folded
from dispatch.domain.people import Actor
from dispatch.domain.refusal import ItemNotFound, ReasonUnknown
from dispatch.domain.suggestion import Doubt, Emergency
from dispatch.people.queries import PROOF, proven
from dispatch.people.shapes import values

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a tenant offers now, each list in its order; retired items and reasons are left out."""

    categories: Sequence[Record]
    items: Sequence[Record]
    checkin_items: Sequence[Record]
    reasons: Sequence[Record]


async def catalog(db: AsyncConnection, actor: Actor) -> Catalog:
    """The actor's catalogue, in one statement.

    Raises:
        TokenRevoked: the actor's grants have changed.
    """
    tenant_id = actor.tenant.id
    row = (
        await db.execute(
            select(
                PROOF,
                folded(_categories(tenant_id)).label("categories"),
                folded(_items(tenant_id)).label("items"),
                folded(_checkin_items(tenant_id)).label("checkin_items"),
                folded(_reasons(tenant_id)).label("reasons"),
            ),
            values(actor),
        )
    ).one()
    proven(actor, row.proof)
    return Catalog(row.categories, row.items, row.checkin_items, row.reasons)


def _categories(tenant_id: int) -> Select[Any]:
    return (
        select(categories.c.code, categories.c.name)
        .where(categories.c.tenant_id == tenant_id)
        .order_by(categories.c.position, categories.c.code)
    )


def _items(tenant_id: int) -> Select[Any]:
    return (
        select(
            items.c.code,
            items.c.category_code,
            items.c.name,
            items.c.kind,
            items.c.urgency,
            items.c.limits,
            items.c.flags,
            items.c.form,
            items.c.stop_message,
        )
        .where(items.c.tenant_id == tenant_id, items.c.retired_at.is_(None))
        .order_by(items.c.code)
    )


def _checkin_items(tenant_id: int) -> Select[Any]:
    return (
        select(checkin_items.c.code, checkin_items.c.name, checkin_items.c.item_codes)
        .where(checkin_items.c.tenant_id == tenant_id)
        .order_by(checkin_items.c.position, checkin_items.c.code)
    )


def _reasons(tenant_id: int) -> Select[Any]:
    return (
        select(reasons.c.act, reasons.c.code, reasons.c.label)
        .where(reasons.c.tenant_id == tenant_id, reasons.c.retired_at.is_(None))
        .order_by(reasons.c.act, reasons.c.position, reasons.c.code)
    )


@dataclass(frozen=True, slots=True)
class Keywords:
    """The rules that turn words into items and alarms."""

    items: Mapping[str, Mapping[str, int]]
    emergencies: Sequence[Emergency]
    doubt: Doubt


@cache
def keywords() -> Keywords:
    """The shipped rules: the items of domain research §7.2, each with the words people use for it. The words are ours."""
    text = resources.files("dispatch.catalog").joinpath("default/keywords.json").read_text("utf-8")
    given = json.loads(text)
    kinds = [
        Emergency(
            kind["kind"],
            kind["name"],
            tuple(kind["phones"]),
            kind["message"],
            tuple(kind["words"]),
            tuple(kind["unless"]),
        )
        for kind in given["emergencies"]
    ]
    doubt = Doubt(**{name: tuple(value) for name, value in given["doubt"].items()})
    return Keywords(given["items"], kinds, doubt)


async def offered(db: AsyncConnection, actor: Actor, codes: Sequence[str]) -> dict[str, str]:
    """Code and name of those of the items that the actor's tenant offers now."""
    rows = await db.execute(
        select(items.c.code, items.c.name, PROOF).where(
            items.c.tenant_id == actor.tenant.id, items.c.code.in_(codes), items.c.retired_at.is_(None)
        ),
        values(actor),
    )
    found = rows.all()
    if found:
        proven(actor, found[0].proof)
    return {row.code: row.name for row in found}


async def item(db: AsyncConnection, tenant_id: int, code: str) -> Row[Any]:
    """One item; a retired one too, since its orders stay readable.

    Raises:
        ItemNotFound: the tenant has none with this code.
    """
    found = await db.execute(select(items).where(items.c.tenant_id == tenant_id, items.c.code == code))
    row = found.one_or_none()
    if row is None:
        raise ItemNotFound()
    return row


async def check_reason(db: AsyncConnection, tenant_id: int, act: str, code: str) -> None:
    """Whether a reason may be given for an act (a move or a kind of request).

    Raises:
        ReasonUnknown: not in the tenant's closed set, or retired.
    """
    known = await db.scalar(
        select(reasons.c.code).where(
            reasons.c.tenant_id == tenant_id,
            reasons.c.act == act,
            reasons.c.code == code,
            reasons.c.retired_at.is_(None),
        )
    )
    if known is None:
        raise ReasonUnknown()
