"""Send test requests: one attempt per endpoint, outside the queue and without a trace in the store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
from attrs import define, field

from unihooks._base.awaitable import in_own_thread
from unihooks._base.ids import new_id
from unihooks._base.sentences import said
from unihooks._base.times import from_us
from unihooks._delivery.results import redacted_response
from unihooks._management.settings import Settings
from unihooks._message.payload import encode
from unihooks._message.rendering import Rendering, RenderingFailed
from unihooks._message.requests import Destination, Message, build_request, prepare
from unihooks._model.catalog import Catalog
from unihooks._model.endpoints import endpoint_apart, find_endpoint
from unihooks._model.log import Attempt
from unihooks._model.products import check_names
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.exceptions import InvalidPayload, LimitReached, StoreError
from unihooks.transport import exchange

_MOST_PATIENCE = 5.0
_LOOK_EVERY = 0.05


@define
class InFlight:
    """The number of tests of each tenant that are under way in this process."""

    most: int
    _counts: Counter[str] = field(factory=Counter)
    _lock: threading.Lock = field(factory=threading.Lock)
    _process: int = field(factory=os.getpid)

    @contextlib.asynccontextmanager
    async def one(self, tenant: str, patience: float) -> AsyncIterator[None]:
        """Count a test as long as the block runs; `LimitReached` if there is no room for it within some seconds."""
        end = time.monotonic() + patience
        while not self._entered(tenant):
            if time.monotonic() >= end:
                template = "{most} tests of this tenant are under way; wait for one to end, and send this one again"
                raise LimitReached(said("too-many-tests", template, most=self.most), name="tests_in_flight")
            await asyncio.sleep(_LOOK_EVERY)
        try:
            yield
        finally:
            with self._lock:
                self._counts[tenant] -= 1
                if self._counts[tenant] <= 0:
                    del self._counts[tenant]

    def _entered(self, tenant: str) -> bool:
        if self._process != os.getpid():
            # A forked child does not send the tests of its parent.
            self._process, self._counts, self._lock = os.getpid(), Counter(), threading.Lock()
        with self._lock:
            if self._counts[tenant] >= self.most:
                return False
            self._counts[tenant] += 1
            return True


class TestSender:
    """A sender of test events to endpoints of a webhook, all at the same time, in the running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._in_flight = InFlight(settings.limits.tests_in_flight)

    async def send(
        self, webhook: Webhook, product: str, event_type: str, payload: Any, endpoint_id: str | None
    ) -> list[Attempt]:
        """Return an attempt per endpoint, in order; without a payload, the catalog's example is sent."""
        endpoints, message = await in_own_thread(self._prepare, webhook, product, event_type, payload, endpoint_id)
        async with self._in_flight.one(webhook.tenant, min(_MOST_PATIENCE, self._settings.deadline / 2)):
            attempts = await self._send_all(webhook, endpoints, message)
        await in_own_thread(self._note, webhook, endpoints, attempts)
        return attempts

    def _prepare(
        self, webhook: Webhook, product: str, event_type: str, payload: Any, endpoint_id: str | None
    ) -> tuple[tuple[Endpoint, ...], Message]:
        product, event_type = check_names(product, event_type)
        endpoints = webhook.endpoints if endpoint_id is None else (find_endpoint(webhook, endpoint_id),)
        body = _rendered(webhook, encode(_payload(self._settings.catalog, product, event_type, payload)))
        # The store may have to ask its server for the time, once.
        return endpoints, Message(new_id("evt_", self._settings.store.now()), product, event_type, body)

    async def _send_all(self, webhook: Webhook, endpoints: Iterable[Endpoint], message: Message) -> list[Attempt]:
        transport = self._settings.new_transport()
        try:
            return await asyncio.gather(*(self._send_one(transport, webhook, one, message) for one in endpoints))
        finally:
            await transport.aclose()

    async def _send_one(
        self, transport: httpx.AsyncBaseTransport, webhook: Webhook, endpoint: Endpoint, message: Message
    ) -> Attempt:
        now = self._settings.store.now()
        deadline = time.monotonic() + (webhook.policy.deadline or self._settings.deadline)
        prepared = prepare(_destination(webhook, endpoint), now, self._settings.names)
        request = build_request(prepared, message, now=now, deadline=deadline)
        response = await exchange(transport, request, deadline=deadline)
        headers, body = redacted_response(prepared, response)
        return Attempt(
            id=new_id("att_", now),
            delivery_id="",
            number=1,
            url=endpoint.url,
            started_at=from_us(now),
            duration_ms=response.duration * 1000,
            status_code=response.status_code,
            error=response.error,
            request_headers=_pairs(request.shown()),
            response_headers=_pairs(headers),
            response_body=body,
            warnings=tuple(response.warnings),
        )

    def _note(self, webhook: Webhook, endpoints: Iterable[Endpoint], attempts: Iterable[Attempt]) -> None:
        """Let endpoints that accepted a test start with fresh health, so that failures are counted from now on."""
        good = [endpoint.id for endpoint, attempt in zip(endpoints, attempts, strict=True) if attempt.succeeded]
        # The caller wants the responses. If the store is busy, the next delivery that succeeds does this.
        with contextlib.suppress(StoreError):
            if good:
                for change in self._settings.open_store.clear_health(good):
                    now = self._settings.open_store.get_webhook(webhook.tenant, webhook.id)
                    if (endpoint := endpoint_apart(now, change.endpoint_id)) is not None:
                        self._settings.changes.recovered(endpoint)


def _payload(catalog: Catalog | None, product: str, event_type: str, payload: Any) -> Any:
    if catalog is not None and payload is None:
        payload = catalog.check(product, event_type).example
    elif catalog is not None:
        catalog.check_payload(product, event_type, payload)
    if payload is None:
        sentence = said("example-missing", "there is no example for this event type; give a payload to send")
        raise InvalidPayload(sentence, name="payload")
    return payload


def _rendered(webhook: Webhook, body: bytes) -> bytes:
    rendering = Rendering.of(webhook.mapping)
    try:
        return body if rendering is None else rendering.render(body).body
    except RenderingFailed as failed:
        raise InvalidPayload(failed.reason, name="payload") from failed


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
