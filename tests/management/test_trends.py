"""An operator's view of the last day."""

from __future__ import annotations

import httpx

from unihooks import Dispatcher, EventSubscription, RetryPolicy, Webhook
from unihooks.stores import SQLiteStore


def test_attempts_of_a_process_are_counted_when_it_ends(tmp_path):
    """An example is a process that only drains, and does no chore afterwards."""
    for _ in range(2):
        with Dispatcher(
            SQLiteStore(tmp_path / "webhooks.db"),
            targets=None,
            transport=httpx.MockTransport(lambda _: httpx.Response(500)),
            retries=RetryPolicy.from_delays([]),
        ) as dispatcher:
            subscriptions = [EventSubscription("shop", "*")]
            webhook = Webhook(name="CRM", endpoints=["https://crm.example.com/"], subscriptions=subscriptions)
            added = dispatcher.webhooks.add(webhook)
            dispatcher.webhooks.activate(added.id)
            dispatcher.emit("shop", "paid", {})
            dispatcher.drain()
    with Dispatcher(SQLiteStore(tmp_path / "webhooks.db")) as dispatcher:
        trends = dispatcher.overview().trends
    assert sum(hour.failed for hour in trends.hours) == 3
    assert [(one.tenant, one.attempts, one.failed) for one in trends.tenants] == [("default", 3, 3)]
