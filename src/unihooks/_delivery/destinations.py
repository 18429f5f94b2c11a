"""A cache of prepared destinations, which sees a change of configuration within a second."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from attrs import define, field

from unihooks._delivery.shared_reads import OffLoad, SharedReads
from unihooks._message.requests import PreparedDestination, prepare
from unihooks._message.wire_names import DEFAULT_NAMES, WireNames
from unihooks.abc import Claimed, Store

_FRESH_SECONDS = 0.8
_KEPT = 20_000
_NEVER_SEEN = (-1, 0.0)

# An endpoint's id and its tenant.
_Key = tuple[str, str]


@define
class Destinations:
    """The current destinations of claimed deliveries.

    A tenant's destinations are used while its config_version is the one last seen, which is read again after 0.8 s.
    """

    store: Store
    offload: OffLoad
    names: WireNames = DEFAULT_NAMES
    _prepared: dict[str, PreparedDestination] = field(factory=dict)
    _versions: dict[str, tuple[int, float]] = field(factory=dict)
    _reads: SharedReads[_Key, PreparedDestination] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reads = SharedReads(self._refresh)

    def note(self, claimed: Collection[Claimed]) -> None:
        """Learn the config_versions that were read when these deliveries were claimed."""
        now = time.monotonic()
        for tenant, config_version in {(one.tenant, one.config_version) for one in claimed}:
            self._note(tenant, config_version, now)

    def forget(self, endpoint_id: str) -> None:
        """Read this endpoint from the store next time, even if its tenant's config_version has not changed."""
        self._prepared.pop(endpoint_id, None)

    def known(self, claimed: Claimed) -> PreparedDestination | None:
        """Return the destination if it is known to be current; None means `await find(claimed)`."""
        if time.monotonic() - self._versions.get(claimed.tenant, _NEVER_SEEN)[1] > _FRESH_SECONDS:
            return None
        return self._current(claimed.endpoint_id, claimed.tenant)

    async def find(self, claimed: Claimed) -> PreparedDestination | None:
        """Return the current destination, or None when the endpoint is gone. Raises what the store raises."""
        return await self._reads.find((claimed.endpoint_id, claimed.tenant))

    async def _refresh(self, wanted: Sequence[_Key]) -> dict[_Key, PreparedDestination | Exception]:
        asked = time.monotonic()
        # A fresh destination comes with the config_version.
        if tenants := {tenant for endpoint_id, tenant in wanted if endpoint_id in self._prepared}:
            for tenant, config_version in (await self.offload(self.store.config_versions, tenants)).items():
                self._note(tenant, config_version, asked)
        stale = [endpoint_id for endpoint_id, tenant in wanted if not self._current(endpoint_id, tenant)]
        errors = await self._reload(stale, asked) if stale else {}
        answers = {key: errors.get(key[0]) or self._prepared.get(key[0]) for key in wanted}
        return {key: answer for key, answer in answers.items() if answer is not None}

    async def _reload(self, endpoint_ids: list[str], asked: float) -> dict[str, Exception]:
        found = await self.offload(self.store.destinations, endpoint_ids)
        now = self.store.now()
        errors: dict[str, Exception] = {}
        for endpoint_id in endpoint_ids:
            self._prepared.pop(endpoint_id, None)
        for endpoint_id, destination in found.items():
            try:
                self._prepared[endpoint_id] = prepare(destination, now, self.names)
            except Exception as error:  # noqa: BLE001 - a destination that cannot be prepared must not affect others
                errors[endpoint_id] = error
            self._note(destination.tenant, destination.config_version, asked)
        while len(self._prepared) > _KEPT:
            del self._prepared[next(iter(self._prepared))]
        return errors

    def _current(self, endpoint_id: str, tenant: str) -> PreparedDestination | None:
        prepared = self._prepared.get(endpoint_id)
        if prepared is None or prepared.destination.config_version != self._versions.get(tenant, _NEVER_SEEN)[0]:
            return None
        return prepared if prepared.expires_at is None or prepared.expires_at > self.store.now() else None

    def _note(self, tenant: str, config_version: int, seen: float) -> None:
        known, last = self._versions.get(tenant, _NEVER_SEEN)
        if config_version >= known:
            self._versions.pop(tenant, None)
            self._versions[tenant] = (config_version, max(seen, last))
        if len(self._versions) > _KEPT:
            del self._versions[next(iter(self._versions))]
