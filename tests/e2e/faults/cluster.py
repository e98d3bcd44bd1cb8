"""PostgreSQL as a machine has it: durable, on a port, killed, started again, followed by a replica."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests import postgres as pg
from tests.e2e.test_processes import free_port

DURABLE = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "timezone": "UTC",
    "jit": "off",
    # A killed process loses nothing that it gave to the system; only a machine would. So fsync may rest, and what
    # is tested is that a commit has reached the system (and the replica) before it is answered.
    "fsync": "off",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "shared_buffers": "64MB",
}
SECONDS_TO_START = 30


class Node:
    """One server with its folder and its port."""

    def __init__(
        self, folder: Path, binaries: Path, user: Mapping[str, Any], flags: Mapping[str, str]
    ) -> None:
        self.folder, self._binaries, self._user = folder, binaries, user
        self.port = free_port()
        self._flags = {**flags, "port": str(self.port)}
        self.process: subprocess.Popen[bytes] | None = None

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def execute(self, statement: LiteralString) -> list[Any]:
        with self.connect() as db:
            found = db.execute(statement)
            return found.fetchall() if found.description else []

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        self.process = pg.launch(self.folder, self._binaries, self._user, self._flags)
        until = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()[-4000:]) from None
                time.sleep(0.05)

    def crash(self) -> None:
        """kill -9 the server and every process of its own, as when the power goes."""
        assert self.process is not None
        family = [self.process.pid, *children(self.process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        until = time.monotonic() + 10
        while any(alive(pid) for pid in family[1:]) and time.monotonic() < until:
            time.sleep(0.01)

    def replica(self, folder: Path) -> "Node":
        """Copy it by pg_basebackup and follow it; it waits for this replica from then on before it answers a commit."""
        follower = Node(folder, self._binaries, self._user, DURABLE)
        self._run(
            "pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-D", folder / "data",
            "-R", "-X", "stream", "-c", "fast", "--no-sync",
        )  # fmt: skip
        follower.start()
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        until = time.monotonic() + 10
        while not self.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
            assert time.monotonic() < until, "the replica does not follow"
            time.sleep(0.05)
        return follower

    def deafen(self) -> None:
        """Stop what receives the primary's changes: what is acknowledged from now on, is so without this replica."""
        assert self.process is not None
        receivers = [pid for pid in children(self.process.pid) if b"walreceiver" in command_line(pid)]
        assert len(receivers) == 1
        os.kill(receivers[0], signal.SIGSTOP)
        self._deaf = receivers[0]

    def lose(self) -> None:
        """What the receiver has not read is lost with it."""
        os.kill(self._deaf, signal.SIGTERM)
        os.kill(self._deaf, signal.SIGCONT)

    def promote(self) -> None:
        self.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.execute("SELECT pg_promote()")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.crash()

    def _run(self, program: str, *arguments: Any) -> None:
        made = subprocess.run(
            [self._binaries / program, *arguments], cwd="/", capture_output=True, text=True, **self._user
        )
        assert made.returncode == 0, made.stderr


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    """What a process was started with; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def naming(driver: str, ports: Sequence[int]) -> str:
    """The address that names several servers, in this order, and asks for the one that takes writes."""
    if driver == "asyncpg":
        hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
    else:
        each, all_ports = ",".join("127.0.0.1" for _ in ports), ",".join(map(str, ports))
        hosts = f"host={each}&port={all_ports}"
    return f"postgresql+{driver}://postgres@/dispatch?{hosts}&target_session_attrs=read-write"


class Cluster:
    """A primary, and its replica once asked for."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="dispatch-fault-", dir="/tmp"))
        binaries, user = pg.lent(self._root)
        first = self._folder("first", user)
        pg.initialise(first, binaries, user)
        self.primary = Node(first, binaries, user, DURABLE)
        self.nodes = [self.primary]
        self._user = user

    def follow(self) -> Node:
        follower = self.primary.replica(self._folder("second", self._user))
        self.nodes.append(follower)
        return follower

    def url(self, driver: str) -> str:
        """The address that names every node; the one that takes writes is found by whoever connects."""
        return naming(driver, [node.port for node in self.nodes])

    def _folder(self, name: str, user: Mapping[str, Any]) -> Path:
        folder = self._root / name
        folder.mkdir()
        if user:
            os.chown(folder, user["user"], user["group"])
        return folder

    def close(self) -> None:
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self._root, ignore_errors=True)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    try:
        made.primary.start()
        yield made
    finally:
        made.close()
