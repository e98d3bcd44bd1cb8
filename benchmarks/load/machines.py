"""The processes that are measured, and what they cost."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests import postgres
from tests.e2e.test_processes import free_port

DURABLE = {
    "listen_addresses": "",
    "max_connections": "200",
    "timezone": "UTC",
    "jit": "off",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    # fsync and synchronous_commit are on: every commit is on the disk before its answer.
}
TICKS = os.sysconf("SC_CLK_TCK")


def start_postgres() -> postgres.Server:
    """A PostgreSQL that keeps what it acknowledges."""
    return postgres.start(DURABLE)


class Yard:
    """The yardstick and the bare route, in a process of their own."""

    def __init__(self, url: str) -> None:
        self.port = free_port()
        command = [
            sys.executable, "-m", "uvicorn", "--factory", "benchmarks.load.yard:app", "--port", str(self.port),
            "--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "error",
        ]  # fmt: skip
        self._running = subprocess.Popen(command, env={**os.environ, "YARD_URL": url})
        until = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/hello")
                return
            except httpx.TransportError:
                if time.monotonic() > until:
                    self.stop()
                    raise RuntimeError("the yardstick does not start") from None
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._running.pid

    def stop(self) -> None:
        self._running.terminate()
        self._running.wait(10)


def cpu_seconds(pid: int) -> float:
    """CPU of a process and of all that it has started, also of those that have ended."""
    try:
        own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, own[11:15])) / TICKS + sum(cpu_seconds(int(child)) for child in children)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
