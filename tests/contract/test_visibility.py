"""Every way to read, for every role, against one oracle that knows what happened and nothing of SQL (peers' law 127)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.wiring import REACTIONS
from tests.town import Clock, Hands

ABOVE = {
    "district": ("district",),
    "community-1": ("district", "street-1", "community-1"),
    "community-2": ("district", "street-1", "community-2"),
    "grid-11": ("district", "street-1", "community-1", "grid-11"),
}
SCOPE = {
    "grid-1": "grid-11",
    "grid-secretary-1": "grid-11",
    "dispatcher-1": "community-1",
    "dispatcher-2": "community-2",
    "secretary-1": "community-1",
    "street-1": "street-1",
    "street-2": "street-2",
    "district-1": "district",
    "supervisor-1": "street-1",
}
"""Who looks after which place."""
KIND = {
    **dict.fromkeys(("member-1", "member-2", "member-3"), ("member", "community-1")),
    "member-21": ("member", "community-2"),
    "unit-1": ("unit", "community-1"),
    "team-1": ("team", "community-1"),
    "provider-1": ("provider", "community-1"),
    "department-1": ("department", "district"),
    **{login: ("staff", place) for login, place in SCOPE.items() if login != "supervisor-1"},
}
"""Who may take as what, and where he belongs."""
NOBODY = ("reporter-1", "admin-1", "worker-1", "resident-4")
"""Who has no business of their own beyond what is named below."""
LOGINS = sorted({*SCOPE, *KIND, *NOBODY, "resident-1", "resident-2", "resident-3", "agent-1"})
KNOWS = {"dispatcher-1", "dispatcher-2", "secretary-1"}


@dataclass
class Known:
    """What the test did with one order."""

    id: str
    nth: int
    filer: str
    place: str
    state: str = "submitted"
    beneficiary: str | None = None
    open_to: tuple[str, ...] = ()
    asked: set[str] = field(default_factory=set)
    takers: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    warm: bool = True
    about: bool = False
    by_office: bool = False
    photo: str = ""

    @property
    def phone(self) -> str:
        return f"1380000{self.nth:04d}"

    @property
    def address(self) -> str:
        return f"暗号{self.nth}栋501"

    @property
    def live(self) -> bool:
        return self.state not in ("closed", "cancelled", "rejected", "merged")


def own(login: str, order: Known) -> bool:
    return login in (order.filer, order.beneficiary)


def looks_after(login: str, order: Known) -> bool:
    return SCOPE.get(login) in ABOVE[order.place]


def in_pool(login: str, order: Known) -> bool:
    kind, home = KIND.get(login, ("", ""))
    return kind in order.open_to and "community-1" in ABOVE.get(home, ())


def may_take(login: str, order: Known) -> bool:
    """The pool lists what its reader can take: not what he is on already."""
    return in_pool(login, order) and login not in order.takers


def sees(login: str, order: Known) -> bool:
    """The oracle."""
    served = login in order.takers | order.asked | order.called
    return own(login, order) or looks_after(login, order) or served or in_pool(login, order)


def contact(login: str, order: Known) -> str:
    """``full``, ``masked`` or ``nothing`` of phone, name and address."""
    if own(login, order):
        return "full" if order.live or not order.by_office else "masked"
    if looks_after(login, order) and login in KNOWS:
        return "full"
    if order.about:
        return "nothing"
    if login in order.takers and order.warm:
        return "full"
    return "masked" if looks_after(login, order) else "nothing"


def files(login: str, order: Known) -> bool:
    """Nothing in a photo can be masked: who sees the person masked sees it whole, unless it is his past office."""
    level = contact(login, order)
    return level == "full" or (level == "masked" and not own(login, order))


@dataclass
class World:
    hands: Hands
    clock: Clock
    orders: dict[str, Known] = field(default_factory=dict)

    async def file(
        self, name: str, filer: str = "resident-1", place: str = "community-1", **more: Any
    ) -> Known:
        known = Known("", len(self.orders) + 1, filer, place)
        fields = {
            "place_id": str(self.hands.town.places[place]),
            "contact_phone": known.phone,
            "address": known.address,
            "text": f"第{known.nth}件事，请打{known.phone}，身份证11010519491231002X。",
        }
        known.photo = await self.hands.upload(filer)
        fields["attachment_ids"] = [known.photo]
        known.id = (await self.hands.file(filer, **(fields | more)))["id"]
        known.beneficiary = None if "on_behalf_of" in more else filer
        self.orders[name] = known
        return known

    async def accepted(self, name: str, *args: Any, **more: Any) -> Known:
        known = await self.file(name, *args, **more)
        await self.hands.move("dispatcher-1", known.id, "accept")
        known.state = "accepted"
        return known

    async def open_(self, name: str, kinds: tuple[str, ...], *args: Any, **more: Any) -> Known:
        known = await self.accepted(name, *args, **more)
        await self.hands.move("dispatcher-1", known.id, "dispatch", mode="open", kinds=list(kinds))
        known.state, known.open_to = "open", kinds
        return known

    async def taken(self, name: str, login: str, *args: Any, **more: Any) -> Known:
        known = await self.open_(name, (KIND[login][0],), *args, **more)
        await self.hands.move(login, known.id, "take")
        known.state, known.open_to = "taken", ()
        known.takers.add(login)
        return known

    async def named(self, name: str, mode: str, login: str, kind: str, id: Any) -> Known:
        known = await self.accepted(name, "resident-2")
        await self.hands.move(
            "dispatcher-1", known.id, "dispatch", mode=mode, targets=[{"kind": kind, "id": str(id)}]
        )
        known.state = "offered"
        known.asked.add(login)
        return known


async def happened(hands: Hands, clock: Clock) -> World:
    """An order in every relation that opens one."""
    town, world = hands.town, World(hands, clock)
    await town.person("agent-1", Role.AGENT, "community-1")
    await town.person("grid-secretary-1", Role.GRID_SECRETARY, "grid-11")
    await town.person("resident-4", Role.RESIDENT, "community-1")
    await town.person("worker-1", Role.RESIDENT, "community-1", of="unit-1")
    for name, login in (("cold", "member-1"), ("hidden", "member-3")):
        known = await world.taken(name, login, hide_name=name == "hidden")
        await hands.move(login, known.id, "finish", result="办好了。", closing="solved")
        await hands.move("resident-1", known.id, "rate", score=5, solved=True, contacted=True)
        known.state, known.warm = "closed", False
    behalf = {"relation": "邻居", "consent": {"how": "oral"}}
    await world.file("agent's", "agent-1", on_behalf_of={"name": "赵暗号", "phone": "13911112222", **behalf})
    over = await world.file("agent's past", "agent-1", on_behalf_of={"name": "钱暗号", **behalf})
    await hands.move("dispatcher-1", over.id, "reject", reason_code="other", text="不属于本社区。")
    over.state = "rejected"
    world.orders["agent's"].by_office = over.by_office = True
    clock.pass_(days=8)
    await world.file("filed")
    await world.file("in a grid", place="grid-11")
    await world.file("elsewhere", "resident-3", "community-2")
    await world.open_("for members", ("member",), "resident-2")
    await world.open_("for bodies", ("team", "unit"), "resident-2", hide_name=True)
    await world.taken("a member's", "member-1")
    about = await world.taken(
        "about somebody",
        "member-2",
        "grid-1",
        "grid-11",
        item_code="0804",
        on_behalf_of={"name": "孙暗号", **behalf},
    )
    about.about = about.by_office = True
    done = await world.taken("a hidden filer's", "member-3", hide_name=True)
    await hands.move("member-3", done.id, "finish", result="办好了，回电13700001111。", closing="solved")
    done.state = "done"
    units = await world.taken("a unit's", "unit-1")
    await hands.move("unit-1", units.id, "staff", member_ids=[str(town["worker-1"].id)])
    units.takers.add("worker-1")
    await world.named("offered", "offer", "member-2", "member", town["member-2"].id)
    await world.named("assigned", "assign", "provider-1", "provider", town.bodies["provider-1"])
    called = await world.accepted("escalated", "resident-2")
    await hands.move("dispatcher-1", called.id, "escalate", level="community", text="请研究。")
    bodies = [{"kind": "department", "id": str(town.bodies["department-1"])}]
    await hands.move("secretary-1", called.id, "deliberate", decision="请部门处理。", bodies=bodies)
    called.state = "escalated"
    called.called.add("department-1")
    taken = world.orders["a member's"]
    asked = {
        "kind": "escalation",
        "reason_code": "other",
        "level": "street",
        "text": "请上级协调。",
    }
    answer = await hands.post("member-1", f"/v1/orders/{taken.id}/requests", asked)
    assert answer.status_code == 201, answer.text
    await relay(town.database, clock.now, REACTIONS)
    clock.pass_(seconds=5)
    return world


async def listed(world: World, login: str, **params: Any) -> set[str]:
    found, cursor = set(), {}
    while True:
        answer = await world.hands.get(login, "/v1/orders", limit=50, **params, **cursor)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        for item in told["items"]:
            if not item.get("deleted"):
                found.add(item["id"])
                order = next(order for order in world.orders.values() if order.id == item["id"])
                knows = contact(login, order) == "full" and login not in order.takers - KNOWS - {order.filer}
                assert (order.phone in item["text"]) == knows, (login, item)
                assert ("11010519491231002X" in item["text"]) == knows
        if told["next_cursor"] is None:
            return found
        cursor = {"cursor": told["next_cursor"]}


def ids(world: World, rule: Callable[[Known], bool]) -> set[str]:
    return {order.id for order in world.orders.values() if rule(order)}


async def all_of_them(world: World, login: str) -> None:
    assert await listed(world, login) == ids(world, lambda o: sees(login, o))


async def the_views(world: World, login: str) -> None:
    assert await listed(world, login, view="mine") == ids(world, lambda o: own(login, o))
    assert await listed(world, login, view="queue") == ids(world, lambda o: looks_after(login, o) and o.live)
    assert await listed(world, login, view="pool") == ids(world, lambda o: may_take(login, o))
    assert await listed(world, login, view="taken") == ids(world, lambda o: login in o.takers)
    assert await listed(world, login, view="unit") == ids(world, lambda o: login in BODIES & o.takers)


async def the_work_of_units(world: World, login: str) -> None:
    """A body's tally is read by who acts for it, and counts what its list shows."""
    for body in BODIES:
        path = f"/v1/units/{world.hands.town.bodies[body]}/work"
        answer = await world.hands.get(login, path)
        assert answer.status_code == (200 if login == body else 404), (login, body)
        if login == body:
            served = ids(world, lambda o, by=body: by in o.takers)
            assert answer.json()["total"]["open"] + answer.json()["total"]["done"] == len(served)


async def what_changed(world: World, login: str) -> None:
    since = (world.clock.now.replace(year=2020)).isoformat()
    assert await listed(world, login, updated_since=since) == ids(world, lambda o: sees(login, o))


async def below_a_place(world: World, login: str) -> None:
    for name in ("district", "street-2", "community-2", "grid-11"):
        found = await listed(world, login, place_id=str(world.hands.town.places[name]))
        assert found == ids(world, lambda o, at=name: sees(login, o) and at in ABOVE[o.place])


async def one_by_one(world: World, login: str) -> None:
    for name, order in world.orders.items():
        answer = await world.hands.get(login, f"/v1/orders/{order.id}")
        assert answer.status_code == (200 if sees(login, order) else 404), (login, name)
        if answer.status_code == 200:
            _no_more_than(contact(login, order), answer, order, (login, name))
            shown = [order.photo] if files(login, order) else []
            assert [file["id"] for file in answer.json()["attachments"]] == shown, (login, name)


async def the_files(world: World, login: str) -> None:
    """A photo is told of and shown exactly where its order shows it; what one may not see is not there."""
    for name, order in world.orders.items():
        expected = 200 if sees(login, order) and files(login, order) else 404
        for path in ("", "/content", "/content?variant=preview"):
            answer = await world.hands.client.get(
                f"/v1/attachments/{order.photo}{path}", headers=world.hands.town[login].headers
            )
            assert answer.status_code == expected, (login, name, path)
            if expected == 404:
                assert answer.json()["code"] == "ATTACHMENT_NOT_FOUND"


def _no_more_than(level: str, answer: Any, order: Known, where: Any) -> None:
    told = answer.json()
    phone = {"full": order.phone, "masked": f"138******{order.phone[-2:]}", "nothing": None}[level]
    assert told["contact_phone"] == phone, where
    assert told["address"] == (order.address if level == "full" else None), where
    if level != "full":
        assert order.phone not in answer.text, where
        assert order.address not in answer.text, where
        assert "11010519491231002X" not in answer.text, where
        for secret in ("赵暗号", "钱暗号", "孙暗号", "13911112222"):
            assert secret not in answer.text, where
    if level == "nothing":
        assert told["filer"]["id"] is None, where
        assert told["filer"]["name"] in ("居民", "匿名居民"), where


async def the_timelines(world: World, login: str) -> None:
    for name, order in world.orders.items():
        answer = await world.hands.get(login, f"/v1/orders/{order.id}/timeline")
        assert answer.status_code == (200 if sees(login, order) else 404), (login, name)
        if answer.status_code == 200:
            shown = [order.photo] if files(login, order) else []
            assert answer.json()["items"][0]["attachment_ids"] == shown, (login, name)
        if answer.status_code == 200 and not own(login, order) and login not in KNOWS:
            assert "13700001111" not in answer.text, (login, name)
            if order.about:
                first = answer.json()["items"][0]["who"]["name"]
                assert first == "匿名居民", (login, name)


async def the_candidates(world: World, login: str) -> None:
    """Who could take an order is read by those who hand it out, and by nobody else who sees it."""
    for name, order in world.orders.items():
        answer = await world.hands.get(login, f"/v1/orders/{order.id}/candidates", limit=1)
        hands_out = looks_after(login, order) and login.split("-")[0] in DISPATCHES
        expected = 404 if not sees(login, order) else 200 if hands_out else 403
        assert answer.status_code == expected, (login, name)


BODIES = {"unit-1", "team-1", "provider-1", "department-1"}
DISPATCHES = ("dispatcher", "secretary", "street", "district")


async def the_requests(world: World, login: str) -> None:
    items = (await world.hands.get(login, "/v1/requests", limit=50)).json()["items"]
    order = world.orders["a member's"]
    told = {item["order"]["id"] for item in items}
    assert told == ({order.id} if login == "member-1" or looks_after(login, order) else set()), login
    for item in items:
        knows = login == "member-1" or login in KNOWS
        assert (item["asked_by"]["name"] == "member-1") == knows, login


async def home_and_badges(world: World, login: str) -> None:
    home = (await world.hands.get(login, "/v1/home")).json()
    for view, rule in (("mine", own), ("queue", looks_after)):
        assert {item["id"] for item in home[view]} <= ids(world, lambda o, r=rule: r(login, o))
    assert {item["id"] for item in home["taken"]} <= ids(world, lambda o: login in o.takers)
    badges = (await world.hands.get(login, "/v1/me/badges")).json()
    assert badges == home["badges"]
    assert badges["to_rate"] == len(ids(world, lambda o: own(login, o) and o.state == "done"))
    assert badges["taken"] == len(
        ids(world, lambda o: login in o.takers and o.state in ("taken", "in_service"))
    )
    pool = len(ids(world, lambda o: may_take(login, o)))
    assert badges["pool"] == (pool if login in KIND else None)
    queue = len(ids(world, lambda o: looks_after(login, o) and o.live))
    assert badges["queue"] == (queue if login in SCOPE else None)


async def the_notices(world: World, login: str) -> None:
    answer = await world.hands.get(login, "/v1/me/notices", limit=50)
    told = {item["order_id"] for item in answer.json()["items"]}
    assert told <= ids(world, lambda o: sees(login, o)), login
    for secret in ("13700001111", "暗号", "11010519491231002X"):
        assert secret not in answer.text, login


_worlds: dict[str, World] = {}

READS: tuple[Callable[[World, str], Awaitable[None]], ...] = (
    all_of_them,
    the_views,
    what_changed,
    below_a_place,
    one_by_one,
    the_files,
    the_timelines,
    the_candidates,
    the_work_of_units,
    the_requests,
    home_and_badges,
    the_notices,
)


@pytest.mark.parametrize("read", READS, ids=lambda read: read.__name__)
async def test_every_role_reads_what_the_oracle_says_and_nothing_else(
    read, hands: Hands, clock: Clock, backend: str
):
    if backend not in _worlds:  # nobody changes it by reading
        _worlds[backend] = await happened(hands, clock)
    world = _worlds[backend]
    clock.now = world.clock.now
    world.hands.client = hands.client
    for login in LOGINS:
        await read(world, login)


async def test_the_oracle_knows_every_role_and_every_way_to_read_orders():
    from dispatch.app import described

    roles = {login.rsplit("-", 1)[0].replace("-", "_") for login in LOGINS}
    spoken = {
        "secretary": "community_secretary",
        "unit": "unit_admin",
        "team": "team_lead",
        "grid": "grid_worker",
    }
    assert {spoken.get(role, role) for role in roles} - {"worker"} == {
        role.value for role in set(Role) - {Role.SYSTEM}
    }
    reads = {path for path, methods in described().openapi()["paths"].items() if "get" in methods}
    walked = {
        *("/v1/orders", "/v1/orders/{order_id}", "/v1/orders/{order_id}/timeline"),
        *("/v1/orders/{order_id}/candidates", "/v1/units/{body_id}/work"),
        *("/v1/attachments/{attachment_id}", "/v1/attachments/{attachment_id}/content"),
        *("/v1/requests", "/v1/home", "/v1/me/badges", "/v1/me/notices"),
    }
    of_no_order = {
        *(
            "/v1/catalog",
            "/v1/demo/accounts",
            "/v1/api-keys",
            "/v1/grants",
            "/v1/healthz",
            "/v1/me",
            "/v1/readyz",
        ),
        *("/v1/places", "/v1/places/{place_id}", "/v1/privacy-policies/current", "/v1/me/consents"),
        *("/v1/me/data-requests", "/v1/me/exports/{export_id}", "/v1/me/exports/{export_id}/file"),
        *("/v1/calendar", "/v1/policies", "/v1/policies/choice"),
        # of members and bodies (test_checkin, test_registering, test_rosters)
        *("/v1/me/checkin", "/v1/me/checkin/views", "/v1/checkins", "/v1/checkins/{checkin_id}"),
        *("/v1/belongings", "/v1/registrations", "/v1/registrations/{registration_id}"),
        # of an order that is read whole first (test_reveal, test_recusal, test_keeping, test_deadlines, test_duplicates)
        *("/v1/orders/{order_id}/views", "/v1/orders/{order_id}/recusals", "/v1/me/disclosures"),
        *("/v1/orders/{order_id}/reveal-requests", "/v1/reveal-requests"),  # test_break_glass
        *("/v1/orders/clusters", "/v1/orders/{order_id}/duplicates", "/v1/orders/{order_id}/deadlines"),
        *(
            "/v1/taking/rules",
            "/v1/drafts",
            "/v1/handovers",
        ),  # the latter two: one's own (test_leases, test_handovers)
        # of no order: a demand's order is told to who published it (test_listings)
        *("/v1/listings", "/v1/listings/{listing_id}", "/v1/listings/{listing_id}/booked"),
        *("/v1/claims", "/v1/claims/counts", "/v1/claims/{claim_id}"),
        "/v1/public/statistics",  # of many orders, or it is not told (test_public_statistics)
        *("/v1/matching/rules", "/v1/matching/waiting"),  # the latter: test_automatic
    }
    assert reads == walked | of_no_order


async def test_an_unknown_order_and_one_of_others_look_the_same(hands: Hands):
    theirs = await hands.file("resident-3")
    for path in ("", "/timeline"):
        there = await hands.get("resident-1", f"/v1/orders/{theirs['id']}{path}")
        nowhere = await hands.get("resident-1", f"/v1/orders/{uuid4()}{path}")
        drop = {"request_id", "instance"}
        assert there.status_code == nowhere.status_code == 404
        told = [{k: v for k, v in answer.json().items() if k not in drop} for answer in (there, nowhere)]
        assert told[0] == told[1]
