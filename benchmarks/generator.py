"""The load generator: a process of its own that keeps so many connections busy, each waiting for its answer.

Requests are made before the clock starts and answers are not looked into beyond their status, so that it costs a few
dozen microseconds of CPU a request; what it costs is measured and printed beside what it measured.
"""

import asyncio
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import cast

import httptools
import uvloop

ROOT = Path(__file__).parents[1]
MOST_SECONDS = 60.0
"""How long after its time a plan may take: a server that does not answer is no measurement."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send to a port."""

    port: int
    requests: list[bytes]
    connections: int
    seconds: float
    once: bool = False
    """Send each request once and stop when there is none left; else again and again until the time is over."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]
    client_us: float
    """CPU of the generator per request, µs."""

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def request(method: str, path: str, token: str = "", body: bytes = b"", key: str = "") -> bytes:
    """An HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"Idempotency-Key: {key}"] if key else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if method == "POST" else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def press(plan: Plan) -> Outcome:
    """Run a plan in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".plan") as file:
        pickle.dump(plan, file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.generator", file.name]
        told = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=plan.seconds + MOST_SECONDS
        )
    if told.returncode:
        raise RuntimeError(told.stderr)
    said = json.loads(told.stdout)
    said["statuses"] = {int(status): count for status, count in said["statuses"].items()}
    return Outcome(**said)


class _Connection(asyncio.Protocol):
    """One client: sends, waits for the whole answer, sends the next."""

    def __init__(self, source: Iterator[bytes], until: float, told: list[tuple[float, int]]) -> None:
        self._source, self._until, self._told = source, until, told
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._parser = httptools.HttpResponseParser(self)
        self._next()

    def _next(self) -> None:
        sent = next(self._source, None) if time.perf_counter() < self._until else None
        if sent is None:
            self._transport.close()
            if not self.over.done():
                self.over.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(sent)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._told.append((time.perf_counter() - self._began, self._parser.get_status_code()))
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(error or ConnectionError("the server hung up"))


async def _run(plan: Plan) -> Outcome:
    told: list[tuple[float, int]] = []
    source = iter(plan.requests) if plan.once else cycle(plan.requests)
    loop = asyncio.get_running_loop()
    began, cpu = time.perf_counter(), _cpu()
    made = [
        await loop.create_connection(
            lambda: _Connection(source, began + plan.seconds, told), "127.0.0.1", plan.port
        )
        for _ in range(plan.connections)
    ]
    await asyncio.gather(*(connection.over for _, connection in made))
    seconds, used = time.perf_counter() - began, _cpu() - cpu
    took = sorted(latency for latency, _ in told)
    return Outcome(
        count=len(took),
        seconds=seconds,
        p50_ms=took[len(took) // 2] * 1000,
        p99_ms=took[min(len(took) - 1, int(len(took) * 0.99))] * 1000,
        statuses=dict(Counter(status for _, status in told)),
        client_us=used / len(took) * 1e6,
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        outcome = uvloop.run(_run(pickle.load(file)))
    print(json.dumps({name: getattr(outcome, name) for name in Outcome.__slots__}))
