"""A phone that its owner types in, proven by a code that is sent there."""

import re
import secrets
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.actions import throttling
from dispatch.auth.tables import phone_codes
from dispatch.db.dialect import insert_or_update
from dispatch.db.engine import Database
from dispatch.db.sealed import private
from dispatch.domain.people import Actor
from dispatch.domain.refusal import RateLimited, SmsCodeInvalid, wrong
from dispatch.domain.throttle import PER_PHONE, PER_SENDER, Throttle
from dispatch.people import actions as people
from dispatch.people.queries import hold, prove
from dispatch.sms.gateway import Sms

MOBILE = re.compile(r"1[3-9][0-9]{9}")
CODE_LIVES = timedelta(minutes=10)
APART = timedelta(seconds=60)
"""Between two messages to one account."""
MOST_TRIES = 5
"""Wrong codes before the sent one is void: one in 200,000 is guessed."""
TEXT = "您的验证码是{code}，10分钟内有效，请勿告诉他人。"


async def send_code(database: Database, sms: Sms, actor: Actor, phone: str, *, at: datetime) -> None:
    """Send a code to a phone that the actor says is his.

    Raises:
        ValidationFailed: no mobile phone.
        RateLimited: too soon, or too many for the account or the phone.
        SmsUnavailable: nobody sends.
    """
    if not MOBILE.fullmatch(phone):
        raise wrong("phone", "短信只能发到手机号码")
    sms.ready()
    code = f"{secrets.randbelow(1_000_000):06d}"
    async with database.writing() as db:
        await prove(db, actor)
        await hold(db, actor.tenant.id, actor.account_id)
        await _in_measure(db, database, actor, phone, at=at)
        row = {
            "tenant_id": actor.tenant.id,
            "account_id": actor.account_id,
            "phone_hash": private(actor.tenant.id, phone),
            "code_hash": _hashed(database, actor, code),
            "sent_at": at,
            "tried": 0,
        }
        await insert_or_update(db, phone_codes, row)
    await sms.send(phone, TEXT.format(code=code))


async def give_phone(database: Database, actor: Actor, phone: str, code: str, *, at: datetime) -> None:
    """Write down a phone whose code is right.

    Raises:
        SmsCodeInvalid: wrong, too old, tried too often, used, or sent to another phone.
    """
    mine = _of(actor.tenant.id, actor.account_id)
    async with database.writing() as db:
        await prove(db, actor)
        tried = (
            update(phone_codes)
            .where(
                *mine,
                phone_codes.c.phone_hash == private(actor.tenant.id, phone),
                phone_codes.c.sent_at > at - CODE_LIVES,
                phone_codes.c.tried < MOST_TRIES,
            )
            .values(
                tried=phone_codes.c.tried + 1
            )  # counted before it is looked at, however many come at once
            .returning(phone_codes.c.code_hash)
        )
        kept = await db.scalar(tried)
        right = kept is not None and compare_digest(kept, _hashed(database, actor, code))
        if right:
            await db.execute(delete(phone_codes).where(*mine))
            await people.set_phone(db, actor.tenant.id, actor.account_id, phone)
    if not right:
        raise SmsCodeInvalid()


async def _in_measure(
    db: AsyncConnection, database: Database, actor: Actor, phone: str, *, at: datetime
) -> None:
    sent = await db.scalar(select(phone_codes.c.sent_at).where(*_of(actor.tenant.id, actor.account_id)))
    if sent is not None and at < sent + APART:
        raise RateLimited(retry_after=int((sent + APART - at).total_seconds()) + 1)
    number = database.keys.hashed(actor.tenant.id, "accounts.phone", phone)
    measures: tuple[tuple[Throttle, str], ...] = (
        (PER_SENDER, f"{actor.tenant.id}/{actor.account_id}"),
        (PER_PHONE, number),
    )
    for throttle, subject in measures:
        wait = await throttling.count(db, throttle, subject, at=at)
        if wait is not None:
            raise RateLimited(retry_after=wait)


def _of(tenant_id: int, account_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return phone_codes.c.tenant_id == tenant_id, phone_codes.c.account_id == account_id


def _hashed(database: Database, actor: Actor, code: str) -> str:
    """A keyed hash: six digits are guessed from a plain one at once."""
    return database.keys.hashed(actor.tenant.id, "phone_codes.code", f"{actor.account_id}/{code}")
