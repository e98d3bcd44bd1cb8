"""The calendar and the policies that stand, kept in memory by the id of their version, and what they make of an order."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Label, Row, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.bound import TENANT
from dispatch.db.tenants import tenants
from dispatch.domain.calendar import Calendar, Pause
from dispatch.domain.calendar_file import read_entry, read_week
from dispatch.domain.catalog import Urgency, read_limit, read_limits
from dispatch.domain.policy import Case, Policies, choose, read_policy
from dispatch.domain.running import Run
from dispatch.domain.sla import Basis, Clock, Outcome, Owner, stage_limits
from dispatch.sla import shipped
from dispatch.sla.tables import calendars, policies

MOST_KEPT = 512
"""Versions kept in memory: those that stand for 256 tenants. One with its years worked out takes some 200 kB."""

_kept: OrderedDict[tuple[int, UUID], Any] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Rules:
    """By what orders are timed now."""

    calendar: Calendar
    policies: Policies


def _newest_id(table: Table, name: str) -> Label[UUID]:
    newest = select(table.c.id).where(table.c.tenant_id == TENANT).order_by(table.c.version.desc()).limit(1)
    return newest.scalar_subquery().label(name)


STANDING = (_newest_id(calendars, "calendar_id"), _newest_id(policies, "policies_id"))
"""The ids of the versions that stand in ``TENANT``.

A statement that brings them along makes ``rules_for`` free: what has an id never changes.
"""
_STANDING = select(*STANDING)


async def rules_for(db: AsyncConnection, tenant_id: int, brought: Any = None) -> Rules:
    """The calendar and the policies of a tenant.

    Args:
        brought: a row with the columns of ``STANDING``; without it they are asked for, in one statement.
    """
    ids = brought if brought is not None else (await db.execute(_STANDING, {"tenant_id": tenant_id})).one()
    return Rules(
        await _calendar(db, tenant_id, ids.calendar_id), await _policies(db, tenant_id, ids.policies_id)
    )


async def calendar_for(db: AsyncConnection, tenant_id: int) -> Calendar:
    """The calendar of a tenant, in one statement that proves which version stands."""
    return await _calendar(db, tenant_id, await db.scalar(_STANDING, {"tenant_id": tenant_id}))


async def calendar_at(db: AsyncConnection, tenant_id: int, version: int) -> Calendar:
    """A calendar as it was; for the version 0 see ``_calendar``."""
    wanted = select(calendars.c.id).where(calendars.c.tenant_id == tenant_id, calendars.c.version == version)
    return await _calendar(db, tenant_id, await db.scalar(wanted))


async def _calendar(db: AsyncConnection, tenant_id: int, id: UUID | None) -> Calendar:
    """Version 0 is what ships: a tenant founded before there were calendars works by it until a job writes it down."""
    if id is not None and (tenant_id, id) in _kept:
        kept: Calendar = _again((tenant_id, id))
        return kept
    zone = ZoneInfo(await db.scalar(select(tenants.c.zone).where(tenants.c.id == tenant_id)) or "UTC")
    if id is None:
        return Calendar("shipped", 0, zone, shipped.WEEK, _days(shipped.official()), shipped.KNOWN_UNTIL)
    row = (
        await db.execute(select(calendars).where(calendars.c.tenant_id == tenant_id, calendars.c.id == id))
    ).one()
    days = _days(read_entry(day) for day in row.days)
    calendar = Calendar("main", row.version, zone, read_week(row.weekly), days, row.known_until)
    _keep((tenant_id, id), calendar)
    return calendar


def _days(entries: Any) -> dict[date, Any]:
    return {entry.on: entry.day for entry in entries}


async def _policies(db: AsyncConnection, tenant_id: int, id: UUID | None) -> Policies:
    if id is None:
        return Policies(0)
    if (tenant_id, id) in _kept:
        kept: Policies = _again((tenant_id, id))
        return kept
    row = (
        await db.execute(select(policies).where(policies.c.tenant_id == tenant_id, policies.c.id == id))
    ).one()
    scale = {int(steps): factor for steps, factor in row.scale.items()}
    found = Policies(row.version, tuple(read_policy(rule) for rule in row.rules), scale)
    _keep((tenant_id, id), found)
    return found


def _again(key: tuple[int, UUID]) -> Any:
    _kept.move_to_end(key)
    return _kept[key]


def _keep(key: tuple[int, UUID], value: Calendar | Policies) -> None:
    _kept[key] = value
    if len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)


async def calendar_row(db: AsyncConnection, tenant_id: int) -> Row[Any] | None:
    """The version of the calendar that stands, as it is stored."""
    return await _newest(db, calendars, tenant_id)


async def policies_row(db: AsyncConnection, tenant_id: int) -> Row[Any] | None:
    """The version of the policies that stands, as it is stored."""
    return await _newest(db, policies, tenant_id)


async def _newest(db: AsyncConnection, table: Any, tenant_id: int) -> Row[Any] | None:
    found = select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.version.desc()).limit(1)
    return (await db.execute(found)).one_or_none()


async def known_until(db: AsyncConnection) -> date | None:
    """The first date on which some tenant's official data ends; None where nobody has a calendar."""
    newest = select(calendars.c.tenant_id, func.max(calendars.c.version).label("version"))
    newest_of = newest.group_by(calendars.c.tenant_id).subquery()
    ends = select(func.min(calendars.c.known_until)).join(
        newest_of,
        (newest_of.c.tenant_id == calendars.c.tenant_id) & (newest_of.c.version == calendars.c.version),
    )
    found: date | None = await db.scalar(ends.execution_options(fanout=True))
    return found


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order brings to the judgement.

    ``limits``: the item's, in their wire form; ``own``: the item's urgency; ``places``: ids from the root to its place.
    """

    item_code: str
    limits: Mapping[str, Any]
    own: str
    urgency: str
    round: int
    places: tuple[UUID, ...]
    appointment: datetime | None = None


async def basis_for(db: AsyncConnection, tenant_id: int, terms: Terms, brought: Any = None) -> Basis:
    """By what an order is judged now. ``brought``: see ``rules_for``."""
    return basis_of(await rules_for(db, tenant_id, brought), terms)


def basis_of(rules: Rules, terms: Terms) -> Basis:
    """By what an order is judged under some rules."""
    case = Case(
        terms.item_code,
        read_limits(terms.limits),
        Urgency(terms.own),
        Urgency(terms.urgency),
        terms.places,
    )
    chosen = choose(rules.policies, case)
    limits = stage_limits({stage: found.limit for stage, found in chosen.items()}, terms.round)
    sources = {Clock(stage): f"{found.source}@{rules.policies.version}" for stage, found in chosen.items()}
    return Basis(limits, rules.calendar, sources, terms.appointment, terms.urgency)


def run_of(line: Mapping[str, Any]) -> Run:
    """A clock from its row."""
    return Run(
        clock=Clock(line["clock"]),
        subject_id=line["subject_id"],
        nth=line["nth"],
        round=line["round"],
        owner=Owner(line["owner_kind"], line["owner_id"]),
        since=line["since"],
        started_at=line["started_at"],
        limit=read_limit(line["limit"]),
        due_at=line["due_at"],
        provisional=line["provisional"],
        dated=line["dated"],
        deadline_no=line["deadline_no"],
        pauses=tuple(_pause(pause) for pause in line["pauses"]),
        stopped_at=line["stopped_at"],
        outcome=Outcome(line["outcome"]) if line["outcome"] else None,
        reason=line["reason"],
    )


def _pause(wire: Mapping[str, Any]) -> Pause:
    end = wire["to"]
    return Pause(
        datetime.fromisoformat(wire["from"]), datetime.fromisoformat(end) if end else None, wire["reason"]
    )
