"""Plays the demonstration's stories through the real verbs, at the instants at which they happened."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch import clock
from dispatch.demo import cast
from dispatch.demo.stories import Act, Story, stories
from dispatch.dispatching.actions import drafting, handing_out, taking
from dispatch.domain.order import Move
from dispatch.domain.people import BODY_ROLES, Actor
from dispatch.orders.actions import asking, community, intake, merging
from dispatch.orders.actions.performing import Call, Done
from dispatch.people import queries as people
from dispatch.ratings import actions as ratings

LATEST = timedelta(minutes=2)
"""Nothing in the stories happened later than this before the seed's instant."""

OWN_VERBS: Mapping[str, Any] = {
    "accept": community.accept,
    "resolve": community.resolve,
    "deliberate": community.deliberate,
    "dispatch": handing_out.dispatch,
    "release": handing_out.release,
    "staff": handing_out.staff,
    "take": taking.take,
    "cancel": merging.cancel,
    "rate": ratings.rate,
    "redo": ratings.redo,
}
"""Moves with a verb of their own."""

SERVED = frozenset({"contact", "start", "progress", "finish"})


async def seed_orders(
    db: AsyncConnection,
    tenant_id: int,
    accounts: Mapping[str, UUID],
    bodies: Mapping[str, UUID],
    places: Mapping[str, UUID],
    *,
    at: datetime,
) -> None:
    """Some 200 orders in every state over the 60 days before ``at``."""
    stage = _Stage(db, tenant_id, accounts, bodies, places, at)
    for story in stories():
        await stage.play(story)


async def actor_of(db: AsyncConnection, tenant_id: int, account_id: UUID) -> Actor:
    """An account under its one grant."""
    person = await people.person(db, tenant_id, account_id)
    assert person is not None
    return Actor(
        person.account_id, person.name, person.tenant, person.grants, person.grants[0], person.version
    )


class _Stage:
    """Who is there, and what time it is not to become. State: actors read once, each under their one grant."""

    def __init__(
        self,
        db: AsyncConnection,
        tenant_id: int,
        accounts: Mapping[str, UUID],
        bodies: Mapping[str, UUID],
        places: Mapping[str, UUID],
        at: datetime,
    ) -> None:
        self.db, self.tenant_id, self.at = db, tenant_id, at
        self.accounts, self.bodies, self.places = accounts, bodies, places
        self._actors: dict[str, Actor] = {}

    async def play(self, story: Story) -> None:
        """One order from its filing to where it stands now."""
        now = clock.whole(self.at - max(story.age, LATEST))
        told = {**story.data, "place_id": self.places[story.place]} if story.place else story.data
        filed = await intake.submit(self.db, await self.actor(story.filer), told, Call(), at=now)
        if story.twin:
            await self._merge_twin(story, told, filed.order_id, at=now)
        request_id: UUID | None = None
        for act in story.acts:
            now = clock.whole(min(now + timedelta(hours=act.after), self.at - LATEST))
            done = await self._act(act, filed.order_id, request_id, at=now)
            if act.move == "request" and done.outcome:
                request_id = UUID(done.outcome["request_id"])

    async def _merge_twin(
        self, story: Story, told: Mapping[str, Any], parent_id: UUID, *, at: datetime
    ) -> None:
        assert story.twin
        data = {name: value for name, value in told.items() if name not in ("on_behalf_of", "contact_phone")}
        double = await intake.submit(self.db, await self.actor(story.twin), data, Call(), at=at)
        dispatcher = await self.actor(next(act.who for act in story.acts if act.who.startswith("dispatcher")))
        merged = {"parent_id": parent_id}
        await merging.merge(self.db, dispatcher, double.order_id, merged, Call(), at=at)

    async def _act(self, act: Act, order_id: UUID, request_id: UUID | None, *, at: datetime) -> Done:
        actor, data, call = await self.actor(act.who), self._resolved(act, at), Call()
        if act.move == "request":
            return await asking.ask(self.db, actor, order_id, data, call, at=at)
        if act.move == "approve":
            assert request_id is not None
            return await asking.approve(self.db, actor, request_id, data, call, at=at)
        if act.move in OWN_VERBS:
            done: Done = await OWN_VERBS[act.move](self.db, actor, order_id, data, call, at=at)
            return done
        walk = drafting.served if act.move in SERVED else community.simple
        return await walk(self.db, actor, order_id, Move(act.move), data, call, at=at)

    def _resolved(self, act: Act, at: datetime) -> dict[str, Any]:
        """The script's words with ids in place of logins, and dates in place of spans."""
        data = {name: value for name, value in act.data.items() if value is not None}
        if "targets" in data:
            data["targets"] = [self._target(login) for login in data["targets"]]
        if "members" in data:
            data["member_ids"] = [self.accounts[login] for login in data.pop("members")]
        if "bodies" in data:
            data["bodies"] = [{"kind": _KINDS[code], "id": self.bodies[code]} for code in data["bodies"]]
        if isinstance(data.get("until"), timedelta):
            data["until"] = (self.at.astimezone(ZoneInfo("Asia/Shanghai")) + data["until"]).date()
        return data

    def _target(self, login: str) -> dict[str, Any]:
        part = _PARTS[login]
        if part.body:
            return {"kind": BODY_ROLES[part.role], "id": self.bodies[part.body]}
        return {"kind": "member", "id": self.accounts[login]}

    async def actor(self, login: str) -> Actor:
        """The account under its one grant."""
        if login not in self._actors:
            self._actors[login] = await actor_of(self.db, self.tenant_id, self.accounts[login])
        return self._actors[login]


_KINDS = {code: kind for code, kind, _, _ in cast.BODIES}
_PARTS = {part.login: part for part in cast.PARTS}
