"""Accounts, grants, bodies, members.

Every change of an account's grants raises its ``grants_version`` in the same transaction: tokens that
vouch for the old version end with the commit (product decision §7: revoking works on the next request).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.db.sealed import private
from dispatch.domain.people import Role
from dispatch.domain.refusal import AccountNotFound
from dispatch.people import belonging
from dispatch.people.tables import (
    BODY_KINDS,
    accounts,
    bodies,
    body_people,
    former_names,
    grants,
    identities,
    members,
    sessions,
)

# Accounts and grants


async def add_account(
    db: AsyncConnection,
    tenant_id: int,
    *,
    login: str,
    name: str,
    phone: str | None = None,
    home_place_id: UUID | None = None,
    account_id: UUID | None = None,
    at: datetime,
) -> UUID:
    """Make an account without any grant. ``login`` is unique in the tenant."""
    account_id = account_id or new_id()
    row = {
        "tenant_id": tenant_id,
        "id": account_id,
        "login": login,
        "name": private(tenant_id, name),
        "phone": private(tenant_id, phone),
        "phone_hash": private(tenant_id, phone),
        "home_place_id": home_place_id,
        "grants_version": 1,
        "created_at": at,
    }
    await db.execute(accounts.insert().values(row))
    return account_id


async def know_as(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    *,
    appid: str,
    subject: str,
    unionid: str | None = None,
) -> None:
    """Let an identity at a gateway sign this account in. Safe to repeat."""
    row = {
        "appid": appid,
        "subject": subject,
        "tenant_id": tenant_id,
        "account_id": account_id,
        "unionid": unionid,
    }
    await insert_or_ignore(db, identities, [row])


async def set_phone(db: AsyncConnection, tenant_id: int, account_id: UUID, phone: str | None) -> None:
    """Write down an account's phone, or forget it. Safe to repeat."""
    await db.execute(
        update(accounts)
        .where(accounts.c.tenant_id == tenant_id, accounts.c.id == account_id)
        .values(phone=private(tenant_id, phone), phone_hash=private(tenant_id, phone))
    )


async def rename(db: AsyncConnection, tenant_id: int, account_id: UUID, name: str, *, at: datetime) -> None:
    """Change an account's name; history keeps the one from before (``queries.name_at``). Safe to repeat."""
    mine = accounts.c.tenant_id == tenant_id, accounts.c.id == account_id
    former = await db.scalar(select(accounts.c.name).where(*mine).with_for_update())
    if former is None or former == name:
        return
    row = {
        "tenant_id": tenant_id,
        "account_id": account_id,
        "until_at": at,
        "name": private(tenant_id, former),
    }
    await insert_or_ignore(db, former_names, [row])
    await db.execute(update(accounts).where(*mine).values(name=private(tenant_id, name)))


async def revoke_sessions(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    *,
    session_id: UUID | None = None,
    at: datetime,
) -> int:
    """End an account's sign-ins, or one of them: their tokens end with the commit. Returns how many ended."""
    running = update(sessions).where(
        sessions.c.tenant_id == tenant_id,
        sessions.c.account_id == account_id,
        sessions.c.revoked_at.is_(None),
    )
    running = running.where(sessions.c.kind != "key" if session_id is None else sessions.c.id == session_id)
    ended = await db.execute(running.values(revoked_at=at))
    return int(ended.rowcount)


async def grant(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    role: Role,
    *,
    place_id: UUID | None = None,
    body_id: UUID | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    delegated_from: UUID | None = None,
    given_by: UUID | None = None,
    at: datetime,
) -> UUID:
    """Give an account a role at a place or for a body, from ``valid_from`` (included, else ``at``) to ``valid_to``."""
    grant_id = new_id()
    row = {
        "tenant_id": tenant_id,
        "id": grant_id,
        "account_id": account_id,
        "role": role,
        "place_id": place_id,
        "body_id": body_id,
        "valid_from": valid_from or at,
        "valid_to": valid_to,
        "delegated_from": delegated_from,
        "given_by": given_by,
    }
    await db.execute(grants.insert().values(row))
    await _bump(db, tenant_id, account_id)
    return grant_id


async def revoke_grant(db: AsyncConnection, tenant_id: int, grant_id: UUID, *, at: datetime) -> bool:
    """End a grant and what was lent of it. False if there is none or it has ended already; then nothing changes."""
    both = or_(grants.c.id == grant_id, grants.c.delegated_from == grant_id)
    ended = await db.execute(_ending(tenant_id, at).where(both).returning(grants.c.id, grants.c.account_id))
    gone = ended.all()
    for account_id in sorted({row.account_id for row in gone}):
        await _bump(db, tenant_id, account_id)
    return any(row.id == grant_id for row in gone)


async def end_grants(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """End every grant of an account, and what was lent of them."""
    own = await db.execute(
        select(grants.c.id).where(
            grants.c.tenant_id == tenant_id,
            grants.c.account_id == account_id,
            or_(grants.c.valid_to.is_(None), grants.c.valid_to > at),
        )
    )
    for grant_id in own.scalars().all():
        await revoke_grant(db, tenant_id, grant_id, at=at)


def _ending(tenant_id: int, at: datetime) -> Any:
    running = or_(grants.c.valid_to.is_(None), grants.c.valid_to > at)
    # One that would begin later ends before it begins, and never holds.
    return update(grants).where(grants.c.tenant_id == tenant_id, running).values(valid_to=at)


async def _bump(db: AsyncConnection, tenant_id: int, account_id: UUID) -> None:
    await db.execute(
        update(accounts)
        .where(accounts.c.tenant_id == tenant_id, accounts.c.id == account_id)
        .values(grants_version=accounts.c.grants_version + 1)
    )


# Bodies


async def add_body(
    db: AsyncConnection, tenant_id: int, kind: str, code: str, name: str, *, place_id: UUID
) -> UUID:
    """Make a unit, team, provider or department that serves a place. ``code`` is unique in the tenant.

    Raises:
        ValueError: no such kind.
    """
    if kind not in BODY_KINDS:
        raise ValueError(f"no kind of body: {kind}")
    body_id = new_id()
    row = {
        "tenant_id": tenant_id,
        "id": body_id,
        "kind": kind,
        "code": code,
        "name": name,
        "place_id": place_id,
    }
    await db.execute(bodies.insert().values(row))
    return body_id


async def retire_body(db: AsyncConnection, tenant_id: int, body_id: UUID, *, at: datetime) -> bool:
    """Take a body out of service; its past stays readable. False if it is unknown or retired already."""
    retired = await db.scalar(
        update(bodies)
        .where(bodies.c.tenant_id == tenant_id, bodies.c.id == body_id, bodies.c.retired_at.is_(None))
        .values(retired_at=at)
        .returning(bodies.c.id)
    )
    return retired is not None


async def join_body(db: AsyncConnection, tenant_id: int, body_id: UUID, account_ids: Iterable[UUID]) -> None:
    """Let a body staff these people. Safe to repeat."""
    rows = [
        {"tenant_id": tenant_id, "body_id": body_id, "account_id": account_id} for account_id in account_ids
    ]
    await insert_or_ignore(db, body_people, rows)


async def leave_bodies(
    db: AsyncConnection, tenant_id: int, account_id: UUID, *, kind: str | None = None
) -> None:
    """Let no body staff this person any more, or none of a kind. Safe to repeat."""
    those = select(bodies.c.id).where(bodies.c.tenant_id == tenant_id)
    if kind is not None:
        those = those.where(bodies.c.kind == kind)
    await db.execute(
        delete(body_people).where(
            body_people.c.tenant_id == tenant_id,
            body_people.c.account_id == account_id,
            body_people.c.body_id.in_(those),
        )
    )


# Members


async def add_member(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    community_id: UUID,
    *,
    grid_id: UUID | None = None,
    unit_id: UUID | None = None,
    work_community_id: UUID | None = None,
    items: Sequence[str] = (),
    skills: Sequence[Mapping[str, Any]] = (),
    free_times: Sequence[Mapping[str, Any]] = (),
    more: Mapping[str, Any] | None = None,
    at: datetime,
) -> UUID:
    """报到: a member checks in with a community, for the first time, again, or coming from another one.

    Args:
        grid_id: the grid of the community; the grant is then given there, and reaches up to the whole community.
        items: codes of the check-in list (catalog).
        skills: ``{code, name, proof?, expires_on?}``.
        free_times: ``{weekday 1..7, from "HH:MM", to "HH:MM"}`` in the tenant's zone; ``to`` may be ``24:00``.
        more: other columns of the member's row.

    Returns:
        The grant that makes the account a member there.

    Raises:
        PeriodsOverlap: the member belonged elsewhere after ``at``.
    """
    values = {
        "community_id": community_id,
        "grid_id": grid_id,
        "unit_id": unit_id,
        "work_community_id": work_community_id,
        "state": "active",
        "items": list(items),
        "skills": [dict(skill) for skill in skills],
        "free_times": [dict(time) for time in free_times],
        "checked_in_at": at,
        "ended_at": None,
        "lapsed_at": None,
        **(more or {}),
    }
    row = {"tenant_id": tenant_id, "account_id": account_id, **values}
    there = select(members.c.state, members.c.lapsed_at).where(
        members.c.tenant_id == tenant_id, members.c.account_id == account_id
    )
    before = (await db.execute(there)).one_or_none()
    if before is None:
        await db.execute(members.insert().values(row))
    else:
        if before.state == "suspended" and before.lapsed_at is None:
            values["state"] = "suspended"  # by somebody's decision: a form does not lift it
        await _change_member(db, tenant_id, account_id, values)
    where = {"checkin": community_id, "work": work_community_id, "unit": unit_id}
    for kind, of_id in where.items():
        if of_id is None:
            await belonging.leave(db, tenant_id, "member", account_id, (kind,), at=at)
        else:
            await belonging.enter(db, tenant_id, "member", account_id, kind, of_id, at=at)
    standing = await _member_grants(db, tenant_id, account_id, at=at)
    if [row.place_id for row in standing] == [grid_id or community_id]:
        held: UUID = standing[0].id
        return held
    if standing:
        await _end_member_grants(db, tenant_id, account_id, at=at)
    return await grant(db, tenant_id, account_id, Role.MEMBER, place_id=grid_id or community_id, at=at)


async def suspend_member(db: AsyncConnection, tenant_id: int, account_id: UUID) -> None:
    """A member pauses by somebody's decision: no form, roster or renewal lifts it.

    The grant stays, so that what is refused is refused with its reason; what was taken stays taken.

    Raises:
        AccountNotFound: no such member, or no more.
    """
    here = members.c.state != "ended"
    await _change_member(db, tenant_id, account_id, {"state": "suspended", "lapsed_at": None}, here)


async def resume_member(db: AsyncConnection, tenant_id: int, account_id: UUID) -> None:
    """A member whom somebody suspended serves again. A lapse is lifted by the member's own word.

    Raises:
        AccountNotFound: no member who was suspended so.
    """
    decided = and_(members.c.state == "suspended", members.c.lapsed_at.is_(None))
    await _change_member(db, tenant_id, account_id, {"state": "active"}, decided)


async def end_membership(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """A member leaves: the grants end with it.

    Raises:
        AccountNotFound: no such member.
    """
    await _change_member(db, tenant_id, account_id, {"state": "ended", "ended_at": at})
    await belonging.leave(db, tenant_id, "member", account_id, at=at)
    await _end_member_grants(db, tenant_id, account_id, at=at)


async def forget_member(db: AsyncConnection, tenant_id: int, account_id: UUID) -> None:
    """Clear what a member told about himself at the check-in. Safe to repeat."""
    lists: dict[str, Any] = {"items": [], "skills": [], "free_times": [], "languages": [], "leaves": []}
    await db.execute(
        update(members)
        .where(members.c.tenant_id == tenant_id, members.c.account_id == account_id)
        .values(
            **lists,
            most_a_day=None,
            most_a_week=None,
            location=None,
            born_on=None,
            guardian_consent_on=None,
        )
    )


async def _change_member(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    values: Mapping[str, Any],
    *wanted: ColumnElement[bool],
) -> None:
    changed = await db.scalar(
        update(members)
        .where(members.c.tenant_id == tenant_id, members.c.account_id == account_id, *wanted)
        .values(values)
        .returning(members.c.account_id)
    )
    if changed is None:
        raise AccountNotFound()


async def _member_grants(
    db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime
) -> Sequence[Any]:
    """The grants that make the account a member now."""
    running = or_(grants.c.valid_to.is_(None), grants.c.valid_to > at)
    rows = select(grants.c.id, grants.c.place_id).where(
        grants.c.tenant_id == tenant_id,
        grants.c.account_id == account_id,
        grants.c.role == Role.MEMBER,
        running,
    )
    return (await db.execute(rows)).all()


async def _end_member_grants(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    await db.execute(
        _ending(tenant_id, at).where(grants.c.account_id == account_id, grants.c.role == Role.MEMBER)
    )
    await _bump(db, tenant_id, account_id)
