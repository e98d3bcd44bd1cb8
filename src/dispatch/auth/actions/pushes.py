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

REVOKED = {"8": Fact.PHONE_WITHDRAWN, "13": Fact.POINT_WITHDRAWN, "18": Fact.POINT_WITHDRAWN}
"""What of ``RevokeInfo`` means something here: the phone, where one is, a place that was chosen (wechat.md §2.7)."""


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
    for fact in _meaning(message):
        await _announce(db, fact, appid, str(_openid(message)), at=at)
    return True


def _meaning(message: Mapping[str, Any]) -> list[Fact]:
    """The facts that an event stands for; none for everything that we do not act on."""
    event = message.get("Event")
    if event == "user_authorization_cancellation":
        return [Fact.IDENTITY_ENDED]
    if event != "user_authorization_revoke":
        return []
    revoked = str(message.get("RevokeInfo", "")).replace(" ", "").split(",")
    return sorted({REVOKED[code] for code in revoked if code in REVOKED})


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
