"""Policies are published, consents given and withdrawn."""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.domain.keeping import PURPOSES, Purpose
from dispatch.domain.order import RESTING
from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import ConsentNotWithdrawable, PolicyChanged, RoleForbidden
from dispatch.orders.tables import orders
from dispatch.people.queries import hold, prove
from dispatch.people.tables import accounts
from dispatch.privacy import queries
from dispatch.privacy.tables import consents, privacy_policies


async def publish(db: AsyncConnection, actor: Actor, title: str, text: str, *, at: datetime) -> None:
    """Publish the next version of the policy. The same words again publish nothing.

    Raises:
        RoleForbidden: only an admin of the whole tenant does.
    """
    acting = actor.acting
    if acting is None or acting.role is not Role.ADMIN or len(acting.path) != 1:
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
    await _end(db, actor, purpose, at=at)
    row = {
        "tenant_id": actor.tenant.id,
        "id": new_id(),
        "account_id": actor.account_id,
        "purpose": purpose,
        "version": version,
        "given_at": at,
    }
    await db.execute(consents.insert().values(row))


async def withdraw(db: AsyncConnection, actor: Actor, purpose: Purpose, *, at: datetime) -> None:
    """Take a consent back; what rested on it alone is erased where no order needs it any more. Safe to repeat.

    Raises:
        ConsentNotWithdrawable: the purpose does not rest on consent.
    """
    if PURPOSES[purpose].basis != "consent":
        raise ConsentNotWithdrawable()
    await prove(db, actor)
    await hold(db, actor.tenant.id, actor.account_id)
    await _end(db, actor, purpose, at=at)
    if purpose is Purpose.PHONE:
        await erase_phone(db, actor.tenant.id, actor.account_id, at=at)
    if purpose is Purpose.LOCATION:
        await _clear(db, actor.tenant.id, actor.account_id, "location", at=at)


async def _end(db: AsyncConnection, actor: Actor, purpose: Purpose, *, at: datetime) -> None:
    await db.execute(
        update(consents)
        .where(
            consents.c.tenant_id == actor.tenant.id,
            consents.c.account_id == actor.account_id,
            consents.c.purpose == purpose,
            consents.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=at)
    )


async def erase_phone(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """Forget an account's phone, in its orders that have come to rest too; the orders stay (wechat.md §7 test 23)."""
    await db.execute(
        update(accounts)
        .where(accounts.c.tenant_id == tenant_id, accounts.c.id == account_id)
        .values(phone=None, phone_hash=None)
    )
    await _clear(db, tenant_id, account_id, "contact_phone", at=at)
    await db.execute(
        update(orders)
        .where(
            orders.c.tenant_id == tenant_id,
            orders.c.beneficiary_id == account_id,
            orders.c.state.in_(tuple(RESTING)),
            orders.c.beneficiary_phone.is_not(None),
        )
        .values(beneficiary_phone=None, updated_at=at)
    )


async def _clear(db: AsyncConnection, tenant_id: int, account_id: UUID, column: str, *, at: datetime) -> None:
    """Clear a column of the account's own orders at rest; of those filed for another it is the other's."""
    own = and_(orders.c.filer_id == account_id, orders.c.on_behalf.is_(False))
    await db.execute(
        update(orders)
        .where(
            orders.c.tenant_id == tenant_id,
            or_(own, orders.c.beneficiary_id == account_id),
            orders.c.state.in_(tuple(RESTING)),
            orders.c[column].is_not(None),
        )
        .values({column: None, "updated_at": at})
    )
