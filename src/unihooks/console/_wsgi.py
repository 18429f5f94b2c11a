"""Run the console in hosts that speak WSGI, in an event loop that has its own thread in each process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from attrs import define, field
from starlette.types import ASGIApp, Message, Scope

from unihooks._base.event_loops import green_loop
from unihooks.console.http.forms import to_number

StartResponse = Callable[..., Any]
# This is more than the console accepts, so it is the console that refuses larger bodies.
_MOST_BYTES = 2 * 1024 * 1024
_logger = logging.getLogger("unihooks.console")


def wsgi(console: ASGIApp) -> Callable[[Mapping[str, Any], StartResponse], Iterable[bytes]]:
    """Return the console as a WSGI application, which may be made before its server forks.

    The environment of a request is `request.scope["wsgi_environ"]`, in which `authenticate` finds the host's session.
    """
    return _WSGIConsole(console)


class _WSGIConsole:
    """An adapter that runs WSGI requests through an ASGI application, in an event loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loops: dict[int, asyncio.AbstractEventLoop] = {}

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request."""
        exchange = _Exchange(_body_of(environ))
        asked = asyncio.run_coroutine_threadsafe(self._answered(environ, exchange), self._loop())
        try:
            asked.result()
        except BaseException:
            # The server may stop this thread while it waits.
            asked.cancel()
            raise
        start_response(exchange.status, exchange.headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [bytes(exchange.answer)]

    async def _answered(self, environ: Mapping[str, Any], exchange: _Exchange) -> None:
        try:
            await self._app(_scope_of(environ), exchange.receive, exchange.send)
        except Exception:
            if not exchange.is_complete:
                raise
            # The application has sent status 500, and raises the error for the server's log.
            _logger.exception("a request to the console failed")

    def _loop(self) -> asyncio.AbstractEventLoop:
        # A forked child has neither the thread of its parent's loop nor what that waits on, so it needs its own.
        process = os.getpid()
        loop = self._loops.get(process)
        if loop is not None:
            return loop
        shared = green_loop()
        if shared is not None:
            return self._loops.setdefault(process, shared)
        fresh = asyncio.new_event_loop()
        loop = self._loops.setdefault(process, fresh)
        if loop is fresh:
            threading.Thread(target=fresh.run_forever, name="unihooks-console-loop", daemon=True).start()
        else:
            fresh.close()
        return loop


@define
class _Exchange:
    """The body of a request, and its response."""

    body: bytes
    status: str = ""
    headers: list[tuple[str, str]] = field(factory=list)
    answer: bytearray = field(factory=bytearray)
    is_complete: bool = False
    _is_read: bool = False

    async def receive(self) -> Message:
        if self._is_read:
            # The body was read already, and a WSGI server does not tell when the client disconnects: wait for ever.
            await asyncio.get_running_loop().create_future()
        self._is_read = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            code = message["status"]
            self.status = f"{code} {HTTPStatus(code).phrase}"
            self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            self.answer += message.get("body", b"")
            self.is_complete = not message.get("more_body", False)


def _body_of(environ: Mapping[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ("" if not environ.get("wsgi.input_terminated") else str(_MOST_BYTES))
    size = min(to_number(length) or 0, _MOST_BYTES)
    body: bytes = environ["wsgi.input"].read(size) if size else b""
    return body


def _scope_of(environ: Mapping[str, Any]) -> Scope:
    root = _decoded(environ.get("SCRIPT_NAME", ""))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + _decoded(environ.get("PATH_INFO", "")),
        "root_path": root,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": [
            (_name_of(key), value.encode("latin-1")) for key, value in environ.items() if key.startswith(_HEADERS)
        ],
        "client": (environ.get("REMOTE_ADDR", ""), 0),
        "server": (environ.get("SERVER_NAME", ""), None),
        "wsgi_environ": environ,
    }


_HEADERS = ("HTTP_", "CONTENT_TYPE", "CONTENT_LENGTH")


def _name_of(key: str) -> bytes:
    return key.removeprefix("HTTP_").lower().replace("_", "-").encode("latin-1")


def _decoded(text: str) -> str:
    """Return a path as text; WSGI passes its bytes as characters."""
    return text.encode("latin-1").decode("utf-8", "replace")
