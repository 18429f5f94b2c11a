"""Send requests over connections of our own: guarded, pooled by endpoint, strictly read."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING

import httpx

from unihooks._message.requests import RenderedRequest
from unihooks.transport._connections import Connection
from unihooks.transport._deadlines import Ticker
from unihooks.transport._dialing import Destination, Dialer, port_of
from unihooks.transport._errors import BadAnswer, ConnectionEnded
from unihooks.transport._parser import MAX_WIRE_BYTES, AnswerParser
from unihooks.transport._pool import IdleLimits, Pool, idle_that_fit
from unihooks.transport._requests import read_body, render_head

if TYPE_CHECKING:
    from unihooks._model.targets import TargetPolicy

_SWEEP_SECONDS = 0.1
# Each that ends lets another begin, which takes the loop a while: of hundreds that are late, a few at a time.
_NEXT_SWEEP_SECONDS = 0.01
_LEAST_SWEPT = 2
_SHARE_SWEPT = 32
_IDLE_SWEEP_SECONDS = 1.0

# Gateways on the way forget a silent connection after 240 s or more, without a word to either end.
_IDLE_SECONDS = 180.0


logger = logging.getLogger("unihooks.transport")


class HTTPTransport(httpx.AsyncBaseTransport):
    """Be an httpx transport for URLs that strangers choose.

    `request.extensions["unihooks"]` may name an `endpoint_id`, which alone may
    reuse the connection afterwards, and a `deadline` (of `time.monotonic()`).
    One object serves one event loop, the one in which it is first used.

    Args:
        targets: Which destinations are allowed.
        ssl_context: Whom to trust; the system's authorities unless given.
        connect_timeout: Seconds for look-up, connect and TLS together, of which each attempt gets four fifths or more.
        max_idle: How many unused connections are kept in all: a quarter of the files that the
            process may open (`ulimit -n`), 10,000 at most, unless given.
        max_idle_per_endpoint: How many of them for one endpoint and origin.
        idle_seconds: For how long at most. A receiver that announces a shorter time is believed.
        max_answer_bytes: How much of an answer is read, its framing included.
    """

    def __init__(
        self,
        targets: TargetPolicy,
        *,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 5.0,
        max_idle: int | None = None,
        max_idle_per_endpoint: int = 64,
        idle_seconds: float = _IDLE_SECONDS,
        max_answer_bytes: int = MAX_WIRE_BYTES,
    ) -> None:
        self._targets = targets
        self._ssl_context = ssl_context
        self._connect_timeout = connect_timeout
        self._max_answer_bytes = max_answer_bytes
        total = idle_that_fit() if max_idle is None else max_idle
        limits = IdleLimits(total=total, per_endpoint=max_idle_per_endpoint, seconds=idle_seconds)
        self._pool = Pool(limits)
        self._asking: set[Connection] = set()
        self._dialer: Dialer | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return its answer, complete or cut; see `ask` for the errors."""
        marks = request.extensions.get("unihooks") or {}
        answer = await self.ask(request, marks.get("deadline", math.inf))
        assert answer.status is not None  # noqa: S101
        stream = AnswerStream(answer)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream)

    async def ask(self, request: httpx.Request, deadline: float) -> AnswerParser:
        """Send the request and return what was read; raise an AttemptError if there are no headers."""
        started = monotonic()
        key: tuple[str | None, str, bytes, int | None]
        if type(request) is RenderedRequest:
            key, data = request.connection, request.head + request.body
        else:
            key, data = _connection_of(request), render_head(request) + await read_body(request)
        connection = self._pool.take(key)
        if connection is not None:
            answer = self._new_answer(request)
            try:
                return await self._ask_over(connection, data, answer, started, deadline)
            except ConnectionEnded:
                # It may have been closed as idle before the request got there.
                if answer.received:
                    raise
        dialer = self._dialer or self._open()
        destination = _destination(key[0], request.url)
        connection = await dialer.dial(destination, deadline)
        connection.key = key
        try:
            return await self._ask_over(connection, data, self._new_answer(request), started, deadline)
        finally:
            dialer.learn(connection, destination)

    async def aclose(self) -> None:
        """Close all connections; what is under way ends with an error."""
        self._pool.close()
        for connection in list(self._asking):
            connection.close()
        if self._dialer is not None:
            self._dialer.close()
            self._ticker.stop()
            self._idle_ticker.stop()
            self._dialer = None

    def _new_answer(self, request: httpx.Request) -> AnswerParser:
        return AnswerParser(without_body=request.method == "HEAD", limit=self._max_answer_bytes)

    def _open(self) -> Dialer:
        loop = asyncio.get_running_loop()
        self._ticker = Ticker(loop, _SWEEP_SECONDS, self._sweep)
        self._idle_ticker = Ticker(loop, _IDLE_SWEEP_SECONDS, self._sweep_idle)
        self._dialer = Dialer(self._targets, self._ssl_context, self._connect_timeout, loop, self._spare_files)
        return self._dialer

    async def _ask_over(
        self,
        connection: Connection,
        data: bytes,
        answer: AnswerParser,
        started: float,
        deadline: float,
    ) -> AnswerParser:
        self._asking.add(connection)
        self._ticker.start()
        try:
            await connection.ask(data, answer, started, deadline)
        except BaseException:
            connection.close()
            raise
        finally:
            self._asking.discard(connection)
        if self._dialer is None:
            connection.close()
        elif not connection.closed:
            self._pool.put(connection, monotonic(), answer.idle_seconds)
            self._idle_ticker.start()
        return answer

    def _spare_files(self) -> None:
        # What is idle must not be the reason why a delivery fails.
        if len(self._pool):
            logger.warning("this process may open no more files, so idle connections are closed; raise `ulimit -n`")
            self._pool.close()

    def _sweep(self) -> float | None:
        now = monotonic()
        late = sorted([one for one in self._asking if one.deadline <= now], key=lambda one: one.deadline)
        most = max(_LEAST_SWEPT, len(late) // _SHARE_SWEPT)
        for connection in late[:most]:
            connection.expire()
        if len(late) > most:
            return _NEXT_SWEEP_SECONDS
        return _SWEEP_SECONDS if self._asking else None

    def _sweep_idle(self) -> float | None:
        self._pool.sweep(monotonic())
        return _IDLE_SWEEP_SECONDS if len(self._pool) else None


class AnswerStream(httpx.AsyncByteStream):
    """Give the body of an answer that has been read already, and say if it was cut."""

    def __init__(self, answer: AnswerParser) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body in one piece; raise BadAnswer after it if it is not whole."""
        if body := self._answer.body:
            yield body
        if self._answer.warning is not None:
            raise BadAnswer(self._answer.warning)


def _connection_of(request: httpx.Request) -> tuple[str | None, str, bytes, int | None]:
    marks = request.extensions.get("unihooks") or {}
    url = request.url
    return marks.get("endpoint_id"), url.scheme, url.raw_host, url.port


def _destination(endpoint_id: str | None, url: httpx.URL) -> Destination:
    return Destination(
        endpoint_id=endpoint_id,
        url=str(url),
        scheme=url.scheme,
        host=url.raw_host.decode("ascii"),
        port=port_of(url.scheme, url.port),
    )
