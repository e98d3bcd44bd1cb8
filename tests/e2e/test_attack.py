"""An attacker with every role tries every id of another tenant, community and person on every route."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, update

from dispatch.clock import now
from dispatch.db.base import metadata
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.domain.people import Role
from dispatch.reports import timers
from dispatch.settings import Settings
from tests.asked import Operation, operations
from tests.conftest import Backends
from tests.e2e.test_processes import alive, free_port, serve
from tests.town import Hands, Town, found

pytestmark = [pytest.mark.process, pytest.mark.timeout(420)]

NOT_TRIED = {
    **dict.fromkeys(("delete_me", "logout"), "it would only harm the attacker"),
    "send_phone_code": "it takes nobody's id, and nobody sends short messages for this service (503)",
}
SEES_COMMUNITY_3 = {"street-2", "district-1", "admin-1"}
"""Roles of our own district that look after the other community; an admin sees its places and grants."""


@dataclass
class Victims:
    """Ids that are none of the attacker's business, and words that must never reach him."""

    tenant: str = ""
    ids: dict[str, list[str]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def add(self, kind: str, id: Any) -> None:
        self.ids.setdefault(kind, []).append(str(id))


@pytest.fixture(params=["sqlite", "asyncpg"])
async def attacked(request: pytest.FixtureRequest, backends: Backends) -> AsyncIterator[tuple[str, Database]]:
    """A server process on a database of its own."""
    url, port = backends.fresh(request.param, "attacked"), free_port()
    process = serve(url, port)
    database = Database(url)
    try:
        async with httpx.AsyncClient() as client:
            await alive(client, f"http://127.0.0.1:{port}", 60)
        yield f"http://127.0.0.1:{port}", database
    finally:
        await database.close()
        process.send_signal(signal.SIGTERM)
        process.wait(20)


async def lives(client: httpx.AsyncClient, town: Town, community: str, mark: str) -> Victims:
    """Orders, a request, an export and a lent grant of a community, all full of words with a mark."""
    hands, victims = Hands(client, town), Victims(await publishes(town))
    logins = {role: f"{role.value}-of-{mark}" for role in (Role.RESIDENT, Role.DISPATCHER, Role.MEMBER)}
    for role, login in logins.items():
        person = await town.person(login, role, community)
        victims.add("account_id", person.id)
        victims.add("grant_id", person.grant_id)
    filer, dispatcher, member = logins.values()
    private = {"address": f"门牌{mark}", "contact_phone": f"139{int(mark[:8], 16) % 10**8:08d}"}
    orders = []
    for _ in range(2):
        order = await hands.file(filer, text=f"内容{mark}", **private)
        await hands.move(dispatcher, order, "accept")
        orders.append(order)
    await hands.move(dispatcher, orders[0], "dispatch", mode="open", note=f"备注{mark}")
    taken = await hands.move(member, orders[0], "take")
    victims.add("take_id", taken["take"]["id"])
    victims.add("dispatch_id", taken["order"]["dispatches"][0]["id"])
    ask = {"kind": "return", "reason_code": "other", "text": f"理由{mark}"}
    asked = await hands.post(member, f"/v1/orders/{orders[0]['id']}/requests", ask)
    assert asked.status_code == 201, asked.text
    victims.add("request_id", asked.json()["id"])
    why = {"purpose": "核实", "text": f"缘由{mark}"}
    looked = await hands.post("district-1", f"/v1/orders/{orders[0]['id']}/reveal-requests", why)
    victims.add("reveal_request_id", looked.json()["id"])
    key = {"name": f"对接{mark[:8]}", "role": "reporter", "scopes": ["me:read"]}
    key["place_id"] = str(town.places[community])
    made = await hands.post("admin-1", "/v1/api-keys", key)
    victims.add("key_id", made.json()["key_id"])
    export = await hands.post(filer, "/v1/me/exports")
    victims.add("export_id", export.json()["id"])
    used, unused = await hands.upload(filer), await hands.upload(filer)
    await hands.move(filer, orders[0], "supplement", text=f"照片{mark}", attachment_ids=[used])
    for photo in (used, unused):
        victims.add("attachment_id", photo)
    for order in orders:
        victims.add("order_id", order["id"])
        victims.secrets.add(order["number"])
    victims.add("place_id", town.places[community])
    victims.secrets = {mark, private["contact_phone"], *(id for ids in victims.ids.values() for id in ids)}
    victims.secrets -= {str(town.places[community])}
    return victims


async def publishes(town: Town) -> str:
    """Let a town publish its numbers, of as few as may be; returns its code."""
    async with town.database.writing() as db:
        changed = update(tenants).where(tenants.c.id == town.tenant_id)
        await db.execute(changed.values(publishes_from=5, publishes_because="会议纪要"))
        return str(await db.scalar(select(tenants.c.code).where(tenants.c.id == town.tenant_id)))


async def rows(database: Database, tenant_id: int) -> dict[str, list[str]]:
    """Everything a tenant has."""
    told = {}
    async with database.reading() as db:
        for table in metadata.sorted_tables:
            if "tenant_id" in table.c:
                found_ = await db.execute(select(table).where(table.c.tenant_id == tenant_id))
                told[table.name] = sorted(repr(tuple(row)) for row in found_)
    return told


async def tries(
    client: httpx.AsyncClient, operation: Operation, headers: dict[str, str], victims: Victims
) -> list[httpx.Response]:
    """Call an operation with each id that fits its path, its query or its body."""
    every = [id for ids in victims.ids.values() for id in ids]
    wanted = next((victims.ids.get(name, []) for name in operation.ids), None)
    own = wanted if wanted is not None else every[:1] if operation.body(every[0]) is None else every
    answers = []
    # Reading tries every one; an act that is refused on one is refused on its like.
    for id in (own or every[:1])[: None if operation.method == "get" else 4 if not operation.ids else 1]:
        path = operation.path
        for name in operation.ids:
            path = path.replace(f"{{{name}}}", "phone" if name == "purpose" else id)
        params: dict[str, Any] = dict.fromkeys(operation.queried, id)
        if operation.name == "get_statistics":
            params["tenant"] = victims.tenant
        answers.append(
            await client.request(
                operation.method.upper(),
                path,
                params=params,
                json=operation.body(id),
                headers={**headers, "Idempotency-Key": uuid4().hex},
            )
        )
    return answers


def said(answer: httpx.Response) -> str:
    """What an answer says, without the id that the attacker brought himself (a problem repeats the path)."""
    asked = f"{answer.request.url} {(answer.request.content or b'').decode()}"
    text = answer.text
    for part in set(asked.replace("/", " ").replace('"', " ").replace("=", " ").replace("&", " ").split()):
        if len(part) in (12, 36):
            text = text.replace(part, "")
    return text


async def test_nothing_of_others_is_told_or_touched_whatever_is_tried(attacked: tuple[str, Database]):
    base, database = attacked
    key = Settings().session_key.get_secret_value()
    ours, theirs = await found(database, key, present=True), await found(database, key, present=True)
    tenant_mark, community_mark = uuid4().hex, uuid4().hex
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        abroad = await lives(client, theirs, "community-1", tenant_mark)
        nearby = await lives(client, ours, "community-3", community_mark)
        await timers.publish(database, now() + timedelta(days=40))
        attackers = sorted(login for login in ours.people if community_mark not in login)
        before = await rows(database, theirs.tenant_id)
        slots = asyncio.Semaphore(4)
        statuses: Counter[int] = Counter()

        async def attack(login: str, operation: Operation, victims: Victims, *, foreign: bool) -> list[str]:
            """What leaked."""
            leaks = []
            async with slots:
                answers = await tries(client, operation, ours[login].headers, victims)
            for answer in answers:
                statuses[answer.status_code] += 1
                where = (
                    login,
                    operation.name,
                    str(answer.request.url),
                    answer.status_code,
                    answer.text[:400],
                )
                assert answer.status_code < 500, where
                leaks += [f"{where}: {secret}" for secret in victims.secrets if secret in said(answer)]
                if answer.headers.get("content-type", "").startswith("image/"):
                    leaks.append(f"{where}: a photo")
                if foreign and any(name.endswith("_id") for name in operation.ids):
                    assert answer.status_code in (401, 403, 404, 422), where
            return leaks

        async def all_of(
            logins: list[str], victims: Victims, tried: list[Operation], *, foreign: bool
        ) -> list[str]:
            told = await asyncio.gather(
                *(attack(login, op, victims, foreign=foreign) for login in logins for op in tried)
            )
            return [leak for leaks in told for leak in leaks]

        work = [op for op in operations() if op.name not in NOT_TRIED]
        assert len(work) > 50
        assert await all_of(attackers, abroad, work, foreign=True) == []
        assert await rows(database, theirs.tenant_id) == before
        strangers = [login for login in attackers if login not in SEES_COMMUNITY_3]
        with_ids = [op for op in work if op.ids or op.queried]
        assert await all_of(strangers, nearby, with_ids, foreign=False) == []
        # The same tries by one who looks after that community do find it: the net has no hole of its own.
        reads = [op for op in with_ids if op.method == "get"]
        assert await all_of(["street-2"], nearby, reads, foreign=False)
        assert statuses.total() > 1000
        assert statuses[404] > 200
        assert statuses[422] < statuses.total() / 2, statuses  # the bodies fit, the ids are what is refused
        hands = Hands(client, ours)
        for order_id in nearby.ids["order_id"]:
            owner = next(login for login in ours.people if login == f"resident-of-{community_mark}")
            seen = (await hands.get(owner, f"/v1/orders/{order_id}/timeline")).json()["items"]
            assert all(community_mark in step["who"]["name"] for step in seen), seen
