"""What the service costs under load, beside the least that is possible on the same machine at the same time.

`make bench m=load` takes a few minutes with 10,000 orders on PostgreSQL and on SQLite. `SIZE=10k,100k,1m` (or `10m`)
measures several sizes beside each other, in turns, and says how reading grows; `CLIENTS=1,8,32` other numbers of
connections; `TURNS`, `SECONDS` how often and how long.

Everything is a ratio within one run: a machine that other work slows down slows all contenders down.
"""

import asyncio
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg

from benchmarks import results, svg
from benchmarks.generator import Outcome, Plan, press, request
from benchmarks.load import yard
from benchmarks.load.filling import Filled, fill
from benchmarks.load.machines import Yard, cpu_seconds, memory_mb, start_postgres
from dispatch import log
from dispatch.db import migrate
from dispatch.settings import Settings
from tests import postgres
from tests.e2e.faults.service import Process

UNITS = {"k": 1_000, "m": 1_000_000}
MOST_ON_SQLITE = 100_000
ON_SQLITE = "SQLite "
MOST_GROWTH = 1.3
NEEDED = 400
"""Orders that one turn may take, of the open ones."""
READS = ("get", "list mine", "list queue", "list pool", "list taken", "list all", "home")
WRITES = ("create", "take", "lose", "finish", "rate")
ALIKE = {
    "get": "get",
    "create": "create",
    "take": "take",
    **{f"list {v}": "list" for v in ("mine", "queue", "all")},
}
"""What of the yardstick a job is like."""
FILING = '{"item_code":"0201","text":"楼道灯不亮，晚上看不见。"}'.encode()
FILED = '{"item":"0201","words":"楼道灯不亮，晚上看不见。"}'.encode()
RATED = b'{"score":5,"solved":true,"contacted":true}'
FINISHED = '{"result":"已更换灯泡。","closing":"solved"}'.encode()


@dataclass
class Contender:
    """One that is measured: its process, the server behind it, and what it was asked."""

    name: str
    port: int
    pids: tuple[int, ...]
    filled: Filled | None = None
    ready: list[str] = field(default_factory=list)
    taken: list[tuple[str, str]] = field(default_factory=list)
    done: list[tuple[str, str]] = field(default_factory=list)

    def token(self, login: str) -> str:
        assert self.filled
        return self.filled.town[login].token

    def plan(self, job: str, clients: int, seconds: float) -> Plan:
        """What a job asks of it."""
        made = self._yard(job) if self.filled is None else self._service(job)
        once = job in WRITES and self.filled is not None
        return Plan(self.port, made, clients, seconds, once=once)

    def _yard(self, job: str) -> list[bytes]:
        dice = range(1, 4000, 7)
        said: dict[str, Callable[[int], bytes]] = {
            "hello": lambda n: request("GET", "/hello"),
            "hello POST": lambda n: request("POST", "/hello", body=FILED),
            "get": lambda n: request("GET", f"/orders/{n}"),
            "list": lambda n: request("GET", f"/orders?community={n % 150}&before={5000 + n}"),
            "create": lambda n: request("POST", "/orders", body=FILED),
            "take": lambda n: request("POST", f"/orders/{n}/take", body=b"{}"),
        }
        return [said[job](n) for n in dice]

    def _service(self, job: str) -> list[bytes]:
        assert self.filled
        who = {
            "mine": "resident-1",
            "queue": "dispatcher-1",
            "pool": "member-21",
            "taken": "crowd-3",
            "all": "district-1",
        }
        if job == "get":
            return [
                request("GET", f"/v1/orders/{id}", self.token("supervisor-1")) for id in self.filled.ids[::7]
            ]
        if job.startswith("list "):
            view = job[5:]
            return [request("GET", f"/v1/orders?view={view}", self.token(who[view]))]
        if job == "home":
            return [request("GET", "/v1/home", self.token("dispatcher-1"))]
        if job == "create":
            token = self.token("resident-1")
            return [request("POST", "/v1/orders", token, FILING, uuid4().hex) for _ in range(4 * NEEDED)]
        if job == "take":
            self.ready, self.filled.open = self.filled.open[:NEEDED], self.filled.open[NEEDED:]
            pairs = self._takers()
        elif job == "lose":
            pairs = [(id, self.filled.crowd[-1 - n % 50]) for n, (id, _) in enumerate(self.taken)]
        elif job == "rate":
            pairs = [(id, "resident-1") for id, _ in self.done]
        else:
            pairs = self.taken
        move, body = {"finish": ("finish", FINISHED), "rate": ("rate", RATED)}.get(job, ("take", b"{}"))
        return [
            request("POST", f"/v1/orders/{id}/{move}", self.token(who), body, uuid4().hex)
            for id, who in pairs
        ]

    def _takers(self) -> list[tuple[str, str]]:
        """Who takes which of the open orders that are ready."""
        assert self.filled
        return list(zip(self.ready, cycle(self.filled.crowd), strict=False))

    def press(self, job: str, clients: int, seconds: float) -> tuple[Outcome, float]:
        """Do a job for a while. Returns what came back and CPU per request in µs, the database's included."""
        plan = self.plan(job, clients, seconds)
        before = sum(map(cpu_seconds, self.pids))
        assert plan.requests, (self.name, job)
        try:
            outcome = press(plan)
        except RuntimeError as error:
            raise RuntimeError(f"{job} on {self.name}: {error}") from error
        used = sum(map(cpu_seconds, self.pids)) - before
        wanted = {"create": {201, 200}, "lose": {409}}.get(job, {200})
        assert set(outcome.statuses) <= wanted, (self.name, job, outcome.statuses)
        if job == "take" and self.filled:
            self.taken = self._takers()[: outcome.count]
            self.filled.open = self.ready[outcome.count :] + self.filled.open
        if job == "finish":
            self.done = self.taken[: outcome.count]
        return outcome, used / outcome.count * 1e6


@dataclass(frozen=True, slots=True)
class Cell:
    """The medians of all turns of one contender at one job."""

    rate: float
    p50: float
    p99: float
    cpu: float
    client: float


class Run:
    """One run: contenders take turns at every job."""

    def __init__(self, clients: list[int], turns: int, seconds: float) -> None:
        self.clients, self.turns, self.seconds = clients, turns, seconds
        self._told: dict[tuple[str, str, int], list[tuple[Outcome, float]]] = {}
        self.limits: dict[tuple[str, int], list[float]] = {}

    @property
    def middle(self) -> int:
        """The number of clients that plots show."""
        return self.clients[len(self.clients) // 2]

    def measure(self, contenders: list[Contender], limit: Callable[[str, int, float], float]) -> None:
        for turn in range(self.turns + 1):
            for clients in self.clients:
                for job in (*READS, *WRITES):
                    order = contenders if turn % 2 else contenders[::-1]
                    for one in order:
                        self._one(one, job, clients, turn)
                    if turn and job in yard.JOBS:
                        self.limits.setdefault((job, clients), []).append(limit(job, clients, self.seconds))
                    if turn and job == "list queue":
                        self.limits.setdefault(("list", clients), []).append(
                            limit("list", clients, self.seconds)
                        )

    def _one(self, one: Contender, job: str, clients: int, turn: int) -> None:
        jobs = (
            [job]
            if one.filled
            else {"get": ["hello", "get"], "create": ["hello POST", "create"], "take": ["take"]}.get(
                job, ["list"] if job == "list queue" else []
            )
        )
        for asked in jobs:
            told = one.press(asked, clients, self.seconds if turn else 0.3)
            if turn:  # the first turn warms
                self._told.setdefault((one.name, asked, clients), []).append(told)

    def cell(self, name: str, job: str, clients: int) -> Cell | None:
        told = self._told.get((name, job, clients))
        if not told:
            return None

        def middle(part: Callable[[Outcome], float]) -> float:
            return statistics.median(part(outcome) for outcome, _ in told)

        return Cell(
            middle(lambda o: o.rate),
            middle(lambda o: o.p50_ms),
            middle(lambda o: o.p99_ms),
            statistics.median(cpu for _, cpu in told),
            middle(lambda o: o.client_us),
        )


def _count(size: str) -> int:
    """How many orders a size is: 10k, 1m."""
    return int(size[:-1]) * UNITS[size[-1]]


def _fill(server: postgres.Server, size: str) -> tuple[str, Filled]:
    server.execute(f"CREATE DATABASE load_{size}")
    migrate.upgrade(server.url("psycopg", f"load_{size}"))
    url = server.url("asyncpg", f"load_{size}")
    return url, asyncio.run(fill(url, _count(size)))


def _yard(server: postgres.Server, count: int) -> Yard:
    server.execute("CREATE DATABASE yard")
    with psycopg.connect(host=str(server.folder), user="postgres", dbname="yard", autocommit=True) as db:
        db.execute(yard.SCHEMA)
        db.execute(yard.FILL.format(count=count))
    return Yard(server.url("asyncpg", "yard"))


def run() -> bool:
    log.configure(Settings(log_level="ERROR"))
    sizes = os.environ.get("SIZE", "10k").lower().split(",")
    clients = [int(count) for count in os.environ.get("CLIENTS", "8").split(",")]
    measuring = Run(clients, int(os.environ.get("TURNS", "3")), float(os.environ.get("SECONDS", "1")))
    server, started, folder = start_postgres(), [], TemporaryDirectory()
    try:
        most = max(10_000, *(_count(size) for size in sizes))
        bare = _yard(server, most)
        started.append(bare)
        contenders = [Contender("yard", bare.port, (bare.pid, server.process.pid))]
        for size in sizes:
            url, filled = _fill(server, size)
            process = Process(url, "serve", {})
            started.append(process)
            process.wait_ready()
            contenders.append(Contender(size, process.port, (process.pid, server.process.pid), filled))
        for size in sizes:
            if _count(size) > MOST_ON_SQLITE:
                continue
            url = f"sqlite+aiosqlite:///{folder.name}/{size}.db"
            migrate.upgrade(url)
            filled = asyncio.run(fill(url, _count(size)))
            process = Process(url, "serve", {})
            started.append(process)
            process.wait_ready()
            contenders.append(Contender(f"{ON_SQLITE}{size}", process.port, (process.pid,), filled))
        programs = postgres.find_binaries()
        scripts = Path(folder.name)
        scripts.chmod(0o755)
        measuring.measure(
            contenders,
            lambda job, count, seconds: yard.pgbench(
                programs, server.folder, scripts, "yard", job, most, count, seconds
            ),
        )
        memory = memory_mb(started[1].pid)
    finally:
        for process in started:
            process.stop()
        server.stop()
        folder.cleanup()
    return _write(measuring, [one.name for one in contenders if one.filled], memory)


HEAD = (
    "job", "clients", "on", "requests a second", "p50 ms", "p99 ms", "CPU µs", "CPU, of the yardstick's",
    "rate, of hello's", "rate, of pgbench's", "client µs",
)  # fmt: skip


def _write(run: Run, names: list[str], memory: float) -> bool:
    rows = []
    for clients in run.clients:
        for job in ("hello", "hello POST", "get", "list", "create", "take"):
            rows.append(_line(run, "yard", job, clients))
        for job in (*READS, *WRITES):
            rows += [_line(run, name, job, clients) for name in names]
    rows = [row for row in rows if row]
    grown, fine = _growth(run, names)
    said = (
        f"So many orders on PostgreSQL, and on SQLite where it says so; one server process each, everything on: "
        f"sign-in, visibility, kept answers, log, clocks, outbox, durable commits. Medians of {run.turns} turns of "
        f"{run.seconds:g} s, contenders in turns within every job. CPU is the server's and its database's per "
        "request. `yard` is the bare prototype (one statement for one act, no people, no rules), `hello` a FastAPI "
        "route that does nothing; pgbench sends the prototype's statement. `lose` is a take that comes too late. "
        f"A server process holds {memory:.0f} MB after the run."
    )
    results.write("load", "Under load", said, HEAD, rows, more=grown)
    bars = {
        job: {name: round(cell.cpu / 1000, 1) for name in names if (cell := run.cell(name, job, run.middle))}
        for job in ("get", "list queue", "create", "take")
    }
    svg.bars(results.FOLDER / "load_cpu.svg", f"CPU of a request, {run.middle} clients", "ms", bars)
    return fine


def _line(run: Run, name: str, job: str, clients: int) -> tuple[object, ...] | None:
    cell = run.cell(name, job, clients)
    if cell is None:
        return None
    like = ALIKE.get(job, job)
    bare = run.cell("yard", like, clients)
    hello = run.cell("yard", "hello POST" if job in WRITES else "hello", clients)
    limits = run.limits.get((like, clients))
    return (
        job, clients, name, f"{cell.rate:.0f}", f"{cell.p50:.1f}", f"{cell.p99:.1f}", f"{cell.cpu:.0f}",
        f"{cell.cpu / bare.cpu:.1f}" if bare and name != "yard" else "–",
        f"{cell.rate / hello.rate:.3f}" if hello else "–",
        f"{cell.rate / statistics.median(limits):.3f}" if limits else "–",
        f"{cell.client:.0f}",
    )  # fmt: skip


def _growth(run: Run, names: list[str]) -> tuple[str, bool]:
    """How much dearer reading is among more orders, by CPU and by the middle answer."""
    lines, fine, bars = [], True, {}
    for on in ("", ON_SQLITE):
        mine = [name for name in names if name.startswith(ON_SQLITE) == bool(on)]
        for clients in run.clients if len(mine) > 1 else ():
            least, most = mine[0], mine[-1]
            for job in READS:
                few, many = run.cell(least, job, clients), run.cell(most, job, clients)
                if few and many:
                    cpu, p50 = many.cpu / few.cpu, many.p50 / few.p50
                    lines.append(f"| {job} | {clients} | {most} ÷ {least} | {cpu:.2f} | {p50:.2f} |")
                    if clients == run.middle:
                        bars.setdefault(job, {})[f"{most} ÷ {least}"] = round(cpu, 2)
                    fine = fine and cpu <= MOST_GROWTH
    if not lines:
        return "", True
    svg.bars(
        results.FOLDER / "load_growth.svg",
        "CPU of a read among many orders, of that among few",
        "ratio",
        bars,
    )
    head = ["| read | clients | orders | CPU | p50 |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(
        [f"## Growth\n\nPromised: CPU no more than {MOST_GROWTH} times.\n", *head, *lines, ""]
    ), fine
