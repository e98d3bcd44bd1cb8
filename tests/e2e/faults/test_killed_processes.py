"""Servers and workers are killed in the middle of their work."""

import pytest

from tests.e2e.faults.caller import Caller
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Service
from tests.town import Town

pytestmark = pytest.mark.process


async def test_servers_and_workers_that_are_killed_lose_nothing_and_do_nothing_twice(
    broken: tuple[str, Town],
):
    url, town = broken
    with Service(url, servers=2, workers=1) as service:
        async with Caller(service.bases) as caller, Pressure(town, caller).on() as pressure:
            for server in service.servers:
                await pressure.until(closed=4)
                server.kill()
                await pressure.until(closed=2)  # the other one goes on
                server.start()
            await pressure.until(closed=2)
            service.workers[0].kill()
            await pressure.until(closed=2)
            service.workers[0].start()
            await pressure.until(closed=2)
        assert caller.again, "nothing was interrupted"
    await assert_unharmed(pressure, least=16)
