"""Rushes over two servers, in moderate numbers; `make bench m=contention` has the large ones and their times."""

import pytest

from tests.contract.ledger import assert_books
from tests.e2e import contention
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.conftest import broken as _broken
from tests.e2e.faults.service import Service
from tests.town import Town

pytestmark = pytest.mark.process
broken = _broken  # a fixture


async def test_in_every_rush_there_is_one_winner_for_each_slot(broken: tuple[str, Town]):
    url, town = broken
    people = [town[login] for login in await town.crowd(60)]
    with Service(url, servers=2, workers=0) as service:
        async with Caller(service.bases, attempt_seconds=30) as caller:
            one = await contention.rush(caller, people, await contention.opened(caller, town))
            ten = await contention.rush(caller, people, await contention.opened(caller, town, slots=10))
            orders = [await contention.opened(caller, town) for _ in range(24)]
            many = await contention.drain(caller, people[:12], orders)
    assert one.outcomes == {"taken": 1, "SLOT_TAKEN": 59}
    assert ten.outcomes == {"taken": 10, "SLOT_TAKEN": 50}
    assert many.won == 24, many.outcomes
    assert set(many.outcomes) <= {"taken", "SLOT_TAKEN", "ORDER_CLOSED"}
    assert await contention.most_per_slot(town) == 1
    await assert_books(town)
