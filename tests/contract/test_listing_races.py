"""Claims and bookings at the same instant: nothing is promised twice (architecture.md, law 5)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.listings import HOLDS, Act
from dispatch.domain.people import Actor, Role
from dispatch.domain.refusal import ClaimMoved, VenueTaken
from dispatch.people import queries as people
from dispatch.resources import actions
from dispatch.resources.tables import claims, listings
from tests.claiming import HALL, RICE, act_on, claim, hours, publish, try_claim
from tests.town import T0, Hands

Verb = Callable[[AsyncConnection], Awaitable[Any]]


async def _rush(
    hands: Hands, listing: dict[str, Any], asked: list[tuple[str, dict[str, Any]]]
) -> Counter[str]:
    """All at once, each again while the database is busy; how often what was answered."""

    async def one(login: str, said: dict[str, Any]) -> str:
        for _ in range(40):
            answer = await try_claim(hands, login, listing, **said)
            if answer.status_code != 503:
                return "won" if answer.status_code == 201 else str(answer.json()["code"])
            await asyncio.sleep(0.1)
        raise AssertionError("busy for ever")

    return Counter(await asyncio.gather(*(one(login, said) for login, said in asked)))


async def _many_teams(hands: Hands, count: int) -> list[str]:
    logins = [f"band-{number}" for number in range(count)]
    for login in logins:
        await hands.town.body(login, "team", "community-1")
        await hands.town.person(login, Role.TEAM_LEAD, body=login)
    return logins


async def test_of_twenty_that_book_overlapping_times_at_once_exactly_one_wins(hands: Hands):
    hall = await publish(hands, **HALL)
    logins = await _many_teams(hands, 20)
    # Every two of them share at least the hour from noon.
    asked = [(login, hours(9 + number % 4, 13 + number % 5)) for number, login in enumerate(logins)]
    assert await _rush(hands, hall, asked) == {"won": 1, "VENUE_TAKEN": 19}
    await assert_no_double_booking(hands, hall)


async def test_times_that_only_touch_are_all_booked_at_once(hands: Hands):
    hall = await publish(hands, **HALL)
    logins = await _many_teams(hands, 9)
    asked = [(login, hours(9 + number, 10 + number)) for number, login in enumerate(logins)]
    assert await _rush(hands, hall, asked) == {"won": 9}
    await assert_no_double_booking(hands, hall)


async def test_goods_are_never_claimed_beyond_what_there_is(hands: Hands):
    rice = await publish(hands, **RICE)
    asked = [(login, {"quantity": 3}) for login in await _many_teams(hands, 12)]
    assert await _rush(hands, rice, asked) == {"won": 3, "NOT_ENOUGH_LEFT": 9}
    await assert_held_is_what_claims_hold(hands, rice)


async def test_one_claimant_that_asks_twice_at_once_has_one_claim(hands: Hands):
    rice = await publish(hands, **RICE)
    assert await _rush(hands, rice, [("dispatcher-1", {})] * 6) == {"won": 1, "ALREADY_CLAIMED": 5}


@pytest.mark.parametrize("rival", ["decline", "cancel", "withdraw", "confirm"])
async def test_a_claim_moved_from_two_sides_at_once_goes_one_way(hands: Hands, rival: str):
    for _ in range(3):
        rice = await publish(hands, **RICE)
        made = await claim(hands, "dispatcher-1", rice, quantity=4)
        acts = {
            "decline": lambda c=made: act_on(hands, "unit-1", c, "decline", reason="不便。"),
            "cancel": lambda c=made: act_on(hands, "dispatcher-1", c, "cancel"),
            "withdraw": lambda r=rice: hands.post("unit-1", f"/v1/listings/{r['id']}/withdraw"),
            "confirm": lambda c=made: act_on(hands, "unit-1", c, "confirm"),
        }
        answers = await asyncio.gather(acts["confirm"](), acts[rival]())
        assert {answer.status_code for answer in answers} <= {200, 409, 422, 503}
        state = (await hands.get("unit-1", f"/v1/claims/{made['id']}")).json()["state"]
        assert state in ("confirmed", "declined", "cancelled")
        await assert_held_is_what_claims_hold(hands, rice)


async def _actor(hands: Hands, login: str) -> Actor:
    async with hands.town.database.reading() as db:
        person = await people.person(db, hands.town.tenant_id, hands.town[login].id)
    assert person is not None
    return Actor(person.account_id, login, person.tenant, person.grants, person.grants[0], person.version)


async def _while_open(hands: Hands, first: Verb, second: Verb) -> None:
    """The second verb runs while the first one's transaction is open, and ends after that was committed."""

    async def follow() -> None:
        async with hands.town.database.writing() as db:
            await second(db)

    async with hands.town.database.writing() as db:
        await first(db)
        follower = asyncio.create_task(follow())
        _, waiting = await asyncio.wait({follower}, timeout=0.3)
        assert waiting, "it did not wait for its turn"
    await follower


async def test_a_booking_that_waited_for_another_sees_it(hands: Hands):
    """Two real connections: looking before one's turn, or as of then, would book twice."""
    hall = await publish(hands, **HALL)
    rivals = [await _actor(hands, login) for login in ("dispatcher-1", "team-1")]
    times = {name: datetime.fromisoformat(at) for name, at in hours(9, 11).items()}

    def book(actor: Actor) -> Verb:
        said = {"purpose": "社区活动。", **times}
        return lambda db: actions.claim(db, actor, UUID(hall["id"]), said, None, at=T0)

    with pytest.raises(VenueTaken):
        await _while_open(hands, book(rivals[0]), book(rivals[1]))
    await assert_no_double_booking(hands, hall)


async def test_a_claim_that_was_moved_while_another_waited_gives_back_once(hands: Hands):
    rice = await publish(hands, **RICE)
    made = await claim(hands, "dispatcher-1", rice, quantity=4)
    unit, community = [await _actor(hands, login) for login in ("unit-1", "dispatcher-1")]

    def move(actor: Actor, act: Act) -> Verb:
        return lambda db: actions.move(db, actor, UUID(made["id"]), act, {"reason": "不便。"}, None, at=T0)

    with pytest.raises(ClaimMoved):
        await _while_open(hands, move(unit, Act.DECLINE), move(community, Act.CANCEL))
    await assert_held_is_what_claims_hold(hands, rice)


async def assert_no_double_booking(hands: Hands, listing: dict[str, Any]) -> None:
    one, two = claims.alias(), claims.alias()
    here = (hands.town.tenant_id, UUID(listing["id"]))
    rows = await hands.town.rows(
        select(one.c.id).where(
            *(
                pair
                for side in (one, two)
                for pair in (side.c.tenant_id == here[0], side.c.listing_id == here[1])
            ),
            one.c.id < two.c.id,
            one.c.state.in_(tuple(HOLDS)),
            two.c.state.in_(tuple(HOLDS)),
            one.c.starts_at < two.c.ends_at,
            two.c.starts_at < one.c.ends_at,
        )
    )
    assert rows == []


async def assert_held_is_what_claims_hold(hands: Hands, listing: dict[str, Any]) -> None:
    id, tenant_id = UUID(listing["id"]), hands.town.tenant_id
    held = await hands.town.rows(
        select(listings.c.held).where(listings.c.tenant_id == tenant_id, listings.c.id == id)
    )
    summed = await hands.town.rows(
        select(func.coalesce(func.sum(claims.c.quantity), 0).label("n")).where(
            claims.c.tenant_id == tenant_id, claims.c.listing_id == id, claims.c.state.in_(tuple(HOLDS))
        )
    )
    assert held[0].held == summed[0].n <= 10
