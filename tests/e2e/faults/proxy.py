"""A wire to PostgreSQL that breaks when a transaction is being committed."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65536
COMMIT = re.compile(rb"COMMIT(?!TED)")
"""And no word of an isolation level."""


class Wire:
    """Passes bytes both ways, and cuts a connection at every ``every``-th COMMIT: in turn before the server hears it,
    and after the server has done it and before anybody is told.

    Args:
        every: 0 cuts nothing.
    """

    def __init__(self, port: int, *, every: int = 0) -> None:
        self._port, self.every = port, every
        self._commits = 0
        self.before = self.after = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Yields the port to connect to."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        back = asyncio.create_task(_pump(theirs, writer))
        try:
            await self._forward(reader, ours, back)
        finally:
            back.cancel()
            for end in (writer, ours):
                end.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, ours: asyncio.StreamWriter, back: asyncio.Task[None]
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                if COMMIT.search(chunk) and self._cuts():
                    if (self.before + self.after) % 2:
                        self.before += 1
                        return
                    self.after += 1
                    back.cancel()  # nobody reads the answer
                    ours.write(chunk)
                    await ours.drain()
                    await asyncio.sleep(0.1)  # time enough to commit
                    return
                ours.write(chunk)
                await ours.drain()

    def _cuts(self) -> bool:
        self._commits += 1
        return self.every > 0 and self._commits % self.every == 0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
