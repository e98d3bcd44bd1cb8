"""A small district of its own for every test: tenants are the isolation, so nothing is ever truncated."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import Table, insert, update

from dispatch import clock
from dispatch.catalog.actions import load_defaults
from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.sealed import private
from dispatch.dispatching.tables import taking_rules
from dispatch.domain.matchrule import QUALIFICATIONS
from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.people.tables import accounts, bodies, body_people, grants, members
from dispatch.people.tokens import Claims, write_token
from dispatch.places.actions import add_tenant
from dispatch.places.tables import places
from dispatch.sla.actions import calendars, firing
from dispatch.wiring import REACTIONS
from tests.pictures import jpeg

MIMES = {
    "photo": "image/jpeg",
    "document": "application/pdf",
    "audio": "audio/mpeg",
    "video": "video/mp4",
}

T0 = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
"""When a town is founded: 09:30 in Shanghai, a Sunday."""


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
    fired: int = 0
    places: dict[str, UUID] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    bodies: dict[str, UUID] = field(default_factory=dict)
    _chains: dict[str, dict[str, UUID | None]] = field(default_factory=dict)
    _unsaved: dict[Table, list[dict[str, Any]]] = field(default_factory=dict)

    def __getitem__(self, login: str) -> Person:
        return self.people[login]

    async def place(self, name: str, kind: str, parent: str | None) -> UUID:
        """Add a place by direct insert."""
        id = self._place(name, kind, parent)
        await self._save()
        return id

    def _place(self, name: str, kind: str, parent: str | None) -> UUID:
        id = new_id()
        path = f"{self.paths[parent] if parent else '/'}{id.hex}/"
        chain = {f"{key}_id": self._nearest(parent, key) for key in ("street", "community", "grid")}
        if f"{kind}_id" in chain:
            chain[f"{kind}_id"] = id
        self._add(
            places,
            id=id,
            parent_id=self.places[parent] if parent else None,
            kind=kind,
            code=name,
            name=name,
            path=path,
            depth=path.count("/") - 1,
            **chain,
        )
        self.places[name], self.paths[name], self._chains[name] = id, path, chain
        return id

    def _nearest(self, name: str | None, kind: str) -> UUID | None:
        return self._chains[name].get(f"{kind}_id") if name else None

    async def body(self, name: str, kind: str, place: str) -> UUID:
        id = self._body(name, kind, place)
        await self._save()
        return id

    def _body(self, name: str, kind: str, place: str) -> UUID:
        id = self.bodies[name] = new_id()
        self._add(bodies, id=id, kind=kind, code=name, name=name, place_id=self.places[place])
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
        person = self._person(login, role, place, body=body)
        if of:
            self._add(body_people, body_id=self.bodies[of], account_id=person.id)
        await self._save()
        return person

    def _person(self, login: str, role: Role, place: str | None = None, *, body: str | None = None) -> Person:
        id, grant_id = new_id(), new_id()
        home, since = self.places[place or "community-1"], self.made - timedelta(days=30)
        body_id = self.bodies[body] if body else None
        self._add(
            accounts,
            id=id,
            login=login,
            name=private(self.tenant_id, login),
            home_place_id=home,
            grants_version=1,
            created_at=since,
        )
        self._add(
            grants,
            id=grant_id,
            account_id=id,
            role=role.value,
            place_id=None if body else home,
            body_id=body_id,
            valid_from=since,
        )
        if role is Role.MEMBER:
            self._add(
                members,
                account_id=id,
                community_id=home,
                state="active",
                items=[],
                skills=QUALIFIED,
                free_times=[],
                checked_in_at=since,
            )
        person = Person(id, login, login, role, grant_id, self.token(id, 1), body_id)
        self.people[login] = person
        return person

    def _add(self, table: Table, **values: Any) -> None:
        self._unsaved.setdefault(table, []).append({"tenant_id": self.tenant_id, **values})

    async def _save(self) -> None:
        """Write what was added since, in one transaction: a commit costs more than all its rows."""
        async with self.database.writing() as db:
            for table, rows in self._unsaved.items():
                await db.execute(insert(table), rows)
        self._unsaved.clear()

    async def crowd(self, count: int) -> list[str]:
        """Many members of community-1, in one transaction."""
        logins = [f"crowd-{n}" for n in range(count)]
        for login in logins:
            self._person(login, Role.MEMBER)
        await self._save()
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
    async with database.writing() as db:
        tenant_id = await add_tenant(db, f"t{uuid4().hex[:16]}", "试验区")
        await load_defaults(db, tenant_id)
        await calendars.load_defaults(db, tenant_id, at=T0)
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
        town._place(name, kind, parent)
    # One taker takes far more in a test than anybody may: the tests of limits set their own.
    town._add(
        taking_rules,
        item_code="*",
        version=1,
        member_limit=1000,
        body_limit=1000,
        cool_after=0,
        updated_at=T0,
    )
    town._body("unit-1", "unit", "community-1")
    town._body("team-1", "team", "community-1")
    town._body("provider-1", "provider", "community-1")
    town._body("department-1", "department", "district")
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
        town._person(login, role, place)
    for login, role, body in (
        ("unit-1", Role.UNIT_ADMIN, "unit-1"),
        ("team-1", Role.TEAM_LEAD, "team-1"),
        ("provider-1", Role.PROVIDER, "provider-1"),
        ("department-1", Role.DEPARTMENT, "department-1"),
    ):
        town._person(login, role, body=body)
    await town._save()
    return town


QUALIFIED = [
    {"code": code, "name": code, "proof": None, "expires_on": None}
    for code in sorted(frozenset().union(*QUALIFICATIONS.values()))
]
"""Members of a town may do whatever an item demands; tests of who may not say so."""


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


async def time_works(town: "Town", at: datetime) -> int:
    """Let the worker do what is due in a town, until nothing is; returns how many timers fired."""
    fired = count = 1
    while fired or count:
        async with town.database.writing() as db:
            fired = await firing.fire(db, town.tenant_id, ZoneInfo("Asia/Shanghai"), at=at, limit=200)
        count = await relay(town.database, at, REACTIONS)
        town.fired += fired
    return town.fired


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

    async def announce(self, login: str, data: bytes, kind: str = "photo", **said: Any) -> httpx.Response:
        """Say that a file will be sent."""
        body = {"client_id": str(uuid4()), "kind": kind, "size": len(data), "mime": MIMES[kind], **said}
        return await self.post(login, "/v1/attachments", body)

    async def send(self, login: str, id: str, data: bytes) -> httpx.Response:
        """Send a file the way ``wx.uploadFile`` does."""
        form = {"file": ("tmp_1.jpg", data, "application/octet-stream")}
        path = f"/v1/attachments/{id}/content"
        return await self.client.post(path, files=form, headers=self.town[login].headers)

    async def upload(self, login: str, data: bytes | None = None, kind: str = "photo") -> str:
        """Send a file that must be taken, and return its id."""
        data = jpeg() if data is None else data
        announced = await self.announce(login, data, kind)
        assert announced.status_code == 201, announced.text
        id: str = announced.json()["id"]
        sent = await self.send(login, id, data)
        assert sent.status_code == 200, sent.text
        assert sent.json()["state"] == "ready"
        return id

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
