"""Make one attempt over any transport, within one deadline, and always return its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import monotonic
from typing import Final

import attrs
import httpx

from unihooks._message.requests import RenderedRequest
from unihooks.transport._errors import (
    BEFORE_REQUEST,
    BODY_BROKE_OFF_BY,
    BODY_TOO_SLOW,
    NO_RESPONSE,
    NOT_REACHABLE,
    TOO_LONG,
    TOO_MANY_PIECES,
    TRANSPORT_FAILED,
    WAITING,
    AttemptError,
    EgressFailed,
    status_fault,
    timed_out,
)
from unihooks.transport._http import HTTPTransport
from unihooks.transport._parser import MAX_BODY_BYTES, MAX_PIECES, Headers

MAX_HEADERS: Final = 50
MAX_HEADER_BYTES: Final = 1024

# The time that a cancelled transport gets to clean up, at most twice.
_CLEAN_UP_SECONDS: Final = 0.25
_PIECES_OF_DEAR: Final = 64

logger = logging.getLogger("unihooks.transport")
_abandoned: set[asyncio.Task[None]] = set()


@attrs.define(kw_only=True)
class Exchange:
    """The outcome of an attempt: a status, or the error that left it without one.

    Not frozen, since making a frozen one for each attempt takes three times as long.

    Args:
        status_code: None if and only if there is an error.
        headers: The first 50, of 1 KiB each at most, as they came.
        body: The first 16 KiB, not decoded.
        error: One sentence for the customer, without secrets and addresses.
        warnings: What else was wrong; this does not count as a failure.
        duration: Seconds.
        dear: Whether it came in so many pieces that reading it took long.
        own_fault: Whether the way out failed, which says nothing about the endpoint.
    """

    status_code: int | None = None
    headers: Headers = attrs.field(factory=list)
    body: bytes = b""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    duration: float
    dear: bool = False
    own_fault: bool = False


async def exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request, *, deadline: float) -> Exchange:
    """Send the request and return what came back by the deadline, a time of `time.monotonic()`.

    Raises only CancelledError. Returns at most a second after the deadline, whatever transport and receiver do.
    """
    started = monotonic()
    try:
        if type(transport) is HTTPTransport and _is_whole(request):
            response = await transport.ask(request, deadline)
            small = response.head_size <= MAX_HEADER_BYTES and len(response.headers) <= MAX_HEADERS
            return Exchange(
                status_code=response.status,
                headers=response.headers if small else _capped(response.headers),
                body=response.body,
                warnings=tuple([one for one in (response.fault, response.warning) if one is not None]),
                duration=monotonic() - started,
                dear=response.pieces > _PIECES_OF_DEAR,
            )
        return await _over_foreign(transport, request, started, deadline)
    except Exception as exc:  # noqa: BLE001 - the attempt fails, the worker goes on
        error = _sentence(exc)
        # Customers could use their log as a port scanner if it showed how fast an address refuses connections.
        duration = 0.0 if error == NOT_REACHABLE else monotonic() - started
        return Exchange(error=error, duration=duration, own_fault=isinstance(exc, EgressFailed))


def _is_whole(request: httpx.Request) -> bool:
    return type(request) is RenderedRequest or isinstance(request.stream, httpx.ByteStream)


async def _over_foreign(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, started: float, deadline: float
) -> Exchange:
    if started >= deadline:
        raise timed_out(0.0, BEFORE_REQUEST)
    progress = Exchange(duration=0.0)
    task = asyncio.create_task(_follow(transport, request, progress))
    task.add_done_callback(_bury)
    try:
        await asyncio.wait([task], timeout=max(deadline - monotonic(), 0))
        late = not task.done()
    finally:
        # What a transport adds after it was cancelled comes too late.
        found = attrs.evolve(progress)
        if not task.done():
            await _abandon(task)
    _settle(found, task, late=late, limit=deadline - started)
    found.headers, found.duration = _capped(found.headers), monotonic() - started
    return found


async def _follow(transport: httpx.AsyncBaseTransport, request: httpx.Request, progress: Exchange) -> None:
    try:
        response = await transport.handle_async_request(request)
        async with contextlib.aclosing(response):
            progress.error = status_fault(response.status_code)
            if progress.error is None:
                progress.headers, progress.status_code = response.headers.raw, response.status_code
                await _take_body(response, progress)
    except SystemExit as exc:
        # Raised from a task, it would end the event loop and with it the worker.
        if progress.status_code is None:
            progress.error = _sentence(exc)


async def _take_body(response: httpx.Response, progress: Exchange) -> None:
    received = pieces = 0
    try:
        async for part in response.stream:  # type: ignore[union-attr]
            received += len(part)
            pieces += 1
            progress.dear = pieces > _PIECES_OF_DEAR
            progress.body += part[: MAX_BODY_BYTES - len(progress.body)]
            if received > MAX_BODY_BYTES:
                progress.warnings = (TOO_LONG(limit=MAX_BODY_BYTES // 1024),)
                return
            if pieces > MAX_PIECES:
                progress.warnings = (TOO_MANY_PIECES(most=MAX_PIECES),)
                return
    except AttemptError as exc:
        progress.warnings = (str(exc),)
    except Exception as exc:  # noqa: BLE001 - the status has decided the outcome
        progress.warnings = (BODY_BROKE_OFF_BY(kind=type(exc).__name__),)


async def _abandon(task: asyncio.Task[None]) -> None:
    # A transport may swallow a cancellation; after the second one it is abandoned.
    _abandoned.add(task)
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=_CLEAN_UP_SECONDS)
        if task.done():
            return
    logger.warning("a transport continues although it was cancelled; let it raise CancelledError")


def _bury(task: asyncio.Task[None]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()


def _settle(progress: Exchange, task: asyncio.Task[None], *, late: bool, limit: float) -> None:
    if late:
        if progress.status_code is not None:
            progress.warnings = progress.warnings or (BODY_TOO_SLOW,)
        elif progress.error is None:
            progress.error = str(timed_out(limit, WAITING))
    elif progress.status_code is None and progress.error is None:
        progress.error = _failure(task)


def _failure(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return TRANSPORT_FAILED(kind="CancelledError")
    exc = task.exception()
    if exc is None:
        return NO_RESPONSE
    return _sentence(exc)


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, AttemptError):
        return str(exc)
    # The text of the exception may contain a URL, a header or an internal address, so only its type is shown.
    logger.debug("the transport raised %s", type(exc).__name__)
    return TRANSPORT_FAILED(kind=type(exc).__name__)


def _capped(headers: Headers) -> Headers:
    return [
        (name[:MAX_HEADER_BYTES], value[: max(MAX_HEADER_BYTES - len(name), 0)])
        for name, value in headers[:MAX_HEADERS]
    ]
