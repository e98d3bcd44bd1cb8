"""Notices: whoever is asked, called or pressed hears of it, once."""

from typing import Any

from dispatch.db.engine import Database
from dispatch.domain.people import Role
from dispatch.jobs.relay import relay
from dispatch.wiring import REACTIONS
from tests.town import Clock, Hands

UNHAPPY = {"score": 1, "solved": False, "contacted": True}


class Post:
    """Reads what was told to somebody since one last looked."""

    def __init__(self, hands: Hands, database: Database, clock: Clock) -> None:
        self.hands, self.database, self.clock = hands, database, clock
        self._read: dict[str, int] = {}

    async def __call__(self, login: str) -> list[str]:
        await relay(self.database, self.clock.now, REACTIONS)
        items = (await self.hands.get(login, "/v1/me/notices", limit=50)).json()["items"]
        fresh = [item["event"] for item in items][: len(items) - self._read.get(login, 0)]
        self._read[login] = len(items)
        return fresh


async def offered(hands: Hands, *logins: str, **more: Any) -> dict[str, Any]:
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in logins]
    return await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets, **more)


async def test_who_is_asked_next_hears_of_it_and_who_was_asked_hears_once(
    hands: Hands, database: Database, clock: Clock
):
    told = Post(hands, database, clock)
    order = await offered(hands, "member-1", "member-2", "member-3", slots_min=2)
    assert (await told("member-1"), await told("member-2")) == (["dispatch"], [])
    await hands.move("member-1", order, "decline")
    assert (await told("member-1"), await told("member-2"), await told("member-3")) == ([], ["dispatch"], [])
    await hands.move("member-2", order, "take")
    assert (await told("member-2"), await told("member-3")) == ([], ["dispatch"])


async def test_the_level_an_order_is_brought_to_and_the_bodies_called_hear_of_it(
    hands: Hands, database: Database, clock: Clock
):
    told = Post(hands, database, clock)
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "escalate", level="street", text="提请街道研究")
    assert (await told("street-1"), await told("street-2"), await told("district-1")) == (
        ["escalate"],
        [],
        [],
    )
    bodies = [{"kind": "department", "id": str(hands.town.bodies["department-1"])}]
    await hands.move("street-1", order, "deliberate", decision="请部门到场。", bodies=bodies)
    assert (await told("department-1"), await told("unit-1")) == (["deliberate"], [])


async def test_people_whom_their_unit_put_on_an_order_hear_of_it(
    hands: Hands, database: Database, clock: Clock
):
    told = Post(hands, database, clock)
    person = await hands.town.person("worker-1", Role.MEMBER, "community-1", of="unit-1")
    order = await hands.open_()
    await hands.move("unit-1", order, "take")
    await hands.move("unit-1", order, "staff", member_ids=[str(person.id)])
    assert await told("worker-1") == ["staff"]


async def test_pressure_reaches_the_community_while_nobody_has_taken(
    hands: Hands, database: Database, clock: Clock
):
    told = Post(hands, database, clock)
    order = await hands.accepted()
    await told("dispatcher-1")
    await hands.move("street-1", order, "supervise", text="请尽快派单")
    assert await told("dispatcher-1") == ["supervise"]


async def test_the_street_hears_of_a_second_unhappy_verdict(hands: Hands, database: Database, clock: Clock):
    told = Post(hands, database, clock)
    order = await hands.done()
    rated = await hands.move("resident-1", order, "rate", **UNHAPPY)
    assert "request.asked" in await told("dispatcher-1")
    assert await told("street-1") == []
    await hands.post("dispatcher-1", f"/v1/requests/{rated['requests'][0]['id']}/approve")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "finish", result="又办了一次。", closing="solved")
    await hands.move("resident-1", order, "rate", **UNHAPPY)
    assert await told("street-1") == ["request.asked"]


async def test_who_waits_with_a_merged_order_hears_what_happened_and_not_anothers_words(
    hands: Hands, database: Database, clock: Clock
):
    parent = await hands.file("resident-1", text="楼道灯坏了")
    child = await hands.file("resident-2", text="楼道灯不亮")
    await hands.move("dispatcher-1", parent, "accept")
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    await hands.move("resident-1", parent, "supplement", text="我有暗号病，钥匙在门垫下")
    await hands.move("dispatcher-1", parent, "dispatch", mode="open", kinds=["member"])
    await hands.move("member-1", parent, "take")
    await hands.move("member-1", parent, "finish", result="灯已换好", closing="solved")
    await relay(database, clock.now, REACTIONS)

    async def texts(login: str) -> list[str]:
        items = (await hands.get(login, "/v1/me/notices", limit=50)).json()["items"]
        return [item["text"].partition(" ")[2] for item in items]

    assert "补充了情况。" in await texts("resident-2")
    assert "暗号" not in "".join(await texts("resident-2"))
    assert "补充了情况：我有暗号病，钥匙在门垫下" in await texts("dispatcher-1")
    assert "灯已换好" in "".join(await texts("resident-2"))  # what was done for both is told to both
