"""Compress pages on their way out."""

from __future__ import annotations

import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unihooks.console.http.rendering import off_the_loop

_LEAST_BYTES = 1000
# Higher levels take twice the time for 5 % less.
_LEVEL = 5
_GZIP = 31


def accepts_gzip(headers: Headers) -> bool:
    """Return whether the client accepts gzip.

    >>> accepts_gzip(Headers({"accept-encoding": "br;q=1.0, GZIP;q=0.5"}))
    True
    >>> accepts_gzip(Headers({"accept-encoding": "gzip;q=0, identity"}))
    False
    """
    for one in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = one.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


class Compression:
    """The middleware that compresses pages.

    Somebody who can choose a part of a page and see its compressed length can learn what else is on it (BREACH). So
    pages that other sites ask for are not compressed, and the token of forms looks different on every page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and compress the response if it is a page."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if not accepts_gzip(headers) or headers.get("sec-fetch-site") == "cross-site":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Page(send).send)


class _Page:
    """A response whose start is held back until its body is there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(Headers(raw=message["headers"])):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            start, self._start = self._start, None
            await self._send_page(start, message)

    async def _send_page(self, start: Message, message: Message) -> None:
        body = message.get("body", b"")
        headers = MutableHeaders(scope=start)
        headers.add_vary_header("accept-encoding")
        if len(body) >= _LEAST_BYTES and not message.get("more_body", False):
            body = await off_the_loop(zlib.compress, body, _LEVEL, _GZIP)
            headers["content-encoding"] = "gzip"
            headers["content-length"] = str(len(body))
        await self._send(start)
        await self._send({**message, "body": body})


def _is_page(headers: Headers) -> bool:
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
