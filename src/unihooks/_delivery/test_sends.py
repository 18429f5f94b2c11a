"""Send test requests: one attempt per endpoint, outside the queue and without a trace in the store."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter

import httpx
from attrs import define, field, frozen

from unihooks._base.awaitable import in_own_thread
from unihooks._base.ids import new_id
from unihooks._base.times import from_us
from unihooks._delivery.results import redacted_answer
from unihooks._management.settings import Settings
from unihooks._management.test_events import TestEvent
from unihooks._message.requests import Destination, Message, build_request, prepare
from unihooks._model.log import Attempt
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.exceptions import LimitReached
from unihooks.transport import exchange

_MOST_PATIENCE = 5.0
_LOOK_EVERY = 0.05


@define
class _InFlight:
    """How many tests of each tenant are under way in this process."""

    most: int
    _counts: Counter[str] = field(factory=Counter)
    _lock: threading.Lock = field(factory=threading.Lock)
    _process: int = field(factory=os.getpid)

    async def enter(self, tenant: str, patience: float) -> None:
        """Count a test, as soon as there is room for it; `LimitReached` if there is none within some seconds."""
        end = time.monotonic() + patience
        while not self._entered(tenant):
            if time.monotonic() >= end:
                sentence = (
                    f"{self.most} tests of this tenant are under way; wait for one to end, and send this one again"
                )
                raise LimitReached(sentence, name="tests_in_flight")
            await asyncio.sleep(_LOOK_EVERY)

    def leave(self, tenant: str) -> None:
        """Count a test no longer."""
        with self._lock:
            self._counts[tenant] -= 1
            if self._counts[tenant] <= 0:
                del self._counts[tenant]

    def _entered(self, tenant: str) -> bool:
        if self._process != os.getpid():
            # What its parent sends is not sent by a forked child.
            self._process, self._counts, self._lock = os.getpid(), Counter(), threading.Lock()
        with self._lock:
            if self._counts[tenant] >= self.most:
                return False
            self._counts[tenant] += 1
            return True


@frozen
class TestSender:
    """What sends a test request to each of some endpoints, all at the same time, in the running event loop."""

    _settings: Settings
    _in_flight: _InFlight = field(converter=_InFlight)

    async def send(self, event: TestEvent) -> list[Attempt]:
        """Return an attempt per endpoint, in order."""
        tenant = event.webhook.tenant
        await self._in_flight.enter(tenant, min(_MOST_PATIENCE, self._settings.deadline / 2))
        try:
            # The store may have to ask its server for the time, once.
            now = await in_own_thread(self._settings.store.now)
            return await self._send_all(event, new_id("evt_", now))
        finally:
            self._in_flight.leave(tenant)

    async def _send_all(self, event: TestEvent, event_id: str) -> list[Attempt]:
        message = Message(event_id, event.product, event.event_type, event.body)
        transport = self._settings.new_transport()
        try:
            sent = (self._send_one(transport, event.webhook, one, message) for one in event.endpoints)
            return await asyncio.gather(*sent)
        finally:
            await transport.aclose()

    async def _send_one(
        self, transport: httpx.AsyncBaseTransport, webhook: Webhook, endpoint: Endpoint, message: Message
    ) -> Attempt:
        now = self._settings.store.now()
        deadline = time.monotonic() + self._settings.deadline
        prepared = prepare(_destination(webhook, endpoint), now)
        request = build_request(prepared, message, now=now, deadline=deadline)
        answer = await exchange(transport, request, deadline=deadline)
        headers, body = redacted_answer(prepared, answer)
        return Attempt(
            id=new_id("att_", now),
            delivery_id="",
            number=1,
            url=endpoint.url,
            started_at=from_us(now),
            duration_ms=answer.duration * 1000,
            status_code=answer.status_code,
            error=answer.error,
            request_headers=_pairs(request.shown()),
            response_headers=_pairs(headers),
            response_body=body,
            warnings=tuple(answer.warnings),
        )


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))


def _destination(webhook: Webhook, endpoint: Endpoint) -> Destination:
    return Destination(
        endpoint_id=endpoint.id,
        webhook_id=webhook.id,
        tenant=webhook.tenant,
        url=endpoint.url,
        headers=webhook.headers,
        secrets=webhook.secrets,
        open=True,
        config_version=0,
    )
