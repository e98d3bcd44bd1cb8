"""Clocks over HTTP: who owes what until when, and how it was judged."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from dispatch.orders.tables import orders
from dispatch.sla.tables import deadline_changes
from tests.contract.ledger import assert_books
from tests.town import Clock, Hands

LAMP, MEAL = "0201", "0107"  # 24 h, 24 h, 24 h, 3 d; 4 h, 8 h, 8 h, 2 working days


async def items(hands: Hands, order: dict[str, Any], login: str = "dispatcher-1") -> list[dict[str, Any]]:
    answer = await hands.get(login, f"/v1/orders/{order['id']}/deadlines")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def of(hands: Hands, order: dict[str, Any], clock: str) -> list[dict[str, Any]]:
    return [item for item in await items(hands, order) if item["clock"] == clock]


def at(wire: str) -> datetime:
    return datetime.fromisoformat(wire)


def counted(item: dict[str, Any]) -> float:
    """The counted seconds of a clock's segments, which have no gap."""
    for before, after in zip(item["segments"], item["segments"][1:], strict=False):
        assert before["to"] == after["from"]
    pieces = [(at(s["to"]) - at(s["from"])).total_seconds() for s in item["segments"] if s["counted"]]
    return sum(pieces)


async def ask(hands: Hands, login: str, order: dict[str, Any], kind: str, **more: Any) -> Any:
    body = {"kind": kind, "reason_code": "other", "text": "请批准", **more}
    return await hands.post(login, f"/v1/orders/{order['id']}/requests", body)


async def decide(hands: Hands, login: str, request: Any, verdict: str = "approve", **more: Any) -> Any:
    return await hands.post(login, f"/v1/requests/{request.json()['id']}/{verdict}", more)


async def listed(hands: Hands, overdue: bool) -> set[str]:
    answer = await hands.get("dispatcher-1", "/v1/orders", overdue=overdue)
    return {order["id"] for order in answer.json()["items"]}


async def test_the_clocks_of_the_community_start_with_the_filing(hands: Hands, clock: Clock):
    order = await hands.file(item_code=LAMP)
    accept, dispatch = await items(hands, order)
    assert (accept["clock"], dispatch["clock"]) == ("accept", "dispatch")
    assert accept["owner"] == {
        "kind": "community",
        "id": str(hands.town.places["community-1"]),
        "name": "community-1",
    }
    assert at(accept["due_at"]) == clock.now + timedelta(hours=12)
    assert at(dispatch["due_at"]) == clock.now + timedelta(hours=24)
    assert [line["clock"] for line in order["deadlines"]] == ["accept", "dispatch"]
    summary = (await hands.get("resident-1", "/v1/orders")).json()["items"][0]
    assert summary["next_due_at"] == accept["due_at"]


async def test_now_is_due_is_on_time_and_a_millisecond_later_is_late_everywhere(hands: Hands, clock: Clock):
    for late, verdict in ((timedelta(), "on_time"), (timedelta(milliseconds=1), "late")):
        order = await hands.file(item_code=LAMP)
        clock.now = at(order["deadlines"][0]["due_at"]) + late
        seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
        assert ("overdue" in seen["flags"]) == bool(late)
        assert (order["id"] in await listed(hands, True)) == bool(late)
        assert (order["id"] in await listed(hands, False)) == (not late)
        moved = await hands.move("dispatcher-1", order, "accept")
        assert moved["deadlines"][0]["verdict"] == verdict
        assert "overdue" not in moved["flags"]


async def test_the_lateness_of_what_has_ended_never_grows(hands: Hands, clock: Clock):
    order = await hands.file(item_code=LAMP)
    clock.pass_(hours=13)
    await hands.move("dispatcher-1", order, "accept")
    first = (await of(hands, order, "accept"))[0]
    clock.pass_(days=30)
    assert (await of(hands, order, "accept"))[0] == first
    assert (first["verdict"], counted(first)) == ("late", 13 * 3600)


async def test_a_question_stops_the_clocks_until_it_is_answered(hands: Hands, clock: Clock):
    order = await hands.file(item_code=LAMP)
    clock.pass_(hours=5)
    await hands.move("dispatcher-1", order, "ask", text="几楼？")
    accept, dispatch, answer = await items(hands, order)
    assert (accept["verdict"], dispatch["paused_at"] is None) == ("on_time", False)
    assert (answer["clock"], answer["owner"]["kind"]) == ("answer", "filer")
    clock.pass_(days=2)
    assert (await of(hands, order, "dispatch"))[0]["remaining_seconds"] == 19 * 3600
    await hands.move("resident-1", order, "supplement", text="三楼")
    dispatch = (await of(hands, order, "dispatch"))[0]
    assert at(dispatch["due_at"]) == clock.now + timedelta(hours=19)
    assert [s["reason"] for s in dispatch["segments"]] == ["natural", "pause:need_info", "natural"]
    assert counted(dispatch) == dispatch["limit_seconds"] == 24 * 3600
    first, second = await of(hands, order, "accept")
    assert first["verdict"] == "on_time"
    assert at(second["due_at"]) == clock.now + timedelta(hours=12)
    await assert_books(hands.town)


async def test_time_is_charged_to_whoever_holds_it_as_often_as_they_hold_it(hands: Hands, clock: Clock):
    order = await hands.open_(slots_max=1)
    due = None
    for login in ("member-1", "member-2", "member-1"):
        order = (await hands.move(login, order, "take"))["order"]
        clock.pass_(hours=1)
        order = await hands.move(login, order, "release", reason_code="other")
        clock.pass_(minutes=30)
        due = due or (await of(hands, order, "finish"))[0]["due_at"]
    finish = await of(hands, order, "finish")
    assert [item["owner"]["kind"] for item in finish] == ["member", "community"] * 3
    one, two = str(hands.town["member-1"].id), str(hands.town["member-2"].id)
    assert [item["owner"]["id"] for item in finish[::2]] == [one, two, one]
    charged = [(at(i["stopped_at"]) - at(i["owned_from"])).total_seconds() for i in finish[::2]]
    assert charged == [3600, 3600, 3600]
    assert {item["due_at"] for item in finish} == {due}
    assert [item["reason"] for item in finish[:-1]] == ["handed_over"] * 5
    await assert_books(hands.town)


async def test_what_comes_back_has_the_time_that_was_left(hands: Hands, clock: Clock):
    order = await hands.file(item_code=LAMP)
    clock.pass_(hours=6)
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    clock.pass_(hours=40)
    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    first, again = await of(hands, order, "dispatch")
    assert first["verdict"] == "on_time"
    assert at(again["due_at"]) == clock.now + timedelta(hours=18)
    assert [s["reason"] for s in again["segments"]] == ["natural", "pause:handed_out", "natural"]
    clock.pass_(hours=17)
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    assert at((await of(hands, order, "dispatch"))[2]["due_at"]) == clock.now + timedelta(
        hours=6
    )  # a quarter
    await assert_books(hands.town)


async def test_a_pause_moves_the_deadline_by_its_own_time_and_hides_nothing(hands: Hands, clock: Clock):
    order = await hands.file(item_code=MEAL)
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    before = (await of(hands, order, "finish"))[0]
    clock.pass_(hours=9)
    assert (
        "overdue" in (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["flags"]
    )  # contact
    asked = await ask(hands, "member-1", order, "park", until="2026-12-30")
    assert (await decide(hands, "street-1", asked)).status_code == 200
    clock.pass_(days=30)
    parked = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert parked["state"] == "paused"
    assert "overdue" in parked["flags"]
    assert order["id"] in await listed(hands, True)
    await hands.move("dispatcher-1", order, "resume")
    contact, finish = (await of(hands, order, "contact"))[0], (await of(hands, order, "finish"))[0]
    assert counted(finish) == finish["limit_seconds"] == before["limit_seconds"]
    assert "pause:paused" in [s["reason"] for s in finish["segments"]]
    assert at(finish["due_at"]) > clock.now
    assert at(contact["due_at"]) < clock.now  # it was over before the pause
    monthly = (await hands.get("street-1", "/v1/requests", kind="park", status="approved")).json()["items"]
    assert [line["until"] for line in monthly] == ["2026-12-30"]
    await assert_books(hands.town)


async def test_another_item_is_measured_from_the_original_start_with_pauses_kept(hands: Hands, clock: Clock):
    order = await hands.file(item_code=LAMP)
    start = clock.now
    await hands.move("dispatcher-1", order, "ask", text="几楼？")
    clock.pass_(hours=10)
    await hands.move("resident-1", order, "supplement", text="三楼")
    clock.pass_(hours=1)
    await hands.move("dispatcher-1", order, "accept", item_code="0202")  # U2: 4 h to hand out
    dispatch = (await of(hands, order, "dispatch"))[0]
    assert at(dispatch["due_at"]) == start + timedelta(hours=14)
    assert dispatch["owned_from"] == dispatch["started_at"]
    changes = await hands.town.rows(
        select(deadline_changes).where(
            deadline_changes.c.tenant_id == hands.town.tenant_id, deadline_changes.c.cause == "accept"
        )
    )
    assert [(c.clock, c.old_due_at, c.new_due_at) for c in changes] == [
        ("dispatch", start + timedelta(hours=34), start + timedelta(hours=14))
    ]
    await assert_books(hands.town)


async def test_an_extension_is_asked_before_the_deadline_and_twice_at_most(hands: Hands, clock: Clock):
    order = await hands.open_()
    async with hands.town.database.writing() as db:
        mine = orders.c.tenant_id == hands.town.tenant_id
        await db.execute(update(orders).where(mine).values(item_code=LAMP))
    await hands.move("member-1", order, "take")
    due = at((await of(hands, order, "finish"))[0]["due_at"])
    until = due + timedelta(days=2)

    early = await ask(hands, "member-1", order, "extension", until=(due - timedelta(hours=1)).isoformat())
    assert early.status_code == 422
    assert "until" in str(early.json()["errors"])
    clock.now = due - timedelta(seconds=1)
    asked = await ask(hands, "member-1", order, "extension", until=until.isoformat())
    assert asked.status_code == 201, asked.text
    clock.now = due + timedelta(hours=1)
    assert "overdue" in (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["flags"]
    answers = await asyncio.gather(
        *(decide(hands, login, asked) for login in ("dispatcher-1", "secretary-1", "dispatcher-1"))
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409], [a.text for a in answers]
    finish = (await of(hands, order, "finish"))[0]
    assert at(finish["due_at"]) == until
    contacted = await hands.move("member-1", order, "contact", reached=True)
    assert "overdue" not in contacted["flags"]

    clock.now = until + timedelta(seconds=1)
    late = await ask(hands, "member-1", order, "extension", until=(until + timedelta(days=1)).isoformat())
    assert (late.status_code, late.json()["code"]) == (409, "TOO_LATE")
    clock.now = until - timedelta(seconds=1)
    second = await ask(hands, "member-1", order, "extension", until=(until + timedelta(days=1)).isoformat())
    assert (await decide(hands, "dispatcher-1", second)).json()["code"] == "ROLE_FORBIDDEN"
    assert (await decide(hands, "street-1", second)).status_code == 200
    third = await ask(hands, "member-1", order, "extension", until=(until + timedelta(days=9)).isoformat())
    assert third.json()["code"] == "TOO_LATE"
    clock.now = until + timedelta(hours=5)
    done = await hands.move("member-1", order, "finish", result="好了", closing="solved")
    assert [d["verdict"] for d in done["deadlines"] if d["clock"] == "finish"] == ["on_time"]
    await assert_books(hands.town)


async def test_two_extensions_approved_at_once_move_the_deadline_one_after_the_other(
    hands: Hands, clock: Clock
):
    order = await hands.open_(slots_min=2, slots_max=2)
    async with hands.town.database.writing() as db:
        mine = orders.c.tenant_id == hands.town.tenant_id
        await db.execute(update(orders).where(mine).values(item_code=LAMP))
    for login in ("member-1", "member-2"):
        await hands.move(login, order, "take")
    due = at((await of(hands, order, "finish"))[0]["due_at"])
    asked = [
        await ask(hands, login, order, "extension", until=(due + timedelta(days=days)).isoformat())
        for login, days in (("member-1", 1), ("member-2", 2))
    ]
    answers = await asyncio.gather(*(decide(hands, "street-1", request) for request in asked))
    assert {a.status_code for a in answers} <= {200, 409, 422}, [a.text for a in answers]
    granted = sum(a.status_code == 200 for a in answers)
    changes = select(deadline_changes).where(
        deadline_changes.c.tenant_id == hands.town.tenant_id, deadline_changes.c.cause == "extension"
    )
    assert len(await hands.town.rows(changes)) == granted >= 1


async def test_a_redo_has_less_time_and_the_old_verdict_stands(hands: Hands, clock: Clock):
    order = await hands.file(item_code=LAMP)
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    clock.pass_(days=4)
    await hands.move("member-1", order, "finish", result="好了", closing="solved")
    clock.pass_(days=10)
    again = await hands.move(
        "dispatcher-1", order, "redo", reason_code="other", text="又坏了", same_takers=True
    )
    assert again["state"] == "in_service"
    assert "overdue" not in again["flags"]
    first, second = await of(hands, order, "finish")
    assert (first["verdict"], second["verdict"]) == ("late", None)
    assert at(second["due_at"]) == clock.now + timedelta(days=1.5)
    await hands.move("member-1", order, "finish", result="修好了", closing="solved")
    assert [item["verdict"] for item in await of(hands, order, "finish")] == ["late", "on_time"]
    await assert_books(hands.town)


async def test_merged_and_withdrawn_orders_count_nowhere_and_an_heir_goes_on(hands: Hands, clock: Clock):
    parent, child = await hands.file(item_code=LAMP), await hands.file("resident-2", item_code=LAMP)
    clock.pass_(hours=30)
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    assert {(i["verdict"], i["reason"]) for i in await items(hands, child)} == {("excluded", "merge")}
    await hands.move("dispatcher-1", parent, "accept")
    due = (await of(hands, parent, "dispatch"))[0]["due_at"]
    await hands.move("resident-1", parent, "cancel")
    going = [item for item in await of(hands, child, "dispatch") if item["stopped_at"] is None]
    assert [item["due_at"] for item in going] == [due]
    await hands.move("dispatcher-1", child, "dispatch", mode="open")
    assert sorted(i["verdict"] for i in await of(hands, child, "dispatch")) == ["excluded", "late"]
    await hands.move("resident-2", child, "cancel")
    assert "excluded" in {i["verdict"] for i in await of(hands, child, "take")}
    await assert_books(hands.town)


async def test_a_level_has_a_clock_of_its_own_and_a_decision_may_date_it(hands: Hands, clock: Clock):
    order = await hands.accepted()
    await hands.move("dispatcher-1", order, "escalate", level="community", text="研究")
    await hands.move("dispatcher-1", order, "escalate", level="street", text="研究")
    first, second = await of(hands, order, "level")
    assert (first["owner"]["kind"], first["verdict"]) == ("community", "on_time")
    assert (second["owner"]["name"], second["unit"]) == ("street-1", "wd")
    due = clock.now + timedelta(days=20)
    await hands.move("street-1", order, "deliberate", decision="下月办", due=due.isoformat())
    assert at((await of(hands, order, "level"))[1]["due_at"]) == due
    clock.pass_(days=19)
    await hands.move("street-1", order, "resolve", result="已协调", closing="solved")
    assert [item["verdict"] for item in await of(hands, order, "level")] == ["on_time", "on_time"]
    await assert_books(hands.town)


async def test_an_unhappy_verdict_is_reviewed_within_a_time(hands: Hands, clock: Clock):
    order = await hands.done()
    await hands.move("resident-1", order, "rate", score=1, solved=False, contacted=True)
    review = (await of(hands, order, "review"))[0]
    assert (review["owner"]["kind"], review["unit"]) == ("community", "wd")
    assert [item["verdict"] for item in await of(hands, order, "evaluate")] == ["on_time"]
    await hands.move("dispatcher-1", order, "close", exit="explained")
    assert (await of(hands, order, "review"))[0]["verdict"] == "on_time"
    await assert_books(hands.town)


async def test_the_answer_of_one_assigned_is_his_to_give_in_time(hands: Hands, clock: Clock):
    order = await hands.accepted()
    target = {"kind": "provider", "id": str(hands.town.bodies["provider-1"])}
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=[target])
    take = (await of(hands, order, "take"))[0]
    assert (take["owner"]["kind"], take["owner"]["name"]) == ("provider", "provider-1")


async def test_every_viewer_reads_the_deadlines_and_nobody_else(hands: Hands, clock: Clock):
    order = await hands.taken()
    for login in ("resident-1", "member-1", "dispatcher-1", "supervisor-1"):
        assert await items(hands, order, login)
    strange = await hands.get("resident-3", f"/v1/orders/{order['id']}/deadlines")
    assert (strange.status_code, strange.json()["code"]) == (404, "ORDER_NOT_FOUND")
    to_resident = next(i for i in await items(hands, order, "resident-1") if i["clock"] == "contact")
    assert UUID(to_resident["owner"]["id"]) == hands.town["member-1"].id


async def test_no_deadline_lies_further_ahead_than_a_limit_may(hands: Hands, clock: Clock):
    far = (clock.now + timedelta(days=400)).isoformat()
    filed = await hands.post(
        "resident-1",
        "/v1/orders",
        {"item_code": LAMP, "text": "灯坏了", "wanted_to": far},
        Idempotency_Key="far",
    )
    assert (filed.status_code, "wanted_to" in filed.text) == (422, True)
    order = await hands.taken()
    assert (await ask(hands, "member-1", order, "extension", until=far)).status_code == 422
    await hands.move("dispatcher-1", order, "escalate", level="community", text="研究")
    for due in (far, clock.now.isoformat()):
        assert (
            await hands.try_("secretary-1", order, "deliberate", decision="再议", due=due)
        ).status_code == 422


def _drawn(item: dict[str, Any]) -> str:
    """A clock as the page shows it."""

    def local(wire: str) -> str:
        return f"{at(wire):%m-%d %a %H:%M}"

    head = (
        f"`{item['clock']}` of {item['owner']['name']}, {item['limit_seconds']:.0f} s: from "
        f"{local(item['started_at'])}, due **{local(item['due_at'])}**, {item['remaining_seconds']:.0f} s left."
    )
    lines = [
        f"| {local(s['from'])} | {local(s['to'])} | {'yes' if s['counted'] else ''} | {s['reason']} |"
        for s in item["segments"]
    ]
    return "\n".join([head, "", "| from | to | counts | reason |", "| --- | --- | --- | --- |", *lines])


async def test_the_page_shows_what_the_service_says(hands: Hands, clock: Clock):
    clock.now = datetime.fromisoformat("2026-11-27T10:00+08:00")
    order = await hands.file(item_code=MEAL)
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    clock.now = datetime.fromisoformat("2026-11-30T15:00+08:00")
    asked = await ask(hands, "member-1", order, "park", until="2026-12-20")
    assert (await decide(hands, "street-1", asked)).status_code == 200
    clock.now = datetime.fromisoformat("2026-12-02T09:30+08:00")
    await hands.move("dispatcher-1", order, "resume")
    page = (Path(__file__).parents[2] / "docs" / "clocks.md").read_text(encoding="utf-8")
    drawn = _drawn((await of(hands, order, "finish"))[0])
    assert drawn in page, drawn
