"""Tell the host and the operator's log about deliveries that ended and endpoints that were disabled."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Sequence

from attrs import define, evolve, field

from unihooks._destinations import OffLoad
from unihooks._models import Delivery, DeliveryState, Endpoint
from unihooks.abc import DeliveryFilter, Hook, Recorded, Result, Settings, Window
from unihooks.exceptions import UnihooksError

_logger = logging.getLogger("unihooks.worker")


@define(eq=False)
class Hooks:
    """Call the host's hooks, one at a time, in the order in which things were recorded."""

    settings: Settings
    offload: OffLoad
    _running: set[asyncio.Task[None]] = field(factory=set)
    _turn: asyncio.Lock = field(factory=asyncio.Lock)

    def recorded(self, results: Sequence[Result], recorded: Recorded) -> None:
        """Log what ended and start the hooks for it."""
        accepted = [one for one in results if one.claimed.id in recorded.accepted]
        ended = [one for one in accepted if one.state is not DeliveryState.PENDING]
        for result in ended:
            if result.state is DeliveryState.FAILED:
                _log_failure(result)
        for tenant, webhook_id, endpoint_id in recorded.disabled:
            _logger.warning("endpoint disabled: tenant=%s webhook=%s endpoint=%s", tenant, webhook_id, endpoint_id)
        if (ended and self.settings.on_delivery) or (recorded.disabled and self.settings.on_endpoint_disabled):
            task = asyncio.create_task(self._call_all(ended, recorded))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def finish(self, timeout: float) -> None:
        """Wait until every hook that was started has ended; give up those that have not after `timeout` seconds."""
        if not self._running:
            return
        _, late = await asyncio.wait(set(self._running), timeout=timeout)
        if late:
            _logger.error("hooks of the host did not end within %g s and are given up", timeout)
        for task in late:
            task.cancel()

    async def _call_all(self, ended: list[Result], recorded: Recorded) -> None:
        async with self._turn:
            if self.settings.on_delivery is not None:
                for result in ended:
                    await self._call(self.settings.on_delivery, await self._delivery(result))
            if self.settings.on_endpoint_disabled is not None:
                for where in recorded.disabled:
                    await self._call(self.settings.on_endpoint_disabled, await self._endpoint(*where))

    async def _delivery(self, result: Result) -> Delivery | None:
        claimed = result.claimed
        narrow = DeliveryFilter(delivery_id=claimed.id)
        try:
            found = await self.offload(self.settings.store.list_deliveries, claimed.tenant, narrow, Window(limit=1))
        except UnihooksError:
            return None
        return next(iter(found), None)

    async def _endpoint(self, tenant: str, webhook_id: str, endpoint_id: str) -> Endpoint | None:
        try:
            webhook = await self.offload(self.settings.store.get_webhook, tenant, webhook_id)
        except UnihooksError:
            return None
        found = webhook.endpoint(endpoint_id)
        return None if found is None else evolve(found, webhook_id=webhook_id, tenant=tenant)

    async def _call(self, hook: Hook, subject: object | None) -> None:
        # A hook is the host's code: whatever it raises must not reach the worker.
        if subject is None:
            return
        try:
            if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
                await hook(subject)  # type: ignore[misc]
            else:
                answer = await self.offload(hook, subject)
                if inspect.isawaitable(answer):
                    await answer
        except Exception:
            _logger.exception("a hook of the host raised; the delivery itself is recorded")


def _log_failure(result: Result) -> None:
    claimed = result.claimed
    _logger.warning(
        "delivery failed for good: tenant=%s webhook=%s endpoint=%s event=%s delivery=%s reason=%s",
        claimed.tenant,
        claimed.webhook_id,
        claimed.endpoint_id,
        claimed.event_id,
        claimed.id,
        result.reason,
    )
