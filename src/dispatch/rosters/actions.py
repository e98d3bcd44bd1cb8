"""Taking a roster in, whole or not at all, and giving one out, on record."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin import queries as checkin
from dispatch.checkin.actions.deciding import enrol
from dispatch.checkin.actions.filing import today_of
from dispatch.checkin.tables import checkins, member_views, receipt_counters
from dispatch.db.guarding import Count, counted
from dispatch.db.ids import new_id
from dispatch.db.sealed import private
from dispatch.domain.checkin import RENEWAL_MONTHS, later
from dispatch.domain.household import address_key
from dispatch.domain.people import DISPATCHING_ROLES, Actor, Role
from dispatch.domain.privacy import KNOWS, masked_name, masked_phone
from dispatch.domain.refusal import RoleForbidden, RosterInvalid
from dispatch.domain.roster import HEADINGS, Line, Problem, write_free_times, write_skills
from dispatch.people.queries import prove
from dispatch.people.tables import FOREVER, accounts, belongings, body_people, grants, members
from dispatch.rosters import queries
from dispatch.rosters.planning import Does, Entry, Plan, plan

BATCH = 500
"""Rows of one insert."""


async def take_in(
    db: AsyncConnection,
    actor: Actor,
    lines: Sequence[Line],
    problems: Sequence[Problem],
    *,
    dry: bool,
    at: datetime,
) -> Plan:
    """Take a roster in, unless a line is wrong or it is only tried.

    Two at once take turns: the second finds what the first made.

    Raises:
        RoleForbidden: the actor registers nobody.
        RosterInvalid: lines are wrong; nothing was written.
    """
    tenant_id = actor.tenant.id
    if not actor.is_service:
        await prove(db, actor)
        if actor.acting is None or actor.acting.role not in DISPATCHING_ROLES:
            raise RoleForbidden()
    if not dry:
        turn = {"tenant_id": tenant_id, "day": "rosters"}
        await counted(db, Count(receipt_counters, turn, "value"))
    made = await plan(db, actor, lines, problems, at=at)
    if dry:
        return made
    if made.problems:
        raise RosterInvalid(errors=errors(made.problems))
    await _create(db, actor, [one for one in made.entries if one.does is Does.CREATES], at=at)
    for entry in made.entries:
        if entry.does in (Does.ENROLS, Does.UPDATES):
            await _change(db, actor, entry, at=at)
    return made


def errors(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems as the answer tells them."""
    return [
        {"loc": ["line", problem.line, problem.column], "code": "ROSTER_LINE", "message": said(problem)}
        for problem in problems
    ]


def said(problem: Problem) -> str:
    """``第3行 手机号：请填写正确的手机号码或座机号码``."""
    where = " ".join(part for part in (f"第{problem.line}行" if problem.line else "", problem.column) if part)
    return f"{where}：{problem.message}" if where else problem.message


async def _create(db: AsyncConnection, actor: Actor, entries: Sequence[Entry], *, at: datetime) -> None:
    """New people, in a handful of statements however many they are."""
    if not entries:
        return
    today = today_of(actor, at)
    last = await _numbers(db, actor.tenant.id, today, len(entries))
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (accounts, members, grants, belongings, body_people, checkins)
    }
    for serial, entry in enumerate(entries, start=last - len(entries) + 1):
        id = new_id()
        rows[accounts].append(_account(actor.tenant.id, id, entry, at=at))
        rows[members].append(_member(id, entry, today, at=at))
        place_id = entry.grid_id or UUID(entry.form["community_id"])
        rows[grants].append(
            {"id": new_id(), "account_id": id, "role": Role.MEMBER, "place_id": place_id, "valid_from": at}
        )
        rows[belongings] += _belongings(id, entry, at=at)
        if entry.form["unit_id"]:
            rows[body_people].append({"body_id": UUID(entry.form["unit_id"]), "account_id": id})
        rows[checkins].append(_filed(actor, id, entry, today, serial, at=at))
    for table, lines in rows.items():
        for start in range(0, len(lines), BATCH):
            some = [{"tenant_id": actor.tenant.id, **line} for line in lines[start : start + BATCH]]
            await db.execute(insert(table), some)


async def _numbers(db: AsyncConnection, tenant_id: int, today: date, many: int) -> int:
    """The last of so many receipt numbers of a day."""
    key = {"tenant_id": tenant_id, "day": f"{today:%Y%m%d}"}
    return int((await counted(db, Count(receipt_counters, key, "value", by=many))).value)


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


async def _change(db: AsyncConnection, actor: Actor, entry: Entry, *, at: datetime) -> None:
    """Somebody who is known: checks in, or stands as the line tells."""
    tenant_id, today = actor.tenant.id, today_of(actor, at)
    assert entry.account_id is not None
    await enrol(
        db, tenant_id, entry.account_id, entry.form, entry.grid_id, since=entry.since, today=today, at=at
    )
    values: dict[str, Any] = {}
    if entry.line.phone:
        values["phone"] = values["phone_hash"] = private(tenant_id, entry.line.phone)
    if entry.line.id_number:
        values["id_number_hash"] = private(tenant_id, entry.line.id_number)
    if values:
        mine = accounts.c.tenant_id == tenant_id, accounts.c.id == entry.account_id
        await db.execute(update(accounts).where(*mine).values(**values))
    serial = await _numbers(db, tenant_id, today, 1)
    row = _filed(actor, entry.account_id, entry, today, serial, at=at)
    await db.execute(insert(checkins).values(tenant_id=tenant_id, **row))


# Out


async def give_out(
    db: AsyncConnection, actor: Actor, place_id: UUID, *, whole: bool, purpose: str | None, at: datetime
) -> list[list[str]]:
    """The roster of a place as a table, its headings first; phones whole only for the community, on record.

    Raises:
        PlaceNotFound: no such place.
        RoleForbidden: not the actor's place, or whole phones for somebody who does not know everybody there.
    """
    await prove(db, actor)
    there = await checkin.spot(db, actor.tenant.id, place_id)
    acting = actor.acting
    if acting is None or acting.role not in DISPATCHING_ROLES or acting.place_id not in there.path:
        raise RoleForbidden()
    if whole and acting.role not in KNOWS:
        raise RoleForbidden()
    rows = await queries.roster(db, actor.tenant.id, checkin.path_of(there))
    offers = await checkin.offered(db, actor.tenant.id)
    if whole:
        await _record(db, actor, [row.account_id for row in rows if row.phone], purpose or "", at=at)
    knows = acting.role in KNOWS
    head = [HEADINGS[key] for key in WRITTEN]
    return [[*head, "状态", "续报截止"], *(_written(row, offers, knows=knows, whole=whole) for row in rows)]


WRITTEN = tuple(key for key in HEADINGS if key not in ("id_number", "address", "since"))
STATES = {"active": "在册", "suspended": "已暂停"}


def _written(row: Any, offers: dict[str, str], *, knows: bool, whole: bool) -> list[str]:
    phone = row.phone or ""
    cells = {
        "name": row.name if knows else masked_name(row.name),
        "phone": phone if whole or not phone else masked_phone(phone),
        "unit": row.unit_name,
        "community": row.community_name,
        "grid": row.grid_name,
        "work_community": row.work_name,
        "items": "、".join(offers.get(code, code) for code in row._mapping["items"]),
        "skills": write_skills(row.skills),
        "free_times": write_free_times(row.free_times),
        "languages": "、".join(row.languages),
        "most_a_day": row.most_a_day,
        "most_a_week": row.most_a_week,
    }
    told = ["" if cells[key] is None else str(cells[key]) for key in WRITTEN]
    return [*told, STATES[row.state], row.renew_by.isoformat() if row.renew_by else ""]


async def _record(
    db: AsyncConnection, actor: Actor, account_ids: Sequence[UUID], purpose: str, *, at: datetime
) -> None:
    acting = actor.acting
    assert acting is not None
    rows = [
        {
            "tenant_id": actor.tenant.id,
            "id": new_id(),
            "account_id": account_id,
            "viewer_id": actor.account_id,
            "grant_id": acting.id,
            "role": acting.role,
            "purpose": purpose,
            "fields": ["phone"],
            "at": at,
        }
        for account_id in account_ids
    ]
    for start in range(0, len(rows), BATCH):
        await db.execute(insert(member_views), rows[start : start + BATCH])
