"""The load generator asks as often as it is told, and counts what comes back."""

import asyncio

import pytest

from benchmarks.generator import Plan, press, request


@pytest.mark.parametrize("once", [True, False])
async def test_every_connection_asks_and_is_answered(once: bool):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        plan = Plan(port, [request("GET", "/")] * 20, 4, 30.0 if once else 0.2, once=once)
        outcome = await asyncio.to_thread(press, plan)
    finally:
        server.close()
    assert set(outcome.statuses) == {200}
    assert outcome.count == 20 if once else outcome.count > 20
