"""Look up host names in a few threads of our own, with one look-up at a time for each endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from unihooks._base.threads import Threads

Look = Callable[[str, int], Sequence[str]]

# Only many names that hang for the first time need so many.
_THREADS: Final = 256
_THREADS_FOR_SUSPECTS: Final = 16
_MAX_SUSPECTS: Final = 10_000


def system_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host from the operating system, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Lookups:
    """The look-ups of one event loop.

    Names whose last look-up failed are suspects, which have a few threads of
    their own, so that many dead names do not delay the others.
    """

    def __init__(self, look: Look, loop: asyncio.AbstractEventLoop) -> None:
        self._look = look
        self._loop = loop
        self._threads = Threads(_THREADS, "unihooks-lookup")
        self._threads_for_suspects = Threads(_THREADS_FOR_SUSPECTS, "unihooks-lookup")
        self._suspects: dict[Hashable, None] = {}
        self._running: dict[Hashable, asyncio.Future[Sequence[str]]] = {}

    async def addresses(self, key: Hashable, host: str, port: int) -> Sequence[str]:
        """Return what the resolver returns; callers that ask for the same key meanwhile share the result."""
        running = self._running.get(key)
        if running is None:
            running = self._start(key, host, port)
        return await asyncio.shield(running)

    def close(self) -> None:
        """Let the threads end once they have no more to do."""
        self._threads.close()
        self._threads_for_suspects.close()

    def _start(self, key: Hashable, host: str, port: int) -> asyncio.Future[Sequence[str]]:
        future: asyncio.Future[Sequence[str]] = self._loop.create_future()
        self._running[key] = future
        threads = self._threads_for_suspects if key in self._suspects else self._threads
        # A suspect until the answer comes, so that a name that hangs does not block a second good thread.
        self._suspects[key] = None
        if len(self._suspects) > _MAX_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        threads.submit(self._work, key, host, port, future)
        return future

    def _work(self, key: Hashable, host: str, port: int, future: asyncio.Future[Sequence[str]]) -> None:
        found: Sequence[str] | None = None
        error: Exception | None = None
        try:
            found = list(self._look(host, port))
        except BaseException as exc:  # noqa: BLE001 - the host's own resolver may raise anything
            # A future refuses some exceptions, and one that ended the thread would leave the name waiting forever.
            if isinstance(exc, Exception) and not isinstance(exc, StopIteration):
                error = exc
            else:
                error = RuntimeError(f"the resolver raised {type(exc).__name__}")
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._end, key, future, found, error)

    def _end(
        self, key: Hashable, future: asyncio.Future[Sequence[str]], found: Sequence[str] | None, error: Exception | None
    ) -> None:
        self._running.pop(key, None)
        if found:
            self._suspects.pop(key, None)
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
            # If every caller has given up, nobody retrieves the exception, and asyncio would log that.
            future.exception()
        else:
            future.set_result(found or ())
