"""What a member does: fills the form, withdraws it, renews, changes hours, takes leave, goes."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin import queries
from dispatch.checkin.tables import checkins
from dispatch.db.guarding import guarded
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.db.sealed import private
from dispatch.dispatching.actions.winning import raised
from dispatch.domain.checkin import (
    LONGEST_LEAVE_DAYS,
    Problem,
    form_problems,
    free_time_problems,
    limit_problems,
    renewed,
    with_leave,
    without_leave,
)
from dispatch.domain.facts import Fact
from dispatch.domain.order import TakerKind
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    ChangedMeanwhile,
    CheckinDecided,
    CheckinNotFound,
    NotCheckedIn,
    TakesInHand,
    ValidationFailed,
    wrong,
)
from dispatch.people import actions as people
from dispatch.people.queries import hold, prove
from dispatch.people.tables import members

Data = Mapping[str, Any]


def today_of(actor: Actor, at: datetime) -> date:
    """The day in the tenant's zone."""
    return at.astimezone(actor.tenant.zone).date()


def refuse(problems: list[Problem]) -> None:
    """Raises: ValidationFailed if there are problems."""
    if problems:
        errors = [
            {"loc": ["body", *f.split(".")], "code": "INVALID", "message": said} for f, said in problems
        ]
        raise ValidationFailed(errors=errors)


async def file(
    db: AsyncConnection, actor: Actor, form: Data, match: frozenset[int] | None, *, at: datetime
) -> UUID:
    """File the form, over the one that waits if there is one; what stands holds until the community decides.

    ``form``: community_id, home_place_id, address, work_community_id, unit_id, items, skills, free_times, languages,
    most_a_day, most_a_week, location, born_on, guardian_consent_on.

    Raises:
        ValidationFailed: senseless, or places that do not fit.
        PlaceNotFound, BodyNotFound: no such.
        ChangedMeanwhile: another version waits than the client has seen.
    """
    tenant_id = actor.tenant.id
    await prove(db, actor)
    await hold(db, tenant_id, actor.account_id)
    refuse(form_problems(form, await queries.offered(db, tenant_id)))
    await _check_places(db, tenant_id, form)
    for field in ("born_on", "guardian_consent_on"):
        if form.get(field) is not None and form[field] > today_of(actor, at):
            raise wrong(field, "不能晚于今天")
    standing = await queries.member(db, tenant_id, actor.account_id)
    last = await queries.latest(db, tenant_id, actor.account_id)
    version = last.version if last is not None else 0
    if match is not None and version not in match:
        raise ChangedMeanwhile(version=version)
    values = {
        "kind": kind_of(standing, form["community_id"]),
        "community_id": form["community_id"],
        "form": private(tenant_id, json.dumps(form, default=str, ensure_ascii=False)),
        "version": version + 1,
        "filed_at": at,
    }
    waiting = last is not None and last.state == "filed"
    id: UUID = last.id if waiting else new_id()
    told = announce(tenant_id, Fact.CHECKIN_MOVED, {"kind": "member", "id": str(id), "state": "filed"}, at=at)
    write: Any = checkins.insert().values(
        tenant_id=tenant_id, id=id, account_id=actor.account_id, state="filed", **values
    )
    if waiting:
        write = _of(tenant_id, id).where(checkins.c.state == "filed").values(**values)
    await guarded(db, write.returning(checkins.c.id), [told])
    return id


def kind_of(standing: Any, community_id: UUID) -> str:
    """What checking in with a community is to who stands like this: ``new``, ``change`` or ``transfer``."""
    if standing is None or standing.state == "ended":
        return "new"
    return "change" if standing.community_id == community_id else "transfer"


def _of(tenant_id: int, id: UUID) -> Any:
    return update(checkins).where(checkins.c.tenant_id == tenant_id, checkins.c.id == id)


async def _check_places(db: AsyncConnection, tenant_id: int, form: Data) -> None:
    for field in ("community_id", "work_community_id"):
        if (
            form.get(field) is not None
            and (await queries.spot(db, tenant_id, form[field])).kind != "community"
        ):
            raise wrong(field, "应为社区")
    if form.get("home_place_id") is not None:
        await queries.spot(db, tenant_id, form["home_place_id"])
    if form.get("unit_id") is not None:
        await queries.check_unit(db, tenant_id, form["unit_id"])


async def withdraw(db: AsyncConnection, actor: Actor, *, at: datetime) -> UUID:
    """Take the form back that waits. Safe to repeat.

    Raises:
        CheckinNotFound: none was ever filed.
        CheckinDecided: the community has decided.
    """
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    last = await queries.latest(db, actor.tenant.id, actor.account_id)
    if last is None:
        raise CheckinNotFound()
    if last.state not in ("filed", "withdrawn"):
        raise CheckinDecided(state=last.state)
    await db.execute(
        _of(actor.tenant.id, last.id)
        .where(checkins.c.state == "filed")
        .values(state="withdrawn", decided_at=at)
    )
    withdrawn: UUID = last.id
    return withdrawn


async def _standing(db: AsyncConnection, actor: Actor) -> Any:
    """The actor's row as a member, locked with the account. Raises: NotCheckedIn."""
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    row = await queries.member(db, actor.tenant.id, actor.account_id)
    if row is None or row.state == "ended":
        raise NotCheckedIn()
    return row


async def _write(db: AsyncConnection, actor: Actor, values: Data) -> None:
    mine = members.c.tenant_id == actor.tenant.id, members.c.account_id == actor.account_id
    await db.execute(update(members).where(*mine).values(**values))


async def renew(db: AsyncConnection, actor: Actor, *, at: datetime) -> None:
    """续报: what was said on checking in holds for another half-year; lifts a lapse. Safe to repeat.

    Raises:
        NotCheckedIn: there is nothing to renew.
    """
    row = await _standing(db, actor)
    values: dict[str, Any] = {"renew_by": renewed(row.renew_by, today_of(actor, at)), "lapsed_at": None}
    if row.lapsed_at is not None:
        values["state"] = "active"
    await _write(db, actor, values)


async def change_hours(db: AsyncConnection, actor: Actor, data: Data) -> None:
    """Free times, languages and limits, which are the member's own to say: they hold at once.

    Raises:
        NotCheckedIn: not a member, or no more.
        ValidationFailed: times that overlap, or limits that contradict each other.
    """
    await _standing(db, actor)
    refuse(free_time_problems(data["free_times"]) + limit_problems(data))
    await _write(db, actor, data)


async def take_leave(db: AsyncConnection, actor: Actor, first: date, last: date, *, at: datetime) -> None:
    """请假: neither offered nor matched on these days, the last one included.

    Raises:
        NotCheckedIn: not a member, or no more.
        ValidationFailed: over already, reversed, too long, within another leave, or one too many.
    """
    row = await _standing(db, actor)
    until = last + timedelta(days=1)
    if last < first:
        raise wrong("last_day", "不能早于第一天")
    if last < today_of(actor, at):
        raise wrong("last_day", "已经过去")
    if (until - first).days > LONGEST_LEAVE_DAYS:
        raise wrong("last_day", f"一次请假最多{LONGEST_LEAVE_DAYS}天")
    try:
        leaves = with_leave(row.leaves, first, until, today_of(actor, at))
    except ValueError as error:
        raise wrong("first_day", str(error)) from None
    if leaves is None:
        raise wrong("first_day", "与已有的请假重叠")
    await _write(db, actor, {"leaves": leaves})


async def end_leave(db: AsyncConnection, actor: Actor, first: date, *, at: datetime) -> None:
    """Give a leave up: from today on, or altogether if it has not begun. Safe to repeat.

    Raises:
        NotCheckedIn: not a member, or no more.
    """
    row = await _standing(db, actor)
    await _write(db, actor, {"leaves": without_leave(row.leaves, first, today_of(actor, at))})


async def leave(db: AsyncConnection, actor: Actor, *, at: datetime) -> None:
    """退出: the member belongs nowhere any more; the grant ends, what was done stays. Safe to repeat.

    Raises:
        NotCheckedIn: never checked in, or gone already.
        TakesInHand: orders are in hand.
    """
    await raised(db, actor.tenant.id, (TakerKind.MEMBER, actor.account_id))  # the taker first, as a take does
    await _standing(db, actor)
    await go(db, actor.tenant.id, actor.account_id, at=at)


async def go(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """End a membership, with what waits; the taker's row is raised by then. Raises: TakesInHand."""
    if await queries.in_hand(db, tenant_id, account_id):
        raise TakesInHand()
    await people.end_membership(db, tenant_id, account_id, at=at)
    await people.leave_bodies(db, tenant_id, account_id)
    await db.execute(
        update(checkins)
        .where(
            checkins.c.tenant_id == tenant_id,
            checkins.c.account_id == account_id,
            checkins.c.state == "filed",
        )
        .values(state="withdrawn", decided_at=at)
    )
