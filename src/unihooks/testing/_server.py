"""A small HTTP/1.1 server over TLS, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from itertools import count

from unihooks.testing._answers import Answer, render
from unihooks.testing._requests import ReceivedRequest, read_request

_BACKLOG = 1024
_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError)


class Server:
    """A server that responds with `handle` at `address`, loopback's unless changed, from `start` to `stop`."""

    address = "127.0.0.1"

    def __init__(self, handle: Callable[[ReceivedRequest], Answer], context: ssl.SSLContext, port: int = 0) -> None:
        self._handle = handle
        self._context = context
        self._port = port
        self._numbers = count(1)
        self._connections: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Start to listen and return the port, which stays the same after a `stop`."""
        if self._thread is not None:
            raise RuntimeError("the receiver is already running; stop it first, or use it as it is")
        listener = socket.create_server((self.address, self._port), backlog=_BACKLOG)
        self._port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)), name="unihooks-receiver", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self._port

    def stop(self) -> None:
        """Close the listener and every connection; do nothing if it is stopped."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=listener, ssl=self._context)
        ready.set()
        await self._stopping.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # lets aborted transports close their sockets

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio sets it for sockets that name their protocol, and those of this listener do not.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Cancelling the task that asyncio made for this call would be logged as an error, so it gets its own.
        task = asyncio.create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        try:
            with contextlib.suppress(*_GONE):
                while request := await read_request(reader, number):
                    answer = self._handle(request)
                    await self._answer(answer, reader, writer)
                    if answer.ends_connection:
                        break
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(answer.delay)
        if answer.hang:
            await reader.read()  # ends when the client gives up or the server stops
        elif not answer.drop:
            writer.write(render(answer))
            await writer.drain()
