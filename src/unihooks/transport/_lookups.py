"""Look up host names in a few threads of our own, with one look-up at a time for each endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from unihooks._base.threads import Threads

Look = Callable[[str, int], Sequence[str]]

# This many are needed only when many names hang for the first time.
_THREADS: Final = 256
_THREADS_FOR_SUSPECTS: Final = 16
_MAX_SUSPECTS: Final = 10_000


def system_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host from the operating system, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


Result = Sequence[str] | Exception


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
        # The waiters of each look-up. Those that have given up are removed, since a name may hang for hours.
        self._waiting: dict[Hashable, set[asyncio.Future[Result | None]]] = {}
        self._ended: deque[tuple[Hashable, Result]] = deque()
        self._is_waking = False

    async def addresses(self, key: Hashable, host: str, port: int, seconds: float) -> Sequence[str] | None:
        """Return what the resolver returns, or raise its error; None if it takes longer than this many seconds.

        Callers that ask for the same key meanwhile share the result.
        """
        if key not in self._waiting:
            self._start(key, host, port)
        waiting = self._waiting[key]
        waiter: asyncio.Future[Result | None] = self._loop.create_future()
        waiting.add(waiter)
        # Hundreds may end like this, and a timer is much cheaper than cancelling a task and turning that into an error.
        timer = self._loop.call_later(seconds, _settle, waiter, None)
        try:
            result = await waiter
        finally:
            timer.cancel()
            waiting.discard(waiter)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """Let the threads end once they have nothing left to do."""
        self._threads.close()
        self._threads_for_suspects.close()

    def _start(self, key: Hashable, host: str, port: int) -> None:
        self._waiting[key] = set()
        threads = self._threads_for_suspects if key in self._suspects else self._threads
        # A suspect until it is resolved, so that a name that hangs does not block a second good thread.
        self._suspects[key] = None
        if len(self._suspects) > _MAX_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        threads.submit(self._work, key, host, port)

    def _work(self, key: Hashable, host: str, port: int) -> None:
        result: Result
        try:
            result = list(self._look(host, port))
        except Exception as exc:  # noqa: BLE001 - the host's own resolver may raise anything
            result = exc
        except BaseException as exc:  # noqa: BLE001 - it must end neither this thread nor the event loop
            result = RuntimeError(f"the resolver raised {type(exc).__name__}")
        self._ended.append((key, result))
        # Waking the event loop takes a system call, and many look-ups may end before it has handled the first.
        if not self._is_waking:
            self._is_waking = True
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._is_waking = False
        while self._ended:
            key, result = self._ended.popleft()
            if not isinstance(result, Exception) and result:
                self._suspects.pop(key, None)
            for waiter in self._waiting.pop(key):
                _settle(waiter, result)


def _settle(waiter: asyncio.Future[Result | None], result: Result | None) -> None:
    if not waiter.done():
        waiter.set_result(result)
