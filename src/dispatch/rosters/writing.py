"""What a roster writes: new people, what a line tells otherwise of members, words to those who are invited.

Nothing is asked of the database by the line, and receipt numbers come last: they are counted under a lock that every
approval waits for.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.actions.filing import today_of
from dispatch.checkin.tables import checkins, receipt_counters
from dispatch.db.guarding import Count, counted
from dispatch.db.ids import new_id
from dispatch.db.sealed import private
from dispatch.domain.checkin import RENEWAL_MONTHS, later
from dispatch.domain.household import address_key
from dispatch.domain.people import Actor, Role
from dispatch.domain.roster import TOLD
from dispatch.notices.actions import tell
from dispatch.people import many
from dispatch.people.tables import FOREVER, accounts, belongings, body_people, grants, members
from dispatch.rosters.planning import Does, Entry, Plan


async def write(db: AsyncConnection, actor: Actor, made: Plan, *, at: datetime) -> None:
    """Do what a plan without problems says; everybody whom it changes is held."""
    today = today_of(actor, at)
    filed = await _create(db, actor, made.of(Does.CREATES), today, at=at)
    filed += await _update(db, actor, made.of(Does.UPDATES), at=at)
    await _invite(db, actor, made.of(Does.INVITES), at=at)
    if not filed:
        return
    key = {"tenant_id": actor.tenant.id, "day": f"{today:%Y%m%d}"}
    last = (await counted(db, Count(receipt_counters, key, "value", by=len(filed)))).value
    await _insert(
        db,
        checkins,
        [
            _filed(actor, id, entry, today, serial, at=at)
            for serial, (id, entry) in enumerate(filed, start=last - len(filed) + 1)
        ],
    )


Filed = list[tuple[UUID, Entry]]


async def _insert(db: AsyncConnection, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    for some in many.batches(rows):
        await db.execute(insert(table), some)


async def _create(
    db: AsyncConnection, actor: Actor, entries: Sequence[Entry], today: date, *, at: datetime
) -> Filed:
    """People whom nobody knew."""
    tenant_id = actor.tenant.id
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (accounts, members, grants, belongings, body_people)
    }
    filed: Filed = []
    for entry in entries:
        id = new_id()
        filed.append((id, entry))
        rows[accounts].append(_account(tenant_id, id, entry, at=at))
        rows[members].append(_member(id, entry, today, at=at))
        place_id = entry.grid_id or UUID(entry.form["community_id"])
        rows[grants].append(
            {"id": new_id(), "account_id": id, "role": Role.MEMBER, "place_id": place_id, "valid_from": at}
        )
        rows[belongings] += _belongings(id, entry, at=at)
        if entry.form["unit_id"]:
            rows[body_people].append({"body_id": UUID(entry.form["unit_id"]), "account_id": id})
    for table, lines in rows.items():
        await _insert(db, table, [{"tenant_id": tenant_id, **line} for line in lines])
    return filed


def _account(tenant_id: int, id: UUID, entry: Entry, *, at: datetime) -> dict[str, Any]:
    line = entry.line
    community_id = UUID(entry.form["community_id"])
    return {
        "id": id,
        "login": f"roster-{id.hex}",
        "name": private(tenant_id, line.name),
        "phone": private(tenant_id, line.phone),
        "phone_hash": private(tenant_id, line.phone),
        "id_number_hash": private(tenant_id, line.id_number),
        "home_place_id": entry.grid_id or community_id,
        "address_key": private(tenant_id, address_key(community_id, line.address)),
        "grants_version": 1,
        "created_at": at,
    }


def _member(id: UUID, entry: Entry, today: date, *, at: datetime) -> dict[str, Any]:
    form = entry.form
    return {
        "account_id": id,
        "community_id": UUID(form["community_id"]),
        "grid_id": entry.grid_id,
        "unit_id": UUID(form["unit_id"]) if form["unit_id"] else None,
        "work_community_id": UUID(form["work_community_id"]) if form["work_community_id"] else None,
        "state": "active",
        **{name: form[name] for name in ("items", "skills", "free_times", "languages")},
        "most_a_day": form.get("most_a_day"),
        "most_a_week": form.get("most_a_week"),
        "checked_in_at": at,
        "renew_by": later(today, RENEWAL_MONTHS),
    }


def _belongings(id: UUID, entry: Entry, *, at: datetime) -> list[dict[str, Any]]:
    ways = {"checkin": "community_id", "work": "work_community_id", "unit": "unit_id"}
    start = entry.since.astimezone(UTC) if entry.since else at
    return [
        {
            "party_kind": "member",
            "party_id": id,
            "kind": kind,
            "from_at": start,
            "until_at": FOREVER,
            "of_id": UUID(entry.form[field]),
        }
        for kind, field in ways.items()
        if entry.form[field]
    ]


def _filed(actor: Actor, id: UUID, entry: Entry, today: date, serial: int, *, at: datetime) -> dict[str, Any]:
    """The check-in as the community keyed it in, approved with it."""
    form = {"home_place_id": None, "most_a_day": None, "most_a_week": None, **entry.form}
    return {
        "tenant_id": actor.tenant.id,
        "id": new_id(),
        "account_id": id,
        "kind": "roster",
        "state": "approved",
        "community_id": UUID(entry.form["community_id"]),
        "form": private(actor.tenant.id, json.dumps(form, default=str, ensure_ascii=False)),
        "filed_at": at,
        "decided_at": at,
        "decided_by": None if actor.is_service else actor.account_id,
        "day": f"{today:%Y%m%d}",
        "serial": serial,
    }


async def _update(db: AsyncConnection, actor: Actor, entries: Sequence[Entry], *, at: datetime) -> Filed:
    """Members of whom a line tells otherwise: that is written, and whether they serve and how long stays theirs."""
    tenant_id = actor.tenant.id
    filed: Filed = [(entry.account_id, entry) for entry in entries if entry.account_id]
    changes = {id: dict(entry.changes) for id, entry in filed}
    ids = {
        name: {id: UUID(str(told[name])) for id, told in changes.items() if name in told}
        for name in ("unit_id", "work_community_id", "grid_id")
    }
    plain = {id: {name: told[name] for name in TOLD if name in told} for id, told in changes.items()}
    for name, found in ids.items():
        for id, value in found.items():
            plain[id][name] = value
    await many.change_accounts(db, tenant_id, {id: _of_account(tenant_id, entry) for id, entry in filed})
    await many.change_members(db, tenant_id, plain)
    await many.enter(db, tenant_id, "unit", ids["unit_id"], at=at)
    await many.staff_of(db, tenant_id, ids["unit_id"])
    await many.enter(db, tenant_id, "work", ids["work_community_id"], at=at)
    await many.reseat(db, tenant_id, ids["grid_id"], at=at)
    said = "社区按名册更新了您的报到信息，请在“我的报到”中核对；有误可重新填写报到单。"
    await tell(db, tenant_id, [id for id, _ in filed], f"roster:{new_id()}", "roster.updated", said, at=at)
    return filed


def _of_account(tenant_id: int, entry: Entry) -> dict[str, Any]:
    told = entry.changes
    values: dict[str, Any] = {}
    if "phone" in told:
        values["phone"] = values["phone_hash"] = private(tenant_id, told["phone"])
    if "id_number" in told:
        values["id_number_hash"] = private(tenant_id, told["id_number"])
    if "address" in told:
        key = address_key(UUID(entry.form["community_id"]), told["address"])
        values["address_key"] = private(tenant_id, key)
    return values


async def _invite(db: AsyncConnection, actor: Actor, entries: Sequence[Entry], *, at: datetime) -> None:
    """Nobody who is known and no member is enrolled by others: they hear that they are asked to check in, once."""
    places: dict[str, list[UUID]] = {}
    for entry in entries:
        if entry.account_id is not None:
            places.setdefault(entry.form["community_id"], []).append(entry.account_id)
    said = "社区名册中有您。愿意报到的，请填写报到单；不填写则不会为您报到。"
    for place_id, ids in places.items():
        await tell(db, actor.tenant.id, ids, f"invited:{place_id}", "roster.invited", said, at=at)
