"""Whatever people try, over HTTP and in whatever order, the books add up."""

import random
from collections import Counter
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from dispatch.db.engine import Database
from tests.contract.ledger import assert_books
from tests.town import Hands, time_works

WHO = [
    *("resident-1", "resident-2", "dispatcher-1", "secretary-1", "grid-1", "street-1", "district-1"),
    *("member-1", "member-2", "member-3", "unit-1", "team-1", "provider-1", "department-1", "member-21"),
]

KINDS = ["return", "extension", "park", "reopen", "objection", "escalation"]


def _body(move: str, dice: random.Random, hands: Hands, orders: list[dict], order: dict) -> dict:
    town = hands.town
    targets = [
        {"kind": "member", "id": str(town[login].id)}
        for login in dice.sample(["member-1", "member-2", "member-3"], 2)
    ]
    assigned = [{"kind": kind, "id": str(town.bodies[f"{kind}-1"])} for kind in ("unit", "provider")]
    modes = [
        {"mode": "open", "slots_min": dice.randint(1, 2), "slots_max": dice.randint(2, 3)},
        {"mode": "offer", "targets": targets, "parallel": dice.random() < 0.5},
        {"mode": "assign", "targets": assigned[: dice.randint(1, 2)], "slots_max": 2},
    ]
    for mode in modes:
        if dice.random() < 0.4:
            mode["expires_in_seconds"] = dice.choice([3600, 36_000])
    words = {"text": "情况说明", "reason_code": "other", "result": "已办理", "decision": "研究决定"}
    return {
        "ask": {"text": "请补充"},
        "supplement": {"text": "补充"},
        "reject": {"reason_code": "other", "text": "不属于"},
        "merge": {"parent_id": dice.choice(orders)["id"]},
        "unmerge": {"text": "单独办理"},
        "resolve": {"result": "已办", "closing": "solved"},
        "dispatch": dice.choice(modes),
        "recall": {"reason_code": "other"},
        "release": {"reason_code": "other"},
        "contact": {"reached": dice.random() < 0.5},
        "progress": {"text": "进展"},
        "finish": {"result": "已办", "closing": "solved"},
        "escalate": {"level": dice.choice(["community", "street", "district"]), "text": "上报"},
        "deliberate": {"decision": words["decision"], "bodies": assigned[1:]},
        "rate": {"score": dice.randint(1, 5), "solved": dice.random() < 0.6, "contacted": True},
        "close": {"exit": "solved"},
        "redo": {"reason_code": "other", "text": "重办", "same_takers": dice.random() < 0.5},
        "cancel": {"reason_code": "other"},
        "urge": {"text": "催办"},
        "supervise": {"text": "督办"},
    }.get(move, {})


async def _concerned(hands: Hands, dice: random.Random, order: dict) -> str:
    """Somebody who may have something to ask: who holds it, whom it waits for, else its filers."""
    seen = (await hands.get("district-1", f"/v1/orders/{order['id']}")).json()
    held = [take["taker"]["id"] for take in seen["takes"] if take["state"] == "active"]
    waits = [t["id"] for line in seen["dispatches"][-1:] for t in line["targets"] if t["state"] == "asked"]
    logins = {str(p.body_id or p.id): login for login, p in hands.town.people.items()}
    known = [logins[id] for id in held + waits if id in logins]
    return dice.choice(known or ["resident-1", "resident-2", "grid-1", "dispatcher-1"])


async def _asks(
    hands: Hands, dice: random.Random, login: str, order: dict, asked: Counter[str], *, at: datetime
) -> None:
    """File what this one may file here: some kind of request, or none."""
    for kind in dice.sample(KINDS, len(KINDS)):
        later = at + timedelta(days=90)
        until = later.isoformat() if kind == "extension" else later.date().isoformat()
        ask = {"kind": kind, "reason_code": "other", "text": "申请", "level": "street", "until": until}
        answer = await hands.post(login, f"/v1/orders/{order['id']}/requests", ask)
        assert answer.status_code in (201, 403, 404, 409, 422), answer.text
        if answer.status_code == 201:
            asked[kind] += 1
            return


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_people_try_the_log_tells_the_state(
    hands: Hands, database: Database, clock, seed: int
):
    dice = random.Random(seed)
    orders = [await hands.file(dice.choice(["resident-1", "resident-2"])) for _ in range(2)]
    done, asked = 0, Counter[str]()
    for _ in range(220):
        clock.pass_(minutes=dice.choice([1, 70, 600]))
        if dice.random() < 0.15:
            await time_works(hands.town, clock.now)
        order, login = dice.choice(orders[-2:]), dice.choice(WHO)
        seen = await hands.get(login, f"/v1/orders/{order['id']}")
        if seen.status_code == 404:
            continue
        moves = [offer["move"] for offer in seen.json()["moves"] if offer["move"] not in ("staff", "lead")]
        pending = [line for line in seen.json()["requests"] if line["status"] == "pending"]
        if pending and dice.random() < 0.4:
            verdict = dice.choice(["approve", "approve", "refuse", "withdraw"])
            line = dice.choice(pending)
            answer = await hands.post(login, f"/v1/requests/{line['id']}/{verdict}", {"text": "决定"})
            assert answer.status_code in (200, 403, 409, 422), answer.text
            continue
        rash = [move for move in moves if move in ("cancel", "reject", "merge", "close", "resolve")]
        if rash and dice.random() < 0.9:  # else every order ends before it has lived
            moves = [move for move in moves if move not in rash]
        if seen.json()["state"] in ("cancelled", "rejected", "closed", "merged") and dice.random() < 0.5:
            orders.append(await hands.file(dice.choice(["resident-1", "resident-2"])))
        if not moves or dice.random() < 0.2:
            await _asks(hands, dice, await _concerned(hands, dice, order), order, asked, at=clock.now)
            continue
        move = dice.choice(moves)
        body = _body(move, dice, hands, orders, order)
        if move == "rate" and "follow_up" in next(
            m["needs"] for m in seen.json()["moves"] if m["move"] == "rate"
        ):
            body["follow_up"] = {"channel": "phone", "at": "2026-11-22T09:00:00+08:00", "note": "回访"}
        answer = await hands.post(
            login, f"/v1/orders/{order['id']}/{move}", body, Idempotency_Key=uuid4().hex
        )
        assert answer.status_code in (200, 404, 409, 422), (move, login, answer.text)
        done += answer.status_code == 200
    assert done > 10
    assert asked
    assert await assert_books(hands.town) == len(orders)
