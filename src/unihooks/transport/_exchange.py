"""Make one attempt over any transport, within one deadline, and never fail to say how it went."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Final

import attrs
import httpx

from unihooks._message.requests import RenderedRequest
from unihooks.transport._errors import NOT_REACHABLE, AttemptError, timed_out
from unihooks.transport._http import HTTPTransport
from unihooks.transport._parser import MAX_WIRE_BYTES, AnswerParser, Headers

MAX_BODY_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 50
MAX_HEADER_BYTES: Final = 1024

_SWITCHING = 101
_LATE = "the body of the answer did not end in time and was cut"
_LONG = f"the answer was longer than {MAX_WIRE_BYTES // 1024} KiB and was cut"

# What a transport gets to clean up after a cancellation, twice at most.
_CLEAN_UP_SECONDS: Final = 0.25

logger = logging.getLogger("unihooks.transport")
_abandoned: set[asyncio.Task[None]] = set()


@attrs.define(kw_only=True)
class Exchange:
    """Be what one attempt brought: a status, or the error for which there is none.

    One is made for each attempt, and a frozen one would take three times as long.

    Args:
        status_code: None if and only if there is an error.
        headers: The first 50, of 1 KiB each at most, as they came.
        body: The first 16 KiB, not decoded.
        error: One sentence for the customer, without secrets and addresses.
        warnings: What was wrong after the headers; it does not count as failure.
        duration: Seconds.
    """

    status_code: int | None = None
    headers: Headers = attrs.field(factory=list)
    body: bytes = b""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    duration: float


async def exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request, *, deadline: float) -> Exchange:
    """Send the request and return what came back by the deadline, a time of `time.monotonic()`.

    Nothing is raised but CancelledError, and it ends within a second of the
    deadline whatever the transport and the receiver do.
    """
    started = monotonic()
    try:
        if type(transport) is HTTPTransport and _is_whole(request):
            return _of_answer(await transport.ask(request, deadline), started)
        return await _over_foreign(transport, request, started, deadline)
    except Exception as exc:  # noqa: BLE001 - an attempt fails, the worker goes on
        error = _sentence(exc)
        # How long an address took to refuse would make the customer's log a port scanner.
        return Exchange(error=error, duration=0.0 if error == NOT_REACHABLE else monotonic() - started)


def _is_whole(request: httpx.Request) -> bool:
    return type(request) is RenderedRequest or isinstance(request.stream, httpx.ByteStream)


def _of_answer(answer: AnswerParser, started: float) -> Exchange:
    headers = answer.headers
    if answer.head_size > MAX_HEADER_BYTES or len(headers) > MAX_HEADERS:
        headers = _capped(headers)
    return Exchange(
        status_code=answer.status,
        headers=headers,
        body=answer.body[:MAX_BODY_BYTES],
        warnings=() if answer.warning is None else (answer.warning,),
        duration=monotonic() - started,
    )


@attrs.define
class _Progress:
    """Hold what has come so far of an answer that may never be whole."""

    status: int | None = None
    headers: Headers = attrs.field(factory=list)
    body: bytearray = attrs.field(factory=bytearray)
    warning: str | None = None
    error: str | None = None
    frozen: bool = False


async def _over_foreign(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, started: float, deadline: float
) -> Exchange:
    if started >= deadline:
        raise timed_out(0.0, "before the request was sent")
    progress = _Progress()
    task = asyncio.create_task(_follow(transport, request, progress))
    task.add_done_callback(_bury)
    try:
        await asyncio.wait([task], timeout=max(deadline - monotonic(), 0))
        late = not task.done()
    finally:
        progress.frozen = True
        if not task.done():
            await _abandon(task)
    _settle(progress, task, late=late, limit=deadline - started)
    return Exchange(
        status_code=progress.status,
        headers=_capped(progress.headers),
        body=bytes(progress.body[:MAX_BODY_BYTES]),
        error=progress.error,
        warnings=() if progress.warning is None else (progress.warning,),
        duration=monotonic() - started,
    )


async def _follow(transport: httpx.AsyncBaseTransport, request: httpx.Request, progress: _Progress) -> None:
    try:
        await _ask(transport, request, progress)
    except SystemExit as exc:
        # Out of a task it would end the event loop, and the worker with it.
        if progress.status is None:
            progress.error = _sentence(exc)


async def _ask(transport: httpx.AsyncBaseTransport, request: httpx.Request, progress: _Progress) -> None:
    response = await transport.handle_async_request(request)
    try:
        _take_head(response, progress)
        if progress.error is None:
            await _take_body(response, progress)
    finally:
        await response.aclose()


def _take_head(response: httpx.Response, progress: _Progress) -> None:
    status = response.status_code
    if progress.frozen:
        return
    if not 100 <= status <= 599:  # noqa: PLR2004
        progress.error = f"the answer has the impossible status {status}"
    elif status == _SWITCHING:
        progress.error = "the answer switches protocols (status 101), which was not asked for"
    else:
        progress.headers = response.headers.raw
        progress.status = status


async def _take_body(response: httpx.Response, progress: _Progress) -> None:
    received = 0
    try:
        async for part in response.stream:  # type: ignore[union-attr]
            if progress.frozen:
                return
            received += len(part)
            progress.body += part[: MAX_BODY_BYTES - len(progress.body)]
            if received > MAX_WIRE_BYTES:
                progress.warning = _LONG
                return
    except AttemptError as exc:
        progress.warning = str(exc)
    except Exception as exc:  # noqa: BLE001 - the status has decided already
        progress.warning = f"the body of the answer broke off ({type(exc).__name__})"


async def _abandon(task: asyncio.Task[None]) -> None:
    # A transport may swallow a cancellation; after the second one it is on its own.
    _abandoned.add(task)
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=_CLEAN_UP_SECONDS)
        if task.done():
            return
    logger.warning("a transport does not stop when it is cancelled")


def _bury(task: asyncio.Task[None]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()


def _settle(progress: _Progress, task: asyncio.Task[None], *, late: bool, limit: float) -> None:
    if late:
        if progress.status is not None:
            progress.warning = progress.warning or _LATE
        elif progress.error is None:
            progress.error = str(timed_out(limit, "waiting for the answer"))
    elif progress.status is None and progress.error is None:
        progress.error = _failure(task)


def _failure(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "the transport failed (CancelledError)"
    exc = task.exception()
    if exc is None:
        return "the transport gave no answer"
    return _sentence(exc)


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, AttemptError):
        return str(exc)
    # Its text may hold a URL, a header or an internal address.
    logger.debug("the transport raised %s", type(exc).__name__)
    return f"the transport failed ({type(exc).__name__})"


def _capped(headers: Headers) -> Headers:
    return [
        (name[:MAX_HEADER_BYTES], value[: max(MAX_HEADER_BYTES - len(name), 0)])
        for name, value in headers[:MAX_HEADERS]
    ]
