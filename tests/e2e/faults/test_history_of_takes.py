"""Takers on several servers, one of which is killed: what each was told fits one order of events."""

import asyncio
from random import Random

import pytest

from dispatch import clock
from tests.contract.ledger import assert_books
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.invariants import assert_settled
from tests.e2e.faults.service import Service
from tests.e2e.faults.takers import Notary, member, opened
from tests.town import Town

pytestmark = pytest.mark.process
ORDERS, MEMBERS, ACTS = 3, 6, 12


async def test_what_takers_were_told_could_have_happened_one_after_the_other(broken: tuple[str, Town]):
    url, town = broken
    members = [town[login] for login in await town.crowd(MEMBERS)]
    with Service(url, servers=2, workers=0) as service:
        async with Caller(service.bases) as caller:
            orders = [await opened(caller, town) for _ in range(ORDERS)]
            notary = Notary(town, caller)
            acting = asyncio.gather(
                *(member(notary, who, orders, Random(n), acts=ACTS) for n, who in enumerate(members))
            )
            await asyncio.sleep(0.5)
            service.servers[0].kill()
            service.servers[0].start()
            await acting
    notary.assert_possible()
    await assert_settled(town, clock.now())
    await assert_books(town)
