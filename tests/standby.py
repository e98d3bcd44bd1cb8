"""A second PostgreSQL that follows the first one by streaming, for tests of what comes second."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests import postgres as pg


@contextmanager
def standby_of(primary: pg.Server) -> Iterator[pg.Server]:
    """A hot standby on a socket of its own, made by pg_basebackup; it has caught up when this yields."""
    binaries = Path(str(primary.process.args[0])).parent  # type: ignore[index]
    folder = Path(tempfile.mkdtemp(prefix="dispatch-standby-", dir="/tmp"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = pwd.getpwuid(primary.folder.stat().st_uid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    copy = [binaries / "pg_basebackup", "-h", primary.folder, "-U", "postgres", "-D", folder / "data"]
    try:
        subprocess.run(
            [*copy, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
            cwd="/", check=True, capture_output=True, **user,
        )  # fmt: skip
        flags = [part for key, value in pg.FLAGS.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", "-k", folder, *flags],
                cwd="/", stdout=log, stderr=log, preexec_fn=pg._end_with_parent, **user,
            )  # fmt: skip
        server = pg.Server(folder, process)
        try:
            pg._wait(server)
            _caught_up(primary, server)
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def asked(server: pg.Server, statement: str) -> Any:
    """The first value that a server answers."""
    with psycopg.connect(host=str(server.folder), user="postgres", dbname="postgres", autocommit=True) as db:
        row = db.execute(statement).fetchone()
    return row and row[0]


def _caught_up(primary: pg.Server, standby: pg.Server) -> None:
    mark = asked(primary, "SELECT pg_current_wal_flush_lsn()::text")
    ends = time.monotonic() + pg.SECONDS_TO_START
    while not asked(standby, f"SELECT pg_last_wal_replay_lsn() >= '{mark}'::pg_lsn"):
        if time.monotonic() > ends:
            raise RuntimeError("the standby does not follow")
        time.sleep(0.02)
