"""A phone proven by a code, sent by the shipped fake over a real socket; without a sender it is refused."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import select

from dispatch.auth.tables import phone_codes
from dispatch.auth.timers import forget
from dispatch.people.tables import accounts
from dispatch.settings import Settings
from dispatch.sms.fake import FakeSms
from dispatch.sms.gateway import Sms
from tests.served import served
from tests.town import Clock, Hands

PHONE, SECRET = "13800001111", "what-the-sender-knows-us-by"


@dataclass
class Sender:
    hands: Hands
    fake: FakeSms

    async def ask(self, login: str = "resident-1", phone: str = PHONE) -> httpx.Response:
        return await self.hands.post(login, "/v1/me/phone/code", {"phone": phone})

    async def give(self, code: str, login: str = "resident-1", phone: str = PHONE) -> tuple[int, str]:
        answer = await self.hands.post(login, "/v1/me/phone", {"phone": phone, "sms_code": code})
        told = answer.json()
        return answer.status_code, told.get("code", told.get("phone"))

    def code(self) -> str:
        (found,) = re.findall(r"[0-9]{6}", self.fake.sent[-1][1])
        return str(found)

    async def phone(self, login: str = "resident-1") -> str | None:
        mine = accounts.c.tenant_id == self.hands.town.tenant_id, accounts.c.id == self.hands.town[login].id
        told: str | None = (await self.hands.town.rows(select(accounts.c.phone).where(*mine)))[0].phone
        return told


@pytest.fixture
async def sender(app: FastAPI, hands: Hands) -> AsyncIterator[Sender]:
    fake = FakeSms(SECRET)
    async with served(fake.app) as base:
        sms = Sms(Settings(sms_url=f"{base}/", sms_secret=SecretStr(SECRET)))
        without = app.state.door
        app.state.door = replace(without, sms=sms)
        yield Sender(hands, fake)
        app.state.door = without
        await sms.close()


INVALID = (422, "SMS_CODE_INVALID")


async def test_a_phone_is_written_down_when_the_code_sent_to_it_is_right_and_once(sender: Sender):
    asked = await sender.ask(phone="+86 138 0000 1111")
    assert (asked.status_code, asked.json()) == (202, {"expires_in": 600, "again_in": 60}), asked.text
    assert [phone for phone, _ in sender.fake.sent] == [PHONE]
    assert await sender.phone() is None
    assert await sender.give(sender.code(), "resident-2") == INVALID  # another's
    assert await sender.give(sender.code(), phone="13900001111") == INVALID  # another phone
    assert await sender.give(sender.code()) == (200, "138******11")
    assert await sender.phone() == PHONE
    assert await sender.give(sender.code()) == INVALID


async def test_a_code_lives_ten_minutes_and_five_tries_however_many_come_at_once(
    sender: Sender, clock: Clock
):
    await sender.ask()
    clock.pass_(minutes=10)
    assert await sender.give(sender.code()) == INVALID
    await sender.ask()
    wrong = f"{(int(sender.code()) + 1) % 1_000_000:06d}"
    answers = await asyncio.gather(*(sender.give(wrong) for _ in range(8)))
    assert set(answers) == {INVALID}
    assert await sender.give(sender.code()) == INVALID  # five were tried
    assert await sender.phone() is None


async def test_nobody_is_pestered_neither_by_one_account_nor_by_many(sender: Sender, clock: Clock):
    assert (await sender.ask()).status_code == 202
    soon = await sender.ask()
    assert (soon.status_code, soon.json()["code"], soon.headers["Retry-After"]) == (429, "RATE_LIMITED", "61")
    answers = []
    for n in range(7):
        clock.pass_(seconds=61)
        answers.append((await sender.ask(("resident-1", "resident-2", "resident-3")[n % 3])).status_code)
    assert Counter(answers) == {202: 4, 429: 3}  # five a day to one phone
    assert len(sender.fake.sent) == 5
    assert (await sender.ask("resident-2", "13900001111")).status_code == 202


async def test_only_a_mobile_is_sent_to_and_a_sender_that_fails_is_said_so(sender: Sender, clock: Clock):
    assert (await sender.ask(phone="0731-82345678")).status_code == 422
    sender.fake.faults.extend([500, 401])
    for _ in range(2):
        failed = await sender.ask()
        assert (failed.status_code, failed.json()["code"]) == (503, "SMS_UNAVAILABLE")
        clock.pass_(seconds=61)
    assert (await sender.ask()).status_code == 202


async def test_without_a_sender_the_code_is_refused_and_nothing_is_written(hands: Hands):
    answer = await hands.post("resident-1", "/v1/me/phone/code", {"phone": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (503, "SMS_UNAVAILABLE")
    mine = phone_codes.c.tenant_id == hands.town.tenant_id
    assert await hands.town.rows(select(phone_codes).where(mine)) == []
    both = await hands.post("resident-1", "/v1/me/phone", {"code": "x", "phone": PHONE, "sms_code": "123456"})
    assert both.status_code == 422


async def test_neither_code_nor_phone_lies_readable_and_both_go_within_the_hour(sender: Sender, clock: Clock):
    await sender.ask()
    mine = phone_codes.c.tenant_id == sender.hands.town.tenant_id
    kept = repr(await sender.hands.town.rows(select(phone_codes).where(mine)))
    assert PHONE not in kept
    assert sender.code() not in re.sub(r"[0-9a-f]{64}", "", kept)
    await forget(sender.hands.town.database, clock.pass_(hours=1, seconds=1))
    assert await sender.hands.town.rows(select(phone_codes).where(mine)) == []
