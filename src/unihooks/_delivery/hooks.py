"""Report deliveries that ended and endpoints that were disabled, to the host's hooks and the log."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field

from unihooks._delivery.lookups import OffLoad
from unihooks._management.settings import Hook, Settings
from unihooks._model.log import Delivery, DeliveryState
from unihooks._model.webhooks import Endpoint
from unihooks.abc import DeliveryFilter, Recorded, Result, Window
from unihooks.exceptions import UnihooksError

_ENDED = (DeliveryState.DELIVERED, DeliveryState.FAILED)
_RAISED = "a hook of the host raised; the delivery itself is recorded"
_logger = logging.getLogger("unihooks.worker")


@define(eq=False)
class Hooks:
    """The calls of the host's hooks: one at a time, in the order in which things were recorded.

    `settled` is called whenever some of them have ended.
    """

    settings: Settings
    offload: OffLoad
    settled: Callable[[], None]
    _running: set[asyncio.Task[None]] = field(factory=set)
    _turn: asyncio.Lock = field(factory=asyncio.Lock)

    def recorded(self, accepted: Sequence[Result], recorded: Recorded) -> None:
        """Log what ended with the results that were accepted and start the hooks for it."""
        for one in accepted:
            if one.state is DeliveryState.FAILED:
                _log_failure(one)
        for tenant, webhook_id, endpoint_id in recorded.disabled:
            _logger.warning("endpoint disabled: tenant=%s webhook=%s endpoint=%s", tenant, webhook_id, endpoint_id)
        # Only ids wait for their turn: with the results, all their bodies would stay in memory behind slow hooks.
        ended = [(one.claimed.tenant, one.claimed.id) for one in accepted if one.state in _ENDED]
        if (ended and self.settings.on_delivery) or (recorded.disabled and self.settings.on_endpoint_disabled):
            task = asyncio.create_task(self._call_all(ended, recorded.disabled))
            self._running.add(task)
            task.add_done_callback(self._end)

    @property
    def busy(self) -> bool:
        """Whether a hook is running or waits for its turn."""
        return bool(self._running)

    async def finish(self, timeout: float) -> None:
        """Wait until every hook that was started has ended; give up those that have not after `timeout` seconds."""
        if not self._running:
            return
        _, late = await asyncio.wait(set(self._running), timeout=timeout)
        if late:
            _logger.error("hooks of the host did not end within %g s and are given up", timeout)
        for task in late:
            task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.settled()

    async def _call_all(self, ended: Sequence[tuple[str, str]], disabled: Sequence[tuple[str, str, str]]) -> None:
        async with self._turn:
            if self.settings.on_delivery is not None:
                for one in ended:
                    await self._call(self.settings.on_delivery, await self._delivery(*one))
            if self.settings.on_endpoint_disabled is not None:
                for where in disabled:
                    await self._call(self.settings.on_endpoint_disabled, await self._endpoint(*where))

    async def _delivery(self, tenant: str, delivery_id: str) -> Delivery | None:
        filters = DeliveryFilter(delivery_id=delivery_id)
        try:
            found = await self.offload(self.settings.store.list_deliveries, tenant, filters, Window(limit=1))
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
        # A hook is the host's code: what it raises must not reach the worker.
        if subject is None:
            return
        try:
            if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
                await hook(subject)  # type: ignore[misc]
            else:
                answer = await self.offload(_contained, hook, subject)
                if inspect.isawaitable(answer):
                    await answer
        except asyncio.CancelledError:
            # If nobody has cancelled this task, the hook itself raised it.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            _logger.exception(_RAISED)
        except (Exception, SystemExit):
            _logger.exception(_RAISED)


def _contained(hook: Hook, subject: Any) -> Any:
    # Called in a thread, whose errors go through a future: a SystemExit would end the event loop, and a
    # StopIteration cannot be set on a future at all.
    try:
        return hook(subject)
    except BaseException:
        _logger.exception(_RAISED)
        return None


def _log_failure(result: Result) -> None:
    one = result.claimed
    _logger.warning(
        "delivery failed for good: tenant=%s webhook=%s endpoint=%s event=%s delivery=%s reason=%s",
        one.tenant,
        one.webhook_id,
        one.endpoint_id,
        one.event_id,
        one.id,
        result.reason,
    )
