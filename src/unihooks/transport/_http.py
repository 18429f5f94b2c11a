"""Send requests over our own connections: guarded, pooled by endpoint, strictly parsed."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import AsyncIterator, Callable
from time import monotonic

import attrs
import httpx

from unihooks._base.sentences import Kept
from unihooks._message.requests import RenderedRequest, Route
from unihooks._model.egress import Egress
from unihooks._model.targets import TargetPolicy
from unihooks.transport._connections import Connection
from unihooks.transport._dialing import Dialer
from unihooks.transport._egress import check_bind
from unihooks.transport._errors import BadRequest, BadResponse, ConnectionEnded
from unihooks.transport._parser import ResponseParser
from unihooks.transport._pool import Pool, idle_that_fit

_SWEEP_SECONDS = 0.1
# Each attempt that ends lets another begin, which takes the loop some time. So of hundreds, only a few end at once.
_NEXT_SWEEP_SECONDS = 0.01
_LEAST_SWEPT = 2
_SHARE_SWEPT = 32
_IDLE_SWEEP_SECONDS = 1.0

# Gateways silently drop connections that have been idle for 240 s or more.
_IDLE_SECONDS = 180.0

# A server that is being replaced may respond like this, while new connections reach the one that works.
_MAY_BE_ELSEWHERE = frozenset({421, *range(500, 600)})

_PLAIN_EGRESS = Egress()

_CONTROL_CHARACTER = Kept("control-character", "the request has a control character in a header; remove it")
_NO_STREAM = Kept("no-stream", "the body of the request must be an asynchronous stream")

logger = logging.getLogger("unihooks.transport")


class HTTPTransport(httpx.AsyncBaseTransport):
    """An httpx transport for URLs that strangers choose.

    `request.extensions["unihooks"]` may contain an `endpoint_id`, whose requests alone may reuse the connection, and a
    `deadline` (a time of `time.monotonic()`). A transport serves the event loop in which it is first used.

    Args:
        targets: Which destinations are allowed.
        ssl_context: Whom to trust; by default the system's authorities.
        egress: From which address, or through which proxy; `InvalidArgument` if this machine does not have the address.
        connect_timeout: Seconds for look-up, connect and TLS together; each attempt gets 80 to 100 % of them.
        max_idle: How many idle connections are kept in all; by default a quarter of the files that the process may open
            (`ulimit -n`), at most 10,000.
        max_idle_per_endpoint: How many of them for one endpoint and origin.
        idle_seconds: How long they are kept, or less if the receiver says so.
    """

    def __init__(
        self,
        targets: TargetPolicy,
        *,
        ssl_context: ssl.SSLContext | None = None,
        egress: Egress = _PLAIN_EGRESS,
        connect_timeout: float = 5.0,
        max_idle: int | None = None,
        max_idle_per_endpoint: int = 64,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._targets = targets
        self._ssl_context = ssl_context
        check_bind(egress)
        self._egress = egress
        self._connect_timeout = connect_timeout
        total = idle_that_fit() if max_idle is None else max_idle
        self._pool = Pool(total=total, per_endpoint=max_idle_per_endpoint, seconds=idle_seconds)
        self._asking: set[Connection] = set()
        self._dialer: Dialer | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response, complete or cut short; see `ask` for the errors."""
        marks = request.extensions.get("unihooks") or {}
        response = await self.ask(request, marks.get("deadline", math.inf))
        assert response.status is not None  # noqa: S101
        stream = ResponseStream(response)
        return httpx.Response(response.status, headers=response.headers, stream=stream)

    async def ask(self, request: httpx.Request, deadline: float) -> ResponseParser:
        """Send the request and return what was read; raise an AttemptError if no headers came."""
        started = monotonic()
        if type(request) is RenderedRequest:
            route, data = request.prepared.route, request.head + request.body
        else:
            marks = request.extensions.get("unihooks") or {}
            route = Route.to(request.url, marks.get("endpoint_id"))
            data = _rendered_head(request) + await _read_body(request)
        connection = self._pool.take(route)
        if connection is not None:
            response = self._new_response(request)
            try:
                return await self._ask_over(connection, data, response, started, deadline)
            except ConnectionEnded:
                # The receiver may have closed the idle connection before the request arrived.
                if response.received:
                    raise
        dialer = self._dialer or self._open()
        url = request.prepared.address if type(request) is RenderedRequest else str(request.url)
        connection = await dialer.dial(route, url, deadline)
        try:
            return await self._ask_over(connection, data, self._new_response(request), started, deadline)
        finally:
            dialer.learn(connection)

    async def reach(self, url: str, deadline: float) -> tuple[str | None, int | None]:
        """Connect to the server of a URL as a request would, and disconnect; raise an AttemptError if that fails.

        Return the version of TLS, and when the server's certificate ends (seconds since 1970), or None.
        """
        connection = await (self._dialer or self._open()).dial(Route.to(httpx.URL(url)), url, deadline)
        try:
            return connection.security()
        finally:
            connection.close()

    async def aclose(self) -> None:
        """Close all connections; requests under way end with an error."""
        self._pool.close()
        for connection in list(self._asking):
            connection.close()
        if self._dialer is not None:
            self._dialer.close()
            self._ticker.stop()
            self._idle_ticker.stop()
            self._dialer = None

    def _new_response(self, request: httpx.Request) -> ResponseParser:
        return ResponseParser(without_body=request.method == "HEAD")

    def _open(self) -> Dialer:
        loop = asyncio.get_running_loop()
        self._ticker = _Ticker(loop, _SWEEP_SECONDS, self._sweep)
        self._idle_ticker = _Ticker(loop, _IDLE_SWEEP_SECONDS, self._sweep_idle)
        self._dialer = Dialer(
            self._targets, self._ssl_context, self._connect_timeout, loop, self._spare_files, egress=self._egress
        )
        return self._dialer

    async def _ask_over(
        self, connection: Connection, data: bytes, response: ResponseParser, started: float, deadline: float
    ) -> ResponseParser:
        self._asking.add(connection)
        self._ticker.start()
        try:
            await connection.ask(data, response, started, deadline)
        except BaseException:
            connection.close()
            raise
        finally:
            self._asking.discard(connection)
        if self._dialer is None or response.status in _MAY_BE_ELSEWHERE:
            connection.close()
        elif not connection.closed:
            self._pool.put(connection, monotonic(), response.idle_seconds)
            self._idle_ticker.start()
        return response

    def _spare_files(self) -> None:
        # Idle connections must not make a delivery fail.
        if len(self._pool):
            logger.warning("this process cannot open more files, so idle connections are closed; raise `ulimit -n`")
            self._pool.close()

    def _sweep(self) -> float | None:
        now = monotonic()
        late = sorted([one for one in self._asking if one.deadline <= now], key=lambda one: one.deadline)
        most = max(_LEAST_SWEPT, len(late) // _SHARE_SWEPT)
        for connection in late[:most]:
            # Its machine may be gone, and each of its other connections would cost another attempt.
            self._pool.close_of(connection.key)
            connection.expire()
        if len(late) > most:
            return _NEXT_SWEEP_SECONDS
        return _SWEEP_SECONDS if self._asking else None

    def _sweep_idle(self) -> float | None:
        self._pool.sweep(monotonic())
        return _IDLE_SWEEP_SECONDS if len(self._pool) else None


class ResponseStream(httpx.AsyncByteStream):
    """The body of a response that has already been read."""

    def __init__(self, response: ResponseParser) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in one piece; then raise BadResponse if it is incomplete."""
        if body := self._response.body:
            yield body
        if self._response.warning is not None:
            raise BadResponse(self._response.warning)


@attrs.define(eq=False)
class _Ticker:
    """A timer that calls an action after some seconds, and again after the seconds that it returns, until that is None.

    One timer for all requests: one for each would cost several times as much.
    """

    _loop: asyncio.AbstractEventLoop
    _seconds: float
    _action: Callable[[], float | None]
    _timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer, unless it is running."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._tick)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        seconds = self._action()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._tick)


def _rendered_head(request: httpx.Request) -> bytes:
    headers = request.headers.raw
    line = b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)
    head = b"\r\n".join([line, *map(b": ".join, headers), b"", b""])
    expected = len(headers) + 2
    if head.count(b"\n") != expected or head.count(b"\r") != expected or b"\0" in head:
        raise BadRequest(_CONTROL_CHARACTER)
    return head


async def _read_body(request: httpx.Request) -> bytes:
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    if not isinstance(stream, httpx.AsyncByteStream):
        raise BadRequest(_NO_STREAM)
    body = b"".join([part async for part in stream])
    if request.headers.get("transfer-encoding", "").lower() != "chunked":
        return body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n"
