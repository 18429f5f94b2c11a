"""Receive webhooks over HTTPS in a separate process: count them immediately, check them on demand."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen
from tables import Table

from unihooks import verify
from unihooks.exceptions import VerificationError
from unihooks.testing._certificates import Certificates

ANSWER = b"HTTP/1.1 204 No Content\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: bench\r\nx-request: 1\r\n\r\n"
LAST_ANSWER = ANSWER[:-2] + b"connection: close\r\n\r\n"
_CLOSING = b"POST /close/"
_HANGING = b"POST /hang/"
_WAIT_SECONDS = 120.0

# A count of this value means that hanging requests are to be dropped.
LET_GO = -1_000_000_000
_LOOK_SECONDS = 0.25

Arrival = tuple[float, bytes, bytes]


@frozen
class Address:
    """Where the receiver listens (one port issues TLS tickets, the other none), and the authority to trust."""

    port: int
    ticketless: int
    authority: str


@frozen
class Report:
    """What has arrived since the last report: counts, and when (by the system's monotonic clock) each id arrived first.

    `wrong` counts bodies that are not the expected one, or, with a secret, invalid signatures. `senders` counts by path
    and user agent the last quarter of the requests.
    """

    count: int
    wrong: int
    paths: dict[str, int]
    senders: dict[str, Counter[str]]
    arrivals: dict[str, float] = field(repr=False)


class Receiver:
    """The handle of the process; any process that gets `count` can read it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.count: Any = context.RawValue("q", 0)
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_main, args=(other, self.count), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.address: Address = self._pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send(None)
        self._process.join()

    def report(self, body: bytes, secret: str | None = None) -> Report:
        """Check all that has arrived, and forget it."""
        report = self.glance(body, secret)
        self.count.value = 0
        return report

    def glance(self, body: bytes, secret: str | None = None) -> Report:
        """Do the same, but do not reset `count`."""
        self._pipe.send((body, secret))
        report: Report = self._pipe.recv()
        return report


def checked(
    table: Table,
    receiver: Receiver,
    body: bytes,
    what: str,
    *counts: float,
    secret: str | None = None,
    ids: Collection[str] | None = None,
) -> Report:
    """Report what has arrived; note a problem unless it is as many as each of the counts, with these ids, and right."""
    report = receiver.report(body, secret)
    good = report.wrong == 0 and {report.count, *counts} == {report.count}
    good = good and (ids is None or report.arrivals.keys() == set(ids))
    table.check(f"{what}: received {report.count} of {counts}, wrong {report.wrong}", good=good)
    return report


def wait_for(count: Any, expected: int) -> None:
    """Wait until the receiver has counted this many."""
    end = time.monotonic() + _WAIT_SECONDS
    while count.value < expected:
        if time.monotonic() > end:
            raise TimeoutError(f"{count.value} of {expected} requests came")
        time.sleep(0.005)


@frozen
class _Inbox:
    """What has arrived; equal bodies are kept once."""

    count: Any
    arrived: list[Arrival] = field(factory=list)
    bodies: dict[bytes, bytes] = field(factory=dict)

    def add(self, head: bytes, body: bytes) -> None:
        self.arrived.append((time.monotonic(), head, self.bodies.setdefault(body, body)))
        self.count.value += 1


class _Conversation(asyncio.Protocol):
    """A server for requests with a Content-Length; it trusts the sender, which is ours."""

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox
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
            body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(_HANGING):
            self._hang()
            return
        closing = head.startswith(_CLOSING)
        self._transport.write(LAST_ANSWER if closing else ANSWER)
        self._inbox.add(head, body)
        if closing:
            self._transport.close()

    def _hang(self) -> None:
        if self._inbox.count.value < 0:
            self._transport.abort()
        elif not self._transport.is_closing():
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._hang)


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.index(b"\r\ncontent-length:") + 17
    return int(lowered[at:].split(b"\r\n", 1)[0])


def _main(pipe: Connection, count: Any) -> None:
    certificates = Certificates()
    pem = "".join(map(ssl.DER_cert_to_PEM_cert, certificates.client_context().get_ca_certs(binary_form=True)))
    contexts = [certificates.server_context(), certificates.server_context()]
    contexts[1].num_tickets = 0
    with _runner() as runner:
        runner.run(_serve(pipe, count, contexts, pem))


def _runner() -> asyncio.Runner:
    with contextlib.suppress(ImportError):
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()


async def _serve(pipe: Connection, count: Any, contexts: list[ssl.SSLContext], pem: str) -> None:
    loop = asyncio.get_running_loop()
    inbox = _Inbox(count)
    ports = []
    for context in contexts:
        server = await loop.create_server(lambda: _Conversation(inbox), "127.0.0.1", 0, ssl=context, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    pipe.send(Address(*ports, pem))
    ended = asyncio.Event()
    threading.Thread(target=_obey, args=(pipe, inbox.arrived, loop, ended), daemon=True).start()
    await ended.wait()


def _obey(pipe: Connection, arrived: list[Arrival], loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    while (asked := pipe.recv()) is not None:
        requests = arrived[:]
        del arrived[: len(requests)]
        pipe.send(_report(requests, *asked))
    loop.call_soon_threadsafe(ended.set)


def _report(requests: list[Arrival], body: bytes, secret: str | None) -> Report:
    wrong = 0
    paths: Counter[str] = Counter()
    senders: defaultdict[str, Counter[str]] = defaultdict(Counter)
    arrivals: dict[str, float] = {}
    for number, (at, head, came) in enumerate(requests):
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path = first.split(" ")[1]
        paths[path] += 1
        if 4 * number >= 3 * len(requests):
            senders[path][headers.get("user-agent", "")] += 1
        wrong += not _is_right(headers, came, body, secret)
        arrivals.setdefault(headers.get("webhook-id", ""), at)
    return Report(len(requests), wrong, dict(paths), dict(senders), arrivals)


def _is_right(headers: dict[str, str], came: bytes, body: bytes, secret: str | None) -> bool:
    if secret is not None:
        try:
            verify(headers, came, secret)
        except VerificationError:
            return False
    return came == body
