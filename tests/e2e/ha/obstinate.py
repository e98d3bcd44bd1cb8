"""Somebody who has connections to one machine and goes on writing there, whoever is primary by now."""

import contextlib
import threading

import psycopg

from tests.e2e.ha.machines import Machine, Machines

WRITERS = 4


class Obstinate:
    """Asks nobody who is primary: his statements are sent while the machine hangs, and wait there for it to wake."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.acknowledged: list[int] = []
        self.refused: list[str] = []
        self._done = threading.Event()
        self._nth = iter(range(10**9))
        with machine.connect() as db:
            db.execute("CREATE TABLE IF NOT EXISTS obstinate (n integer)")
            db.execute("TRUNCATE obstinate")
        open_ = [machine.connect() for _ in range(WRITERS)]
        self._writers = [threading.Thread(target=self._write, args=(db,)) for db in open_]

    def start(self) -> None:
        for writer in self._writers:
            writer.start()

    def stop(self) -> None:
        """Ends when the machine has answered or cut the last statement."""
        self._done.set()
        for writer in self._writers:
            writer.join(30)
            assert not writer.is_alive()

    def lost(self, cluster: Machines) -> set[int]:
        """What was acknowledged and the primary does not have."""
        with cluster.primary().connect() as db:
            kept = {row[0] for row in db.execute("SELECT n FROM obstinate")}
        return set(self.acknowledged) - kept

    def _write(self, db: psycopg.Connection[tuple[int]]) -> None:
        while not self._done.is_set():
            nth = next(self._nth)
            try:
                db.execute("INSERT INTO obstinate VALUES (%s)", (nth,))
                self.acknowledged.append(nth)
            except psycopg.Error as error:
                self.refused.append(str(error))
                with contextlib.suppress(psycopg.Error):
                    db.close()
                    db = self._machine.connect()
            self._done.wait(0.05)
        db.close()
