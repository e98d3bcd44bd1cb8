"""Processes of the service, to be killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import httpx

from tests.e2e.test_processes import free_port


class Process:
    """One ``dispatch serve`` or ``dispatch work``."""

    def __init__(self, url: str, command: str, settings: dict[str, Any]) -> None:
        self.port = free_port()
        self._command = command
        told = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()
        }
        self._environment = {
            **os.environ,
            "DISPATCH_DATABASE_URL": url,
            "DISPATCH_PORT": str(self.port),
            "DISPATCH_LOG_LEVEL": "ERROR",
            "DISPATCH_RATE_PER_ADDRESS": "0",
            "DISPATCH_RATE_PER_ACCOUNT": "0",
            **{f"DISPATCH_{name.upper()}": value for name, value in told.items()},
        }
        self.start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running.pid

    def start(self) -> None:
        self._running = subprocess.Popen(
            [sys.executable, "-m", "dispatch", self._command],
            env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self) -> None:
        """kill -9."""
        self._running.kill()
        self._running.wait(10)

    def stop(self) -> None:
        if self._running.poll() is None:
            self._running.send_signal(signal.SIGTERM)
            try:
                self._running.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def wait_ready(self, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                if httpx.get(f"{self.base}/v1/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self._running.poll() is None, "it has ended"
            assert time.monotonic() < until, "not ready in time"
            time.sleep(0.05)


class Service:
    """Servers and workers on one database."""

    def __init__(self, url: str, *, servers: int = 2, workers: int = 1, **settings: Any) -> None:
        self.servers = [Process(url, "serve", settings) for _ in range(servers)]
        self.workers = [Process(url, "work", settings) for _ in range(workers)]

    @property
    def bases(self) -> list[str]:
        return [server.base for server in self.servers]

    def __enter__(self) -> "Service":
        try:
            for server in self.servers:
                server.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in (*self.servers, *self.workers):
            process.stop()
