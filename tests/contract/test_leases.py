"""A take is kept until a first sign of life; without one, time gives it back. Nothing that was written is lost."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import takes
from dispatch.sla.actions import firing
from dispatch.wiring import REACTIONS
from tests.contract.ledger import assert_books
from tests.contract.test_clock_steps import SHANGHAI, moves, seen
from tests.contract.test_taking_limits import ruled, word
from tests.town import T0, Clock, Hands, time_works

HOUR = 3600
RESULT = "已陪同复查并送回家，老人情况稳定。"


async def leased(
    hands: Hands, seconds: int = 30 * HOUR, taker: str = "member-1", **more: Any
) -> dict[str, Any]:
    """An order of an item whose first contact may wait as long as a take is kept."""
    await ruled(hands, lease_seconds=seconds)
    return await hands.taken(taker, **more)


async def take_states(hands: Hands, order: dict[str, Any]) -> list[str]:
    mine = (takes.c.tenant_id == hands.town.tenant_id, takes.c.order_id == UUID(order["id"]))
    return [r.state for r in await hands.town.rows(select(takes).where(*mine).order_by(takes.c.nth))]


async def test_a_lease_of_thirty_hours_is_shown_and_kept_as_thirty_hours(hands: Hands, clock: Clock):
    order = await leased(hands)
    until = order["takes"][0]["lease_until"]
    assert datetime.fromisoformat(until) == clock.now + timedelta(hours=30)
    clock.pass_(hours=30)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "taken"
    clock.pass_(seconds=1)
    await time_works(hands.town, clock.now)
    assert (await seen(hands, order))["state"] == "open"


async def test_a_lone_lease_that_ended_goes_back_to_the_pool_by_time_alone(hands: Hands, clock: Clock):
    order = await leased(hands)
    clock.pass_(hours=31)
    for _ in range(3):  # each step once, however often the worker looks
        await time_works(hands.town, clock.now)
    assert (await moves(hands, order)).count("release") == 1
    assert await take_states(hands, order) == ["lapsed"]
    line = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"][-1]
    assert (line["who"]["name"], line["text"]) == ("系统", "接单后未按时联系，名额已放回。")
    pool = (await hands.get("member-2", "/v1/orders", view="pool")).json()["items"]
    assert [item["id"] for item in pool] == [order["id"]]
    told = select(notices.c.event, notices.c.text).where(
        notices.c.tenant_id == hands.town.tenant_id, notices.c.account_id == hands.town["member-1"].id
    )
    assert "release" in [row.event for row in await hands.town.rows(told)]
    await assert_books(hands.town)


async def test_before_its_end_the_taker_is_warned_twice(hands: Hands, clock: Clock):
    await leased(hands)
    clock.pass_(hours=29)
    await time_works(hands.town, clock.now)
    told = select(notices.c.event, notices.c.text).where(
        notices.c.tenant_id == hands.town.tenant_id,
        notices.c.account_id == hands.town["member-1"].id,
        notices.c.text.like("%接单将放回%"),
    )
    warned = await hands.town.rows(told.order_by(notices.c.created_at))
    assert [row.event for row in warned] == ["clock.warn_50", "clock.warn_80"]


async def test_any_sign_of_life_keeps_a_take(hands: Hands, clock: Clock):
    await ruled(hands, member_limit=10)
    acts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("contact", {"reached": True}),
        ("contact", {"reached": False}),
        ("progress", {"text": "明天上午去"}),
        ("start", {}),
    )
    orders = []
    for move, body in acts:
        order = await leased(hands)
        told = await hands.move("member-1", order, move, **body)
        assert told["takes"][0]["lease_until"] is None, move
        orders.append(order)
    unit = await leased(hands, taker="unit-1")
    helper = await hands.town.person("helper-1", hands.town["member-1"].role, "community-1", of="unit-1")
    await hands.move("unit-1", unit, "staff", member_ids=[str(helper.id)])
    clock.pass_(hours=31)
    await time_works(hands.town, clock.now)
    for order in (*orders, unit):
        assert await take_states(hands, order) == ["active"]
    await assert_books(hands.town)


async def test_a_lease_is_never_shorter_than_the_time_for_the_first_contact(hands: Hands, clock: Clock):
    order = await leased(hands, seconds=60)
    contact = next(line for line in order["deadlines"] if line["clock"] == "contact")
    assert order["takes"][0]["lease_until"] == contact["due_at"]


async def test_what_was_assigned_and_what_a_tenant_exempts_has_no_lease(hands: Hands):
    order = await hands.accepted()
    unit = [{"kind": "unit", "id": str(hands.town.bodies["unit-1"])}]
    await hands.move("dispatcher-1", order, "dispatch", mode="assign", targets=unit)
    told = await hands.move("unit-1", order, "take")
    assert told["order"]["takes"][0]["lease_until"] is None
    assert (await leased(hands, seconds=0))["takes"][0]["lease_until"] is None


async def test_of_a_team_only_the_silent_one_leaves(hands: Hands, clock: Clock):
    await ruled(hands, lease_seconds=30 * HOUR)
    order = await hands.open_(slots_min=2, slots_max=2)
    for login in ("member-1", "member-2"):
        await hands.move(login, order, "take")
    await hands.move("member-1", order, "contact", reached=True)
    clock.pass_(hours=31)
    await time_works(hands.town, clock.now)
    assert await take_states(hands, order) == ["active", "lapsed"]
    assert (await seen(hands, order))["state"] == "open"
    assert await word(hands, "member-3", order) == "taken"
    await assert_books(hands.town)


async def test_in_an_offer_the_next_is_asked_when_a_lease_ends(hands: Hands, clock: Clock):
    await ruled(hands, lease_seconds=30 * HOUR)
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in ("member-1", "member-2")]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets)
    await hands.move("member-1", order, "take")
    clock.pass_(hours=31)
    await time_works(hands.town, clock.now)
    states = [target["state"] for target in (await seen(hands, order))["dispatches"][0]["targets"]]
    assert states == ["lapsed", "asked"]
    assert await word(hands, "member-1", order) == "not_asked"
    assert await word(hands, "member-2", order) == "taken"
    await assert_books(hands.town)


async def test_who_let_an_order_lapse_waits_before_taking_that_one_again(hands: Hands, clock: Clock):
    await ruled(hands, lease_seconds=30 * HOUR, cool_seconds=2 * HOUR)
    order, other = await hands.taken(), await hands.open_()
    clock.pass_(hours=31)
    await time_works(hands.town, clock.now)
    assert await word(hands, "member-1", order) == "COOLING_DOWN"
    assert await word(hands, "member-1", other) == "taken"
    clock.pass_(hours=2)
    assert await word(hands, "member-1", order) == "taken"


async def lost(hands: Hands, clock: Clock) -> dict[str, Any]:
    """member-1 let an order lapse, and member-2 has taken it since."""
    order = await leased(hands)
    clock.pass_(hours=31)
    await time_works(hands.town, clock.now)
    assert await word(hands, "member-2", order) == "taken"
    return order


async def test_a_late_finish_after_a_lost_lease_keeps_words_and_pictures(hands: Hands, clock: Clock):
    order = await lost(hands, clock)
    picture, others = await hands.upload("member-1"), await hands.upload("member-2")
    body = {"result": RESULT, "closing": "solved", "attachment_ids": [picture, others]}
    refused = await hands.try_("member-1", order, "finish", **body)
    assert (refused.status_code, refused.json()["code"]) == (409, "LEASE_LOST")
    kept = (await hands.get("member-1", "/v1/drafts")).json()["items"]
    assert [(d["id"], d["text"], d["attachment_ids"]) for d in kept] == [
        (refused.json()["draft_id"], RESULT, [picture])
    ]
    assert kept[0]["order"]["number"] == order["number"]
    assert (await seen(hands, order))["state"] == "taken"  # it is the other's, untouched
    for login in ("member-2", "dispatcher-1"):
        assert (await hands.get(login, "/v1/drafts")).json()["items"] == []
    await assert_books(hands.town)


async def test_sent_again_it_stays_one_draft_and_holds_the_newest_words(hands: Hands, clock: Clock):
    order = await lost(hands, clock)
    told = [
        (await hands.try_("member-1", order, "finish", result=text, closing="solved")).json()["draft_id"]
        for text in (RESULT, f"{RESULT}（补充）")
    ]
    assert told[0] == told[1]
    (kept,) = (await hands.get("member-1", "/v1/drafts")).json()["items"]
    assert kept["text"].endswith("（补充）")


async def test_a_draft_is_attached_once_the_order_is_ones_own_again(hands: Hands, clock: Clock):
    order = await lost(hands, clock)
    picture = await hands.upload("member-1")
    sent = await hands.try_(
        "member-1", order, "finish", result=RESULT, closing="solved", attachment_ids=[picture]
    )
    path = f"/v1/drafts/{sent.json()['draft_id']}"
    early = await hands.post("member-1", f"{path}/attach")
    assert early.status_code == 404  # the order is another's, and out of sight
    await hands.move("member-2", order, "release", reason_code="other")
    clock.pass_(days=2)
    await hands.move("member-1", order, "take")
    stranger = await hands.post("member-2", f"{path}/attach")
    assert (stranger.status_code, stranger.json()["code"]) == (404, "DRAFT_NOT_FOUND")
    attached = await hands.post("member-1", f"{path}/attach")
    assert attached.status_code == 200, attached.text
    lines = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert lines[-1]["text"] == f"报告了进展：{RESULT}"
    assert lines[-1]["attachment_ids"] == [picture]
    (kept,) = (await hands.get("member-1", "/v1/drafts")).json()["items"]
    assert kept["attached_at"]
    gone = await hands.client.delete(path, headers=hands.town["member-1"].headers)
    assert gone.status_code == 204
    assert (await hands.get("member-1", "/v1/drafts")).json()["items"] == []
    again = await hands.client.delete(path, headers=hands.town["member-1"].headers)
    assert again.status_code == 404
    await assert_books(hands.town)


async def test_who_never_had_it_or_gave_it_back_reads_what_he_always_read(hands: Hands, clock: Clock):
    order = await leased(hands)
    stranger = await hands.try_("member-21", order, "finish", result=RESULT, closing="solved")
    assert stranger.status_code == 404
    await hands.move("member-1", order, "release", reason_code="other")
    gave = await hands.try_("member-1", order, "finish", result=RESULT, closing="solved")
    assert gave.json()["code"] in ("ROLE_FORBIDDEN", "ORDER_MOVED")
    assert (await hands.get("member-1", "/v1/drafts")).json()["items"] == []


async def longer(hands: Hands, order: dict[str, Any], until: datetime) -> Any:
    return await hands.post(
        "member-1",
        f"/v1/orders/{order['id']}/requests",
        {
            "kind": "extension",
            "clock": "lease",
            "reason_code": "other",
            "text": "居民住院，周三才能联系。",
            "until": until.astimezone(SHANGHAI).isoformat(),
        },
    )


async def test_a_lease_is_extended_on_request_and_the_log_says_so(hands: Hands, clock: Clock):
    order = await leased(hands)
    until = T0 + timedelta(hours=60)
    asked = await longer(hands, order, until)
    assert asked.status_code == 201, asked.text
    assert (await hands.post("member-1", f"/v1/requests/{asked.json()['id']}/approve")).status_code == 403
    decided = await hands.post("dispatcher-1", f"/v1/requests/{asked.json()['id']}/approve", {"text": "同意"})
    assert decided.status_code == 200, decided.text
    told = await seen(hands, order)
    assert datetime.fromisoformat(told["takes"][0]["lease_until"]) == until
    lines = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert lines[-1]["text"] == "延长了首次联系的时间：同意"
    clock.pass_(hours=31)
    await time_works(hands.town, clock.now)
    assert await take_states(hands, order) == ["active"]
    clock.now = until + timedelta(seconds=1)
    await time_works(hands.town, clock.now)
    assert await take_states(hands, order) == ["lapsed"]
    await assert_books(hands.town)


async def test_nothing_is_extended_after_its_end_or_once_it_is_confirmed(hands: Hands, clock: Clock):
    order = await leased(hands)
    early = await longer(hands, order, T0 + timedelta(hours=29))
    assert early.status_code == 422
    clock.pass_(hours=30, seconds=1)
    late = await longer(hands, order, T0 + timedelta(hours=60))
    assert (late.status_code, late.json()["code"]) == (409, "TOO_LATE")
    await hands.move("member-1", order, "contact", reached=True)  # the worker has not looked yet
    none = await longer(hands, order, T0 + timedelta(hours=60))
    assert (none.status_code, none.json()["code"]) == (409, "ORDER_MOVED")
    await time_works(hands.town, clock.now)
    assert await take_states(hands, order) == ["active"]


async def test_an_extension_and_the_end_by_time_at_once_leave_one_outcome(hands: Hands, clock: Clock):
    for _ in range(4):
        order = await leased(hands)
        asked = await longer(hands, order, clock.now + timedelta(hours=60))
        assert asked.status_code == 201, asked.text
        clock.pass_(hours=30, seconds=1)
        async with hands.town.database.writing() as db:
            await firing.fire(db, hands.town.tenant_id, SHANGHAI, at=clock.now, limit=200)
        decided, _ = await asyncio.gather(
            hands.post("dispatcher-1", f"/v1/requests/{asked.json()['id']}/approve", {"text": "同意"}),
            relay(hands.town.database, clock.now, REACTIONS),
        )
        clock.pass_(seconds=30)
        await time_works(hands.town, clock.now)
        log = await moves(hands, order)
        (state,) = await take_states(hands, order)
        extended = decided.status_code == 200
        assert (state, "release" in log) == (("active", False) if extended else ("lapsed", True)), log
        await assert_books(hands.town)
        if extended:
            await hands.move("member-1", order, "contact", reached=True)
        clock.pass_(days=2)
