"""Stand between a program and a server, and break all connections at once on demand."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress

# With a linger time of zero, closing sends a reset, as a machine does that has just been switched on.
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """A port that passes bytes on to a server and back; `with` starts and ends it."""

    def __init__(self, host, port):
        self._server = (host, port)
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._frozen = threading.Event()
        self._count = self._frozen_until = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def reset(self):
        """Break all connections; new ones are accepted."""
        self._loop.call_soon_threadsafe(self._reset)

    def freeze(self):
        """Pass on nothing more but keep all connections, like a server that hangs."""
        self._frozen.set()

    def freeze_open(self):
        """Freeze the open connections; new ones work."""
        self._frozen_until = self._count

    def _run(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()
        listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listening.close()
        self._reset()

    async def _connected(self, reader, writer):
        with suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection(*self._server)
            self._writers |= {writer, up_writer}
            self._count += 1
            number = self._count
            await asyncio.gather(self._pass_on(reader, up_writer, number), self._pass_on(up_reader, writer, number))
            self._writers -= {writer, up_writer}
        writer.close()

    async def _pass_on(self, reader, writer, number):
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self._frozen.is_set() or number <= self._frozen_until:
                    await self._stop.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    def _reset(self):
        for writer in self._writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self._writers = set()
