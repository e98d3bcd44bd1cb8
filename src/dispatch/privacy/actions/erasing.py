"""Personal data leaves: from orders in time, and an account with everything when its person asks for it.

What is left answers for the work: states, steps, takes, minutes and scores stay, so every count stays as it was.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.tables import credentials, phone_codes, refresh_tokens, usernames
from dispatch.checkin.tables import checkins, member_views
from dispatch.db.idempotency import idempotency_keys
from dispatch.db.outbox import outbox
from dispatch.db.sealed import private
from dispatch.dispatching.tables import drafts
from dispatch.domain.keeping import ALL_GONE, CLEARED, CONTACT_GONE, GONE, gone_login
from dispatch.domain.order import Move
from dispatch.notices.tables import notices
from dispatch.orders.actions.attaching import forget
from dispatch.orders.actions.indexing import forget_words, index_orders
from dispatch.orders.tables import (
    attachments,
    dispatch_targets,
    dispatches,
    handovers,
    order_steps,
    orders,
    ratings,
    requests,
)
from dispatch.people import belonging
from dispatch.people.actions import end_grants, forget_member
from dispatch.people.tables import (
    accounts,
    api_keys,
    body_people,
    former_names,
    identities,
    members,
    sessions,
)
from dispatch.privacy.actions import lists
from dispatch.privacy.tables import consents, reveal_requests
from dispatch.resources.tables import listings

EMPTIED: Mapping[str, Any] = {"tags": [], "follow_up": {"cleared": True}}
"""What stands for words where null would say something else: no tags; somebody else's word was keyed in."""
TOLD_AT_ONCE = 500
"""Steps whose notices one statement looks for."""

SIGN_INS = (identities, usernames, credentials, refresh_tokens, phone_codes, api_keys, sessions)
"""By what an account is signed in to."""


async def clear_contact(
    db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID], *, at: datetime
) -> None:
    """Forget where to find whom the orders were for."""
    await db.execute(
        update(orders)
        .where(orders.c.tenant_id == tenant_id, orders.c.id.in_(order_ids))
        .values(
            contact_phone=None,
            beneficiary_phone=None,
            address=None,
            address_key=None,
            location=None,
            cleared=CONTACT_GONE,
            updated_at=at,  # mirrors that harvest by change hear of it
        )
    )


async def clear_content(
    db: AsyncConnection, tenant_id: int, order_ids: Sequence[UUID], *, at: datetime
) -> None:
    """Forget whom the orders were about: words in the order, its history, requests, verdicts, notices, facts, and in
    the demands that were published from it; files."""
    if not order_ids:
        return
    await forget_words(db, tenant_id, order_ids)
    await _forget_told(db, tenant_id, order_steps.c.order_id.in_(order_ids))
    await lists.clear_listings(db, tenant_id, listings.c.order_id.in_(order_ids))
    await db.execute(
        update(orders)
        .where(orders.c.tenant_id == tenant_id, orders.c.id.in_(order_ids))
        .values(
            contact_phone=None,
            beneficiary_phone=None,
            beneficiary_name=private(tenant_id, GONE),
            address=None,
            address_key=None,
            location=None,
            relation=None,
            consent=None,
            answers=None,
            text=CLEARED,
            result=None,
            cleared=ALL_GONE,
            updated_at=at,
        )
    )
    wordy: tuple[tuple[Any, tuple[str, ...]], ...] = (
        (order_steps, ("text", "salt")),
        (requests, ("text", "suggestion", "decision")),
        (ratings, ("text", "tags", "follow_up")),
        (dispatches, ("note",)),
        (reveal_requests, ("text", "decision")),
        (handovers, ("text",)),
    )
    for table, columns in wordy:
        for column in columns:
            await db.execute(
                update(table)
                .where(
                    table.c.tenant_id == tenant_id,
                    table.c.order_id.in_(order_ids),
                    table.c[column].is_not(None),
                )
                .values({column: EMPTIED.get(column)})
            )
    await forget(db, tenant_id, attachments.c.order_id.in_(order_ids))
    for table in (notices, drafts):
        await db.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.order_id.in_(order_ids)))
    # Facts hold ids and codes only; an error that was kept with one may hold more.
    await db.execute(
        update(outbox)
        .where(outbox.c.tenant_id == tenant_id, outbox.c.order_id.in_(order_ids), outbox.c.error.is_not(None))
        .values(error=None)
    )


async def anonymise(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> str:
    """Turn an account into nobody: it signs in no more, and nothing names its person. Returns the former name.

    Its own orders lose their content; of those filed for others only the filer becomes nameless.
    """
    name: Any = await db.scalar(
        select(accounts.c.name).where(accounts.c.tenant_id == tenant_id, accounts.c.id == account_id)
    )
    await end_grants(db, tenant_id, account_id, at=at)
    await db.execute(
        update(accounts)
        .where(accounts.c.tenant_id == tenant_id, accounts.c.id == account_id)
        .values(
            name=private(tenant_id, GONE),
            phone=None,
            phone_hash=None,
            id_number_hash=None,
            login=gone_login(account_id),
            home_place_id=None,
            address_key=None,
            disabled_at=func.coalesce(accounts.c.disabled_at, at),
        )
    )
    await db.execute(
        update(members)
        .where(members.c.tenant_id == tenant_id, members.c.account_id == account_id)
        .values(state="ended", ended_at=at)
    )
    await forget_member(db, tenant_id, account_id)
    await forget_checkins(db, tenant_id, account_id, at=at)
    for table in (*SIGN_INS, body_people, former_names, idempotency_keys, notices, member_views, drafts):
        await db.execute(
            delete(table).where(table.c.tenant_id == tenant_id, table.c.account_id == account_id)
        )
    await db.execute(
        update(consents)
        .where(
            consents.c.tenant_id == tenant_id,
            consents.c.account_id == account_id,
            consents.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=at)
    )
    await db.execute(
        update(consents)
        .where(consents.c.tenant_id == tenant_id, consents.c.account_id == account_id)
        .values(evidence=null())
    )
    await db.execute(
        update(dispatch_targets)
        .where(dispatch_targets.c.tenant_id == tenant_id, dispatch_targets.c.target_id == account_id)
        .values(match=null())
    )
    await _words_of(db, tenant_id, account_id)
    await forget(db, tenant_id, attachments.c.uploader_id == account_id)
    await lists.words_of(db, tenant_id, account_id, at=at)
    await clear_content(db, tenant_id, await own_orders(db, tenant_id, account_id), at=at)
    return str(name)


async def forget_checkins(db: AsyncConnection, tenant_id: int, account_id: UUID, *, at: datetime) -> None:
    """Forget what was filled in; that somebody belonged there, and until when, stays for the counts."""
    await belonging.leave(db, tenant_id, "member", account_id, at=at)
    theirs = checkins.c.tenant_id == tenant_id, checkins.c.account_id == account_id
    await db.execute(
        update(checkins).where(*theirs, checkins.c.state == "filed").values(state="withdrawn", decided_at=at)
    )
    await db.execute(update(checkins).where(*theirs).values(form=None, text=None))


async def own_orders(db: AsyncConnection, tenant_id: int, account_id: UUID) -> list[UUID]:
    """The orders that are about this person: filed for oneself, or filed by another for them."""
    filed = (orders.c.filer_id == account_id) & orders.c.on_behalf.is_(False)
    rows = select(orders.c.id).where(
        orders.c.tenant_id == tenant_id, filed | (orders.c.beneficiary_id == account_id)
    )
    return list((await db.execute(rows)).scalars())


async def _words_of(db: AsyncConnection, tenant_id: int, account_id: UUID) -> None:
    """Forget what the person wrote in orders of others."""
    supplemented = select(order_steps.c.order_id).where(
        order_steps.c.tenant_id == tenant_id,
        order_steps.c.account_id == account_id,
        order_steps.c.move == Move.SUPPLEMENT,
    )
    added_to = list((await db.execute(supplemented.distinct())).scalars())
    await forget_words(db, tenant_id, added_to)
    await _forget_told(db, tenant_id, order_steps.c.account_id == account_id)
    theirs = exists().where(
        order_steps.c.tenant_id == orders.c.tenant_id,
        order_steps.c.order_id == orders.c.id,
        order_steps.c.account_id == account_id,
        order_steps.c.text == orders.c.result,
    )
    await db.execute(update(orders).where(orders.c.tenant_id == tenant_id, theirs).values(result=None))
    wordy: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
        (order_steps, "account_id", ("text", "salt")),
        (requests, "asked_by", ("text", "suggestion")),
        (requests, "decided_by", ("decision",)),
        (ratings, "rated_by", ("text", "tags")),
        (dispatches, "created_by", ("note",)),
        (reveal_requests, "account_id", ("text",)),
        (reveal_requests, "decided_by", ("decision",)),
        (handovers, "asked_by", ("text",)),
        (checkins, "decided_by", ("text",)),
    )
    for table, by, columns in wordy:
        await db.execute(
            update(table)
            .where(table.c.tenant_id == tenant_id, table.c[by] == account_id)
            .values({column: EMPTIED.get(column) for column in columns})
        )
    await db.execute(
        update(ratings)
        .where(
            ratings.c.tenant_id == tenant_id,
            ratings.c.rated_by == account_id,
            ratings.c.follow_up.is_not(None),
        )
        .values(follow_up=EMPTIED["follow_up"])
    )
    await index_orders(db, tenant_id, added_to)


async def _forget_told(db: AsyncConnection, tenant_id: int, which: ColumnElement[bool]) -> None:
    """Take away the notices that quote steps, whoever was told, also under an order that was merged into theirs."""
    quoted = select(order_steps.c.order_id, order_steps.c.seq).where(
        order_steps.c.tenant_id == tenant_id, order_steps.c.text.is_not(None), which
    )
    causes = [f"step:{row.order_id}:{row.seq}" for row in await db.execute(quoted)]
    for start in range(0, len(causes), TOLD_AT_ONCE):
        some = causes[start : start + TOLD_AT_ONCE]
        await db.execute(delete(notices).where(notices.c.tenant_id == tenant_id, notices.c.cause.in_(some)))
