"""The database is killed and started again, or its replica takes over."""

import asyncio

import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.people.tables import accounts
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.cluster import Cluster, naming
from tests.e2e.faults.conftest import KEY
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Service
from tests.town import found

pytestmark = pytest.mark.process


async def test_a_database_that_is_killed_and_started_again_has_all_that_was_acknowledged(
    machines: Cluster, driver: str
):
    url = machines.url(driver)
    town = await found(Database(url), KEY, present=True)
    with Service(url, servers=1, workers=1) as service:
        async with Caller(service.bases) as caller, Pressure(town, caller).on() as pressure:
            for _ in range(2):
                await pressure.until(closed=4)
                await asyncio.to_thread(machines.primary.crash)
                await asyncio.to_thread(machines.primary.start)
            await pressure.until(closed=4)
        assert caller.again, "nothing was interrupted"
        service.servers[0].wait_ready(5)
    await assert_unharmed(pressure, least=12)
    await town.database.close()


async def test_when_the_primary_is_lost_the_replica_has_all_that_was_acknowledged(
    machines: Cluster, driver: str
):
    replica = await asyncio.to_thread(machines.follow)
    url = machines.url(driver)
    town = await found(Database(url), KEY, present=True)
    with Service(url, servers=1, workers=1) as service:
        async with Caller(service.bases) as caller, Pressure(town, caller).on() as pressure:
            await pressure.until(closed=6)
            replica.deafen()
            await asyncio.sleep(0.5)  # what would be acknowledged in this time would be lost
            await asyncio.to_thread(machines.primary.crash)
            replica.lose()
            await asyncio.to_thread(replica.promote)
            await pressure.until(closed=6)
        assert caller.again, "nothing was interrupted"
        service.servers[0].wait_ready(5)
    await assert_unharmed(pressure, least=12)
    await town.database.close()


async def test_writes_find_the_primary_though_its_replica_is_named_first(machines: Cluster, driver: str):
    replica = await asyncio.to_thread(machines.follow)
    database = Database(naming(driver, [replica.port, machines.primary.port]))
    town = await found(database, KEY, present=True)
    assert replica.execute("SELECT pg_is_in_recovery()") == [(True,)]
    assert await town.rows(select(accounts.c.id).where(accounts.c.tenant_id == town.tenant_id))
    await database.close()
