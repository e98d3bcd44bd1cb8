"""Two acts on one order at the same instant: the books add up, and whoever comes too late reads why."""

import asyncio
from collections import Counter
from itertools import combinations_with_replacement
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.domain.order import Move
from dispatch.orders import queries
from dispatch.orders.tables import order_steps
from tests.contract.ledger import assert_books
from tests.town import Hands

Act = tuple[str, str, dict[str, Any]]
WORDS = {"reason_code": "other", "text": "情况说明"}
STANDING: list[Act] = [
    ("resident-1", "cancel", {"reason_code": "other"}),
    ("dispatcher-1", "urge", {"text": "请尽快"}),
    ("resident-1", "supplement", {"text": "补充"}),
]
ESCALATE: Act = ("dispatcher-1", "escalate", {"level": "community", "text": "研究"})
WORK: dict[str, list[Act]] = {
    "submitted": [
        *STANDING[:2],
        ("dispatcher-1", "accept", {}),
        ("secretary-1", "reject", WORDS),
        ("dispatcher-1", "ask", {"text": "请补充"}),
        ("grid-1", "resolve", {"result": "已当场解决", "closing": "solved"}),
    ],
    "open": [
        *STANDING,
        ESCALATE,
        ("member-2", "take", {}),
        ("team-1", "take", {}),
        ("member-1", "release", {"reason_code": "other"}),
        ("member-1", "contact", {"reached": True}),
        ("dispatcher-1", "recall", {"reason_code": "other"}),
        ("dispatcher-1", "proceed", {}),
    ],
    "offered": [
        *STANDING[:1],
        ESCALATE,
        ("member-1", "take", {}),
        ("member-1", "decline", {}),
        ("dispatcher-1", "recall", {"reason_code": "other"}),
    ],
    "taken": [
        *STANDING,
        ESCALATE,
        ("member-2", "take", {}),
        ("member-1", "release", {"reason_code": "other"}),
        ("member-1", "start", {}),
        ("member-1", "finish", {"result": "已办", "closing": "solved"}),
    ],
    "done": [
        ("resident-1", "rate", {"score": 5, "solved": True, "contacted": True}),
        ("resident-1", "rate", {"score": 1, "solved": False, "contacted": True}),
        ("dispatcher-1", "redo", {**WORDS, "same_takers": True}),
        ("dispatcher-1", "urge", {"text": "请尽快"}),
    ],
}
TOO_LATE = {
    *("ORDER_MOVED", "ORDER_CLOSED", "SLOT_TAKEN", "NOT_ELIGIBLE"),
    *("ORDER_NOT_FOUND", "ROLE_FORBIDDEN", "NO_ACTIVE_TAKE"),
    "VALIDATION_FAILED",  # escalated twice: a level must be higher than the one it stands at
}
"""What the second may be told: it came too late, is no longer concerned, or nobody is on it any more."""


async def _standing_at(hands: Hands, state: str) -> dict[str, Any]:
    """An order in a state, with room for another taker."""
    if state == "submitted":
        return await hands.file(place_id=str(hands.town.places["grid-11"]))
    if state == "open":
        order = await hands.open_(slots_min=2, slots_max=3)
        return (await hands.move("member-1", order, "take"))["order"]
    if state == "offered":
        order = await hands.accepted()
        targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in ("member-1", "member-2")]
        return await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets)
    if state == "taken":
        return await hands.taken(slots_min=1, slots_max=2)
    return await hands.done()


async def _insist(hands: Hands, order: dict[str, Any], act: Act) -> httpx.Response:
    """Act, and again while the database is busy."""
    login, move, body = act
    for _ in range(30):
        answer = await hands.try_(login, order, move, **body)
        if answer.status_code != 503:
            return answer
        assert answer.headers["Retry-After"]
        await asyncio.sleep(0.1)
    raise AssertionError("busy for ever")


async def _moves_of(hands: Hands, order: dict[str, Any]) -> Counter[str]:
    rows = await hands.town.rows(
        select(order_steps.c.move).where(
            order_steps.c.tenant_id == hands.town.tenant_id,
            order_steps.c.order_id == UUID(order["id"]),
        )
    )
    return Counter(row.move for row in rows)


@pytest.mark.parametrize("state", WORK)
async def test_of_every_two_acts_at_once_the_log_tells_what_was_answered(hands: Hands, state: str):
    for pair in combinations_with_replacement(WORK[state], 2):
        order = await _standing_at(hands, state)
        before = await _moves_of(hands, order)

        answers = await asyncio.gather(*(_insist(hands, order, act) for act in pair))

        told = [
            (act[1], answer.status_code, answer.text[:300]) for act, answer in zip(pair, answers, strict=True)
        ]
        assert any(answer.status_code == 200 for answer in answers), told
        for answer in answers:
            if answer.status_code != 200:
                problem = answer.json()
                assert answer.status_code in (403, 404, 409, 422), told
                assert problem["code"] in TOO_LATE, told
                assert problem["message"]
        made = await _moves_of(hands, order) - before
        made.pop(Move.CLOSE.value, None)  # of itself, after a happy verdict
        done = Counter(
            act[1]
            for act, answer in zip(pair, answers, strict=True)
            if answer.status_code == 200 and answer.json().get("outcome") != "already_yours"
        )
        assert made == done, told
    await assert_books(hands.town)


async def test_of_two_dispatchers_who_accept_at_once_one_does(hands: Hands):
    for headers, late in (({}, (409, "ORDER_MOVED")), ({"If_Match": '"1"'}, (412, "CHANGED_MEANWHILE"))):
        order = await hands.file()
        answers = await asyncio.gather(
            *(
                hands.post(login, f"/v1/orders/{order['id']}/accept", {}, **headers)
                for login in ("dispatcher-1", "secretary-1")
            )
        )
        assert Counter((a.status_code, a.json().get("code")) for a in answers) == {(200, None): 1, late: 1}
        if headers:
            assert next(a.json()["version"] for a in answers if a.status_code == 412) == 2
    await assert_books(hands.town)


async def test_two_orders_merged_into_each_other_make_no_circle(hands: Hands):
    for _ in range(5):
        one, other = await hands.file(), await hands.file("resident-2")
        answers = await asyncio.gather(
            hands.try_("dispatcher-1", one, "merge", parent_id=other["id"]),
            hands.try_("secretary-1", other, "merge", parent_id=one["id"]),
        )
        assert sorted(a.status_code for a in answers)[0] == 200, [a.text for a in answers]
        assert sorted(a.status_code for a in answers)[1] in (409, 422), [a.text for a in answers]
        states = [
            (await hands.get("dispatcher-1", f"/v1/orders/{o['id']}")).json()["state"] for o in (one, other)
        ]
        assert sorted(states) == ["merged", "submitted"]
    await assert_books(hands.town)


@pytest.mark.parametrize("end", ["cancel", "reject", "accept"])
async def test_a_child_never_hangs_on_a_parent_that_is_over(hands: Hands, end: str):
    for _ in range(5):
        parent, child = await hands.file(), await hands.file("resident-2")
        who = "resident-1" if end == "cancel" else "dispatcher-1"
        answers = await asyncio.gather(
            hands.try_("secretary-1", child, "merge", parent_id=parent["id"]),
            hands.try_(who, parent, end, **(WORDS if end == "reject" else {})),
        )
        assert {a.status_code for a in answers} <= {200, 409, 422}, [a.text for a in answers]
        assert any(a.status_code == 200 for a in answers)
        states = [
            (await hands.get("dispatcher-1", f"/v1/orders/{o['id']}")).json()["state"]
            for o in (parent, child)
        ]
        assert not (states[0] in ("cancelled", "rejected") and states[1] == "merged"), states
    await assert_books(hands.town)


async def test_a_parent_withdrawn_while_its_child_goes_its_own_way_leaves_both_whole(
    hands: Hands, database: Database, monkeypatch: pytest.MonkeyPatch
):
    parent, child = await hands.file(), await hands.file("resident-2")
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    honest, between = queries.children, []

    async def slow(*asked: Any) -> list[Any]:
        if not between:
            between.append(await hands.try_("dispatcher-1", child, "unmerge", text="单独办理"))
        return await honest(*asked)

    if database.url.get_backend_name() == "postgresql":  # SQLite's writers take turns: nobody comes between
        monkeypatch.setattr(queries, "children", slow)
    answer = await hands.try_("resident-1", parent, "cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled"), answer.text
    assert all(answer.status_code == 200 for answer in between)
    heir = (await hands.get("dispatcher-1", f"/v1/orders/{child['id']}")).json()
    assert (heir["state"], heir["parent"]) == ("submitted", None)
    await assert_books(hands.town)
