"""A machine of three is killed, lost or hangs, while people work; each time somebody else takes over by himself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import pytest

from dispatch import clock
from dispatch.db.engine import Database
from dispatch.settings import Settings
from tests.contract.ledger import assert_books
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.invariants import assert_kept, assert_settled, assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Service
from tests.e2e.faults.takers import Notary, member, opened
from tests.e2e.ha.machines import LEASE_SECONDS, Machine, Machines
from tests.e2e.ha.obstinate import Obstinate
from tests.town import found

pytestmark = [pytest.mark.ha, pytest.mark.timeout(240)]
KEY = Settings().session_key.get_secret_value()
HANG_SECONDS = LEASE_SECONDS + 15
LANES = 4
DETECTED_SECONDS = LEASE_SECONDS + 15
"""Writes go on by then: the lease, a round of Patroni, the election, HAProxy, and a busy machine."""


Press = Callable[[str], AbstractAsyncContextManager[Pressure]]


@pytest.fixture
async def press(cluster: Machines) -> AsyncIterator[Press]:
    """Press upon an address of the cluster while a block runs; what was written can be looked at afterwards."""
    databases: list[Database] = []

    def pressed(url: str) -> AbstractAsyncContextManager[Pressure]:
        databases.append(Database(url))
        return _pressed(cluster, databases[-1], url)

    yield pressed
    for database in databases:
        await database.close()


@asynccontextmanager
async def _pressed(cluster: Machines, database: Database, url: str) -> AsyncIterator[Pressure]:
    """Two servers and a worker on the cluster, and people who work while the block runs."""
    town = await found(database, KEY, present=True)
    service = Service(url, servers=2, workers=1, replica_url=cluster.replica_url)
    try:
        await asyncio.to_thread(service.__enter__)
        async with Caller(service.bases, patience_seconds=90) as caller:
            async with Pressure(town, caller, lanes=LANES).on() as pressure:
                await pressure.until(closed=4)
                yield pressure
            assert caller.again, "nothing was interrupted"
    finally:
        await asyncio.to_thread(service.__exit__)


async def deaf(replicas: list[Machine]) -> None:
    """What is acknowledged in this time is acknowledged without a replica."""
    for replica in replicas:
        replica.deafen()
    await asyncio.sleep(0.5)


async def roles(cluster: Machines) -> tuple[Machine, list[Machine]]:
    return await asyncio.to_thread(lambda: (cluster.primary(), cluster.replicas()))


async def replaced(cluster: Machines, first: Machine) -> None:
    """Wait until another machine is primary."""
    while await asyncio.to_thread(cluster.primary) is first:  # noqa: ASYNC110  (Patroni decides)
        await asyncio.sleep(0.2)


def pause_of(pressure: Pressure, since: float) -> str:
    """How long nobody was answered, and that it was not much longer than the lease."""
    pause = pressure.longest_pause(since)
    assert pause < DETECTED_SECONDS
    return f"{pause:.1f} s without writes, {len(pressure.acked)} acknowledged"


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_primary_that_is_killed_with_patroni_is_replaced_and_nothing_acknowledged_is_lost(
    cluster: Machines, press: Press, measured: Callable[[str], None]
):
    async with press(cluster.url("asyncpg", through="haproxy")) as pressure:
        first, replicas = await roles(cluster)
        await deaf(replicas)
        first.kill_patroni()
        first.kill_postgresql()
        killed = now()
        for replica in replicas:
            replica.lose()
        await pressure.until(closed=4, seconds=DETECTED_SECONDS + 30)
        await replaced(cluster, first)
        first.start_database()
        await asyncio.to_thread(cluster.gather)
        await pressure.until(closed=4)
    measured(pause_of(pressure, killed))
    await assert_unharmed(pressure, least=12)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_primary_that_patroni_sees_die_is_replaced_and_found_among_the_hosts_of_an_address(
    cluster: Machines, press: Press, measured: Callable[[str], None], driver: str
):
    async with press(cluster.url(driver, through="hosts")) as pressure:
        first, _ = await roles(cluster)
        first.kill_postgresql()
        killed = now()
        await replaced(cluster, first)
        await pressure.until(closed=4, seconds=DETECTED_SECONDS + 30)
        await asyncio.to_thread(cluster.gather)  # Patroni starts it again, as a replica
        await pressure.until(closed=4)
    measured(pause_of(pressure, killed))
    await assert_unharmed(pressure, least=12)


async def test_without_synchronous_mode_the_same_kill_loses_what_was_acknowledged(
    cluster: Machines, press: Press, measured: Callable[[str], None]
):
    """The positive control: the test above can fail."""
    await asyncio.to_thread(lambda: cluster.agree(synchronous_mode=False))
    try:
        async with press(cluster.url("asyncpg", through="haproxy")) as pressure:
            first, replicas = await roles(cluster)
            told = len(pressure.acked)
            await deaf(replicas)
            async with asyncio.timeout(30):
                while len(pressure.acked) < told + 6:  # noqa: ASYNC110  (the lanes count)
                    await asyncio.sleep(0.02)
            first.kill_patroni()
            first.kill_postgresql()
            for replica in replicas:
                replica.lose()
            await pressure.until(closed=2, seconds=DETECTED_SECONDS + 30)
            first.start_database()
            await asyncio.to_thread(cluster.gather)
    finally:
        await asyncio.to_thread(lambda: cluster.agree(synchronous_mode=True))
    with pytest.raises(AssertionError, match="acknowledged") as lost:
        await assert_kept(pressure.town, pressure.acked, pressure.filed)
    measured(str(lost.value).partition(": [")[0])


async def test_a_machine_that_is_lost_with_its_disk_is_replaced_and_comes_back_as_a_replica(
    cluster: Machines, press: Press, measured: Callable[[str], None]
):
    async with press(cluster.url("asyncpg", through="haproxy")) as pressure:
        first, _ = await roles(cluster)
        first.kill()
        killed = now()
        await pressure.until(closed=4, seconds=DETECTED_SECONDS + 30)
        await replaced(cluster, first)
        first.wipe()
        first.start()
        await asyncio.to_thread(cluster.gather)
        await pressure.until(closed=4)
    measured(pause_of(pressure, killed))
    await assert_unharmed(pressure, least=12)


async def test_a_primary_that_hangs_and_wakes_finds_itself_replaced_and_nobody_is_told_two_stories(
    cluster: Machines, press: Press, measured: Callable[[str], None]
):
    async with press(cluster.url("asyncpg", through="haproxy")) as pressure:
        first, _ = await roles(cluster)
        takers = await found(pressure.town.database, KEY, present=True)
        members = [takers[login] for login in await takers.crowd(6)]
        notary = Notary(takers, pressure.caller)
        orders = [await opened(pressure.caller, takers) for _ in range(3)]
        obstinate = await asyncio.to_thread(Obstinate, first)
        acting = asyncio.gather(
            *(
                member(notary, who, orders, Random(n), acts=60, pause_seconds=0.5)
                for n, who in enumerate(members)
            )
        )
        await asyncio.sleep(2)
        first.freeze()
        hung = now()
        obstinate.start()
        await replaced(cluster, first)
        await pressure.until(closed=4, seconds=DETECTED_SECONDS + 30)
        await asyncio.sleep(max(0.0, hung + HANG_SECONDS - now()))
        first.thaw()
        await asyncio.to_thread(cluster.gather)
        await pressure.until(closed=4)
        await asyncio.to_thread(obstinate.stop)
        await acting
    measured(pause_of(pressure, hung))
    assert obstinate.refused
    assert not await asyncio.to_thread(obstinate.lost, cluster)
    notary.assert_possible()
    await assert_unharmed(pressure, least=12)
    await assert_settled(takers, clock.now())
    await assert_books(takers)


async def test_without_synchronous_mode_a_primary_that_wakes_acknowledges_what_is_lost(
    cluster: Machines, measured: Callable[[str], None]
):
    """The positive control: the test above can fail."""
    await asyncio.to_thread(lambda: cluster.agree(synchronous_mode=False))
    try:
        first, _ = await roles(cluster)
        obstinate = await asyncio.to_thread(Obstinate, first)
        first.freeze()
        obstinate.start()
        await replaced(cluster, first)
        first.thaw()
        await asyncio.to_thread(cluster.gather)
        await asyncio.to_thread(obstinate.stop)
        lost = await asyncio.to_thread(obstinate.lost, cluster)
    finally:
        await asyncio.to_thread(lambda: cluster.agree(synchronous_mode=True))
    measured(f"{len(lost)} acknowledged and lost")
    assert lost
