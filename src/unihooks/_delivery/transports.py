"""The transport of each event loop, through which its requests go."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from functools import cache

import httpx

from unihooks._model.egress import Egress
from unihooks._model.targets import TargetPolicy
from unihooks.transport import HTTPTransport, default_context

NewTransport = Callable[[], httpx.AsyncBaseTransport]
HostTransport = httpx.AsyncBaseTransport | Callable[[], httpx.AsyncBaseTransport]

_logger = logging.getLogger("unihooks.worker")


def transport_maker(
    transport: HostTransport | None, targets: TargetPolicy | None, ssl_context: ssl.SSLContext | None, egress: Egress
) -> NewTransport:
    """Return a function that makes a transport for one event loop; TypeError for a wrong combination."""
    if not isinstance(targets, TargetPolicy | None):
        raise TypeError("targets must be a TargetPolicy, such as TargetPolicy(allow=['10.0.0.0/8']), or None")
    if transport is None:
        if targets is None:
            raise TypeError(
                "targets=None switches the guard off; it needs a transport of yours that checks destinations itself"
            )
        return _own(targets, ssl_context, egress)
    if egress != Egress():
        raise TypeError("egress is for the built-in transport; choose the way out in your own, or leave transport out")
    if targets is not None:
        raise TypeError(
            "a transport of your own bypasses the guard against internal addresses; "
            "confirm that with targets=None, or leave transport out"
        )
    if isinstance(transport, httpx.AsyncBaseTransport):
        borrowed = _Borrowed(transport)
        return borrowed.enter
    if callable(transport):
        return _checked(transport)
    raise TypeError("transport must be an httpx.AsyncBaseTransport, or a function that makes one per event loop")


def _checked(make: NewTransport) -> NewTransport:
    def checked() -> httpx.AsyncBaseTransport:
        made: object = make()
        if isinstance(made, httpx.AsyncBaseTransport):
            return made
        raise TypeError(f"the function given as transport must return an httpx.AsyncBaseTransport, not {made!r:.50}")

    return checked


def _own(targets: TargetPolicy, ssl_context: ssl.SSLContext | None, egress: Egress) -> NewTransport:
    # All event loops share one context, because building one takes 25 ms.
    shared = cache(lambda: ssl_context or default_context())
    return lambda: HTTPTransport(targets, ssl_context=shared(), egress=egress)


class _Borrowed(httpx.AsyncBaseTransport):
    """The host's transport, lent to one event loop after another.

    When the last of them is done, its connections are closed, since they can be neither used nor closed once their loop
    is gone. The transports of httpx open new ones when they are used again.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._users = 0
        self._lock = threading.Lock()

    def enter(self) -> httpx.AsyncBaseTransport:
        """Lend the transport to one more event loop, which has to call `aclose`; return self."""
        with self._lock:
            self._users += 1
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            try:
                await self._transport.aclose()
            except Exception:
                _logger.exception("the host's transport could not be closed")
