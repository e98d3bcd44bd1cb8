"""Filing, approving, returning and ending registrations of units and teams."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin import queries as checkin
from dispatch.checkin.actions.deciding import number
from dispatch.checkin.actions.filing import today_of
from dispatch.db.guarding import guarded
from dispatch.db.idempotency import Key
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.db.sealed import private
from dispatch.dispatching.actions.winning import raised
from dispatch.domain.checkin import LONGEST_AGREEMENT_YEARS, REGISTRATION_MONTHS, approves_bodies, later
from dispatch.domain.facts import Fact
from dispatch.domain.order import TakerKind
from dispatch.domain.people import BODY_ROLES, DISPATCHING_ROLES, STAFF_ROLES, Actor, Role
from dispatch.domain.refusal import (
    CheckinDecided,
    OwnCheckin,
    PeriodsOverlap,
    RequestPending,
    RoleForbidden,
    TakesInHand,
    wrong,
)
from dispatch.people import actions as people
from dispatch.people import belonging
from dispatch.people.once import once
from dispatch.people.queries import grants_of, prove
from dispatch.people.tables import bodies
from dispatch.places.queries import ids_of
from dispatch.registering import queries
from dispatch.registering.tables import registrations

Data = Mapping[str, Any]
SERVED = frozenset({"community", "street"})
"""Kinds of places that units and teams register with."""


async def file(
    db: AsyncConnection, actor: Actor, data: Data, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """File a registration, or the renewal of a body's (``body_id``).

    ``data``: kind, name, place_id, body_id, from_on, until_on, document, liaisons.

    Raises:
        PlaceNotFound, BodyNotFound: no such.
        RoleForbidden: the body is another's.
        RequestPending: one of this body's waits already.
        PeriodsOverlap: an agreement of the body holds on these days.
        ValidationFailed: senseless days, or a place that nobody registers with.
    """

    async def act() -> UUID:
        tenant_id = actor.tenant.id
        there = await checkin.spot(db, tenant_id, data["place_id"])
        if there.kind not in SERVED:
            raise wrong("place_id", "应为社区或街道")
        start = data.get("from_on") or today_of(actor, at)
        until = data.get("until_on") or later(start, REGISTRATION_MONTHS[data["kind"]])
        if not start < until <= later(start, 12 * LONGEST_AGREEMENT_YEARS) or until <= today_of(actor, at):
            raise wrong("until_on", f"应晚于起始日和今天，最长{LONGEST_AGREEMENT_YEARS}年")
        if data.get("body_id") is not None:
            await _check_body(db, actor, data, there.path, start, until)
        return await _write(db, actor, data, start, until, at=at)

    return await once(db, actor, key, act, at=at)


async def _check_body(
    db: AsyncConnection, actor: Actor, data: Data, path: tuple[UUID, ...], start: date, until: date
) -> None:
    row = await queries.body(db, actor.tenant.id, data["body_id"], lock=True)
    acting = actor.acting
    assert acting is not None  # writes have one
    for_it = acting.role in BODY_ROLES and acting.body_id == row.id
    if not for_it:
        # At the counter: of the place that the body comes from as well as of the one that it goes to.
        stands = await checkin.spot(db, actor.tenant.id, row.place_id)
        if acting.role not in DISPATCHING_ROLES or not {*path} & {*stands.path} & {acting.place_id}:
            raise RoleForbidden()
    if row.kind != data["kind"]:
        raise wrong("kind", "与原登记不一致")
    await _free(db, actor.tenant.id, row.id, start, until)


async def _free(db: AsyncConnection, tenant_id: int, body_id: UUID, start: date, until: date) -> None:
    for other in await queries.standing(db, tenant_id, body_id):
        if start < other.until_on and other.from_on < until:
            raise PeriodsOverlap(until=other.until_on.isoformat())


async def _write(
    db: AsyncConnection, actor: Actor, data: Data, start: date, until: date, *, at: datetime
) -> UUID:
    id, tenant_id = new_id(), actor.tenant.id
    if data.get("body_id") is not None and await queries.waiting(db, tenant_id, data["body_id"]):
        raise RequestPending()
    row = {
        "tenant_id": tenant_id,
        "id": id,
        "body_id": data.get("body_id"),
        "kind": data["kind"],
        "state": "filed",
        "name": data["name"],
        "place_id": data["place_id"],
        "from_on": start,
        "until_on": until,
        "document": data.get("document"),
        "liaisons": private(tenant_id, json.dumps(data["liaisons"], ensure_ascii=False)),
        "filed_by": actor.account_id,
        "filed_at": at,
    }
    told = announce(tenant_id, Fact.CHECKIN_MOVED, {"kind": "body", "id": str(id), "state": "filed"}, at=at)
    await guarded(db, registrations.insert().values(row).returning(registrations.c.id), [told])
    return id


async def approve(
    db: AsyncConnection, actor: Actor, id: UUID, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """审核通过: the body serves the place from the agreement's first day, with a receipt.

    On the first approval the body is made, and who filed acts for it from now on; later ones give nobody a role.

    Raises:
        RegistrationNotFound: none of the actor's business.
        RoleForbidden, OwnCheckin: not the actor's to decide.
        CheckinDecided: somebody was quicker.
        PeriodsOverlap: an agreement of the body holds on these days.
    """

    async def act() -> UUID:
        row = await _to_decide(db, actor, id)
        tenant_id = actor.tenant.id
        body_id = row.body_id
        if body_id is None:
            code = f"{row.kind[0]}-{row.id.hex[-24:]}"
            body_id = await people.add_body(db, tenant_id, row.kind, code, row.name, place_id=row.place_id)
            await people.retire_body(db, tenant_id, body_id, at=at)  # until it begins
            await _let_act(db, tenant_id, row, body_id, at=at)
        else:
            await queries.body(db, tenant_id, body_id, lock=True)
            await _free(db, tenant_id, body_id, row.from_on, row.until_on)
        await _decide(db, actor, row, "approved", {"body_id": body_id}, at=at)
        if row.from_on <= today_of(actor, at):
            await begin(db, tenant_id, body_id, row, at=at)
        return id

    return await once(db, actor, key, act, at=at)


async def begin(db: AsyncConnection, tenant_id: int, body_id: UUID, row: Any, *, at: datetime) -> None:
    """From an agreement's first day on the body is called and serves as it says. Safe to repeat."""
    await db.execute(
        update(bodies)
        .where(bodies.c.tenant_id == tenant_id, bodies.c.id == body_id)
        .values(name=row.name, place_id=row.place_id, retired_at=None)
    )
    await belonging.enter(db, tenant_id, row.kind, body_id, "registration", row.place_id, at=at)


async def _let_act(db: AsyncConnection, tenant_id: int, row: Any, body_id: UUID, *, at: datetime) -> None:
    """Who filed for a new body becomes its admin or lead, unless it was filed at the counter by staff."""
    held = [grant for grant in await grants_of(db, tenant_id, row.filed_by) if grant.stands(at)]
    if any(grant.role in STAFF_ROLES for grant in held):
        return
    role = Role.UNIT_ADMIN if row.kind == "unit" else Role.TEAM_LEAD
    await people.grant(db, tenant_id, row.filed_by, role, body_id=body_id, at=at)


async def return_(
    db: AsyncConnection, actor: Actor, id: UUID, text: str, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """退回: with a reason.

    Raises:
        RegistrationNotFound, RoleForbidden, OwnCheckin, CheckinDecided: as for ``approve``.
    """

    async def act() -> UUID:
        await _decide(db, actor, await _to_decide(db, actor, id), "returned", {"text": text}, at=at)
        return id

    return await once(db, actor, key, act, at=at)


async def _to_decide(db: AsyncConnection, actor: Actor, id: UUID) -> Any:
    """The registration, locked: two decisions on it take turns."""
    row = await queries.registration(db, actor, id, lock=True)
    if row.filed_by == actor.account_id:
        raise OwnCheckin()
    if not approves_bodies(actor, ids_of(row.path)):
        raise RoleForbidden()
    if row.state != "filed":
        raise CheckinDecided(state=row.state)
    return row


async def _decide(
    db: AsyncConnection, actor: Actor, row: Any, state: str, more: Data, *, at: datetime
) -> None:
    values: dict[str, Any] = {"state": state, "decided_at": at, "decided_by": actor.account_id, **more}
    if state == "approved":
        values |= await number(db, actor.tenant.id, today_of(actor, at))
    body = {"kind": "body", "id": str(row.id), "state": state}
    decided = await guarded(
        db,
        _of(actor.tenant.id, row.id)
        .where(registrations.c.state == "filed")
        .values(**values)
        .returning(registrations.c.id),
        [announce(actor.tenant.id, Fact.CHECKIN_MOVED, body, at=at)],
    )
    if decided is None:
        raise CheckinDecided(state=(await queries.registration(db, actor, row.id)).state)


def _of(tenant_id: int, id: UUID) -> Any:
    return update(registrations).where(registrations.c.tenant_id == tenant_id, registrations.c.id == id)


async def withdraw(db: AsyncConnection, actor: Actor, id: UUID, *, at: datetime) -> None:
    """Take one's own registration back that waits. Safe to repeat.

    Raises:
        RegistrationNotFound: none of the actor's business.
        RoleForbidden: another filed it.
        CheckinDecided: it was decided.
    """
    await prove(db, actor)
    row = await queries.registration(db, actor, id)
    if row.filed_by != actor.account_id:
        raise RoleForbidden()
    if row.state not in ("filed", "withdrawn"):
        raise CheckinDecided(state=row.state)
    await db.execute(
        _of(actor.tenant.id, id)
        .where(registrations.c.state == "filed")
        .values(state="withdrawn", decided_at=at)
    )


async def leave(
    db: AsyncConnection, actor: Actor, body_id: UUID, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """退出: the body serves no more; by its admin or lead, or by those who approve. What it did stays.

    Raises:
        BodyNotFound: no such, or none of the actor's business.
        TakesInHand: orders are in hand.
    """

    async def act() -> UUID:
        row = await queries.body(db, actor.tenant.id, body_id, lock=True)
        acting = actor.acting
        for_it = acting is not None and acting.role in BODY_ROLES and acting.body_id == body_id
        if not for_it:
            there = await checkin.spot(db, actor.tenant.id, row.place_id)
            if not approves_bodies(actor, there.path):
                raise RoleForbidden()
        await retire(db, actor.tenant.id, row.kind, body_id, at=at)
        if await queries.in_hand(db, actor.tenant.id, row.kind, body_id):  # asked under the taker's lock
            raise TakesInHand()
        return body_id

    return await once(db, actor, key, act, at=at)


async def retire(db: AsyncConnection, tenant_id: int, kind: str, body_id: UUID, *, at: datetime) -> None:
    """Take a body out of service, with all its agreements; a take in flight does not outrun it. Safe to repeat."""
    await rest(db, tenant_id, kind, body_id, at=at)
    theirs = registrations.c.tenant_id == tenant_id, registrations.c.body_id == body_id
    await db.execute(
        update(registrations)
        .where(*theirs, registrations.c.state.in_(("approved", "filed")))
        .values(state="ended", ended_at=at)
    )


async def rest(db: AsyncConnection, tenant_id: int, kind: str, body_id: UUID, *, at: datetime) -> None:
    """Take a body out of service until another agreement of its begins. Safe to repeat."""
    await raised(db, tenant_id, (TakerKind(kind), body_id))
    await people.retire_body(db, tenant_id, body_id, at=at)
    await belonging.leave(db, tenant_id, kind, body_id, at=at)
