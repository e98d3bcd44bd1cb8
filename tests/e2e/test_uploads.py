"""Uploads to a real server process over real sockets: what is too much is refused early, and costs nothing (peers' 135)."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.orders.tables import attachments
from dispatch.settings import Settings
from tests.conftest import Backends
from tests.e2e.test_processes import alive, free_port, serve
from tests.pictures import jpeg, mp4
from tests.town import Hands, Town, found

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

MIB = 1024 * 1024
HUGE = 500 * MIB
PIECE = bytes(256 * 1024)
FORM = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@dataclass
class Served:
    """A server process with a directory of its own."""

    process: Popen[bytes]
    port: int
    town: Town
    files: Path
    client: httpx.AsyncClient

    @property
    def hands(self) -> Hands:
        return Hands(self.client, self.town)

    def memory(self) -> float:
        """The most that the process ever held, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        told = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert told
        return int(told[1]) / 1024

    def disk(self) -> int:
        """Bytes below the directory, and of the files without a name that the process holds open there."""
        named = sum(path.stat().st_size for path in self.files.rglob("*") if path.is_file())
        held = 0
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                if str(self.files) in os.readlink(link):
                    held += link.stat().st_size
            except FileNotFoundError:
                continue
        return named + held

    async def announced(self, size: int = 9 * MIB) -> str:
        told = await self.hands.announce("resident-1", b"", size=size)
        assert told.status_code == 201, told.text
        id: str = told.json()["id"]
        return id

    def request(self, id: str, framing: str) -> bytes:
        lines = [
            f"POST /v1/attachments/{id}/content HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: {self.town['resident-1'].headers['Authorization']}",
            "Content-Type: multipart/form-data; boundary=edge",
            framing,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.fixture(params=["sqlite", "asyncpg"])
async def server(
    request: pytest.FixtureRequest, backends: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    monkeypatch.setenv("DISPATCH_FILES_DIR", str(tmp_path / "files"))
    url, port = (
        backends.fresh(request.param, f"uploads_{request.node.nodeid.__hash__() % 10**9}"),
        free_port(),
    )
    process, database = serve(url, port), Database(url)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            await alive(client, f"http://127.0.0.1:{port}", 60)
            town = await found(database, Settings().session_key.get_secret_value(), present=True)
            yield Served(process, port, town, tmp_path / "files", client)
    finally:
        await database.close()
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def chunked() -> Iterator[bytes]:
    """A form that never ends, as chunks that name no length in advance."""
    yield b"%x\r\n%b\r\n" % (len(FORM), FORM)
    for _ in range(HUGE // len(PIECE)):
        yield b"%x\r\n%b\r\n" % (len(PIECE), PIECE)


def plain() -> Iterator[bytes]:
    yield FORM
    for _ in range(HUGE // len(PIECE)):
        yield PIECE


def push(port: int, head: bytes, body: Iterator[bytes], *, stubborn: bool) -> tuple[bytes, int]:
    """Send a request. Returns what was answered and how many bytes of the body went out before.

    Args:
        stubborn: go on sending whatever is answered.
    """
    answer, sent, answered_at = b"", 0, None
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.sendall(head)
        peer.settimeout(0.3)
        with_answer = _read(peer)
        if with_answer:
            answer, answered_at = with_answer, 0
        for piece in body:
            if answered_at is not None and not stubborn:
                break
            peer.settimeout(60)
            try:
                peer.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(piece)
            if answered_at is None:
                peer.settimeout(0.001)
                if told := _read(peer):
                    answer, answered_at = told, sent
    return answer, sent if answered_at is None else answered_at


def _read(peer: socket.socket) -> bytes:
    """An answer to its end, or nothing if none has begun."""
    try:
        told = peer.recv(64 * 1024)
    except TimeoutError:
        return b""
    peer.settimeout(10)
    while told and not told.endswith(b"}"):
        told += peer.recv(64 * 1024)
    return told


async def test_135_five_hundred_megabytes_are_refused_early_and_leave_nothing(server: Served):
    """Peers' 135: announced too large, sent too large, and sent on and on whatever is answered."""
    first = await server.hands.upload("resident-1", jpeg())  # all that a photo needs is loaded
    before, disk = server.memory(), server.disk()
    largest = 0
    for framing, body in ((f"Content-Length: {HUGE}", plain), ("Transfer-Encoding: chunked", chunked)):
        for stubborn in (False, True):
            id = await server.announced()
            pushing = asyncio.create_task(
                asyncio.to_thread(push, server.port, server.request(id, framing), body(), stubborn=stubborn)
            )
            while not pushing.done():
                largest = max(largest, server.disk() - disk)
                await asyncio.sleep(0.05)
            answer, sent = await pushing
            assert answer.startswith(b"HTTP/1.1 413"), (framing, answer[:200])
            assert b"BODY_TOO_LARGE" in answer
            if framing.startswith("Content"):
                assert sent == 0  # before a byte of it was read
            else:
                assert sent < 20 * MIB  # nine were announced; the rest is what sockets hold
    more = server.request(
        await server.announced(), f"Content-Length: {20 * MIB}"
    )  # than announced, of this one
    answer, sent = await asyncio.to_thread(push, server.port, more, plain(), stubborn=False)
    assert (answer[:12], sent) == (b"HTTP/1.1 413", 0)
    grown = server.memory() - before
    assert grown < 24, f"{grown:.0f} MiB"
    assert largest < 10 * MIB, f"{largest / MIB:.1f} MiB"  # never more than was announced
    assert server.disk() == disk
    assert (await server.client.get("/v1/healthz")).status_code == 200
    assert first in {path.parent.name for path in server.files.glob("*/*/*/*")}


async def test_135_an_upload_that_breaks_off_leaves_nothing_and_may_begin_again(
    server: Served,
):
    data = jpeg(2000, 1500)
    told = (await server.hands.announce("resident-1", data)).json()
    form = FORM + data + b"\r\n--edge--\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
        peer.sendall(server.request(told["id"], f"Content-Length: {len(form)}") + form[: len(form) // 2])
        await asyncio.sleep(0.3)
    until = time.monotonic() + 10
    while server.disk() and time.monotonic() < until:
        time.sleep(0.05)  # noqa: ASYNC251 — the server is another process
    assert server.disk() == 0
    rows = select(attachments.c.state).where(attachments.c.tenant_id == server.town.tenant_id)
    assert [row.state for row in await server.town.rows(rows)] == ["pending"]
    again = await server.hands.send("resident-1", told["id"], data)
    assert again.json()["state"] == "ready", again.text


async def test_a_film_of_forty_eight_megabytes_is_taken_without_holding_it(server: Served):
    data = mp4(size=48 * MIB)
    await server.hands.upload("resident-1", mp4(), "video")
    before = server.memory()
    id = await server.hands.upload("resident-1", data, "video")
    grown = server.memory() - before
    assert grown < 24, f"{grown:.0f} MiB"
    headers = {**server.town["resident-1"].headers, "Range": f"bytes={len(data) - 4}-"}
    part = await server.client.get(f"/v1/attachments/{id}/content", headers=headers)
    assert (part.status_code, part.content) == (206, b"\x55" * 4)


async def test_a_server_that_is_killed_in_the_middle_leaves_nothing_of_it(server: Served):
    data = jpeg(2000, 1500)
    told = (await server.hands.announce("resident-1", data)).json()
    form = FORM + data + b"\r\n--edge--\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
        peer.sendall(server.request(told["id"], f"Content-Length: {len(form)}") + form[: len(form) // 2])
        await asyncio.sleep(0.5)
        server.process.kill()
        server.process.wait(10)
    assert [path for path in server.files.rglob("*") if path.is_file()] == []
