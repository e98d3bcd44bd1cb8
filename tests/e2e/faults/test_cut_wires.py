"""Connections to the database break while a transaction is being committed: nobody knows whether it was."""

import asyncio

import pytest
from sqlalchemy import func, select

from dispatch.db.engine import Database
from dispatch.orders.tables import orders
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.cluster import Cluster
from tests.e2e.faults.conftest import KEY
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.proxy import Wire
from tests.e2e.faults.service import Service
from tests.town import Town, found

pytestmark = pytest.mark.process
FILED = {"item_code": "0201", "text": "楼道灯不亮"}


def through(url: str, machines: Cluster, port: int) -> str:
    return url.replace(str(machines.primary.port), str(port))


async def test_a_commit_whose_answer_was_lost_is_found_by_its_key(machines: Cluster, driver: str):
    url = machines.url(driver)
    town: Town = await found(Database(url), KEY, present=True)
    wire = Wire(machines.primary.port)
    async with wire.open() as port:
        service = await asyncio.to_thread(
            Service(through(url, machines, port), servers=1, workers=1).__enter__
        )
        try:
            async with Caller(service.bases) as caller, Pressure(town, caller).on() as pressure:
                await pressure.until(closed=2)
                wire.every = 9
                await pressure.until(closed=10)
                wire.every = 0
        finally:
            await asyncio.to_thread(service.__exit__)
    assert min(wire.before, wire.after) >= 4, (wire.before, wire.after)
    await assert_unharmed(pressure, least=12)
    await town.database.close()


async def test_without_its_key_the_same_client_files_twice(machines: Cluster):
    """The positive control: the test above can fail."""
    url = machines.url("asyncpg")
    town: Town = await found(Database(url), KEY, present=True)
    wire = Wire(machines.primary.port)
    async with wire.open() as port:
        service = await asyncio.to_thread(
            Service(through(url, machines, port), servers=1, workers=0).__enter__
        )
        try:
            async with Caller(service.bases, keyed=False) as careless:
                wire.every = 1
                filing = asyncio.create_task(careless.write(town["resident-1"], "/v1/orders", FILED))
                while not wire.after:  # noqa: ASYNC110  (the wire counts)
                    await asyncio.sleep(0.02)
                wire.every = 0
                assert (await filing).status == 201
        finally:
            await asyncio.to_thread(service.__exit__)
    mine = select(func.count()).where(orders.c.tenant_id == town.tenant_id)
    assert (await town.rows(mine))[0][0] == 2
    await town.database.close()
