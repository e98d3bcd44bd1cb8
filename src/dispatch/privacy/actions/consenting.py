"""Policies are published, consents given and withdrawn."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.domain.granting import rules_tenant
from dispatch.domain.keeping import PURPOSES, Purpose
from dispatch.domain.order import RESTING
from dispatch.domain.people import GROUND_ROLES, Actor
from dispatch.domain.privacy import KNOWS
from dispatch.domain.refusal import AccountNotFound, ConsentNotWithdrawable, PolicyChanged, RoleForbidden
from dispatch.orders.tables import orders
from dispatch.people import actions as people
from dispatch.people.queries import hold, prove
from dispatch.privacy import due, queries
from dispatch.privacy.actions import erasing
from dispatch.privacy.tables import consents, privacy_policies

ENTERS_PHONES = KNOWS | GROUND_ROLES
"""Who hears a phone from people who have no WeChat, and writes it down: those who may also see it (domain.md §4.1)."""


async def publish(db: AsyncConnection, actor: Actor, title: str, text: str, *, at: datetime) -> None:
    """Publish the next version of the policy. The same words again publish nothing.

    Raises:
        RoleForbidden: only an admin of the whole tenant does.
    """
    if not rules_tenant(actor):
        raise RoleForbidden()
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    now = await queries.policy(db, actor.tenant.id)
    if (now.title, now.text) == (title, text):
        return
    row = {
        "tenant_id": actor.tenant.id,
        "version": now.version + 1,
        "title": title,
        "text": text,
        "hash": hashlib.sha256(f"{title}\n{text}".encode()).hexdigest(),
        "published_by": actor.account_id,
        "published_at": at,
    }
    # Of two admins at once the second finds the version there, and reads whose words stand.
    await insert_or_ignore(db, privacy_policies, [row])


async def consent(db: AsyncConnection, actor: Actor, purpose: Purpose, version: int, *, at: datetime) -> None:
    """Agree to a purpose as the current policy states it. Safe to repeat.

    Raises:
        PolicyChanged: the words that were agreed to are not the current ones.
    """
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    now = await queries.policy(db, actor.tenant.id)
    if version != now.version:
        raise PolicyChanged(version=now.version)
    standing = await queries.standing_consent(db, actor.tenant.id, actor.account_id, purpose)
    if standing is not None and standing.version == version:
        return
    await _give(db, actor.tenant.id, actor.account_id, purpose, version, at=at)


async def record_phone(
    db: AsyncConnection, actor: Actor, account_id: UUID, data: Mapping[str, Any], *, at: datetime
) -> None:
    """Write down the phone that a person gave to staff, and the consent with its evidence; the person reads both.

    ``data``: phone, verified, consent {how, note}.

    Raises:
        RoleForbidden: not dispatcher, secretary or grid staff, or it is one's own: that is a correction.
        AccountNotFound: neither at home nor known by an order where the actor serves.
    """
    tenant_id, acting = actor.tenant.id, actor.acting
    await prove(db, actor)
    if acting is None or acting.role not in ENTERS_PHONES or account_id == actor.account_id:
        raise RoleForbidden()
    if not await queries.known_there(db, actor, account_id) or not await hold(db, tenant_id, account_id):
        raise AccountNotFound()
    policy = await queries.policy(db, tenant_id)
    await people.set_phone(db, tenant_id, account_id, data["phone"])
    evidence = {**data["consent"], "verified": data["verified"], "role": acting.role}
    await _give(
        db,
        tenant_id,
        account_id,
        Purpose.PHONE,
        policy.version,
        recorded_by=actor.account_id,
        evidence=evidence,
        at=at,
    )


async def _give(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    purpose: Purpose,
    version: int,
    *,
    at: datetime,
    **more: Any,
) -> None:
    """The consent that now stands, in place of an earlier one."""
    await _end(db, tenant_id, account_id, purpose, at=at)
    row = {
        "tenant_id": tenant_id,
        "id": new_id(),
        "account_id": account_id,
        "purpose": purpose,
        "version": version,
        "given_at": at,
        **more,
    }
    await db.execute(consents.insert().values(row))


async def withdraw(db: AsyncConnection, actor: Actor, purpose: Purpose, *, at: datetime) -> None:
    """Take a consent back; what rested on it alone is erased, of an order that needs it once that has come to rest.
    Safe to repeat.

    Raises:
        ConsentNotWithdrawable: the purpose does not rest on consent.
    """
    if PURPOSES[purpose].basis != "consent":
        raise ConsentNotWithdrawable()
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    await take_back(db, actor.tenant.id, actor.account_id, purpose, at=at)
    if purpose is Purpose.PARTY:
        await leave(db, actor.tenant.id, actor.account_id, at=at)


async def leave(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """End the membership of who no longer agrees to be known as a member, unless a take of theirs is active: then
    a job does, once it has ended. What was told at the check-in goes with it."""
    if not await queries.is_member(db, tenant_id, account_id):
        return
    if await due.take_active(db, tenant_id, account_id):
        return
    await people.end_membership(db, tenant_id, account_id, at=at)
    await people.forget_member(db, tenant_id, account_id)
    await erasing.forget_checkins(db, tenant_id, account_id, at=at)


async def _end(
    db: AsyncConnection, tenant_id: int, account_id: UUID, purpose: Purpose, *, at: datetime
) -> None:
    await db.execute(
        update(consents)
        .where(
            consents.c.tenant_id == tenant_id,
            consents.c.account_id == account_id,
            consents.c.purpose == purpose,
            consents.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=at)
    )


async def take_back(
    db: AsyncConnection, tenant_id: int, account_id: UUID, purpose: Purpose, *, at: datetime
) -> None:
    """End the consent to a purpose and erase what rested on it. Where none was ever given the refusal is kept: by it
    an order that still needs the data is cleared once it has come to rest, and nobody asks again soon."""
    await _end(db, tenant_id, account_id, purpose, at=at)
    if not await queries.heard_of(db, tenant_id, account_id, purpose):
        policy = await queries.policy(db, tenant_id)
        row = {
            "tenant_id": tenant_id,
            "id": new_id(),
            "account_id": account_id,
            "purpose": purpose,
            "version": policy.version,
            "given_at": at,
            "withdrawn_at": at,
        }
        await db.execute(consents.insert().values(row))
    if purpose is Purpose.PHONE:
        await people.set_phone(db, tenant_id, account_id, None)
    await _clear(db, tenant_id, account_id, purpose, at=at)


RESTS_ON: Mapping[Purpose, tuple[str, ...]] = {
    Purpose.PHONE: ("contact_phone", "beneficiary_phone"),
    Purpose.LOCATION: ("location",),
}
"""What of an order rests on a consent."""


async def _clear(
    db: AsyncConnection,
    tenant_id: int,
    account_id: UUID,
    purpose: Purpose,
    *more: ColumnElement[bool],
    at: datetime,
) -> None:
    """Clear what rests on a consent from the account's own orders at rest; of those filed for another it is the
    other's. The orders stay (wechat.md §7 test 23). ``more``: which of them."""
    own = and_(orders.c.filer_id == account_id, orders.c.on_behalf.is_(False))
    for column in RESTS_ON.get(purpose, ()):
        mine = orders.c.beneficiary_id == account_id
        await db.execute(
            update(orders)
            .where(
                orders.c.tenant_id == tenant_id,
                mine if column == "beneficiary_phone" else or_(own, mine),
                orders.c.state.in_(tuple(RESTING)),
                orders.c[column].is_not(None),
                *more,
            )
            .values({column: None, "updated_at": at})
        )


async def clear_at_rest(db: AsyncConnection, tenant_id: int, order_id: UUID, *, at: datetime) -> None:
    """Clear from an order that has come to rest what its people took their consent back for while it was open."""
    for account_id, purpose in await queries.taken_back(db, tenant_id, order_id, RESTS_ON):
        await _clear(db, tenant_id, account_id, Purpose(purpose), orders.c.id == order_id, at=at)
