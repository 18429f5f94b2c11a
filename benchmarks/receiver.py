"""Receive webhooks over HTTPS in a process of its own: count them at once, check them on demand."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import ssl
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

from unihooks import verify
from unihooks.exceptions import VerificationError
from unihooks.testing._certificates import Certificates

ANSWER = b"HTTP/1.1 204 No Content\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: bench\r\nx-request: 1\r\n\r\n"
_WAIT_SECONDS = 120.0

Arrival = tuple[float, bytes, bytes]


@frozen
class Report:
    """Be what has come since the last report: counts, and when (by the system-wide monotonic clock) each id came first.

    `wrong` counts bodies that are not the expected one, or, with a secret, signatures that do not fit.
    """

    count: int
    wrong: int
    paths: dict[str, int]
    arrivals: dict[str, float] = field(repr=False)


class Receiver:
    """Be the handle of the process; `count` can be read by any process that it is given to."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.count: Any = context.RawValue("q", 0)
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_main, args=(other, self.count), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.port, self.authority = self._pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send(None)
        self._process.join()

    def report(self, body: bytes, secret: str | None = None) -> Report:
        """Check all that has come and forget it."""
        self._pipe.send((body, secret))
        report: Report = self._pipe.recv()
        return report


def wait_for(count: Any, expected: int) -> None:
    """Wait until the receiver has counted so many."""
    end = time.monotonic() + _WAIT_SECONDS
    while count.value < expected:
        if time.monotonic() > end:
            raise TimeoutError(f"{count.value} of {expected} requests came")
        time.sleep(0.005)


class _Conversation(asyncio.Protocol):
    """Answer whatever has a Content-Length; trust the sender, who is one of ours."""

    def __init__(self, arrived: list[Arrival], count: Any) -> None:
        self._arrived = arrived
        self._count = count
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            stop = end + 4 + _length(head)
            if len(self._buffer) < stop:
                return
            self._arrived.append((time.monotonic(), head, self._buffer[end + 4 : stop]))
            self._buffer = self._buffer[stop:]
            self._transport.write(ANSWER)
            self._count.value += 1


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.index(b"\r\ncontent-length:") + 17
    return int(lowered[at:].split(b"\r\n", 1)[0])


def _main(pipe: Connection, count: Any) -> None:
    certificates = Certificates()
    pem = "".join(map(ssl.DER_cert_to_PEM_cert, certificates.client_context().get_ca_certs(binary_form=True)))
    with _runner() as runner:
        runner.run(_serve(pipe, count, certificates.server_context(), pem))


def _runner() -> asyncio.Runner:
    with contextlib.suppress(ImportError):
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()


async def _serve(pipe: Connection, count: Any, context: ssl.SSLContext, pem: str) -> None:
    loop = asyncio.get_running_loop()
    arrived: list[Arrival] = []
    server = await loop.create_server(lambda: _Conversation(arrived, count), "127.0.0.1", 0, ssl=context, backlog=1024)
    pipe.send((server.sockets[0].getsockname()[1], pem))
    ended = asyncio.Event()
    threading.Thread(target=_obey, args=(pipe, arrived, count, loop, ended), daemon=True).start()
    await ended.wait()


def _obey(
    pipe: Connection, arrived: list[Arrival], count: Any, loop: asyncio.AbstractEventLoop, ended: asyncio.Event
) -> None:
    while (asked := pipe.recv()) is not None:
        requests = list(arrived)
        arrived.clear()
        count.value = 0
        pipe.send(_report(requests, *asked))
    loop.call_soon_threadsafe(ended.set)


def _report(requests: list[Arrival], body: bytes, secret: str | None) -> Report:
    wrong = 0
    paths: Counter[str] = Counter()
    arrivals: dict[str, float] = {}
    for at, head, came in requests:
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        paths[first.split(" ")[1]] += 1
        wrong += not _is_right(headers, came, body, secret)
        arrivals.setdefault(headers.get("webhook-id", ""), at)
    return Report(len(requests), wrong, dict(paths), arrivals)


def _is_right(headers: dict[str, str], came: bytes, body: bytes, secret: str | None) -> bool:
    if secret is not None:
        try:
            verify(headers, came, secret)
        except VerificationError:
            return False
    return came == body
