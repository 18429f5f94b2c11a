"""Open connections to allowed addresses only."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from random import random
from time import monotonic
from typing import Final

from unihooks._base.round_robin import round_robin
from unihooks._message.requests import Route
from unihooks._model.egress import Egress
from unihooks._model.host_names import is_address
from unihooks._model.targets import TargetPolicy
from unihooks.exceptions import TargetRefused
from unihooks.transport._connections import Connection, Scratch
from unihooks.transport._egress import Way
from unihooks.transport._errors import DURING_HANDSHAKE, AttemptError, EgressFailed, NotReachable, timed_out
from unihooks.transport._lookups import Lookups, system_addresses
from unihooks.transport._sessions import Sessions
from unihooks.transport._tls import TLSConnection, default_context

_CHECKS_KEPT: Final = 4096
# The owner of a name can list other people's addresses under it, which each attempt would all try.
_MAX_DIALED: Final = 8
_NO_MORE_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_CLOSING_SECONDS: Final = 0.01
# A busy connection would never notice that its name has moved to another address.
_LONGEST_SECONDS: Final = 300.0
# If hundreds of attempts that began together timed out together, everything else would wait for them to end. For the
# same reason, connections that were opened together are not replaced all at once.
_SPREAD: Final = 0.2
# A proxy that is down is not tried by each of many attempts, and is logged only now and then.
_BARRED_SECONDS: Final = 1.0
_TELL_AGAIN_SECONDS: Final = 60.0

# Where the next attempt continues among the many addresses of a host and port. Shared by all event loops, since each
# drain has its own.
_next_address: dict[tuple[str, int], int] = {}

logger = logging.getLogger("unihooks.transport")


class Dialer:
    """A maker of connections for one event loop: it resolves, checks, connects and does the handshake."""

    def __init__(
        self,
        targets: TargetPolicy,
        context: ssl.SSLContext | None,
        timeout: float,
        loop: asyncio.AbstractEventLoop,
        spare_files: Callable[[], None],
        *,
        egress: Egress,
        random: Callable[[], float] = random,
    ) -> None:
        # The results depend only on the frozen policy, so they are cached; refusals are raised, and therefore are not.
        self._checked_url = lru_cache(_CHECKS_KEPT)(targets.check_url)
        self._checked_address = lru_cache(_CHECKS_KEPT)(targets.check_address)
        self._context = context
        self._timeout = timeout
        self._loop = loop
        self._spare_files = spare_files
        self._random = random
        self._scratch = Scratch()
        self._lookups = Lookups(targets.resolver or system_addresses, loop)
        self._way = Way(egress, loop, self._lookups)
        self._barred = ""
        self._barred_until = self._tell_again_at = 0.0
        self.sessions = Sessions()

    async def dial(self, route: Route, url: str, deadline: float) -> Connection:
        """Return a connection that is ready for a request, or raise an AttemptError."""
        started = monotonic()
        if self._barred and started < self._barred_until:
            raise EgressFailed(self._barred)
        limit = min(deadline, started + self._timeout * (1 - _SPREAD * self._random()))
        try:
            connection = await self._reach(route, url, limit)
        except NotReachable as exc:
            logger.info("endpoint %s not reached: %s", route.endpoint_id, exc.detail)
            raise
        except EgressFailed as exc:
            self._note_barred(exc)
            raise
        if isinstance(connection, TLSConnection):
            await self._secure(connection, route, started, limit)
        connection.key = route
        connection.ends_at = started + _LONGEST_SECONDS * (1 - _SPREAD * self._random())
        return connection

    def learn(self, connection: Connection) -> None:
        """Keep the TLS session of a connection after its first response, for the next connection."""
        if isinstance(connection, TLSConnection) and connection.session_due:
            now = monotonic()
            if self.sessions.wants(connection.key, now):
                self.sessions.put(connection.key, connection.take_session(), now)

    def close(self) -> None:
        """Let the look-up threads end."""
        self._lookups.close()

    def _note_barred(self, failure: EgressFailed) -> None:
        now, detail = monotonic(), failure.detail
        if failure.for_all:
            self._barred, self._barred_until = detail, now + _BARRED_SECONDS
        if now >= self._tell_again_at:
            self._tell_again_at = now + _TELL_AGAIN_SECONDS
            logger.error(
                "%s, trying again: %s", "nothing can be sent" if failure.for_all else "something cannot be sent", detail
            )

    async def _reach(self, route: Route, url: str, limit: float) -> Connection:
        try:
            addresses = await self._allowed_addresses(route, url, limit)
            async with asyncio.timeout(max(limit - monotonic(), 0)):
                connection = await self._connect_to_any(addresses, route, limit)
        except TargetRefused as exc:
            raise NotReachable(str(exc)) from exc
        except TimeoutError as exc:
            raise NotReachable(f"{route.host} port {route.port}: timed out") from exc
        _next_address.pop((route.host, route.port), None)
        self._barred = ""
        return connection

    async def _allowed_addresses(self, route: Route, url: str, limit: float) -> list[str]:
        host = route.host
        self._checked_url(url)
        if is_address(host):
            return self._reachable([self._checked_address(host)], host)
        try:
            found = await self._lookups.addresses(route, host, route.port, max(limit - monotonic(), 0))
        except Exception as exc:  # the host's own resolver may raise anything
            raise NotReachable(f"{host}: no address ({type(exc).__name__})") from exc
        if not found:
            raise NotReachable(f"{host}: no address" if found is not None else f"{host}: the look-up timed out")
        allowed = dict.fromkeys([self._checked_of(address, host) for address in found])
        return _chosen((host, route.port), self._reachable(allowed, host))

    def _reachable(self, addresses: Iterable[str], host: str) -> list[str]:
        reachable = [address for address in addresses if self._way.leads_to(address)]
        if not reachable:
            raise NotReachable(f"{host} has no address of the family of egress.bind")
        return reachable

    def _checked_of(self, address: str, host: str) -> str:
        try:
            return self._checked_address(address)
        except TargetRefused as exc:
            raise NotReachable(f"{host} has the address {address}: {exc}") from exc

    async def _connect_to_any(self, addresses: Sequence[str], route: Route, limit: float) -> Connection:
        details = []
        for position, address in enumerate(addresses):
            share = (limit - monotonic()) / (len(addresses) - position)
            try:
                if len(addresses) == 1:
                    return await self._connect(address, route, share)
                async with asyncio.timeout(share):
                    return await self._connect(address, route, share)
            except OSError as exc:  # TimeoutError is one
                details.append(f"{address} port {route.port}: {exc.strerror or type(exc).__name__}")
        raise NotReachable(f"{route.host}: " + ", ".join(details))

    async def _connect(self, address: str, route: Route, seconds: float) -> Connection:
        try:
            return await self._connect_once(address, route, seconds)
        except OSError as exc:
            if exc.errno not in _NO_MORE_FILES:
                raise
        self._spare_files()
        await asyncio.sleep(_CLOSING_SECONDS)
        return await self._connect_once(address, route, seconds)

    async def _connect_once(self, address: str, route: Route, seconds: float) -> Connection:
        connection = self._new_connection(route)
        try:
            await self._way.connect(connection, address, route.port, seconds)
            if self._way.is_direct:
                self._check_peer(connection, address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_peer(self, connection: Connection, address: str) -> None:
        peer = connection.peer()
        if peer is None or self._checked_address(peer) != address:
            raise NotReachable(f"the peer is {peer} instead of {address}")

    def _new_connection(self, route: Route) -> Connection:
        if route.scheme == "http":
            return Connection(self._loop, self._scratch)
        return TLSConnection(self._loop, self._scratch)

    async def _secure(self, connection: TLSConnection, route: Route, started: float, limit: float) -> None:
        try:
            if self._context is None:
                self._context = default_context()
            name = route.host.removesuffix(".")
            # A resumed session does not check the certificate again, so one that was made with another name must never
            # be offered.
            session = self.sessions.get(route, monotonic())
            async with asyncio.timeout(max(limit - monotonic(), 0)):
                await connection.shake_hands(self._context, name, session)
        except TimeoutError as exc:
            connection.close()
            raise timed_out(limit - started, DURING_HANDSHAKE) from exc
        except BaseException as exc:
            connection.close()
            if isinstance(exc, AttemptError):
                self.sessions.forget(route)
            raise


def _chosen(place: tuple[str, int], addresses: Iterable[str]) -> list[str]:
    ordered = list(round_robin(addresses, _family))
    if len(ordered) > _MAX_DIALED:
        # Unless one of these works, the next attempt continues with the others.
        start = _next_address.pop(place, 0) % len(ordered)
        _next_address[place] = start + _MAX_DIALED
        if len(_next_address) > _CHECKS_KEPT:
            _next_address.pop(next(iter(_next_address), place), None)
        ordered = ordered[start:] + ordered[:start]
    return ordered[:_MAX_DIALED]


def _family(address: str) -> bool:
    return ":" in address
