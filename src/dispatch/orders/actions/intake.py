"""Filing an order, by whatever channel, for oneself or for another."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator
from sqlalchemy import Select, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import items
from dispatch.db.bound import ME, TENANT, Columns, made_once
from dispatch.db.dialect import folded
from dispatch.db.engine import start_over
from dispatch.db.guarding import Count, Dependent, Rows, Seen, guarded
from dispatch.db.idempotency import brought, claim, looked_up
from dispatch.db.ids import new_id
from dispatch.db.sealed import private, private_json
from dispatch.db.types import Id
from dispatch.domain.catalog import LONGEST
from dispatch.domain.geo import in_both
from dispatch.domain.household import address_key
from dispatch.domain.order import Flag, Level, Move, State
from dispatch.domain.people import FILING_ROLES, Actor, Role
from dispatch.domain.planning import plan
from dispatch.domain.refusal import (
    IdempotencyInProgress,
    ItemNotFound,
    ItemRetired,
    PlaceNotFound,
    PlaceRequired,
    RoleForbidden,
    wrong,
)
from dispatch.domain.running import View
from dispatch.domain.screening import holds_numbers
from dispatch.orders import log
from dispatch.orders.actions.indexing import indexed
from dispatch.orders.actions.performing import ATTEMPTS, Call, Done
from dispatch.orders.tables import counters, orders
from dispatch.people.queries import PROOF, proven
from dispatch.people.shapes import values
from dispatch.people.tables import accounts
from dispatch.places.queries import ids_of
from dispatch.places.tables import place_links, places
from dispatch.sla.actions import timing
from dispatch.sla.queries import STANDING, Terms, basis_for

USUAL_CHANNEL = {
    Role.GRID_WORKER: "grid",
    Role.GRID_SECRETARY: "grid",
    Role.DISPATCHER: "counter",
    Role.COMMUNITY_SECRETARY: "counter",
    Role.UNIT_ADMIN: "unit",
}
"""How an order came in if nobody says: by the filer's role, else the mini-program."""


async def submit(
    db: AsyncConnection, actor: Actor, data: Mapping[str, Any], call: Call, *, at: datetime
) -> Done:
    """File an order.

    ``data``: item_code, text, place_id, address, location, wanted_from, wanted_to, contact_phone, hide_name,
    on_behalf_of {name, phone, relation, consent}, attachment_ids, channel, answers.

    Raises:
        RoleForbidden: the actor's role files nothing.
        ItemNotFound, ItemRetired, PlaceNotFound, PlaceRequired, ValidationFailed: what is wrong with it.
    """
    if actor.acting is None or actor.acting.role not in FILING_ROLES:
        raise RoleForbidden()
    for _ in range(ATTEMPTS):
        found = await _context(db, actor, data, call)
        proven(actor, found.proof)
        if kept := brought(call.key, found):
            return Done.replay(kept)
        row = _row(actor, data, found, at=at)
        if await claim(db, call.key, status=201, order_id=row["id"], outcome=None, at=at):
            await _file(db, actor, row, found, at=at)
            return Done(row["id"])
        await start_over(db)
    raise IdempotencyInProgress()


async def _context(db: AsyncConnection, actor: Actor, data: Mapping[str, Any], call: Call) -> Any:
    """Item, place, filer and earlier answer, in one statement."""
    phone = (data.get("on_behalf_of") or {}).get("phone")
    bound = {
        **values(actor),
        "filed_item": data["item_code"],
        "filed_place": data.get("place_id"),
        "filed_phone": private(actor.tenant.id, phone),
    }
    also = looked_up(call.key)
    for brought_along in also:
        bound |= brought_along.values
    statement = _filed_with(bool(data.get("place_id")), bool(phone), tuple(told.columns for told in also))
    return (await db.execute(statement, bound)).one()


@made_once
def _filed_with(at_place: bool, by_phone: bool, also: tuple[Columns, ...]) -> Select[Any]:
    home, known = places.alias("home"), accounts.alias("known")
    links = (
        select(place_links.c.grid_id)
        .where(place_links.c.tenant_id == places.c.tenant_id, place_links.c.place_id == places.c.id)
        .limit(2)
    )
    columns = [
        items.c.code.label("item_code"),
        items.c.urgency,
        items.c.flags.label("item_flags"),
        items.c.limits,
        items.c.form,
        items.c.retired_at.label("item_retired_at"),
        places.c.id.label("place_id"),
        places.c.path.label("place_path"),
        *STANDING,
        places.c.street_id,
        places.c.community_id,
        places.c.grid_id,
        places.c.retired_at.label("place_retired_at"),
        folded(links, places).label("links"),
        PROOF,
        *(column for some in also for column in some.labelled),
    ]
    if by_phone:
        same_phone = known.c.phone_hash == bindparam("filed_phone", type_=accounts.c.phone_hash.type)
        columns.append(
            folded(select(known.c.id).where(known.c.tenant_id == TENANT, same_phone).limit(2)).label("known")
        )
    at_home = func.coalesce(home.c.community_id, home.c.id)
    wanted = bindparam("filed_place", type_=Id()) if at_place else at_home
    item = items.c.code == bindparam("filed_item", type_=items.c.code.type)
    return (
        select(*columns)
        .select_from(
            accounts.outerjoin(
                home, and_(home.c.tenant_id == accounts.c.tenant_id, home.c.id == accounts.c.home_place_id)
            )
            .outerjoin(places, and_(places.c.tenant_id == accounts.c.tenant_id, places.c.id == wanted))
            .outerjoin(items, and_(items.c.tenant_id == accounts.c.tenant_id, item))
        )
        .where(accounts.c.tenant_id == TENANT, accounts.c.id == ME)
    )


def _row(actor: Actor, data: Mapping[str, Any], found: Any, *, at: datetime) -> dict[str, Any]:
    grant = actor.acting
    assert grant is not None
    tenant_id = actor.tenant.id
    _check(data, found, at=at)
    linked = [line["grid_id"] for line in found.links]
    flags = [Flag.ABOUT_PERSON] if Flag.ABOUT_PERSON in found.item_flags else []
    if holds_numbers(data["text"]):
        flags.append(Flag.CONTACT_IN_TEXT)
    return {
        "tenant_id": tenant_id,
        "id": new_id(),
        "day": at.astimezone(actor.tenant.zone).strftime("%Y%m%d"),
        "serial": Seen("value"),
        "state": State.SUBMITTED,
        "version": 1,
        "round": 1,
        "flags": [str(flag) for flag in flags],
        "started": False,
        "item_code": found.item_code,
        "urgency": found.urgency,
        "place_id": found.place_id,
        "street_id": found.street_id,
        "community_id": found.community_id,
        # A compound that lies in exactly one grid belongs to it; in several, a human says which.
        "grid_id": found.grid_id or (linked[0] if len(linked) == 1 else None),
        "address": private(tenant_id, data.get("address")),
        "address_key": private(tenant_id, address_key(found.community_id, data.get("address"))),
        "location": private_json(tenant_id, in_both(data.get("location"))),
        "text": data["text"],
        "answers": data.get("answers"),
        "attachment_ids": data.get("attachment_ids"),
        "channel": data.get("channel") or USUAL_CHANNEL.get(grant.role, "miniprogram"),
        "filer_id": actor.account_id,
        "filer_grant_id": grant.id,
        "filer_body_id": grant.body_id,
        "contact_phone": private(tenant_id, data.get("contact_phone")),
        "hide_name": bool(data.get("hide_name")),
        "wanted_from": data.get("wanted_from"),
        "wanted_to": data.get("wanted_to"),
        "children_count": 0,
        "dispatches_made": 0,
        "created_at": at,
        "updated_at": at,
        **_beneficiary(actor, data.get("on_behalf_of"), found),
    }


def _beneficiary(actor: Actor, on_behalf: Mapping[str, Any] | None, found: Any) -> dict[str, Any]:
    """For whom. 代办: beneficiary and filer are two identities, and neither needs WeChat."""
    grant = actor.acting
    assert grant is not None
    if on_behalf is None:
        name = grant.body_name or actor.name
        return {
            "on_behalf": False,
            "beneficiary_id": None if grant.body_id else actor.account_id,
            "beneficiary_name": private(actor.tenant.id, name),
            "beneficiary_phone": None,
            "relation": None,
            "consent": None,
        }
    known = [line["id"] for line in found.known] if on_behalf.get("phone") else []
    return {
        "on_behalf": True,
        "beneficiary_id": known[0] if len(known) == 1 and known[0] != actor.account_id else None,
        "beneficiary_name": private(actor.tenant.id, on_behalf["name"]),
        "beneficiary_phone": private(actor.tenant.id, on_behalf.get("phone")),
        "relation": on_behalf["relation"],
        "consent": on_behalf["consent"],
    }


def _check(data: Mapping[str, Any], found: Any, *, at: datetime) -> None:
    if found.item_code is None:
        raise ItemNotFound()
    if found.item_retired_at is not None:
        raise ItemRetired()
    if found.place_id is None:
        raise PlaceNotFound() if data.get("place_id") else PlaceRequired()
    if found.place_retired_at is not None:
        raise PlaceNotFound()
    _check_window(data, at=at)
    if found.form is not None:
        error = next(iter(Draft202012Validator(found.form).iter_errors(data.get("answers") or {})), None)
        if error is not None:
            raise wrong(".".join(["answers", *map(str, error.absolute_path)]), "请按这个服务事项的要求填写")
    elif data.get("answers"):
        raise wrong("answers", "这个服务事项没有需要另外填写的内容")


def _check_window(data: Mapping[str, Any], *, at: datetime) -> None:
    """An agreed window ends after it begins, and within a year: beyond it is a plan, not a deadline."""
    start, end = data.get("wanted_from"), data.get("wanted_to")
    if start and end and end <= start:
        raise wrong("wanted_to", "应晚于期望开始时间")
    for name in ("wanted_from", "wanted_to"):
        if data.get(name) and data[name] > at + LONGEST:
            raise wrong(name, "请填写一年以内的时间")


async def _file(db: AsyncConnection, actor: Actor, row: dict[str, Any], found: Any, *, at: datetime) -> None:
    counter = Count(counters, {"tenant_id": actor.tenant.id, "day": row["day"]}, "value")
    steps, row["head"] = log.first_step(actor.tenant.id, row["id"], row["flags"], log.author(actor), at=at)
    words = indexed(actor.tenant.id, row["id"], row["text"])
    timed = await _timed(db, row, found, at=at)
    await guarded(db, counter, [Rows(orders, [row]), *steps, *words, *timed])


async def _timed(db: AsyncConnection, row: dict[str, Any], found: Any, *, at: datetime) -> list[Dependent]:
    """The clocks that start with the filing."""
    terms = Terms(
        item_code=row["item_code"],
        limits=found.limits,
        own=found.urgency,
        urgency=row["urgency"],
        round=1,
        places=ids_of(found.place_path),
        appointment=row["wanted_to"] or row["wanted_from"],
    )
    basis = await basis_for(db, row["tenant_id"], terms, found)
    places = {Level.COMMUNITY: row["community_id"], Level.STREET: row["street_id"]}
    filed = View(row["id"], State.SUBMITTED, 1, places)
    changes = plan(filed, (), basis, [Move.SUBMIT], at=at)
    return timing.written(row["tenant_id"], row["id"], changes, terms, basis, cause=Move.SUBMIT, at=at)
