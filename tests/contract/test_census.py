"""What operators are shown is what counting everything says, and one worker says it."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import func, select

from dispatch.census.timers import LASTS, Measuring
from dispatch.db.engine import Database
from dispatch.db.leases import hold
from dispatch.db.outbox import outbox
from dispatch.domain.order import LIVE, TakerKind
from dispatch.meters import Meters
from dispatch.orders.listing import OVERDUE
from dispatch.orders.tables import orders, takes
from dispatch.sla.tables import timers
from tests.town import Clock, Hands


def shown(meters: Meters) -> dict[str, float]:
    lines = generate_latest(meters.registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def everything(database: Database, clock: Clock) -> dict[str, float]:
    """The same numbers, read from every row there is."""
    async with database.reading() as db:

        async def counted(*what: Any) -> dict[Any, int]:
            return {row[0]: row[1] for row in await db.execute(select(*what))}

        states = {
            row[0]: row[1]
            for row in await db.execute(select(orders.c.state, func.count()).group_by(orders.c.state))
        }
        kinds = {
            row[0]: row[1]
            for row in await db.execute(
                select(takes.c.kind, func.count()).where(takes.c.state == "active").group_by(takes.c.kind)
            )
        }
        facts = {
            row[0]: row[1]
            for row in await db.execute(select(outbox.c.state, func.count()).group_by(outbox.c.state))
        }
        due = timers.c.fired_at.is_(None) & (timers.c.due_at < clock.now)
        late = await db.scalar(select(func.count()).select_from(orders).where(OVERDUE), {"at": clock.now})
        timed = await db.scalar(select(func.count()).select_from(timers).where(due))
    return {
        **{f'dispatch_orders{{state="{state}"}}': states.get(state, 0) for state in LIVE},
        **{f'dispatch_takes_active{{kind="{kind}"}}': kinds.get(kind, 0) for kind in TakerKind},
        **{f'dispatch_outbox_facts{{state="{s}"}}': facts.get(s, 0) for s in ("pending", "dead")},
        "dispatch_orders_overdue": float(late or 0),
        "dispatch_timers_due": float(timed or 0),
    }


@pytest.fixture
async def lively(hands: Hands, clock: Clock) -> None:
    await hands.file()
    await hands.open_()
    await hands.taken()
    order = await hands.taken("member-2", slots_min=2, slots_max=2)
    await hands.move("member-3", order, "take")
    done = await hands.done("member-2")
    await hands.move("resident-1", done, "rate", score=5, solved=True, contacted=True)
    clock.pass_(days=9)


@pytest.mark.usefixtures("lively")
async def test_the_census_says_what_counting_everything_says(database: Database, clock: Clock):
    meters = Meters()
    measuring = Measuring(meters)
    clock.pass_(days=4000)  # past every lease that another test's worker holds
    await measuring(database, clock.now)
    told, true = shown(meters), await everything(database, clock)
    assert {name: told[name] for name in true} == true
    assert true["dispatch_orders_overdue"] > 0
    assert true["dispatch_timers_due"] > 0
    assert true['dispatch_takes_active{kind="member"}'] >= 3
    assert told["dispatch_outbox_lag_seconds"] > 86_400
    assert told["dispatch_measured_timestamp_seconds"] == clock.now.timestamp()


async def test_of_two_workers_one_measures_and_the_other_follows_when_it_is_gone(
    database: Database, clock: Clock
):
    first, second = Meters(), Meters()
    one, other = Measuring(first), Measuring(second)
    clock.pass_(days=8000)
    for _ in range(3):
        await one(database, clock.now)
        await other(database, clock.now)
        clock.pass_(seconds=20)
    assert "dispatch_orders_overdue" in shown(first)
    assert "dispatch_orders_overdue" not in shown(second)
    clock.now += LASTS + timedelta(seconds=1)
    await other(database, clock.now)
    await one(database, clock.now)
    assert "dispatch_orders_overdue" in shown(second)
    assert "dispatch_orders_overdue" not in shown(first)


async def test_a_lease_is_good_up_to_its_end_and_no_longer(database: Database, clock: Clock):
    lasts = timedelta(seconds=10)

    async def asks(who: str) -> bool:
        async with database.writing() as db:
            return await hold(db, "a job", who, at=clock.now, lasts=lasts)

    clock.pass_(days=1)
    assert [await asks("a"), await asks("b"), await asks("a")] == [True, False, True]
    clock.now += lasts
    assert not await asks("b")
    clock.now += timedelta(milliseconds=1)
    assert [await asks("b"), await asks("a")] == [True, False]
