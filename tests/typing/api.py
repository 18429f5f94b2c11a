"""The public API as a host uses it: checked by mypy, never run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from tenacity import stop_after_attempt, wait_fixed

from unihooks import (
    BulkResult,
    Catalog,
    Counts,
    Dispatcher,
    Endpoint,
    EndpointCheck,
    EventSubscription,
    Failures,
    HeaderSet,
    Job,
    Jobs,
    Limits,
    Log,
    Page,
    PayloadMapping,
    Report,
    RetryPolicy,
    Stats,
    TargetPolicy,
    TenantStatistics,
    Usage,
    Webhook,
    WebhookHealth,
    Webhooks,
    WebhookStatus,
    Worker,
    sign,
    verify,
)
from unihooks.abc import Emitter
from unihooks.stores import MemoryStore, PostgresStore, SQLiteStore
from unihooks.testing import FakeClock, Receiver, RecordingDispatcher

catalog = Catalog()
whatsapp = catalog.add_product("whatsapp", title="WhatsApp")
whatsapp.add_event("message.received", title="Message received", schema={"type": "object"}, example={})

dispatcher = Dispatcher(
    SQLiteStore("webhooks.db"),
    catalog=catalog,
    targets=TargetPolicy(allow=["10.0.0.0/8"]),
    retries=RetryPolicy(wait=wait_fixed(60), stop=stop_after_attempt(3)),
    clock=FakeClock(datetime(2026, 1, 1, tzinfo=UTC)),
)
Dispatcher(PostgresStore("postgresql:///app", schema="unihooks"), retries=RetryPolicy.from_delays([5, 300]))
Dispatcher(MemoryStore())
Dispatcher(MemoryStore(), operational_events=True, on_webhook_changed=lambda webhook: None)
assert_type(dispatcher.webhooks, Webhooks)
assert_type(dispatcher.log, Log)
assert_type(dispatcher.jobs, Jobs)

webhook = dispatcher.webhooks.add(
    Webhook(
        name="CRM sync",
        endpoints=["https://crm.example.com/hooks", Endpoint("https://audit.example.com/in")],
        description="Copies inbound messages to the CRM",
        subscriptions=[EventSubscription("whatsapp", "message.received")],
        mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
        headers=HeaderSet({"Authorization": "Bearer s3cr3t"}),
        metadata={"plan": "gold"},
    ),
    tenant="acme",
)
assert_type(webhook, Webhook)
assert_type(dispatcher.webhooks.activate(webhook.id, tenant="acme"), Webhook)
assert_type(webhook.status, WebhookStatus)
for found in dispatcher.webhooks.list(tenant="acme", status=WebhookStatus.ACTIVE):
    assert_type(found, Webhook)
dispatcher.webhooks.update(webhook.id, tenant="acme", version=webhook.version, name="CRM")
assert_type(dispatcher.webhooks.rotate_secret(webhook.id, tenant="acme").reveal(), str)

event = dispatcher.emit("whatsapp", "message.received", {"text": "Hello"}, tenant="acme", idempotency_key="k")
assert_type(event.created_at, datetime)
assert_type(dispatcher.emit("whatsapp", "message.received", {}, subject="chat/7").subject, str | None)
assert_type(dispatcher.webhooks.update(webhook.id, tenant="acme", ordered=True).ordered, bool)
assert_type(dispatcher.drain(timeout=10).delivered, int)
assert_type(dispatcher.prune(older_than=timedelta(days=30)), int)
assert_type(dispatcher.erase(tenant="acme", event_ids=[event.id]), int)
assert_type(dispatcher.erase(tenant="acme", before=datetime.now(UTC)), int)
assert_type(dispatcher.erase(tenant="acme", subject="chat/7"), int)
for delivery in dispatcher.log.deliveries(tenant="acme", since=datetime.now(UTC) - timedelta(days=1)):
    assert_type(delivery.id, str)
    for attempt in dispatcher.log.attempts(delivery.id, tenant="acme"):
        assert_type(attempt.status_code, int | None)

    assert_type(delivery.waiting, str | None)
    assert_type(dispatcher.log.body(delivery.id, tenant="acme"), bytes)
assert_type(dispatcher.log.count(tenant="acme", state="failed"), int)
assert_type(dispatcher.jobs.replay(tenant="acme", rendering="today", state="failed"), Job)
assert_type(dispatcher.jobs.list(), Page[Job])
Limits(jobs_per_tenant=5, job_deliveries_per_second=50)
assert_type(dispatcher.log.replay_all(tenant="acme", webhook_id=webhook.id, most=100), BulkResult)
assert_type(dispatcher.webhooks.health([webhook.id], tenant="acme"), dict[str, WebhookHealth])
assert_type(webhook.endpoints[0].health.last_hour, Counts)
assert_type(webhook.endpoints[0].health.failing_since, datetime | None)
assert_type(dispatcher.webhooks.list(health="failing", limit=1), Page[Webhook])
assert_type(dispatcher.webhooks.list(health=["failing", "degraded"], attempted=True, sort="health"), Page[Webhook])
assert_type(dispatcher.webhooks.report(webhook.id, hours=1), Report)
assert_type(dispatcher.webhooks.failures(webhook.id, since=datetime.now(UTC)), Failures)
assert_type(dispatcher.webhooks.check_endpoint("https://example.com/"), EndpointCheck)
assert_type(dispatcher.webhooks.activity(webhook.id, tenant="acme", hours=168).p95_ms, float | None)
assert_type(dispatcher.overview().stats, Stats)
assert_type(dispatcher.tenants(limit=10), Page[TenantStatistics])
assert_type(dispatcher.usage("acme"), Usage)
assert_type(dispatcher.erase_tenant("acme"), int)
dispatcher.log.deliveries(status_code=503, search="crm.example.com")
dispatcher.log.deliveries(status_code="5xx")
assert_type(catalog.openapi(title="Acme"), dict[str, Any])

with dispatcher.running():
    pass
Worker(dispatcher).run()


async def in_an_event_loop() -> None:
    """Use the awaitable twins."""
    async with Dispatcher(MemoryStore()) as other, Receiver() as receiver:
        await other.aemit("whatsapp", "message.received", {})
        await other.adrain()
        assert_type(await other.aprune(older_than=datetime.now(UTC)), int)
        assert_type(await other.aerase(event_ids=[]), int)
        await other.webhooks.aget(webhook.id)
        await receiver.await_for(1)
        await Worker(other).serve()


def only_emits(emitter: Emitter) -> None:
    """Depend on the protocol alone."""
    emitter.emit("whatsapp", "message.received", {})


only_emits(dispatcher)
only_emits(RecordingDispatcher(catalog=catalog))

signature = sign("evt_1", 1, b"{}", ["whsec_x"])
assert_type(signature, str)
verify({"webhook-id": "evt_1"}, b"{}", ["whsec_x"], tolerance=300)
