"""WeChat's message push, sent by the shipped fake over a real socket, on every database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from dispatch.app import create_app
from dispatch.auth.actions import opening
from dispatch.auth.timers import forget
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.domain.facts import Fact
from dispatch.jobs.relay import relay
from dispatch.orders.tables import orders
from dispatch.people import queries
from dispatch.people.actions import know_as, set_phone
from dispatch.people.tables import accounts, identities
from dispatch.people.tokens import Keys
from dispatch.settings import Settings
from dispatch.web import deps
from dispatch.wechat import push
from dispatch.wechat.fake import FakeWechat
from dispatch.wechat.tables import wechat_pushes
from dispatch.wiring import REACTIONS
from tests.served import served
from tests.town import Clock, Hands, Town

TOKEN, KEY = "push-token", "k" * 43


@dataclass
class Post:
    """A service that WeChat pushes to."""

    base: str
    fake: FakeWechat
    plain: str
    secure: str
    openid: str

    async def push(self, appid: str, event: str, form: str = "json", **said: Any) -> tuple[int, str]:
        message = {
            "ToUserName": "gh_1",
            "FromUserName": "o_platform",
            "CreateTime": 1763775000,
            "MsgType": "event",
            "Event": event,
            "OpenID": self.openid,
            **said,
        }
        key = KEY if appid == self.secure else None
        url = f"{self.base}/v1/wechat/push/{appid}"
        return await self.fake.push(url, message, TOKEN, appid, key=key, form=form)


@pytest.fixture
async def post(database: Database, clock: Clock, town: Town) -> AsyncIterator[Post]:
    plain, secure, openid = f"wx{uuid4().hex[:16]}", f"wx{uuid4().hex[:16]}", f"o{uuid4().hex}"
    apps = {
        plain: {"secret": "s", "push_token": TOKEN},
        secure: {"secret": "s", "push_token": TOKEN, "push_key": KEY},
        "wx-silent": {"secret": "s"},
    }
    app = create_app(Settings(wechat_apps=apps), database)

    async def now() -> object:
        return clock.now

    app.dependency_overrides[deps.now] = now
    async with database.writing() as db:
        await set_phone(db, town.tenant_id, town["resident-1"].id, "13800001111")
        for appid in (plain, secure):
            await know_as(db, town.tenant_id, town["resident-1"].id, appid=appid, subject=openid)
    async with served(app) as base:
        yield Post(base, FakeWechat({}, now=clock), plain, secure, openid)


async def phone(town: Town) -> str | None:
    mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == town["resident-1"].id
    found: str | None = (await town.rows(select(accounts.c.phone).where(*mine)))[0].phone
    return found


async def facts(town: Town) -> list[str]:
    mine = outbox.c.tenant_id == town.tenant_id, outbox.c.order_id.is_(None)
    return [row.fact for row in await town.rows(select(outbox.c.fact).where(*mine))]


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("mode", ["plain", "secure"])
async def test_a_phone_taken_back_is_erased_and_the_order_stays(
    post: Post, hands: Hands, town: Town, database: Database, clock: Clock, form: str, mode: str
):
    order = await hands.file("resident-1")
    appid = getattr(post, mode)

    assert await post.push(appid, "user_authorization_revoke", form, RevokeInfo="13,8") == (200, "success")
    assert await phone(town) == "13800001111"  # acknowledged at once, done by the worker
    await relay(database, clock.now, REACTIONS)

    assert await phone(town) is None
    rows = select(orders.c.state).where(
        orders.c.tenant_id == town.tenant_id, orders.c.id == UUID(order["id"])
    )
    assert (await town.rows(rows))[0].state == "submitted"
    assert (await hands.get("resident-1", f"/v1/orders/{order['id']}")).status_code == 200


@pytest.mark.parametrize("fact", [Fact.PHONE_WITHDRAWN, Fact.IDENTITY_ENDED])
async def test_every_reaction_to_a_phone_taken_back_may_be_told_twice(
    post: Post, hands: Hands, town: Town, database: Database, clock: Clock, fact: Fact
):
    rested = await hands.file("resident-1", contact_phone="13800001111")
    await hands.move("resident-1", rested, "cancel")
    running = await hands.file("resident-1", contact_phone="13800001111")
    other = await hands.file("resident-2", contact_phone="13700007777")
    await hands.move("resident-2", other, "cancel")
    body = {"account_id": str(town["resident-1"].id), "appid": post.plain}

    async def told() -> dict[str, tuple[str | None, datetime]]:
        clock.pass_(minutes=1)
        for reaction in REACTIONS[fact]:
            async with database.writing() as db:
                await reaction(db, town.tenant_id, body, clock.now)
        rows = select(orders.c.id, orders.c.contact_phone, orders.c.updated_at)
        found = await town.rows(rows.where(orders.c.tenant_id == town.tenant_id))
        return {str(row.id): (row.contact_phone, row.updated_at) for row in found}

    first = await told()
    assert [first[order["id"]][0] for order in (rested, running, other)] == [
        None,
        "13800001111",
        "13700007777",
    ]
    assert first[rested["id"]][1] == clock.now
    assert await told() == first  # nothing is touched again
    assert await phone(town) is None


async def test_the_same_message_counts_once_however_often_and_however_wrapped_it_comes(
    post: Post, town: Town
):
    for form in ("json", "json", "xml"):
        assert await post.push(
            post.secure, "user_authorization_revoke", form, RevokeInfo="8", CreateTime="1763775000"
        ) == (200, "success")

    assert await facts(town) == ["phone.withdrawn"]
    kept = await town.rows(select(wechat_pushes).where(wechat_pushes.c.appid == post.secure))
    assert [row.event for row in kept] == ["user_authorization_revoke"]


async def test_an_account_ended_at_wechat_ends_the_identity_and_every_session(
    post: Post, hands: Hands, town: Town, database: Database, clock: Clock
):
    async with database.writing() as db:
        person = await queries.person(db, town.tenant_id, town["resident-1"].id)
        assert person is not None
        session = await opening.open_session(db, person, "wechat", appid=post.plain, at=clock.now)
        signing = opening.Signing(Keys([town.key]), 1800)
        signed = await opening.issue(db, person, session, signing, at=clock.now)
    headers = {"Authorization": f"Bearer {signed.token}"}
    assert (await hands.client.get("/v1/me", headers=headers)).status_code == 200

    await post.push(post.plain, "user_authorization_cancellation")
    for _ in range(2):  # told twice it does nothing more
        await relay(database, clock.now, REACTIONS)

    assert (await hands.client.get("/v1/me", headers=headers)).json()["code"] == "AUTH_TOKEN_REVOKED"
    assert await phone(town) is None
    known = await town.rows(select(identities.c.appid).where(identities.c.subject == post.openid))
    assert [row.appid for row in known] == [post.secure]


async def test_what_we_do_not_act_on_is_kept_and_acknowledged(post: Post, town: Town, clock: Clock):
    for event, said in (
        ("user_authorization_revoke", {"RevokeInfo": "14"}),
        ("an_event_of_next_year", {}),
        ("user_authorization_revoke", {"RevokeInfo": "8", "OpenID": "o-of-a-stranger"}),
    ):
        assert await post.push(post.plain, event, **said) == (200, "success")

    assert await facts(town) == []
    kept = await town.rows(select(wechat_pushes).where(wechat_pushes.c.appid == post.plain))
    assert len(kept) == 3
    await forget(town.database, clock.pass_(days=4))
    raw = await town.rows(select(wechat_pushes.c.raw).where(wechat_pushes.c.appid == post.plain))
    assert [row.raw for row in raw] == [None] * 3  # it names an openid; the digest recognises a repeat
    assert await post.push(post.plain, "an_event_of_next_year") == (200, "success")
    assert len(await town.rows(select(wechat_pushes).where(wechat_pushes.c.appid == post.plain))) == 3
    await forget(town.database, clock.pass_(days=27))
    assert await town.rows(select(wechat_pushes).where(wechat_pushes.c.appid == post.plain)) == []


async def test_a_push_that_nobody_signed_is_refused_and_leaves_nothing(post: Post, town: Town, clock: Clock):
    body = {"Event": "user_authorization_revoke", "OpenID": post.openid, "RevokeInfo": "8"}
    stamp = str(int(clock.now.timestamp()))
    right = {"timestamp": stamp, "nonce": "n", "signature": push.signature(TOKEN, stamp, "n")}
    old = str(int(clock.now.timestamp()) - 86400)
    tries = [
        (post.plain, {}),
        (post.plain, {**right, "signature": "0" * 40}),
        (post.plain, {**right, "nonce": "m"}),
        (post.plain, {"timestamp": old, "nonce": "n", "signature": push.signature(TOKEN, old, "n")}),
        (post.secure, right),  # signed, but not encrypted as it must be
        (post.secure, {**right, "msg_signature": push.signature(TOKEN, stamp, "n", "")}),
        ("wx-silent", right),
        ("wx-unknown", right),
    ]
    async with httpx.AsyncClient(base_url=post.base) as client:
        for appid, query in tries:
            answer = await client.post(f"/v1/wechat/push/{appid}", params=query, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "PUSH_REFUSED"), (appid, query)
        large = await client.post(f"/v1/wechat/push/{post.plain}", params=right, content=b"x" * 70_000)
        assert large.status_code == 413

    assert await facts(town) == []


async def test_the_console_is_answered_with_what_it_asks(post: Post):
    query = {"timestamp": "1", "nonce": "n", "echostr": "4375", "signature": push.signature(TOKEN, "1", "n")}
    async with httpx.AsyncClient(base_url=post.base) as client:
        path = f"/v1/wechat/push/{post.secure}"
        # A parameter of next year is no reason to refuse the platform.
        answer = await client.get(path, params={**query, "openid": "o", "new": "1"})
        refused = await client.get(path, params={**query, "signature": "x"})

    assert (answer.status_code, answer.text) == (200, "4375")
    assert refused.status_code == 403


@pytest.mark.parametrize("code", ["13", "18"])
async def test_where_one_is_taken_back_at_wechat_leaves_orders_at_rest_at_once_and_open_ones_later(
    post: Post, hands: Hands, town: Town, database: Database, clock: Clock, code: str
):
    spot = {"lng": 113.0, "lat": 28.2, "crs": "gcj02"}
    rested, running = [await hands.file("resident-1", location=spot) for _ in range(2)]
    await hands.move("resident-1", rested, "cancel")
    assert await post.push(post.plain, "user_authorization_revoke", RevokeInfo=code) == (200, "success")
    await relay(database, clock.now, REACTIONS)

    async def points() -> list[bool]:
        rows = select(orders.c.location).where(orders.c.tenant_id == town.tenant_id).order_by(orders.c.serial)
        return [row.location is not None for row in await town.rows(rows)]

    assert await points() == [False, True]
    await hands.move("resident-1", running, "cancel")
    await relay(database, clock.now, REACTIONS)
    assert await points() == [False, False]
    assert await phone(town) == "13800001111"
