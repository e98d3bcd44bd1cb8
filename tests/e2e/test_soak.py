"""Two minutes of mixed load at an easy pace: nothing grows, nothing lags. `make bench m=soak` takes half an hour."""

from uuid import uuid4

import pytest

from dispatch.db.engine import Database
from tests.conftest import Backends
from tests.e2e.faults.caller import Caller
from tests.e2e.faults.conftest import KEY
from tests.e2e.faults.invariants import assert_unharmed
from tests.e2e.faults.pressure import Pressure
from tests.e2e.faults.service import Service
from tests.e2e.soak import growth, soak
from tests.town import found

SECONDS = 120
MOST_MB = 12
"""What a process may still grow by in its second minute: caches fill, nothing leaks by the request."""


@pytest.mark.process
@pytest.mark.timeout(240)
async def test_two_minutes_of_mixed_load_leave_memory_connections_and_outbox_as_they_were(backends: Backends):
    url = backends.fresh("asyncpg", f"soak_{uuid4().hex[:8]}")
    town = await found(Database(url), KEY, present=True)
    with Service(url, servers=1, workers=1) as service:
        async with Caller(service.bases) as caller:
            pressure = Pressure(town, caller, lanes=2, pause_seconds=1.0)
            samples = await soak(service, town, pressure, SECONDS)
    for part in ("server_mb", "worker_mb"):
        early, late = growth(samples, part)
        assert late - early <= MOST_MB, (part, early, late)
    early, late = growth(samples, "files")
    assert late <= early + 2, ("files", early, late)
    assert growth(samples, "lag_seconds")[1] < 5
    assert max(sample.lag_seconds for sample in samples) < 30
    await assert_unharmed(pressure, least=20)
    await town.database.close()
