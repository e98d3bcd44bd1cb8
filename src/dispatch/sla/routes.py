"""The working calendar and the policies over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from dispatch.catalog import queries as catalog
from dispatch.domain.calendar_check import CalendarInvalid
from dispatch.domain.calendar_file import Entry, read_entry, read_week, write_span, write_week
from dispatch.domain.catalog import Urgency, read_limits
from dispatch.domain.people import Actor
from dispatch.domain.policy import Case, Policies, PolicyInvalid, choose, write_policy
from dispatch.domain.refusal import ItemNotFound, PlaceNotFound, ValidationFailed
from dispatch.domain.sla import day_begins
from dispatch.places import queries as places
from dispatch.sla import queries, shipped
from dispatch.sla.actions import calendars, policies, trying
from dispatch.sla.actions.calendars import Draft
from dispatch.sla.actions.editing import Asked, only_for_admins
from dispatch.sla.actions.recomputing import Moved
from dispatch.sla.schemas import (
    CalendarIn,
    CalendarOut,
    ChoiceOut,
    ChosenOut,
    ClosedPreviewOut,
    DayOut,
    MovedOut,
    OpenPreviewOut,
    PoliciesIn,
    PoliciesOut,
    PolicyOut,
    PreviewIn,
    PreviewOut,
    scale_out,
)
from dispatch.web.deps import Caller, Keyed, Match, Now, Reading, Writing
from dispatch.web.etag import order_etag
from dispatch.web.problems import responses
from dispatch.web.wire import Code, IdIn

router = APIRouter(prefix="/v1", tags=["clocks"])

SHOWN = 50
"""Deadlines that a preview lists."""

LONGEST_TRIED = timedelta(days=366)
"""Closed orders that a preview looks through: a year's."""


async def _asked(key: Keyed, match: Match) -> Asked:
    return Asked(key, match)


Replacing = Annotated[Asked, Depends(_asked)]


@router.get("/calendar", summary="工作日历")
async def get_calendar(
    db: Reading,
    caller: Caller,
    response: Response,
    year: Annotated[int | None, Query(ge=1949, le=2199, description="Only this year's days.")] = None,
) -> CalendarOut:
    """When the tenant works: its week, and every day that differs from it."""
    return await _calendar(db, caller, response, year)


@router.put("/calendar", summary="更换工作日历")
async def replace_calendar(
    db: Writing, caller: Caller, now: Now, asked: Replacing, response: Response, body: CalendarIn
) -> CalendarOut:
    """A whole new calendar, by an administrator; ``If-Match`` names the version that it replaces.

    Provisional deadlines are worked out again in any case, those of all open orders with ``apply_to: open``.
    """
    with _told():
        entries = list(_entries(body))
        draft = Draft(read_week(body.weekly), entries, body.known_until)
        open_too = body.apply_to == "open"
        replayed = await calendars.edit(db, caller, draft, asked, open_too=open_too, at=now)
    _mark(response, replayed)
    return await _calendar(db, caller, response, None)


@router.get("/policies", summary="时限规则")
async def get_policies(db: Reading, caller: Caller, response: Response) -> PoliciesOut:
    """The tenant's own limits, by item, urgency and place."""
    return await _policies(db, caller, response)


@router.put("/policies", summary="更换时限规则")
async def replace_policies(
    db: Writing, caller: Caller, now: Now, asked: Replacing, response: Response, body: PoliciesIn
) -> PoliciesOut:
    """All policies anew, by an administrator; ``If-Match`` names the version that they replace."""
    rules = [each.policy() for each in body.items]
    with _told():
        open_too = body.apply_to == "open"
        scale = body.scale.table()
        replayed = await policies.edit(db, caller, rules, scale, asked, open_too=open_too, at=now)
    _mark(response, replayed)
    return await _policies(db, caller, response)


@router.post("/policies/preview", summary="试算时限规则")
async def preview_policies(db: Reading, caller: Caller, now: Now, body: PreviewIn) -> PreviewOut:
    """What other policies would do, and nothing of it done: to open orders now, and to the closed ones of a time.

    The deadlines listed for open orders are those that ``PUT /v1/policies`` with ``apply_to: open`` would move.
    """
    only_for_admins(caller)
    rules = [each.policy() for each in body.items]
    scale = body.scale.table()
    with _told():
        await policies.checked(db, caller.tenant.id, rules, scale, at=now)
    wanted = Policies(0, tuple(rules), scale)
    first, last = _months(body, now.astimezone(caller.tenant.zone).date())
    moved = await trying.on_open(db, caller.tenant.id, wanted, at=now)
    zone = caller.tenant.zone
    tried = await trying.on_closed(
        db, caller.tenant.id, wanted, day_begins(first, zone), day_begins(last, zone)
    )
    return PreviewOut(
        open=OpenPreviewOut(
            changed=len({each.order_id for each in moved}),
            breached=len({each.order_id for each in moved if each.is_over(now)}),
            items=[_moved(each, caller, now) for each in moved[:SHOWN]],
        ),
        closed=ClosedPreviewOut(
            closed_from=first,
            closed_to=last,
            orders=tried.orders,
            changed=len(tried.changed),
            breached=len(tried.breached),
            relieved=len(tried.relieved),
        ),
    )


def _months(body: PreviewIn, today: date) -> tuple[date, date]:
    """The dates asked for; by itself the month before this one."""
    this = today.replace(day=1)
    first = body.closed_from or (this - timedelta(days=1)).replace(day=1)
    last = body.closed_to or this
    if not first < last <= first + LONGEST_TRIED:
        raise _refused(("closed_to",), "结束日期应在开始日期之后，且不超过一年")
    return first, last


def _moved(moved: Moved, caller: Actor, now: datetime) -> MovedOut:
    old, new = (None if at is None else at.astimezone(caller.tenant.zone) for at in (moved.old, moved.new))
    return MovedOut(
        order_id=moved.order_id,
        clock=moved.clock,
        old_due_at=old,
        new_due_at=new,
        breaches=moved.is_over(now),
    )


@router.get(
    "/policies/choice", summary="一件需求的时限和依据", responses=responses(ItemNotFound, PlaceNotFound)
)
async def get_choice(
    db: Reading,
    caller: Caller,
    item_code: Annotated[Code, Query()],
    urgency: Annotated[Urgency | None, Query(description="Without it the item's own.")] = None,
    place_id: Annotated[IdIn | None, Query()] = None,
) -> ChoiceOut:
    """Which limits an order would have, and why: for each stage the most specific policy, else the item's own."""
    tenant_id = caller.tenant.id
    item = await catalog.item(db, tenant_id, item_code)
    path = (await places.place(db, tenant_id, place_id)).path if place_id else ""
    own = Urgency(item.urgency)
    case = Case(item.code, read_limits(item.limits), own, urgency or own, places.ids_of(path))
    rules = (await queries.rules_for(db, tenant_id)).policies
    items = [
        ChosenOut(
            stage=stage,
            limit=chosen.limit.wire() if chosen.limit else None,
            source=chosen.source,
            reason=chosen.reason,
        )
        for stage, chosen in choose(rules, case).items()
    ]
    return ChoiceOut(version=rules.version, items=items)


async def _calendar(db: Reading, caller: Actor, response: Response, year: int | None) -> CalendarOut:
    tenant_id = caller.tenant.id
    row = await queries.calendar_row(db, tenant_id)
    entries = [read_entry(day) for day in row.days] if row else list(shipped.official())
    version = row.version if row else 0
    response.headers["ETag"] = order_etag(version)
    working_days = None
    if year is not None:
        working = await queries.calendar_for(db, tenant_id)
        first = date(year, 1, 1)
        span = (date(year + 1, 1, 1) - first).days
        working_days = sum(bool(working.hours(first + timedelta(days=ahead))) for ahead in range(span))
    return CalendarOut(
        version=version,
        zone=caller.tenant.zone.key,
        known_until=row.known_until if row else shipped.KNOWN_UNTIL,
        weekly=row.weekly if row else write_week(shipped.WEEK),
        days=[_day(entry) for entry in entries if year in (None, entry.on.year)],
        year=year,
        working_days=working_days,
    )


def _day(entry: Entry) -> DayOut:
    hours = None if entry.spans is None else [write_span(span) for span in entry.spans]
    return DayOut(date=entry.on, kind=entry.kind, name=entry.name, hours=hours, source=entry.source)


async def _policies(db: Reading, caller: Actor, response: Response) -> PoliciesOut:
    standing = (await queries.rules_for(db, caller.tenant.id)).policies
    response.headers["ETag"] = order_etag(standing.version)
    items = [PolicyOut.model_validate(write_policy(rule)) for rule in standing.rules]
    return PoliciesOut(version=standing.version, items=items, scale=scale_out(standing.scale))


def _mark(response: Response, replayed: bool) -> None:
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"


def _entries(body: CalendarIn) -> Iterator[Entry]:
    seen: dict[date, int] = {}
    for row, day in enumerate(body.days):
        if (first := seen.setdefault(day.date, row)) != row:
            raise _refused(("days", row, "date"), f"日期与第{first + 1}条相同")
        try:
            yield day.entry()
        except ValueError as error:
            raise _refused(("days", row, "hours"), str(error)) from None


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with rules, told by field."""
    try:
        yield
    except CalendarInvalid as error:
        raise ValidationFailed(errors=[_wrong(each.where, each.reason) for each in error.problems]) from None
    except PolicyInvalid as error:
        lines = [_wrong(("items", row, name), reason) for row, name, reason in error.problems]
        raise ValidationFailed(errors=lines) from None


def _refused(where: tuple[str | int, ...], reason: str) -> ValidationFailed:
    return ValidationFailed(errors=[_wrong(where, reason)])


def _wrong(where: tuple[str | int, ...], reason: str) -> dict[str, object]:
    return {"loc": ["body", *where], "code": "INVALID", "message": reason}
