"""The host's clock jumps, forth and back, while people work: nothing happens twice and no time is negative (NTP does
step clocks back; peers.md §5.9, 166)."""

import asyncio
from datetime import datetime, timedelta
from itertools import cycle
from uuid import uuid4

import httpx
import pytest

from dispatch import clock
from dispatch.app import create_app
from dispatch.db.engine import Database
from dispatch.settings import Settings
from dispatch.web import deps
from tests.conftest import Backends
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.conftest import KEY
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.served import served
from tests.town import Town, found, time_works

JUMPS = (
    timedelta(minutes=-2),
    timedelta(hours=1),
    timedelta(minutes=-45),
    timedelta(seconds=-5),
    timedelta(0),
)


class Jumping:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return clock.now() + self.ahead

    async def jump(self) -> None:
        """Jump until cancelled."""
        for jump in cycle(JUMPS):
            await asyncio.sleep(0.15)
            self.ahead = jump


async def work(town: Town, jumping: Jumping, stop: asyncio.Event) -> None:
    """A worker by the same clock."""
    while not stop.is_set():
        await time_works(town, jumping.now())
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", ["sqlite", "asyncpg"])
async def test_a_clock_that_jumps_makes_nothing_happen_twice_and_no_time_negative(
    backends: Backends, kind: str
):
    database, jumping = Database(backends.fresh(kind, f"jumps_{uuid4().hex[:8]}")), Jumping()
    app = create_app(Settings(rate_per_address=0, rate_per_account=0), database)

    async def now() -> datetime:
        return jumping.now()

    app.dependency_overrides[deps.now] = now
    town = await found(database, KEY, present=True)
    async with served(app) as base, Caller([base]) as caller:
        stop, jumps = asyncio.Event(), asyncio.create_task(jumping.jump())
        workers = [asyncio.create_task(work(town, jumping, stop)) for _ in range(2)]
        try:
            async with Pressure(town, caller, lanes=4).on() as pressure:
                await pressure.until(closed=8)
        finally:
            jumps.cancel()
            stop.set()
            await asyncio.gather(*workers)
        await assert_unharmed(pressure, least=8, ahead=max(JUMPS))
        for order_id in {one.order_id for one in pressure.acked}:
            await assert_no_time_is_negative(base, town, str(order_id))
    await app.state.door.close()
    await database.close()


async def assert_no_time_is_negative(base: str, town: Town, order_id: str) -> None:
    headers = town["dispatcher-1"].headers
    async with httpx.AsyncClient(base_url=base) as client:
        told = (await client.get(f"/v1/orders/{order_id}/timeline", headers=headers)).json()["items"]
        clocks = (await client.get(f"/v1/orders/{order_id}/deadlines", headers=headers)).json()["items"]
    at = [datetime.fromisoformat(step["at"]) for step in told]
    assert at == sorted(at), order_id
    for run in clocks:
        ends = run.get("stopped_at") or run["started_at"]
        assert datetime.fromisoformat(run["started_at"]) <= datetime.fromisoformat(ends)
        for part in run["segments"]:
            assert datetime.fromisoformat(part["from"]) <= datetime.fromisoformat(part["to"])
