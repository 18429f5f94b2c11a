"""Send test requests: one attempt per endpoint, outside the queue and without a trace in the store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable

import httpx
from attrs import frozen

from unihooks._base.ids import new_id
from unihooks._base.times import from_us
from unihooks._delivery.event_loops import run_in_new_loop
from unihooks._delivery.results import redacted_answer
from unihooks._management.settings import Settings
from unihooks._message.requests import Destination, Message, build_request, prepare
from unihooks._model.log import Attempt
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.transport import exchange


@frozen
class TestSender:
    """What sends a test request to each of some endpoints, all at the same time."""

    _settings: Settings

    def send(
        self, webhook: Webhook, endpoints: Iterable[Endpoint], product: str, event_type: str, body: bytes
    ) -> list[Attempt]:
        """Return an attempt per endpoint, in order."""
        event_id = new_id("evt_", self._settings.store.now())
        message = Message(event_id, product, event_type, body)
        chosen = list(endpoints)
        return run_in_new_loop(lambda: self._send_all(webhook, chosen, message))

    async def _send_all(self, webhook: Webhook, endpoints: list[Endpoint], message: Message) -> list[Attempt]:
        transport = self._settings.new_transport()
        try:
            return await asyncio.gather(*(self._send_one(transport, webhook, one, message) for one in endpoints))
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
