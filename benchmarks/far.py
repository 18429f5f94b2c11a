"""Delay a database: a proxy in a separate process that passes everything on later."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any


@contextmanager
def far(dsn: str, seconds: float) -> Iterator[str]:
    """Yield a dsn that leads to the same database, but each way takes half of so many seconds."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given = conninfo_to_dict(dsn)
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=_main, args=(other, given["host"], given["port"], seconds / 2), daemon=True)
    process.start()
    try:
        yield make_conninfo(dsn, host="127.0.0.1", port=pipe.recv())
    finally:
        process.terminate()
        process.join()


def _main(pipe: Connection, host: str, port: str, delay: float) -> None:
    asyncio.run(_serve(pipe, host, int(port), delay))


async def _serve(pipe: Connection, host: str, port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()

    def conversation() -> asyncio.Protocol:
        near, away = _Side(delay), _Side(delay)
        near.other, away.other = away, near
        near.connecting = loop.create_task(_connect(loop, away, host, port))
        return near

    server = await loop.create_server(conversation, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _connect(loop: asyncio.AbstractEventLoop, side: _Side, host: str, port: int) -> None:
    if host.startswith("/"):
        await loop.create_unix_connection(lambda: side, f"{host}/.s.PGSQL.{port}")
    else:
        await loop.create_connection(lambda: side, host, port)


class _Side(asyncio.Protocol):
    """One of the two connections of a conversation; what it receives, the other sends after the delay."""

    other: _Side

    def __init__(self, delay: float) -> None:
        self.connecting: asyncio.Task[None] | None = None
        self._delay = delay
        self._transport: Any = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        for data in self._early:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        # Calls due at different times run in order, and no two of these are due at the same time.
        asyncio.get_running_loop().call_later(self._delay, self.other.send, data)

    def connection_lost(self, _: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._delay, self.other.end)

    def send(self, data: bytes) -> None:
        """Send what the other side has received."""
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)

    def end(self) -> None:
        """End as the other side has."""
        if self._transport is not None:
            self._transport.close()
