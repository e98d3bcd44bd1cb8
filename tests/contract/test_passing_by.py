"""What one worker holds, another one passes by: no worker waits for another, and none stops all the others.

SQLite's writers take turns; there is nothing to pass by.
"""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from dispatch.db import outbox as box
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.domain.facts import Fact
from dispatch.jobs.relay import relay
from dispatch.sla.actions import firing
from dispatch.sla.tables import timers
from tests.contract.test_clock_steps import SHANGHAI
from tests.town import Clock, Hands

pytestmark = pytest.mark.parametrize("backend", ["asyncpg", "psycopg"], indirect=True, scope="session")


async def _ignore(db: Any, tenant_id: int, body: Any, at: Any) -> None:
    """A reaction to nothing."""


async def test_a_relay_tells_at_once_what_no_other_one_holds(hands: Hands, database: Database, clock: Clock):
    await hands.accepted()
    await hands.accepted()
    mine = outbox.c.tenant_id == hands.town.tenant_id
    pending = select(outbox.c.id).where(mine, outbox.c.state == "pending")
    async with database.writing() as slow:
        held = await box.due(slow, hands.town.tenant_id, at=clock.now, limit=1)
        await relay(database, clock.now, dict.fromkeys(Fact, (_ignore,)))
        left = await hands.town.rows(pending)
    assert [row.id for row in left] == [row.id for row in held]
    await relay(database, clock.now, dict.fromkeys(Fact, (_ignore,)))
    assert not await hands.town.rows(pending)


async def test_a_sweep_fires_at_once_what_no_other_one_holds(hands: Hands, database: Database, clock: Clock):
    await hands.accepted()
    at = clock.now + timedelta(days=30)
    open_ = select(timers).where(
        timers.c.tenant_id == hands.town.tenant_id, timers.c.fired_at.is_(None), timers.c.due_at < at
    )
    armed = len(await hands.town.rows(open_))
    async with database.writing() as slow:
        held = await firing.fire(slow, hands.town.tenant_id, SHANGHAI, at=at, limit=1)
        async with database.writing() as quick:
            fired = await firing.fire(quick, hands.town.tenant_id, SHANGHAI, at=at, limit=200)
    assert (held, fired) == (1, armed - 1)
    assert fired
    assert not await hands.town.rows(open_)
