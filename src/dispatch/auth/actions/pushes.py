"""Messages that WeChat pushes: kept as they came, once; what they mean is announced in the same transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import yielding_insert
from dispatch.db.outbox import announce, outbox
from dispatch.domain.facts import Fact
from dispatch.people.tables import identities
from dispatch.wechat import push
from dispatch.wechat.tables import wechat_pushes

PHONE = "8"
"""``RevokeInfo`` of the phone number (wechat.md §2.7)."""


async def take_in(
    db: AsyncConnection, appid: str, message: Mapping[str, Any], raw: str, *, at: datetime
) -> bool:
    """Keep a message and announce what follows. False if it was here before; then nothing happens."""
    row = {
        "appid": appid,
        "digest": push.digest(message),
        "event": str(message.get("Event") or message.get("MsgType") or "")[:64],
        "raw": raw,
        "received_at": at,
    }
    write = yielding_insert(db, wechat_pushes).values(row).on_conflict_do_nothing()
    if (await db.execute(write.returning(wechat_pushes.c.digest))).one_or_none() is None:
        return False
    if (fact := _meaning(message)) is not None:
        await _announce(db, fact, appid, str(_openid(message)), at=at)
    return True


def _meaning(message: Mapping[str, Any]) -> Fact | None:
    """The fact that an event stands for; None for everything that we do not act on."""
    event = message.get("Event")
    if event == "user_authorization_cancellation":
        return Fact.IDENTITY_ENDED
    revoked = str(message.get("RevokeInfo", "")).replace(" ", "").split(",")
    if event == "user_authorization_revoke" and PHONE in revoked:
        return Fact.PHONE_WITHDRAWN
    return None


def _openid(message: Mapping[str, Any]) -> Any:
    """Whom an event is about: ``OpenID``; the sender is the platform's own account."""
    return message.get("OpenID") or message.get("FromUserName")


async def _announce(db: AsyncConnection, fact: Fact, appid: str, openid: str, *, at: datetime) -> None:
    """In every tenant that knows the person."""
    known = select(identities.c.tenant_id, identities.c.account_id).where(
        identities.c.appid == appid, identities.c.subject == openid
    )
    for row in (await db.execute(known)).all():
        body = {"account_id": str(row.account_id), "appid": appid}
        told = announce(row.tenant_id, fact, body, at=at)
        await db.execute(outbox.insert(), list(told.rows))
