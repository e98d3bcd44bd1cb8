"""Making a tenant's calendar, and changing it: always another version, never the one that stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.guarding import guarded
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.db.tenants import tenants
from dispatch.domain.calendar import Calendar, Span
from dispatch.domain.calendar_check import CalendarInvalid, Problem, check
from dispatch.domain.calendar_file import (
    Entry,
    Source,
    read_entry,
    read_week,
    with_local,
    with_official,
    write_week,
)
from dispatch.domain.facts import Fact
from dispatch.domain.people import Actor
from dispatch.sla import queries, shipped
from dispatch.sla.actions.editing import Asked, repeated, require_version
from dispatch.sla.tables import calendars


@dataclass(frozen=True, slots=True)
class Draft:
    """A calendar as somebody wants it."""

    weekly: tuple[tuple[Span, ...], ...]
    entries: Sequence[Entry]
    known_until: date


@dataclass(frozen=True, slots=True)
class Change:
    """A date that another version says something else about."""

    on: date
    before: Entry | None
    after: Entry | None


async def load_defaults(db: AsyncConnection, tenant_id: int, *, at: datetime) -> None:
    """Give a tenant the calendar that ships. Safe to repeat: what is there already stays as it is."""
    row = {
        "tenant_id": tenant_id,
        "version": 1,
        "id": new_id(),
        "weekly": write_week(shipped.WEEK),
        "days": _shipped_days(shipped.guesses(shipped.KNOWN_UNTIL, at.date())),
        "known_until": shipped.KNOWN_UNTIL,
        "cause": "seeded",
        "made_at": at,
    }
    await insert_or_ignore(db, calendars, [row])


@cache
def _shipped_days(years: range) -> list[dict[str, Any]]:
    return [entry.wire() for entry in (*shipped.official(), *shipped.statutory(years))]


async def replace(
    db: AsyncConnection,
    tenant_id: int,
    draft: Draft,
    *,
    seen: int,
    cause: str,
    at: datetime,
    by: UUID | None = None,
    open_too: bool = False,
) -> int:
    """Put another version in place of the one that was seen, and return its number.

    Deadlines that are provisional are worked out again; with ``open_too`` those of all open orders.

    Raises:
        CalendarInvalid: nobody can work by it.
        IntegrityError: another version came between (``app.CONSTRAINTS``: ChangedMeanwhile).
    """
    zone = ZoneInfo(await db.scalar(select(tenants.c.zone).where(tenants.c.id == tenant_id)) or "UTC")
    days = {entry.on: entry.day for entry in draft.entries}
    check(Calendar("main", seen + 1, zone, draft.weekly, days, draft.known_until))
    row = {
        "tenant_id": tenant_id,
        "version": seen + 1,
        "id": new_id(),
        "weekly": write_week(draft.weekly),
        "days": [entry.wire() for entry in draft.entries],
        "known_until": draft.known_until,
        "cause": cause,
        "made_by": by,
        "made_at": at,
    }
    told = announce(
        tenant_id,
        Fact.CALENDAR_CHANGED,
        {"version": seen + 1, "scope": "open" if open_too else "provisional"},
        at=at,
    )
    await guarded(db, insert(calendars).values(row).returning(calendars.c.version), [told])
    return seen + 1


async def edit(
    db: AsyncConnection, actor: Actor, draft: Draft, asked: Asked, *, open_too: bool, at: datetime
) -> bool:
    """An administrator's whole new calendar. Returns whether the request had been answered before.

    Raises:
        RoleForbidden, ChangedMeanwhile: not theirs to change, or not what they had seen.
        CalendarInvalid: nobody can work by it.
    """
    if await repeated(db, actor, asked, at=at):
        return True
    row = await queries.calendar_row(db, actor.tenant.id)
    version = row.version if row else 0
    require_version(asked.match, version)
    by = actor.account_id
    await replace(db, actor.tenant.id, draft, seen=version, cause="edited", at=at, by=by, open_too=open_too)
    return False


async def take_in(
    db: AsyncConnection, tenant_id: int, told: Sequence[Entry], *, at: datetime, dry: bool = False
) -> list[Change]:
    """Bring days of a file into the calendar; nothing is written when nothing changes.

    Official days come by whole years and replace what was guessed; a tenant's own days are added, for open orders
    too.

    Args:
        dry: only say what would change.

    Raises:
        CalendarInvalid: a year is not whole or would leave a gap, or nobody can work by what comes out.
    """
    await load_defaults(db, tenant_id, at=at)
    row = await queries.calendar_row(db, tenant_id)
    assert row is not None
    have = drafted(row)
    local = all(entry.source is Source.LOCAL for entry in told)
    draft = _with_local(have, told) if local else _with_official(have, told, at=at)
    changes = changed(have.entries, draft.entries)
    if (changes or draft.known_until != have.known_until) and not dry:
        await replace(db, tenant_id, draft, seen=row.version, cause="imported", at=at, open_too=local)
    return changes


def drafted(row: Row[Any]) -> Draft:
    """A stored version as values."""
    return Draft(read_week(row.weekly), [read_entry(day) for day in row.days], row.known_until)


def _with_local(have: Draft, told: Sequence[Entry]) -> Draft:
    return Draft(have.weekly, with_local(have.entries, told), have.known_until)


def _with_official(have: Draft, told: Sequence[Entry], *, at: datetime) -> Draft:
    years = sorted({entry.on.year for entry in told})
    known = have.known_until.year
    for year in (year for year in years if year > known):
        if year != known + 1:
            raise CalendarInvalid([Problem(("days", f"{year}"), f"缺少{known + 1}年的数据")])
        known = year
    entries = with_official(have.entries, told)
    known_until = max(have.known_until, date(known, 12, 31))
    return Draft(have.weekly, _guessed(entries, known_until, at), known_until)


def _guessed(entries: Sequence[Entry], known_until: date, at: datetime) -> list[Entry]:
    """With guesses for the years after the official ones, where there are none yet."""
    there = {entry.on.year for entry in entries if entry.source is Source.STATUTORY}
    for year in shipped.guesses(known_until, at.date()):
        if year not in there:
            entries = with_local(shipped.statutory(range(year, year + 1)), entries)
    return list(entries)


def changed(before: Sequence[Entry], after: Sequence[Entry]) -> list[Change]:
    """The dates on which two versions differ, in order."""
    old, new = ({entry.on: entry for entry in entries} for entries in (before, after))
    return [Change(on, old.get(on), new.get(on)) for on in sorted(old | new) if old.get(on) != new.get(on)]


async def keep(db: AsyncConnection, tenant_id: int, *, at: datetime) -> None:
    """Give a calendar to a tenant that has none, and to every tenant the years that the library has learned of."""
    await load_defaults(db, tenant_id, at=at)
    row = await queries.calendar_row(db, tenant_id)
    assert row is not None
    have = drafted(row)
    news = [entry for entry in shipped.official() if entry.on > have.known_until]
    draft = _with_official(have, news, at=at) if news else have
    entries = _guessed(draft.entries, draft.known_until, at)
    if changed(have.entries, entries) or draft.known_until != have.known_until:
        draft = Draft(draft.weekly, entries, draft.known_until)
        await replace(db, tenant_id, draft, seen=row.version, cause="announced", at=at)
