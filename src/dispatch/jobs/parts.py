"""A job that goes through tenants and rows: one that fails is passed over, told and counted, and the others go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)

MOST_FAILURES = 100
"""Failures of one run, then it is given up: so many are not the rows' fault, and the next run tries again."""


class PartsFailed(Exception):
    """Some parts of a job's run failed; the others were done."""


class Parts:
    """The parts of one run of a job."""

    def __init__(self) -> None:
        self.failed = 0

    @contextmanager
    def apart(self, **of: Any) -> Iterator[None]:
        """One part: a tenant, or a row of one. A failure ends here, with its transaction if that is within.

        Args:
            of: what part it is, ids only; for the log.

        Raises:
            PartsFailed: too many.
        """
        try:
            yield
        except PartsFailed:
            raise
        except Exception as error:
            self.failed += 1
            told = {name: str(value) for name, value in of.items()}
            log.error("job.part_failed", **told, error=type(error).__name__, exc_info=error)
            if self.failed >= MOST_FAILURES:
                raise PartsFailed(f"{self.failed} parts, given up") from error


@contextmanager
def parts() -> Iterator[Parts]:
    """A run that does all it can, and has failed if a part of it has: so a meter counts it (``jobs.schedule``).

    Raises:
        PartsFailed: at the end, if anything failed.
    """
    run = Parts()
    yield run
    if run.failed:
        raise PartsFailed(f"{run.failed} parts")
