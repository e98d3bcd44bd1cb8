"""Who may take, who may not any more, and the word each is given."""

import asyncio
from dataclasses import replace

from sqlalchemy import func, select

from dispatch.db.engine import Database
from dispatch.domain.people import Role
from dispatch.orders.tables import takes
from dispatch.people import actions as people
from dispatch.people.tables import accounts
from tests.contract.ledger import assert_books
from tests.town import T0, Clock, Hands


async def _word(hands: Hands, login: str, order: dict) -> tuple[int, str, str | None]:
    answer = await hands.try_(login, order, "take")
    told = answer.json()
    return answer.status_code, told.get("outcome") or told["code"], told.get("why")


async def test_a_team_of_three_is_complete_with_the_third(hands: Hands):
    order = await hands.open_(slots_min=3, slots_max=3)
    states = [
        (await hands.move(login, order, "take"))["order"]["state"]
        for login in ("member-1", "team-1", "member-2")
    ]
    assert states == ["open", "open", "taken"]
    assert (await _word(hands, "member-3", order))[:2] == (409, "SLOT_TAKEN")
    seen = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert [d["state"] for d in seen["dispatches"]] == ["filled"]
    assert [take["lead"] for take in sorted(seen["takes"], key=lambda t: t["number"])] == [True, False, False]


async def test_of_thirty_for_three_slots_three_win(hands: Hands):
    order = await hands.open_(slots_min=3, slots_max=3)
    answers = await asyncio.gather(*(hands.try_(who, order, "take") for who in await hands.town.crowd(30)))
    told = [a.json().get("outcome") or a.json()["code"] for a in answers if a.status_code != 503]
    assert told.count("taken") == 3
    assert set(told) == {"taken", "SLOT_TAKEN"}
    await assert_books(hands.town)


async def test_who_asks_twice_is_told_that_it_is_his(hands: Hands):
    order = await hands.taken("member-1")
    assert (await _word(hands, "member-1", order))[:2] == (200, "already_yours")
    mine = select(func.count()).where(takes.c.tenant_id == hands.town.tenant_id)
    assert (await hands.town.rows(mine))[0][0] == 1


async def test_what_was_given_back_may_be_taken_again_under_the_same_number(hands: Hands):
    order = await hands.taken("member-1")
    await hands.move("member-1", order, "release", reason_code="other")
    again = await hands.move("member-1", order, "take")
    assert again["outcome"] == "taken"
    assert again["take"]["number"] == order["takes"][0]["number"]
    assert again["take"]["id"] == order["takes"][0]["id"]
    assert await assert_books(hands.town) == 1


async def test_what_was_returned_is_barred(hands: Hands):
    order = await hands.taken("member-1", slots_min=1, slots_max=2)
    asked = await hands.post(
        "member-1",
        f"/v1/orders/{order['id']}/requests",
        {"kind": "return", "reason_code": "other", "text": "无法到场"},
    )
    assert asked.status_code == 201, asked.text
    decided = await hands.post("dispatcher-1", f"/v1/requests/{asked.json()['id']}/approve", {"text": "同意"})
    assert decided.status_code == 200, decided.text
    status, code, _ = await _word(hands, "member-1", order)
    assert (status, code) == (409, "NOT_ELIGIBLE")
    assert (await _word(hands, "member-2", order))[:2] == (200, "taken")


async def test_after_its_expiry_an_order_is_closed_to_its_audience(hands: Hands, clock: Clock):
    order = await hands.open_(expires_in_seconds=60)
    clock.pass_(seconds=61)
    assert (await _word(hands, "member-1", order))[:2] == (409, "ORDER_CLOSED")
    assert (await _word(hands, "member-21", order))[0] == 404


async def test_whoever_was_spoken_to_is_told_what_became_of_it(hands: Hands):
    order = await hands.open_()
    await hands.move("dispatcher-1", order, "recall", reason_code="other")
    assert (await _word(hands, "member-1", order))[:2] == (409, "ORDER_CLOSED")
    await hands.move("resident-1", order, "cancel")
    assert (await _word(hands, "member-1", order))[:2] == (409, "ORDER_CLOSED")
    assert (await _word(hands, "member-21", order))[0] == 404
    assert (await _word(hands, "resident-2", order))[0] == 404


async def test_a_member_who_left_moved_or_pauses_between_list_and_take_reads_why(
    hands: Hands, database: Database, clock: Clock
):
    town, order = hands.town, await hands.open_()
    clock.pass_(minutes=1)
    left, moved = town["member-1"].id, town["member-2"].id
    async with database.writing() as db:
        await people.end_membership(db, town.tenant_id, left, at=clock.now)
        await people.grant(
            db, town.tenant_id, left, Role.RESIDENT, place_id=town.places["community-1"], at=T0
        )
        await people.add_member(db, town.tenant_id, moved, town.places["community-2"], at=clock.now)
    for login in ("member-1", "member-2"):
        assert (await hands.try_(login, order, "take")).json()["code"] == "AUTH_TOKEN_REVOKED"
        await _signs_in_again(hands, login)
        assert await _word(hands, login, order) == (409, "NOT_ELIGIBLE", "not_in_audience"), login
    await town.member_state("member-3", "suspended")
    assert await _word(hands, "member-3", order) == (409, "NOT_ELIGIBLE", "suspended")
    none = select(func.count()).where(takes.c.tenant_id == town.tenant_id)
    assert (await town.rows(none))[0][0] == 0


async def test_whoever_has_no_role_left_is_not_asked_to_choose_one(
    hands: Hands, database: Database, clock: Clock
):
    order = await hands.open_()
    clock.pass_(minutes=1)
    async with database.writing() as db:
        await people.end_membership(db, hands.town.tenant_id, hands.town["member-1"].id, at=clock.now)
    await _signs_in_again(hands, "member-1")
    assert (await _word(hands, "member-1", order))[:2] == (403, "ROLE_FORBIDDEN")


async def _signs_in_again(hands: Hands, login: str) -> None:
    town, person = hands.town, hands.town[login]
    version = select(accounts.c.grants_version).where(
        accounts.c.tenant_id == town.tenant_id, accounts.c.id == person.id
    )
    town.people[login] = replace(person, token=town.token(person.id, (await town.rows(version))[0][0]))


async def test_only_the_one_asked_takes_an_offer(hands: Hands):
    order = await hands.accepted()
    targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in ("member-1", "member-2")]
    await hands.move("dispatcher-1", order, "dispatch", mode="offer", targets=targets)
    assert await _word(hands, "member-2", order) == (409, "NOT_ELIGIBLE", "not_asked")
    assert (await _word(hands, "member-3", order))[0] == 404
    await hands.move("member-1", order, "decline")
    assert await _word(hands, "member-1", order) == (409, "NOT_ELIGIBLE", "not_asked")
    assert (await _word(hands, "member-2", order))[:2] == (200, "taken")
    assert await assert_books(hands.town) == 1


async def test_who_declines_and_takes_at_once_does_one_of_them(hands: Hands):
    for _ in range(6):
        order = await hands.accepted()
        targets = [{"kind": "member", "id": str(hands.town[login].id)} for login in ("member-1", "member-2")]
        await hands.move(
            "dispatcher-1", order, "dispatch", mode="offer", targets=targets, parallel=True, slots_max=2
        )
        answers = await asyncio.gather(*(hands.try_("member-1", order, move) for move in ("take", "decline")))
        assert [answer.status_code for answer in answers].count(200) == 1, [answer.text for answer in answers]
    await assert_books(hands.town)
