"""How a process lives: it tells its figures, and it leaves when it is told to."""

import contextlib
import gc
import signal
import sys
from collections.abc import Iterator
from time import monotonic
from types import FrameType

import uvicorn
from fastapi import FastAPI

from dispatch.db.engine import Database
from dispatch.meters import Meters
from dispatch.settings import Settings


def meters_of(database: Database) -> Meters:
    """The meters of a process that works on a database."""
    meters = Meters()
    for name, pool in database.pools().items():
        meters.watch_pool(name, size=pool.size(), used=pool.checkedout)
    return meters


@contextlib.contextmanager
def told(meters: Meters, settings: Settings) -> Iterator[None]:
    """Tell the figures where the settings say, if anywhere."""
    with contextlib.ExitStack() as stack:
        if address := settings.metrics_address:
            try:
                stack.enter_context(meters.told_at(address))
            except OSError as error:
                sys.stderr.write(f"DISPATCH_METRICS_ADDRESS: {error.strerror}\n")
                sys.exit(2)
        yield


COLLECTED_EVERY = (5_000, 20, 50)
"""Objects made before the youngest are looked through, and how many such passes before the older ones are."""


def keep_what_is_there() -> None:
    """Take everything that start-up made out of the sight of the garbage collector: none of it ever ends.

    It is some 160 MB; to look through it took 140 ms, in which nobody was answered (ADR 0070).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_EVERY)


class Server(uvicorn.Server):
    """Ends in order when it is told to. Uvicorn's own raises the signal once more after it has stopped, which kills
    the process, or cancels what closes the database.

    SIGTERM comes from whoever starts another server in this one's place: this one says that it is not ready, ends
    connections with their next answer, and goes on answering for ``drain`` seconds. SIGINT, or the second signal,
    stops at once; what is being answered is answered in any case.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain: float) -> None:
        super().__init__(config)
        self._app, self._drain = app, drain
        self._ends: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if sig == signal.SIGTERM and self._ends is None and self._drain:
            self._app.state.leaving = True
            self._ends = monotonic() + self._drain
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: see whether it is time."""
        return await super().on_tick(counter) or (self._ends is not None and monotonic() >= self._ends)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to the signals that mean the end, while serving."""
        before = {name: signal.signal(name, self.handle_exit) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
