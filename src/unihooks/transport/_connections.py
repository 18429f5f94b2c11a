"""One TCP connection, which carries one request at a time."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Hashable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, cast

from unihooks.transport._errors import (
    BEFORE_REQUEST,
    BODY_BROKE_OFF,
    BODY_TOO_SLOW,
    CLOSED_EARLY,
    RESET_EARLY,
    RESET_IN_HEADERS,
    SENDING,
    WAITING,
    AttemptError,
    BadResponse,
    ConnectionEnded,
    timed_out,
)
from unihooks.transport._parser import ResponseParser

_WIRE_BYTES: Final = 64 * 1024
PLAIN_BYTES: Final = 16 * 1024

# Each portion that is received costs a turn of the event loop, as much as a whole plain response. A peer that sends
# more than these is read at intervals, so that its portions gather in the meantime.
PORTIONS_AT_ONCE: Final = 16
_GATHERING_SECONDS: Final = 0.1

# With a linger time of zero, closing sends a reset and drops queued data; otherwise the kernel goes on sending it.
_DROP_WHAT_IS_QUEUED: Final = struct.pack("ii", 1, 0)

# More than this does not belong to TLS, so the connection is given up.
MAX_OVERHEAD_BYTES: Final = 128 * 1024


class Scratch:
    """The read buffers shared by all connections of one event loop.

    They are filled and emptied within one callback, so nothing of one connection is left when the next one reads.
    """

    __slots__ = ("plain", "plain_view", "wire", "wire_view")

    def __init__(self) -> None:
        self.wire = bytearray(_WIRE_BYTES)
        self.wire_view = memoryview(self.wire)
        self.plain = bytearray(PLAIN_BYTES)
        self.plain_view = memoryview(self.plain)


class Connection(asyncio.BufferedProtocol):
    """A connection that sends a request and feeds what comes back to its parser.

    `closed` is final. Bytes that arrive while no response is awaited close the connection, since they would be taken
    for the response to the next request.
    """

    __slots__ = (
        "_loop", "_parser", "_portions", "_scratch", "_started", "_transport", "_waiter",
        "closed", "deadline", "ends_at", "idle_until", "key", "on_idle_close", "session_due",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, scratch: Scratch) -> None:
        self._loop = loop
        self._scratch = scratch
        self._transport: asyncio.Transport | None = None
        self._parser: ResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._started = 0.0
        self._portions = 0
        self.closed = False
        self.deadline = 0.0
        self.ends_at = 0.0
        self.idle_until = 0.0
        self.key: Hashable = None
        self.on_idle_close: Callable[[Connection], None] | None = None
        self.session_due = False

    def ask(self, data: bytes, parser: ResponseParser, started: float, deadline: float) -> asyncio.Future[None]:
        """Send a request; the future ends when the parser is done, or with an AttemptError."""
        waiter = self._loop.create_future()
        self._waiter = waiter
        self._parser = parser
        self._started = started
        self._portions = 0
        self.deadline = deadline
        if self.closed:
            self._fail(ConnectionEnded(CLOSED_EARLY))
        else:
            self._send(data)
        return waiter

    def expire(self) -> None:
        """End the exchange because its deadline has passed."""
        parser = self._parser
        if parser is None:
            return
        if parser.status is None:
            doing = SENDING if self._is_sending() else WAITING
            self._fail(timed_out(self.deadline - self._started, doing))
        else:
            parser.cut(BODY_TOO_SLOW)
            self._finish()

    def close(self) -> None:
        """Close at once; a request that is under way is given up."""
        self._close(is_given_up=self._parser is not None)

    def _close(self, *, is_given_up: bool) -> None:
        if not self.closed:
            self.closed = True
            if self._transport is not None:
                if is_given_up:
                    _drop_what_is_queued(self._transport)
                self._transport.abort()
            if self.on_idle_close is not None:
                self.on_idle_close(self)

    def security(self) -> tuple[str | None, int | None]:
        """Return the version of TLS, and when the peer's certificate ends (seconds since 1970); None without TLS."""
        return None, None

    def peer(self) -> str | None:
        """Return the address at the other end."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return cast("str", name[0]) if name else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport; called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> Any:  # noqa: ARG002
        """Return the buffer to read into; called by the event loop."""
        return self._scratch.wire

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were read; called by the event loop."""
        if not self.closed:
            self._feed(bytes(self._scratch.wire_view[:nbytes]))
            self._portions += 1
            if self._portions > PORTIONS_AT_ONCE:
                self._read_later()

    def eof_received(self) -> bool | None:
        """Handle the peer's end of sending; called by the event loop."""
        self._end(None)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the connection; called by the event loop."""
        self._end(exc)
        self._transport = None

    def _send(self, data: bytes) -> None:
        # After this process was frozen, another worker may have claimed the delivery, and sending would duplicate it.
        # So the deadline is checked as late as possible: after encryption, right before the system call.
        if monotonic() >= self.deadline:
            self._fail(timed_out(self.deadline - self._started, BEFORE_REQUEST))
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _read_later(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.pause_reading()
            self._loop.call_later(_GATHERING_SECONDS, self._go_on_reading)

    def _go_on_reading(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.resume_reading()

    def _is_sending(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            self.close()
            return
        try:
            parser.feed(data)
        except BadResponse as exc:
            self._fail(exc)
            return
        if parser.done:
            self._finish()

    def _finish(self) -> None:
        parser, waiter = self._parser, self._waiter
        assert parser is not None  # noqa: S101
        assert waiter is not None  # noqa: S101
        self._parser = self._waiter = None
        if not waiter.done():
            waiter.set_result(None)
        is_sending = self._is_sending()
        if is_sending or not parser.keep:
            self._close(is_given_up=is_sending or parser.warning is not None)

    def _fail(self, error: AttemptError) -> None:
        waiter = self._waiter
        self._parser = self._waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        self._close(is_given_up=True)

    def _end(self, exc: BaseException | None) -> None:
        parser = self._parser
        if parser is None:
            self.close()
        elif exc is not None and parser.status is None:
            self._fail(ConnectionEnded(RESET_IN_HEADERS if parser.received else RESET_EARLY))
        elif exc is not None:
            parser.cut(BODY_BROKE_OFF)
            self._finish()
        else:
            self._take_eof(parser)

    def _take_eof(self, parser: ResponseParser) -> None:
        try:
            parser.eof()
        except BadResponse as error:
            self._fail(ConnectionEnded(str(error)))
        else:
            self._finish()


def _drop_what_is_queued(transport: asyncio.Transport) -> None:
    connected = transport.get_extra_info("socket")
    # A connection that is already gone sends nothing more.
    with suppress(OSError):
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_WHAT_IS_QUEUED)
