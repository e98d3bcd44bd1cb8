"""Three machines in one: each a member of etcd, Patroni and its PostgreSQL; HAProxy before them. Loopback only."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests import postgres as pg
from tests.e2e.faults.cluster import DURABLE, alive, children, command_line, naming
from tests.e2e.ha import programs
from tests.e2e.test_processes import free_port

LEASE_SECONDS = 20
"""Patroni's ttl, the least that it takes: how long a primary that says nothing is waited for."""
AGREED: dict[str, Any] = {
    "ttl": LEASE_SECONDS,
    "loop_wait": 2,
    "retry_timeout": 5,
    "synchronous_mode": True,
    "primary_start_timeout": 0,  # a primary that died is not waited for
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {"max_connections": 100},
    },
}
HAPROXY = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
    option httpchk
    http-check expect status 200
    default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
"""
SECONDS_TO_GATHER = 90


class Machine:
    """A member of etcd, a Patroni and its PostgreSQL, in a folder of their own."""

    def __init__(self, name: str, folder: Path, binaries: Path, user: Mapping[str, Any]) -> None:
        self.name, self._folder, self._binaries, self._user = name, folder, binaries, user
        self.port, self.api, self.etcd, self.peer = (free_port() for _ in range(4))
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped: list[int] = []

    def configure(self, machines: "list[Machine]") -> None:
        """Write what Patroni and etcd are told."""
        self._members = ",".join(f"{one.name}=http://127.0.0.1:{one.peer}" for one in machines)
        parameters = {key: value for key, value in DURABLE.items() if key != "listen_addresses"}
        here = {"listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}"}
        trusted = [
            "local all all trust",
            "host all all 127.0.0.1/32 trust",
            "host replication all 127.0.0.1/32 trust",
        ]
        told = {
            "scope": "dispatch",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.api}", "connect_address": f"127.0.0.1:{self.api}"},
            "etcd3": {"hosts": [f"127.0.0.1:{one.etcd}" for one in machines]},
            "bootstrap": {
                "dcs": AGREED,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"wal-segsize": "4"}, "no-sync"],
            },
            "postgresql": {
                **here,
                "data_dir": str(self.data),
                "bin_dir": str(self._binaries),
                "pgpass": str(self._folder / "pgpass"),
                "parameters": {**parameters, "unix_socket_directories": str(self._folder)},
                "pg_hba": trusted,
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                },
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
            },
        }  # fmt: skip
        (self._folder / "patroni.yaml").write_text(json.dumps(told))  # JSON is YAML

    @property
    def data(self) -> Path:
        return self._folder / "data"

    @property
    def said(self) -> str:
        """What its Patroni and PostgreSQL have logged."""
        return (self._folder / "patroni.log").read_text(errors="replace")

    def start(self) -> None:
        etcd, environment = programs.find("etcd")
        client, peer = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{self.peer}"
        options = {
            "name": self.name,
            "data-dir": str(self._folder / "etcd"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": self._members,
            "heartbeat-interval": "250",
            "election-timeout": "2500",
            "logger": "zap",
        }
        said = [f"--{name}={value}" for name, value in options.items()]
        self._running = [self._launch([str(etcd), *said], "etcd.log", environment)]
        self.start_database()

    def start_database(self) -> None:
        """Start Patroni, which starts PostgreSQL or makes it."""
        command = [*self._lent(), str(programs.patroni()), str(self._folder / "patroni.yaml")]
        self._running.append(self._launch(command, "patroni.log"))

    def kill(self) -> None:
        """kill -9 whatever runs on it, as when the power goes."""
        _signal(self.family(), signal.SIGKILL)
        for process in self._running:
            process.wait(10)

    def kill_postgresql(self) -> None:
        """kill -9 PostgreSQL with all its processes; Patroni notices."""
        _signal(_with_children(self._postmaster()), signal.SIGKILL)

    def kill_patroni(self) -> None:
        """kill -9 Patroni; its PostgreSQL, if there is one, goes on."""
        etcd, patroni = self._running
        patroni.kill()
        patroni.wait(10)
        self._running = [etcd]

    def freeze(self) -> None:
        """Stop every process where it is (SIGSTOP), as a host does that hangs."""
        self._stopped = self.family()
        _signal(self._stopped, signal.SIGSTOP)

    def thaw(self) -> None:
        _signal(self._stopped, signal.SIGCONT)
        self._stopped = []

    def wipe(self) -> None:
        """Its disk of data is lost, too."""
        shutil.rmtree(self.data)

    def deafen(self) -> None:
        """Stop what receives the primary's changes."""
        self._deaf = [pid for pid in self.family() if b"walreceiver" in command_line(pid)]
        assert len(self._deaf) == 1
        _signal(self._deaf, signal.SIGSTOP)

    def lose(self) -> None:
        """What the receiver has not read is lost with it."""
        _signal(self._deaf, signal.SIGTERM)
        _signal(self._deaf, signal.SIGCONT)

    def family(self) -> list[int]:
        """Its processes: parents before children."""
        own = [process.pid for process in self._running if process.poll() is None]
        return _with_children([*own, *self._postmaster()])

    def _postmaster(self) -> list[int]:
        """PostgreSQL's first process, which is nobody's child: Patroni lets go of it. None if it does not run."""
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            if alive(pid) and str(self.data).encode() in command_line(pid):
                return [pid]
        return []

    def says(self, path: str) -> int:
        """Status that its Patroni answers; 0 if it does not."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.api}{path}", timeout=1).status_code
        except httpx.TransportError:
            return 0

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=2
        )  # fmt: skip

    def stop(self) -> None:
        self.thaw()
        _signal(
            [process.pid for process in self._running[1:]], signal.SIGTERM
        )  # Patroni stops its PostgreSQL
        for process in self._running[1:]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        self.kill()

    def _lent(self) -> list[str]:
        """PostgreSQL refuses root, so root lends all of Patroni a user; who may still read root's own Python."""
        if not self._user:
            return []
        who = ["--reuid", str(self._user["user"]), "--regid", str(self._user["group"]), "--clear-groups"]
        reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        return ["setpriv", *who, *reads, "--pdeathsig", "INT"]

    def _launch(
        self, command: list[str], log: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self._folder / log).open("ab") as file:
            return subprocess.Popen(
                command, cwd=self._folder, env=environment, stdout=file, stderr=file, preexec_fn=pg._end_with_parent
            )  # fmt: skip


class Machines:
    """The cluster, with a port for whoever writes and one for whoever only reads."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="dispatch-ha-", dir="/tmp"))
        binaries, user = pg.lent(self._root)
        self.all = [self._machine(name, binaries, user) for name in ("one", "two", "three")]
        for machine in self.all:
            machine.configure(self.all)
        self.writes, self.reads = free_port(), free_port()
        self._haproxy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start everything and wait until there is a primary and two replicas follow."""
        for machine in self.all:
            machine.start()
        ways = [HAPROXY]
        for way, port in (("primary", self.writes), ("replica", self.reads)):
            ways.append(f"listen {way}\n    bind 127.0.0.1:{port}\n    option httpchk OPTIONS /{way}")
            ways += [f"    server {one.name} 127.0.0.1:{one.port} check port {one.api}" for one in self.all]
        (self._root / "haproxy.cfg").write_text("\n".join(ways) + "\n")
        program, environment = programs.find("haproxy")
        with (self._root / "haproxy.log").open("wb") as log:
            self._haproxy = subprocess.Popen(
                [str(program), "-db", "-f", str(self._root / "haproxy.cfg")],
                env=environment, stdout=log, stderr=log, preexec_fn=pg._end_with_parent,
            )  # fmt: skip
        self.gather()

    def url(self, driver: str, *, through: str) -> str:
        """The primary's address: through ``haproxy``, or naming all ``hosts`` for the driver to choose from."""
        if through == "haproxy":
            return f"postgresql+{driver}://postgres@127.0.0.1:{self.writes}/dispatch"
        return naming(driver, [machine.port for machine in self.all])

    @property
    def replica_url(self) -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.reads}/dispatch"

    def primary(self) -> Machine:
        """The machine whose Patroni holds the lease."""
        return self._wait(
            "nobody is primary", lambda: next((m for m in self.all if m.says("/primary") == 200), None)
        )

    def replicas(self) -> list[Machine]:
        return [machine for machine in self.all if machine.says("/replica") == 200]

    def agree(self, **settings: Any) -> None:
        """Change what the cluster has agreed on, and wait until it holds."""
        primary = self.primary()
        httpx.patch(f"http://127.0.0.1:{primary.api}/config", json=settings).raise_for_status()
        self.gather()

    def gather(self) -> None:
        """Wait until one is primary, both others follow it on its timeline, and commits wait for one as agreed."""
        self._wait("the machines do not come together", self._together)

    def _together(self) -> bool:
        primary = self.primary()
        address = f"http://127.0.0.1:{primary.api}"
        members = httpx.get(f"{address}/cluster", timeout=2).json()["members"]
        agreed = httpx.get(f"{address}/config", timeout=2).json()["synchronous_mode"]
        states = sorted(member["state"] for member in members)
        with primary.connect() as db:
            row = db.execute(
                "SELECT count(*) FILTER (WHERE state = 'streaming'), count(*) FILTER (WHERE sync_state = 'sync'),"
                " current_setting('synchronous_standby_names') FROM pg_stat_replication"
            ).fetchone()
        assert row
        waits = row[1] == 1 and bool(row[2]) if agreed else not row[2]
        return (
            states == ["running", "streaming", "streaming"]
            and len({member["timeline"] for member in members}) == 1
            and row[0] == 2
            and waits
            and len(self.replicas()) == 2
        )

    def _wait(self, otherwise: str, look: Callable[[], Any]) -> Any:
        until = time.monotonic() + SECONDS_TO_GATHER
        while True:
            with contextlib.suppress(httpx.HTTPError, psycopg.Error, KeyError):
                if found := look():
                    return found
            if time.monotonic() > until:
                logs = "\n".join(f"--- {one.name}\n{one.said[-3000:]}" for one in self.all)
                raise RuntimeError(f"{otherwise}\n{logs}")
            time.sleep(0.2)

    def _machine(self, name: str, binaries: Path, user: Mapping[str, Any]) -> Machine:
        folder = self._root / name
        folder.mkdir()
        if user:
            for path in (self._root, folder):
                os.chown(path, user["user"], user["group"])
        return Machine(name, folder, binaries, user)

    def close(self) -> None:
        if self._haproxy is not None:
            self._haproxy.kill()
            self._haproxy.wait(10)
        for machine in self.all:  # nothing in their folders is wanted any more
            machine.thaw()
            machine.kill()
        shutil.rmtree(self._root, ignore_errors=True)


def _with_children(pids: list[int]) -> list[int]:
    found = list(pids)
    for pid in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [child for child in children(pid) if child not in found]
    return found


def _signal(pids: list[int], which: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)


@contextlib.contextmanager
def machines() -> Iterator[Machines]:
    """Raises: programs.Missing."""
    if sys.platform != "linux":
        raise programs.Missing("this needs Linux")
    made = Machines()
    try:
        made.start()
        yield made
    finally:
        made.close()
