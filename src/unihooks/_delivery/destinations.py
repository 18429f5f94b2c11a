"""Remember prepared destinations; a change of configuration is seen within a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from attrs import define, field

from unihooks._message.requests import PreparedDestination, prepare
from unihooks.abc import Claimed, Store

_FRESH_SECONDS = 0.8
_KEPT = 20_000
_TOGETHER = 16
_logger = logging.getLogger("unihooks.worker")

OffLoad = Callable[..., Awaitable[Any]]


@define
class Destinations:
    """Look up where a claimed delivery goes at this moment.

    `offload(function, *args)` runs a blocking call in a thread. What is known
    of a tenant is used while its config_version is the one that was last seen, and the
    config_version is looked at again when that is 0.8 s ago.
    """

    store: Store
    offload: OffLoad
    _prepared: dict[str, PreparedDestination] = field(factory=dict)
    _stamps: dict[str, tuple[int, float]] = field(factory=dict)
    _wanted: dict[str, tuple[str, asyncio.Future[None]]] = field(factory=dict)
    _loading: asyncio.Task[None] | None = None

    def note(self, claimed: Collection[Claimed]) -> None:
        """Learn the config_versions that were read when these deliveries were claimed."""
        now = time.monotonic()
        for tenant, config_version in {(one.tenant, one.config_version) for one in claimed}:
            self._note(tenant, config_version, now)

    def forget(self, endpoint_id: str) -> None:
        """Look an endpoint up anew the next time, whatever the config_version that was last seen."""
        self._prepared.pop(endpoint_id, None)

    def known(self, claimed: Claimed) -> PreparedDestination | None:
        """Return the destination if it is known to be current; None means `await find(claimed)`."""
        prepared = self._prepared.get(claimed.endpoint_id)
        if prepared is None:
            return None
        config_version, seen = self._stamps.get(claimed.tenant, (-1, 0.0))
        if config_version != prepared.destination.config_version or time.monotonic() - seen > _FRESH_SECONDS:
            return None
        if prepared.expires_at is not None and prepared.expires_at <= self.store.now():
            return None
        return prepared

    async def find(self, claimed: Claimed) -> PreparedDestination | None:
        """Return the current destination, or None when the endpoint is gone. Raises what the store raises."""
        waiting = self._wanted.get(claimed.endpoint_id)
        if waiting is None:
            waiting = (claimed.tenant, asyncio.get_running_loop().create_future())
            self._wanted[claimed.endpoint_id] = waiting
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        await asyncio.shield(waiting[1])
        return self._prepared.get(claimed.endpoint_id)

    async def _load(self) -> None:
        # What is asked for until the store answers goes into the next look-ups together, yet not all of it:
        # those who wait go on at the same moment, and hundreds would hold up everybody else.
        while self._wanted:
            wanted = {endpoint_id: self._wanted.pop(endpoint_id) for endpoint_id in list(self._wanted)[:_TOGETHER]}
            try:
                errors = await self._refresh(wanted)
            except Exception as error:  # noqa: BLE001 - raised by each `find` that waits
                errors = dict.fromkeys(wanted, error)
            for endpoint_id, (_, future) in wanted.items():
                _settle(future, errors.get(endpoint_id))

    async def _refresh(self, wanted: dict[str, tuple[str, asyncio.Future[None]]]) -> dict[str, Exception]:
        asked = time.monotonic()
        config_versions = await self.offload(self.store.config_versions, {tenant for tenant, _ in wanted.values()})
        for tenant, config_version in config_versions.items():
            self._note(tenant, config_version, asked)
        stale = [endpoint_id for endpoint_id, (tenant, _) in wanted.items() if not self._current(endpoint_id, tenant)]
        return await self._reload(stale, asked) if stale else {}

    async def _reload(self, endpoint_ids: list[str], asked: float) -> dict[str, Exception]:
        found = await self.offload(self.store.destinations, endpoint_ids)
        now = self.store.now()
        errors: dict[str, Exception] = {}
        for endpoint_id in endpoint_ids:
            self._prepared.pop(endpoint_id, None)
        for endpoint_id, destination in found.items():
            try:
                self._prepared[endpoint_id] = prepare(destination, now)
            except Exception as error:  # noqa: BLE001 - one that cannot be prepared is no other's trouble
                errors[endpoint_id] = error
            self._note(destination.tenant, destination.config_version, asked)
        while len(self._prepared) > _KEPT:
            del self._prepared[next(iter(self._prepared))]
        return errors

    def _current(self, endpoint_id: str, tenant: str) -> bool:
        prepared = self._prepared.get(endpoint_id)
        if prepared is None or prepared.destination.config_version != self._stamps.get(tenant, (-1, 0.0))[0]:
            return False
        return prepared.expires_at is None or prepared.expires_at > self.store.now()

    def _note(self, tenant: str, config_version: int, seen: float) -> None:
        known, last = self._stamps.get(tenant, (-1, 0.0))
        if config_version >= known:
            self._stamps.pop(tenant, None)
            self._stamps[tenant] = (config_version, max(seen, last))
        if len(self._stamps) > _KEPT:
            del self._stamps[next(iter(self._stamps))]


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
