"""One cluster for all the tests of this folder; each leaves it whole."""

from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from dispatch.db import migrate
from tests.e2e.ha import machines, programs

MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture(scope="session")
def built() -> Iterator[machines.Machines]:
    """A primary and two replicas with a migrated database."""
    try:
        with machines.machines() as made:
            with made.primary().connect() as db:
                db.execute("CREATE DATABASE dispatch")
            migrate.upgrade(made.url("psycopg", through="haproxy"))
            made.gather()
            yield made
    except programs.Missing as missing:
        pytest.exit(f"make test-ha cannot run: {missing}", returncode=1)


@pytest.fixture
def cluster(built: machines.Machines) -> Iterator[machines.Machines]:
    """The same; nothing hangs any longer than its test."""
    yield built
    for machine in built.all:
        machine.thaw()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say a figure at the end of the run."""
    lines = request.config.stash.setdefault(MEASURED, [])
    return lambda line: lines.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say what was measured."""
    for line in config.stash.get(MEASURED, []):
        terminalreporter.write_line(line)
