"""The way by which connections leave this machine, as the host has chosen it."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Callable
from typing import Final, cast

from unihooks._model.egress import Egress, Proxy
from unihooks._model.host_names import is_address
from unihooks.exceptions import InvalidArgument
from unihooks.transport._connections import Connection
from unihooks.transport._errors import EgressFailed
from unihooks.transport._lookups import Lookups

_MAX_HEAD: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")
_OPENED: Final = range(200, 300)
_WRONG_PASSWORD: Final = 407
# Statuses for what the proxy itself wants or refuses; a rule may concern one address, so others are still tried.
_OWN_FAULTS: Final = {
    403: "refuses to connect there by a rule of its own",
    _WRONG_PASSWORD: "requires another user or password",
}
# The proxy works, but did not reach this address: bad gateway, unavailable (used by many for this), gateway timeout.
_NO_WAY: Final = frozenset({502, 503, 504})
# The share of the endpoint's remaining time that a proxy may take to respond.
_SHARE_OF_PROXY: Final = 0.5


def check_bind(egress: Egress) -> None:
    """Raise InvalidArgument if this machine does not have the address that requests are to be sent from."""
    if egress.bind is None:
        return
    family = socket.AF_INET6 if ":" in egress.bind else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((egress.bind, 0))
    except OSError as exc:
        sentence = f"this machine cannot send from {egress.bind} ({exc.strerror}); give it that address, or change bind"
        raise InvalidArgument(sentence, name="bind") from exc


class Way:
    """A maker of TCP connections for one event loop: from a chosen address, through a proxy, or directly."""

    def __init__(self, egress: Egress, loop: asyncio.AbstractEventLoop, lookups: Lookups) -> None:
        self._bind = egress.bind
        self._local = None if egress.bind is None else (egress.bind, 0)
        self._proxy = egress.way
        self._loop = loop
        self._lookups = lookups

    @property
    def is_direct(self) -> bool:
        """Whether the peer of a connection is the endpoint's machine."""
        return self._proxy is None

    def leads_to(self, address: str) -> bool:
        """Return whether the family of an address can be reached from the address that requests are sent from."""
        return self._bind is None or self._proxy is not None or (":" in address) == (":" in self._bind)

    async def connect(self, connection: Connection, address: str, port: int, seconds: float) -> None:
        """Connect to an address within the seconds that are left; `EgressFailed` if the way out itself fails."""
        if self._proxy is None:
            await self._dial(lambda: connection, address, port)
            return
        tunnel = await self._enter(self._proxy, _Tunnel(self._proxy, self._loop), seconds * _SHARE_OF_PROXY)
        try:
            transport = await tunnel.lead_to(address, port)
        except BaseException:
            tunnel.close()
            raise
        transport.set_protocol(connection)
        connection.connection_made(transport)
        transport.resume_reading()

    async def _enter(self, proxy: Proxy, tunnel: _Tunnel, seconds: float) -> _Tunnel:
        try:
            async with asyncio.timeout(seconds):
                await self._dial_any(proxy, tunnel, seconds)
        except OSError as exc:  # TimeoutError is one
            raise EgressFailed(f"the proxy {proxy} cannot be reached ({exc.strerror or 'timed out'})") from exc
        return tunnel

    async def _dial_any(self, proxy: Proxy, tunnel: _Tunnel, seconds: float) -> None:
        failure = OSError(errno.EHOSTUNREACH, "it has no address")
        for address in await self._addresses(proxy, seconds):
            try:
                await self._dial(lambda: tunnel, address, proxy.port)
            except OSError as exc:
                failure = exc
            else:
                return
        raise failure

    async def _addresses(self, proxy: Proxy, seconds: float) -> list[str]:
        if is_address(proxy.host):
            return [proxy.host]
        try:
            found = await self._lookups.addresses(("proxy", proxy), proxy.host, proxy.port, seconds)
        except Exception as exc:
            raise EgressFailed(f"the proxy {proxy} has no address ({type(exc).__name__})") from exc
        return list(found or ())

    async def _dial(self, protocol: Callable[[], asyncio.BaseProtocol], address: str, port: int) -> None:
        try:
            await self._loop.create_connection(protocol, address, port, local_addr=self._local)
        except OSError as exc:
            if self._bind is not None and exc.errno == errno.EADDRNOTAVAIL:
                raise EgressFailed(f"this machine cannot send from {self._bind} ({exc.strerror})") from exc
            raise


class _Tunnel(asyncio.Protocol):
    """A connection to a proxy, until it is a tunnel to an address."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._opened: asyncio.Future[None] = loop.create_future()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport; called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)

    async def lead_to(self, address: str, port: int) -> asyncio.Transport:
        """Ask for a tunnel to an address; return the transport, which then leads there and is paused."""
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        fields = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if self._proxy.authorization is not None:
            fields.append(f"Proxy-Authorization: {self._proxy.authorization}")
        self._transport.write("\r\n".join([*fields, "", ""]).encode())
        await self._opened
        return self._transport

    def data_received(self, data: bytes) -> None:
        """Take a part of the proxy's response; called by the event loop."""
        self._head += data
        end = self._head.find(b"\r\n\r\n") + 4
        if end >= len(b"\r\n\r\n"):
            self._judge(self._head[:end], self._head[end:])
        elif len(self._head) > _MAX_HEAD:
            self._fail(f"the proxy {self._proxy} sent a response without an end")

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the connection; called by the event loop."""
        reason = "" if exc is None else f" ({type(exc).__name__})"
        self._fail(f"the proxy {self._proxy} closed the connection before it answered{reason}")

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _judge(self, head: bytes, rest: bytes) -> None:
        # The endpoint sends nothing before the handshake begins, so nothing may follow the head.
        match = _STATUS.match(head)
        status = 0 if match is None else int(match[1])
        if match is None or (status in _OPENED and rest):
            self._fail(f"the server at the proxy's address, {self._proxy}, does not speak CONNECT")
        elif status in _OPENED:
            self._transport.pause_reading()
            self._settle(None)
        elif status in _NO_WAY:
            self._settle(OSError(errno.EHOSTUNREACH, f"the proxy answered {status}"))
        elif status in _OWN_FAULTS:
            told = f"the proxy {self._proxy} {_OWN_FAULTS[status]} (it answered {status})"
            self._settle(EgressFailed(told, for_all=status == _WRONG_PASSWORD))
        else:
            self._fail(f"the proxy {self._proxy} answered CONNECT with {status}")

    def _fail(self, detail: str) -> None:
        self._settle(EgressFailed(detail))

    def _settle(self, error: Exception | None) -> None:
        if self._opened.done():
            return
        if error is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(error)
