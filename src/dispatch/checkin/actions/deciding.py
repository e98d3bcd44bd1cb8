"""What the community does: approves with a receipt, returns with a reason, ends a membership."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin import queries
from dispatch.checkin.actions.filing import go, kind_of, today_of
from dispatch.checkin.tables import checkins, receipt_counters
from dispatch.db.guarding import Count, counted, guarded
from dispatch.db.idempotency import Key
from dispatch.db.outbox import announce
from dispatch.db.sealed import private
from dispatch.dispatching.actions.winning import raised
from dispatch.domain.checkin import RENEWAL_MONTHS, later, registers
from dispatch.domain.facts import Fact
from dispatch.domain.geo import in_both
from dispatch.domain.household import address_key
from dispatch.domain.order import TakerKind
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    AccountNotFound,
    ChangedMeanwhile,
    CheckinDecided,
    OwnCheckin,
    RoleForbidden,
    TakesInHand,
    wrong,
)
from dispatch.people import actions as people
from dispatch.people.once import once
from dispatch.people.queries import hold
from dispatch.people.tables import accounts
from dispatch.places.queries import ids_of, locate

Form = Mapping[str, Any]


async def approve(
    db: AsyncConnection,
    actor: Actor,
    checkin_id: UUID,
    grid_place_id: UUID | None,
    key: Key | None,
    match: frozenset[int] | None = None,
    *,
    at: datetime,
) -> tuple[UUID, bool]:
    """审核通过: the form becomes what stands, with a receipt; coming from elsewhere, the member moves.

    Args:
        grid_place_id: the grid, where the home does not tell it.
        match: versions of the form that the community has seen; None for any.

    Raises:
        CheckinNotFound: none of the actor's business.
        RoleForbidden, OwnCheckin: not the actor's to decide.
        CheckinDecided: somebody was quicker.
        ChangedMeanwhile: the member has filed another form over the one that was seen.
        BodyNotFound: the unit has left service meanwhile.
        TakesInHand: the member still holds orders where he comes from.
    """

    async def act() -> UUID:
        row = await _to_decide(db, actor, checkin_id, match)
        form = queries.form_of(row)
        # As it is now: between filing and approval a roster, another form or an exit may have come.
        kind = kind_of(await queries.member(db, actor.tenant.id, row.account_id), row.community_id)
        if kind == "transfer" and await queries.in_hand(db, actor.tenant.id, row.account_id):
            raise TakesInHand()
        if unit_id := _id(form.get("unit_id")):
            await queries.check_unit(db, actor.tenant.id, unit_id)
        grid_id = await _grid(db, actor.tenant.id, row.community_id, form, grid_place_id)
        await _decide(db, actor, row, "approved", {"kind": kind}, at=at)
        await enrol(db, actor.tenant.id, row.account_id, form, grid_id, today=today_of(actor, at), at=at)
        return checkin_id

    return await once(db, actor, key, act, at=at)


async def return_(
    db: AsyncConnection,
    actor: Actor,
    checkin_id: UUID,
    text: str,
    key: Key | None,
    match: frozenset[int] | None = None,
    *,
    at: datetime,
) -> tuple[UUID, bool]:
    """退回: the member reads why and may file again.

    Raises:
        CheckinNotFound, RoleForbidden, OwnCheckin, CheckinDecided, ChangedMeanwhile: as for ``approve``.
    """

    async def act() -> UUID:
        row = await _to_decide(db, actor, checkin_id, match)
        await _decide(db, actor, row, "returned", {"text": text}, at=at)
        return checkin_id

    return await once(db, actor, key, act, at=at)


async def _to_decide(
    db: AsyncConnection, actor: Actor, checkin_id: UUID, match: frozenset[int] | None
) -> Any:
    """The check-in, with the member's account locked: two decisions on it take turns."""
    seen = await queries.checkin(db, actor, checkin_id)
    await hold(db, actor.tenant.id, seen.account_id)
    row = await queries.checkin(db, actor, checkin_id)
    if row.account_id == actor.account_id:
        raise OwnCheckin()
    if not registers(actor, ids_of(row.path)):
        raise RoleForbidden()
    if row.state != "filed":
        raise CheckinDecided(state=row.state)
    if match is not None and row.version not in match:
        raise ChangedMeanwhile(version=row.version)
    return row


async def _decide(
    db: AsyncConnection, actor: Actor, row: Any, state: str, more: Mapping[str, Any], *, at: datetime
) -> None:
    values: dict[str, Any] = {"state": state, "decided_at": at, "decided_by": actor.account_id, **more}
    if state == "approved":
        values |= await number(db, actor.tenant.id, today_of(actor, at))
    body = {"kind": "member", "id": str(row.id), "state": state}
    decided = await guarded(
        db,
        update(checkins)
        .where(
            checkins.c.tenant_id == actor.tenant.id,
            checkins.c.id == row.id,
            checkins.c.state == "filed",
            checkins.c.version == row.version,
        )
        .values(**values)
        .returning(checkins.c.id),
        [announce(actor.tenant.id, Fact.CHECKIN_MOVED, body, at=at)],
    )
    if decided is None:
        raise CheckinDecided(state=row.state)


async def number(db: AsyncConnection, tenant_id: int, today: date) -> dict[str, Any]:
    """The day and serial of the next receipt."""
    key = {"tenant_id": tenant_id, "day": f"{today:%Y%m%d}"}
    receipt = await counted(db, Count(receipt_counters, key, "value"))
    return {"day": receipt.day, "serial": receipt.value}


async def _grid(
    db: AsyncConnection, tenant_id: int, community_id: UUID, form: Form, told: UUID | None
) -> UUID | None:
    """The member's grid: as the community says, else that of the home if it lies in the community."""
    if told is not None:
        grid = await queries.spot(db, tenant_id, told)
        if grid.kind != "grid" or grid.community_id != community_id:
            raise wrong("grid_place_id", "应为本社区的网格")
        return told
    if not form.get("home_place_id"):
        return None
    home = await locate(db, tenant_id, UUID(form["home_place_id"]))
    return home.grid_id if home.community_id == community_id else None


async def enrol(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    form: Form,
    grid_id: UUID | None,
    *,
    today: date,
    at: datetime,
) -> UUID:
    """Make a form, as it was stored, what stands of a member. Returns the grant."""
    unit_id = _id(form.get("unit_id"))
    granted = await people.add_member(
        db,
        tenant_id,
        account_id,
        UUID(form["community_id"]),
        grid_id=grid_id,
        unit_id=unit_id,
        work_community_id=_id(form.get("work_community_id")),
        items=form["items"],
        skills=form["skills"],
        free_times=form["free_times"],
        more={
            "languages": form["languages"],
            "most_a_day": form.get("most_a_day"),
            "most_a_week": form.get("most_a_week"),
            "location": in_both(form.get("location")),
            "born_on": _day(form.get("born_on")),
            "guardian_consent_on": _day(form.get("guardian_consent_on")),
            "renew_by": later(today, RENEWAL_MONTHS),
        },
        at=at,
    )
    await people.leave_bodies(db, tenant_id, account_id, kind="unit")
    if unit_id is not None:
        await people.join_body(db, tenant_id, unit_id, [account_id])
    await _at_home(db, tenant_id, account_id, form)
    return granted


async def _at_home(db: AsyncConnection, tenant_id: int, account_id: UUID, form: Form) -> None:
    """Where the member lives, as the place and as the key of the door: nobody is asked to serve the own household."""
    values: dict[str, Any] = {}
    if home := _id(form.get("home_place_id")):
        values["home_place_id"] = home
    if form.get("address"):
        lives = await locate(db, tenant_id, home or UUID(form["community_id"]))
        values["address_key"] = private(tenant_id, address_key(lives.community_id, form["address"]))
    if values:
        mine = accounts.c.tenant_id == tenant_id, accounts.c.id == account_id
        await db.execute(update(accounts).where(*mine).values(**values))


def _id(text: Any) -> UUID | None:
    return UUID(str(text)) if text else None


def _day(text: Any) -> date | None:
    return date.fromisoformat(str(text)) if text else None


async def end_member(
    db: AsyncConnection, actor: Actor, account_id: UUID, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """除名: the community ends a membership: moved away, deceased, no longer wishes to.

    Raises:
        AccountNotFound: no member of the actor's communities.
        TakesInHand: orders are in hand.
    """

    async def act() -> UUID:
        await raised(db, actor.tenant.id, (TakerKind.MEMBER, account_id))
        if not await hold(db, actor.tenant.id, account_id):
            raise AccountNotFound()
        row = await queries.member(db, actor.tenant.id, account_id)
        if row is None or row.state == "ended":
            raise AccountNotFound()
        there = await queries.spot(db, actor.tenant.id, row.community_id)
        if not registers(actor, there.path):
            raise AccountNotFound()
        await go(db, actor.tenant.id, account_id, at=at)
        return account_id

    return await once(db, actor, key, act, at=at)
