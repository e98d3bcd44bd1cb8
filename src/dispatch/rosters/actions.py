"""Taking a roster in, whole or not at all, and giving one out, on record."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin import queries as checkin
from dispatch.checkin.tables import member_views, receipt_counters
from dispatch.db.guarding import Count, counted
from dispatch.db.ids import new_id
from dispatch.domain.cells import write_free_times, write_skills
from dispatch.domain.people import DISPATCHING_ROLES, Actor
from dispatch.domain.privacy import KNOWS, masked_name, masked_phone
from dispatch.domain.refusal import RoleForbidden, RosterInvalid
from dispatch.domain.roster import HEADINGS, Line, Problem
from dispatch.people.many import batches, hold_all
from dispatch.people.queries import prove
from dispatch.places.queries import path_of
from dispatch.rosters import queries
from dispatch.rosters.planning import Does, Plan, plan
from dispatch.rosters.writing import write


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
        check_registers(actor)
    if dry:
        return await plan(db, actor, lines, problems, at=at)
    turn = {"tenant_id": tenant_id, "day": "rosters"}
    await counted(db, Count(receipt_counters, turn, "value"))
    made = await _held(db, actor, lines, problems, at=at)
    if made.problems:
        raise RosterInvalid(errors=errors(made.problems))
    await write(db, actor, made, at=at)
    return made


async def _held(
    db: AsyncConnection, actor: Actor, lines: Sequence[Line], problems: Sequence[Problem], *, at: datetime
) -> Plan:
    """The plan, with everybody held whom it changes: what it says of them holds until it is written."""
    held: set[UUID] = set()
    while True:
        made = await plan(db, actor, lines, problems, at=at)
        changed = {one.account_id for one in made.entries if one.does is Does.UPDATES and one.account_id}
        if made.problems or changed <= held:
            return made
        await hold_all(db, actor.tenant.id, changed - held)
        held |= changed


def check_registers(actor: Actor) -> None:
    """Raises: RoleForbidden: the actor registers nobody."""
    if actor.acting is None or actor.acting.role not in DISPATCHING_ROLES:
        raise RoleForbidden()


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
    rows = await queries.roster(db, actor.tenant.id, path_of(there.path))
    offers = await checkin.offered(db, actor.tenant.id)
    ground = await queries.ground(db, actor)
    if whole:
        await _record(db, actor, [row.account_id for row in rows if row.phone], purpose or "", at=at)
    knows = acting.role in KNOWS
    head = [HEADINGS[key] for key in WRITTEN]
    return [
        [*head, "状态", "续报截止"],
        *(_written(row, offers, ground, knows=knows, whole=whole) for row in rows),
    ]


WRITTEN = tuple(key for key in HEADINGS if key not in ("id_number", "address", "since"))
STATES = {"active": "在册", "suspended": "已暂停"}


def _written(
    row: Any, offers: dict[str, str], ground: queries.Ground, *, knows: bool, whole: bool
) -> list[str]:
    phone = row.phone or ""
    cells = {
        "name": row.name if knows else masked_name(row.name),
        "phone": phone if whole or not phone else masked_phone(phone),
        "unit": ground.written(row, "unit"),
        "community": ground.written(row, "community"),
        "grid": ground.written(row, "grid"),
        "work_community": ground.written(row, "work"),
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
    for some in batches(rows):
        await db.execute(insert(member_views), some)
