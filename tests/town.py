"""A small district of its own for every test: tenants are the isolation, so nothing is ever truncated."""

import itertools
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import insert, update

from dispatch import clock
from dispatch.catalog.actions import load_defaults
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.tenants import tenants
from dispatch.domain.people import Role
from dispatch.people.identity import Claims, write_token
from dispatch.people.tables import accounts, bodies, body_people, grants, members
from dispatch.places.tables import places

T0 = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
"""When a town is founded: 09:30 in Shanghai, a Sunday."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """An account with one grant, and its token."""

    id: UUID
    login: str
    name: str
    role: Role
    grant_id: UUID
    token: str
    body_id: UUID | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Town:
    """One district: 2 streets, 3 communities, 4 grids, and whoever was asked for."""

    tenant_id: int
    database: Database
    key: str
    made: datetime = T0
    places: dict[str, UUID] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    bodies: dict[str, UUID] = field(default_factory=dict)

    def __getitem__(self, login: str) -> Person:
        return self.people[login]

    async def place(self, name: str, kind: str, parent: str | None) -> UUID:
        """Add a place by direct insert."""
        id = new_id()
        path = f"{self.paths[parent] if parent else '/'}{id.hex}/"
        chain = {}
        for key in ("street", "community", "grid"):
            chain[f"{key}_id"] = self._nearest(parent, key)
        if kind in ("street", "community", "grid"):
            chain[f"{kind}_id"] = id
        row = {
            "tenant_id": self.tenant_id,
            "id": id,
            "parent_id": self.places.get(parent) if parent else None,
            "kind": kind,
            "code": name,
            "name": name,
            "path": path,
            "depth": path.count("/") - 1,
            **chain,
        }
        async with self.database.writing() as db:
            await db.execute(insert(places).values(row))
        self.places[name], self.paths[name] = id, path
        self._chains[name] = chain
        return id

    _chains: dict[str, dict[str, UUID | None]] = field(default_factory=dict)

    def _nearest(self, name: str | None, kind: str) -> UUID | None:
        return self._chains[name].get(f"{kind}_id") if name else None

    async def body(self, name: str, kind: str, place: str) -> UUID:
        id = new_id()
        async with self.database.writing() as db:
            await db.execute(
                insert(bodies).values(
                    tenant_id=self.tenant_id,
                    id=id,
                    kind=kind,
                    code=name,
                    name=name,
                    place_id=self.places[place],
                )
            )
        self.bodies[name] = id
        return id

    async def person(
        self,
        login: str,
        role: Role,
        place: str | None = None,
        *,
        body: str | None = None,
        of: str | None = None,
    ) -> Person:
        """An account with one grant at a place or for a body; ``of`` also puts it among a body's people."""
        id, grant_id = new_id(), new_id()
        home = self.places[place or "community-1"]
        body_id = self.bodies[body] if body else None
        async with self.database.writing() as db:
            await db.execute(
                insert(accounts).values(
                    tenant_id=self.tenant_id,
                    id=id,
                    login=login,
                    name=login,
                    home_place_id=home,
                    grants_version=1,
                    created_at=T0 - timedelta(days=30),
                )
            )
            await db.execute(
                insert(grants).values(
                    tenant_id=self.tenant_id,
                    id=grant_id,
                    account_id=id,
                    role=role.value,
                    place_id=None if body else home,
                    body_id=body_id,
                    valid_from=T0 - timedelta(days=30),
                )
            )
            if role is Role.MEMBER:
                await db.execute(
                    insert(members).values(
                        tenant_id=self.tenant_id,
                        account_id=id,
                        community_id=home,
                        state="active",
                        items=[],
                        skills=[],
                        free_times=[],
                        checked_in_at=T0 - timedelta(days=30),
                    )
                )
            if of:
                await db.execute(
                    insert(body_people).values(
                        tenant_id=self.tenant_id, body_id=self.bodies[of], account_id=id
                    )
                )
        person = Person(id, login, login, role, grant_id, self.token(id, 1), body_id)
        self.people[login] = person
        return person

    async def crowd(self, count: int) -> list[str]:
        """Many members of community-1, in one transaction."""
        home, made = self.places["community-1"], T0 - timedelta(days=30)
        logins, rows = [f"crowd-{n}" for n in range(count)], []
        for login in logins:
            person = Person(new_id(), login, login, Role.MEMBER, new_id(), "")
            rows.append(person)
            self.people[login] = replace(person, token=self.token(person.id, 1))
        tenant = {"tenant_id": self.tenant_id}
        async with self.database.writing() as db:
            await db.execute(
                insert(accounts),
                [
                    {
                        **tenant,
                        "id": p.id,
                        "login": p.login,
                        "name": p.name,
                        "home_place_id": home,
                        "created_at": made,
                    }
                    for p in rows
                ],
            )
            await db.execute(
                insert(grants),
                [
                    {
                        **tenant,
                        "id": p.grant_id,
                        "account_id": p.id,
                        "role": p.role.value,
                        "place_id": home,
                        "valid_from": made,
                    }
                    for p in rows
                ],
            )
            await db.execute(
                insert(members),
                [
                    {
                        **tenant,
                        "account_id": p.id,
                        "community_id": home,
                        "state": "active",
                        "checked_in_at": made,
                    }
                    for p in rows
                ],
            )
        return logins

    def token(self, account_id: UUID, version: int) -> str:
        made = self.made - timedelta(minutes=1)
        claims = Claims(account_id, self.tenant_id, uuid4(), version, made, made + timedelta(days=365))
        return write_token(claims, self.key)

    async def member_state(self, login: str, state: str) -> None:
        async with self.database.writing() as db:
            await db.execute(
                update(members)
                .where(members.c.tenant_id == self.tenant_id, members.c.account_id == self.people[login].id)
                .values(state=state)
            )

    async def rows(self, statement: Any) -> list[Any]:
        """Run a select of the test's own."""
        async with self.database.reading() as db:
            return list((await db.execute(statement)).all())


async def found(database: Database, key: str, *, present: bool = False) -> Town:
    """A fresh tenant with its district, catalogue and the usual people; ``present``: with tokens good by the real clock."""
    tenant_id = os.getpid() % 100_000 * 10_000 + next(_numbers)
    async with database.writing() as db:
        await db.execute(
            insert(tenants).values(
                id=tenant_id, code=f"t{tenant_id}", name="试验区", zone="Asia/Shanghai", labels={}
            )
        )
        await load_defaults(db, tenant_id)
    town = Town(tenant_id, database, key, made=clock.now() if present else T0)
    for name, kind, parent in (
        ("district", "district", None),
        ("street-1", "street", "district"),
        ("street-2", "street", "district"),
        ("community-1", "community", "street-1"),
        ("community-2", "community", "street-1"),
        ("community-3", "community", "street-2"),
        ("grid-11", "grid", "community-1"),
        ("grid-12", "grid", "community-1"),
        ("grid-21", "grid", "community-2"),
        ("grid-31", "grid", "community-3"),
    ):
        await town.place(name, kind, parent)
    await town.body("unit-1", "unit", "community-1")
    await town.body("team-1", "team", "community-1")
    await town.body("provider-1", "provider", "community-1")
    await town.body("department-1", "department", "district")
    for login, role, place in (
        ("resident-1", Role.RESIDENT, "community-1"),
        ("resident-2", Role.RESIDENT, "community-1"),
        ("resident-3", Role.RESIDENT, "community-2"),
        ("grid-1", Role.GRID_WORKER, "grid-11"),
        ("dispatcher-1", Role.DISPATCHER, "community-1"),
        ("dispatcher-2", Role.DISPATCHER, "community-2"),
        ("secretary-1", Role.COMMUNITY_SECRETARY, "community-1"),
        ("street-1", Role.STREET, "street-1"),
        ("street-2", Role.STREET, "street-2"),
        ("district-1", Role.DISTRICT, "district"),
        ("member-1", Role.MEMBER, "community-1"),
        ("member-2", Role.MEMBER, "community-1"),
        ("member-3", Role.MEMBER, "community-1"),
        ("member-21", Role.MEMBER, "community-2"),
        ("supervisor-1", Role.SUPERVISOR, "street-1"),
        ("reporter-1", Role.REPORTER, "district"),
        ("admin-1", Role.ADMIN, "district"),
    ):
        await town.person(login, role, place)
    for login, role, body in (
        ("unit-1", Role.UNIT_ADMIN, "unit-1"),
        ("team-1", Role.TEAM_LEAD, "team-1"),
        ("provider-1", Role.PROVIDER, "provider-1"),
        ("department-1", Role.DEPARTMENT, "department-1"),
    ):
        await town.person(login, role, body=body)
    return town


class Clock:
    """The test's time: the application asks it instead of the system."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **parts: float) -> datetime:
        """Let time pass: ``clock.pass_(days=3)``."""
        self.now += timedelta(**parts)
        return self.now


class Hands:
    """Acts over HTTP as somebody, the way a client does."""

    def __init__(self, client: httpx.AsyncClient, town: Town) -> None:
        self.client, self.town = client, town

    async def post(self, login: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {
            **self.town[login].headers,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.client.post(path, json={} if body is None else body, headers=sent)

    async def get(self, login: str, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params, headers=self.town[login].headers)

    async def file(self, login: str = "resident-1", **fields: Any) -> dict[str, Any]:
        """File an order and return it."""
        body = {"item_code": "0102", "text": "李奶奶要去医院复查，请帮忙找人陪同。", **fields}
        answer = await self.post(login, "/v1/orders", body, Idempotency_Key=uuid4().hex)
        assert answer.status_code == 201, answer.text
        order: dict[str, Any] = answer.json()
        return order

    async def move(self, login: str, order: dict[str, Any] | str, move: str, **body: Any) -> dict[str, Any]:
        """Make a move that must succeed, and return the order."""
        answer = await self.try_(login, order, move, **body)
        assert answer.status_code == 200, f"{move} by {login}: {answer.text}"
        told: dict[str, Any] = answer.json()
        return told

    async def try_(self, login: str, order: dict[str, Any] | str, move: str, **body: Any) -> httpx.Response:
        order_id = order if isinstance(order, str) else order["id"]
        return await self.post(login, f"/v1/orders/{order_id}/{move}", body)

    async def accepted(self, login: str = "resident-1", **fields: Any) -> dict[str, Any]:
        order = await self.file(login, **fields)
        return await self.move("dispatcher-1", order, "accept")

    async def open_(
        self, login: str = "resident-1", slots_min: int = 1, slots_max: int = 1, **more: Any
    ) -> dict[str, Any]:
        order = await self.accepted(login)
        return await self.move(
            "dispatcher-1", order, "dispatch", mode="open", slots_min=slots_min, slots_max=slots_max, **more
        )

    async def taken(self, taker: str = "member-1", **more: Any) -> dict[str, Any]:
        order = await self.open_(**more)
        answer = await self.move(taker, order, "take")
        taken: dict[str, Any] = answer["order"]
        return taken

    async def done(self, taker: str = "member-1", **more: Any) -> dict[str, Any]:
        order = await self.taken(taker, **more)
        return await self.move(taker, order, "finish", result="已陪同复查并送回家。", closing="solved")
