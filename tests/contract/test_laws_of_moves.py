"""What a move asks for, what it keeps, and that one that fails changes nothing."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from dispatch.db.engine import Database
from dispatch.domain.order import EDGES, SYSTEM_MOVES, Move, State
from dispatch.domain.people import Role
from dispatch.orders.tables import orders
from dispatch.people.tables import bodies as body_table
from tests.contract.ledger import assert_books
from tests.contract.states import DONE, FOLLOW_UP, HAPPY, UNHAPPY, WHY, States, bodies, traces
from tests.town import Clock, Hands

S, M = State, Move

NEEDED = sorted(
    {
        (move.value, field, state)
        for (source, move), edge in EDGES.items()
        for field in edge.needs
        if source and move not in SYSTEM_MOVES
        # one state for each move and field; a withdrawal needs its reason only once somebody works on it
        for state in [next(s for (s, m), e in EDGES.items() if m is move and s and field in e.needs)]
    }
)
WHO = {
    **dict.fromkeys(("release", "contact", "finish"), "member-1"),
    **dict.fromkeys(("supplement", "rate", "cancel"), "resident-1"),
    "staff": "unit-1",
    "supervise": "street-1",
}
SENSELESS = {
    "text": ["", " \u200b ", "一" * 2001, "坏\x00了", 7, [], None],
    "reason_code": ["", "no_such_reason", 7, "no such", None],
    "result": ["", "一" * 2001, None],
    "closing": ["finished", 1, None],
    "parent_id": ["1", 1, None],
    "mode": ["lottery", 1, None],
    "slots_min": [0, -1, 501, 1.5, "2", True],
    "slots_max": [0, 501, "3"],
    "expires_in_seconds": [59, 2_592_001, "60"],
    "targets": [[{"kind": "member"}], [{"kind": "robot", "id": str(uuid4())}], "all"],
    "kinds": [[], ["robot"]],
    "ring_place_id": ["here"],
    "member_ids": [[], ["x"], None],
    "take_id": ["x", None],
    "reached": ["yes", 1, None],
    "minutes": [[{"take_id": str(uuid4()), "minutes": -1}], [{"minutes": 5}]],
    "level": ["country", 2, None],
    "decision": ["", None],
    "bodies": [[{"kind": "member", "id": str(uuid4())}], [{"id": "x"}]],
    "due": ["2026-11-30T10:00:00", 0, "tomorrow"],
    "score": [0, 6, 4.5, "5", True, None],
    "solved": ["yes", 0, None],
    "contacted": ["no", None],
    "follow_up": [{"channel": "pigeon", "at": FOLLOW_UP["at"], "note": "x"}, {"note": "x"}],
    "exit": ["window", None],
    "item_code": ["一", 102],
    "urgency": ["U9", 1],
    "as": [{"kind": "robot", "id": "x"}],
    "by_body": [{"kind": "unit"}],
}
OPTIONAL = {
    "accept": ("item_code", "urgency", "text"),
    "dispatch": ("slots_min", "slots_max", "expires_in_seconds", "targets", "kinds", "ring_place_id"),
    "take": ("as",),
    "finish": ("minutes",),
    "deliberate": ("bodies", "due"),
    "rate": ("follow_up",),
    "resolve": ("by_body",),
    "cancel": ("reason_code",),
}


async def _order_for(hands: Hands, move: str, state: State) -> dict:
    """An order on which the move would succeed."""
    states = States(hands)
    if move == "staff":
        order = await states.filed()
        await hands.move("dispatcher-1", order, "accept")
        await hands.move("dispatcher-1", order, "dispatch", mode="open")
        return (await hands.move("unit-1", order, "take"))["order"]
    return await states.at(state)


async def test_a_move_without_what_it_needs_names_the_field_and_changes_nothing(hands: Hands):
    parent = await States(hands).filed()
    for move, field, state in NEEDED:
        order = await _order_for(hands, move, state)
        takes = order["takes"]
        body = bodies(hands.town, parent["id"], takes[0]["id"] if takes else str(uuid4()))[move]
        body = {name: value for name, value in body.items() if name not in (field, "follow_up")}
        before = await traces(hands.town)
        answer = await hands.post(
            WHO.get(move, "dispatcher-1"), f"/v1/orders/{order['id']}/{move}", body, Idempotency_Key="k"
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED"), (move, field)
        named = [line["loc"] for line in answer.json()["errors"]]
        assert named == [["body", field]], (move, field, answer.text)
        assert await traces(hands.town) == before, (move, field)


async def test_a_senseless_body_of_a_move_is_refused_by_name_and_changes_nothing(hands: Hands):
    states, tried = States(hands), 0
    parent = await states.filed()
    at = {move: state for move, _, state in NEEDED} | {"accept": S.SUBMITTED, "take": S.OPEN}
    for move, state in at.items():
        order = await _order_for(hands, move, state)
        takes = order["takes"]
        right = bodies(hands.town, parent["id"], takes[0]["id"] if takes else str(uuid4()))[move]
        login = WHO.get(move, "member-2" if move == "take" else "dispatcher-1")
        before = await traces(hands.town)
        wrong = [(f, v) for f in {*right, *OPTIONAL.get(move, ())} for v in SENSELESS.get(f, ())]
        for field, value in [*wrong, ("colour", "red")]:
            if value is None and field not in EDGES[state, Move(move)].needs:
                continue  # null is as good as absent where nothing is needed
            answer = await hands.try_(login, order, move, **{**right, field: value})
            assert answer.status_code == 422, (move, field, value, answer.text)
            told = answer.json()
            if told["code"] != "REASON_UNKNOWN":
                assert told["code"] == "VALIDATION_FAILED", (move, field, value, answer.text)
                assert all(line["loc"][:2] == ["body", field] for line in told["errors"]), answer.text
            tried += 1
        assert await traces(hands.town) == before, move
    assert tried > 120


async def test_a_reason_is_one_of_the_acts_own_and_any_other_changes_nothing(hands: Hands):
    for move, field, state in NEEDED:
        if field != "reason_code":
            continue
        order = await States(hands).at(state)
        body = bodies(hands.town, "", "")[move] | {"reason_code": "no_such_reason"}
        before = await traces(hands.town)
        answer = await hands.try_(WHO.get(move, "dispatcher-1"), order, move, **body)
        assert (answer.status_code, answer.json()["code"]) == (422, "REASON_UNKNOWN"), move
        assert await traces(hands.town) == before, move


async def test_accepting_fixes_item_and_urgency_and_what_is_not_said_stays(hands: Hands):
    order = await hands.file(item_code="0102")
    kept = await hands.move("dispatcher-1", order, "accept")
    assert (kept["item"]["code"], kept["urgency"]) == ("0102", order["urgency"])
    for body, code, urgency in (
        ({"item_code": "0804"}, "0804", None),
        ({"urgency": "U2"}, "0102", "U2"),
        ({"item_code": "0804", "urgency": "U1"}, "0804", "U1"),
    ):
        order = await hands.file(item_code="0102")
        fixed = await hands.move("dispatcher-1", order, "accept", **body)
        own = (await hands.file(item_code=code))["urgency"]
        assert (fixed["item"]["code"], fixed["urgency"]) == (code, urgency or own)
        assert ("about_person" in fixed["flags"]) == (code == "0804")
    assert (await hands.try_("dispatcher-1", await hands.file(), "accept", item_code="9999")).json()[
        "code"
    ] == "ITEM_NOT_FOUND"
    await assert_books(hands.town)


async def test_resolving_on_the_spot_fixes_item_and_urgency_as_accepting_does(hands: Hands):
    order = await States(hands).filed()
    done = await hands.move("grid-1", order, "resolve", **DONE, item_code="0904", urgency="U2")
    assert (done["item"]["code"], done["urgency"], done["state"]) == ("0904", "U2", "done")


async def test_a_recall_ends_what_hung_on_the_dispatch_and_keeps_what_the_resident_said(hands: Hands):
    order = await hands.accepted(address="3栋2单元501", contact_phone="13800001111")
    before = await hands.move("resident-1", order, "supplement", text="最好上午")
    await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=3, slots_max=3)
    await hands.move("member-1", order, "take")
    await hands.move("unit-1", order, "take")
    await hands.move("dispatcher-1", order, "urge", text="请尽快")
    after = await hands.move("dispatcher-1", order, "recall", reason_code="other")
    assert after["state"] == "accepted"
    assert [take["state"] for take in after["takes"]] == ["recalled", "recalled"]
    assert [take["lead"] for take in after["takes"]] == [False, False]
    (dispatch,) = after["dispatches"]
    assert (dispatch["state"], dispatch["slots_taken"]) == ("recalled", 0)
    said = ("text", "address", "contact_phone", "answers", "item", "urgency", "place", "filer", "created_at")
    assert {name: after[name] for name in said} == {name: before[name] for name in said}
    assert after["flags"] == ["urged"], "the community's urging is not the dispatch's"
    steps = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert [step["move"] for step in steps].count("take") == 2, "the log keeps what was"
    assert (await hands.get("member-1", f"/v1/orders/{order['id']}")).status_code == 404
    assert (await hands.try_("member-1", order, "start")).status_code == 404
    await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=1, slots_max=1)
    assert (await hands.move("member-1", order, "take"))["order"]["state"] == "taken"
    await assert_books(hands.town)


async def test_fifteen_days_after_its_closing_an_order_is_not_reopened_by_anybody(hands: Hands, clock: Clock):
    order = await States(hands).at(S.CLOSED)
    clock.pass_(days=15, seconds=1)
    before = await traces(hands.town)
    for login in ("dispatcher-1", "street-1", "district-1"):
        late = await hands.try_(login, order, "redo", **WHY)
        assert (late.status_code, late.json()["code"]) == (409, "TOO_LATE"), login
        assert late.json()["message"]
    wish = await hands.post("resident-1", f"/v1/orders/{order['id']}/requests", {"kind": "reopen", **WHY})
    assert (wish.status_code, wish.json()["code"]) == (409, "TOO_LATE")
    assert await traces(hands.town) == before
    offers = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()["moves"]
    assert "redo" not in [offer["move"] for offer in offers]


async def test_an_objection_comes_within_fifteen_days_or_not_at_all(hands: Hands, clock: Clock):
    order = await States(hands).at(S.REJECTED)
    path, body = f"/v1/orders/{order['id']}/requests", {"kind": "objection", **WHY}
    clock.pass_(days=15, seconds=1)
    before = await traces(hands.town)
    late = await hands.post("resident-1", path, body)
    assert (late.status_code, late.json()["code"]) == (409, "TOO_LATE")
    assert await traces(hands.town) == before
    clock.pass_(seconds=-1)
    assert (await hands.post("resident-1", path, body)).status_code == 201


@pytest.mark.parametrize("gone", [None, "suspended", "moved", "retired"])
async def test_another_round_goes_to_the_same_takers_or_back_to_the_community(
    hands: Hands, database: Database, gone: str | None
):
    order = await hands.open_(slots_min=2, slots_max=2)
    for login in ("member-1", "unit-1"):
        await hands.move(login, order, "take")
    await hands.move("member-1", order, "finish", **DONE)
    if gone == "suspended":
        await hands.town.member_state("member-1", "suspended")
    elif gone == "retired":
        await _retire(hands, database, "unit-1")
    elif gone == "moved":
        from dispatch.people import actions as people

        async with database.writing() as db:
            there = hands.town.places["community-2"]
            await people.add_member(
                db, hands.town.tenant_id, hands.town["member-1"].id, there, at=hands.town.made
            )
    again = await hands.move("dispatcher-1", order, "redo", **WHY, same_takers=True)
    if gone:
        assert again["state"] == "redo"
        assert [take["state"] for take in again["takes"]] == ["done", "done"]
        await hands.move("dispatcher-1", order, "dispatch", mode="open")
    else:
        assert again["state"] == "in_service"
        assert [take["state"] for take in again["takes"]] == ["active", "active"]
        assert again["dispatches"][-1]["state"] == "filled"
        assert (await hands.move("member-1", order, "finish", **DONE))["state"] == "done"
    await assert_books(hands.town)


async def _retire(hands: Hands, database: Database, name: str) -> None:
    async with database.writing() as db:
        await db.execute(
            update(body_table)
            .where(body_table.c.tenant_id == hands.town.tenant_id, body_table.c.id == hands.town.bodies[name])
            .values(retired_at=hands.town.made)
        )


async def test_fewer_slots_than_takes_are_refused_and_the_takes_stay(hands: Hands):
    order = await hands.open_(slots_min=2, slots_max=3)
    for login in ("member-1", "member-2"):
        await hands.move(login, order, "take")
    await hands.move("dispatcher-1", order, "escalate", level="community", text="研究")
    before = await traces(hands.town)
    for least, most in ((1, 1), (2, 2), (3, 2)):
        answer = await hands.try_(
            "dispatcher-1", order, "dispatch", mode="open", slots_min=least, slots_max=most
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "SLOTS_INVALID"), (least, most)
    assert await traces(hands.town) == before
    again = await hands.move("dispatcher-1", order, "dispatch", mode="open", slots_min=2, slots_max=3)
    assert again["dispatches"][-1]["slots_taken"] == 2
    await assert_books(hands.town)


async def test_who_is_put_in_charge_finishes_and_who_was_no_longer_does(hands: Hands):
    order = await hands.open_(slots_min=2, slots_max=2)
    for login in ("member-1", "member-2"):
        taken = (await hands.move(login, order, "take"))["order"]
    second = next(take for take in taken["takes"] if take["taker"]["name"] == "member-2")
    led = await hands.move("member-1", order, "lead", take_id=second["id"])
    assert [take["id"] for take in led["takes"] if take["lead"]] == [second["id"]]
    stored = select(orders.c.lead_id).where(orders.c.tenant_id == hands.town.tenant_id)
    assert [row.lead_id for row in await hands.town.rows(stored)] == [UUID(second["id"])]
    former = await hands.try_("member-1", order, "finish", **DONE)
    assert (former.status_code, former.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert (await hands.move("member-2", order, "finish", **DONE))["state"] == "done"


async def test_a_unit_sends_only_its_own_people_and_a_person_only_once(hands: Hands):
    town = hands.town
    await town.person("worker-1", Role.MEMBER, "community-1", of="unit-1")
    order = await hands.open_(slots_min=3, slots_max=3)
    await hands.move("unit-1", order, "take")
    await hands.move("member-1", order, "take")
    own, stranger = str(town["worker-1"].id), str(town["member-2"].id)
    before = await traces(town)
    refused = await hands.try_("unit-1", order, "staff", member_ids=[own, stranger])
    assert (refused.status_code, refused.json()["code"], refused.json()["why"]) == (
        422,
        "TARGET_NOT_ALLOWED",
        "not_of_this_body",
    )
    assert await traces(town) == before
    await hands.move("unit-1", order, "staff", member_ids=[own])
    again = await hands.try_("worker-1", order, "take")
    assert (again.json()["code"], again.json()["why"]) == ("NOT_ELIGIBLE", "already_on_order")
    await town.person("worker-2", Role.MEMBER, "community-1", of="unit-1")
    await hands.move("worker-2", order, "take")
    twice = await hands.try_("unit-1", order, "staff", member_ids=[own, str(town["worker-2"].id)])
    assert (twice.json()["code"], twice.json()["why"]) == ("TARGET_NOT_ALLOWED", "already_on_order")
    await assert_books(town)


async def test_nobody_decides_what_he_asked_himself(hands: Hands):
    order = await States(hands).at(S.TAKEN)
    asked = await States(hands).ask("street-1", order, "park", until="2027-01-31")
    before = await traces(hands.town)
    for verb in ("approve", "refuse"):
        own = await hands.post("street-1", f"/v1/requests/{asked['id']}/{verb}")
        assert (own.status_code, own.json()["code"]) == (403, "ROLE_FORBIDDEN"), verb
    assert await traces(hands.town) == before
    other = await hands.post("district-1", f"/v1/requests/{asked['id']}/approve")
    assert other.status_code == 200, other.text


async def test_an_unhappy_order_closes_only_by_who_may_decide_the_wish(hands: Hands, clock: Clock):
    order = await hands.done()
    for street in (False, True):
        await hands.move("resident-1", order, "rate", **UNHAPPY)
        if street:
            refused = await hands.try_("dispatcher-1", order, "close", exit="explained")
            assert (refused.status_code, refused.json()["code"]) == (409, "REQUEST_PENDING")
            closed = await hands.move("street-1", order, "close", exit="explained")
            assert closed["requests"][-1]["status"] == "refused"
            return
        seen = (await hands.get("resident-1", f"/v1/orders/{order['id']}")).json()
        wish = seen["requests"][-1]["id"]
        assert (await hands.post("dispatcher-1", f"/v1/requests/{wish}/approve")).status_code == 200
        clock.now += timedelta(hours=1)
        await hands.move("dispatcher-1", order, "dispatch", mode="open")
        await hands.move("member-2", order, "take")
        await hands.move("member-2", order, "finish", **DONE)


async def test_staff_key_a_verdict_only_with_its_follow_up(hands: Hands):
    order = await hands.done()
    before = await traces(hands.town)
    bare = await hands.try_("dispatcher-1", order, "rate", **HAPPY)
    assert (bare.status_code, bare.json()["errors"][0]["loc"]) == (422, ["body", "follow_up"])
    assert await traces(hands.town) == before
    assert (await hands.move("dispatcher-1", order, "rate", **HAPPY, follow_up=FOLLOW_UP))[
        "state"
    ] == "closed"
