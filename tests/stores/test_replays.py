"""Two concurrent replays send nothing twice."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from unihooks import EventSubscription, RetryPolicy, Webhook
from unihooks.stores.sql import replaying

# The time for which one waits for the other, if both may find the deliveries at the same time.
TOGETHER_SECONDS = 1
COUNT = 5


@pytest.fixture
def both_found(monkeypatch):
    """Delay each replay until both have found the deliveries, if they can."""
    barrier, insert = threading.Barrier(2), replaying._insert_due

    def insert_due(tx, tenant, rows):
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(TOGETHER_SECONDS)
        return insert(tx, tenant, rows)

    monkeypatch.setattr(replaying, "_insert_due", insert_due)


@pytest.mark.usefixtures("both_found")
def test_two_replays_of_all_at_once_make_one_delivery_of_each(open_dispatcher, receiver):
    dispatcher, other = (open_dispatcher(retries=RetryPolicy.from_delays([])) for _ in range(2))
    receiver.always(400)
    webhook = Webhook(name="CRM", subscriptions=[EventSubscription("shop", "*")], endpoints=[receiver.url_for("/in")])
    dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
    for number in range(COUNT):
        dispatcher.emit("shop", "order.paid", {"n": number})
    dispatcher.drain()
    failed = dispatcher.log.deliveries(limit=100)
    assert [one.state for one in failed] == ["failed"] * COUNT
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(one.log.replay_all, state="failed") for one in (dispatcher, other)]
        made = sorted(one.result().made for one in asked)
    assert made == [0, COUNT]
    again = Counter(one.event_id for one in dispatcher.log.deliveries(limit=100) if one.replay_of)
    assert set(again.values()) == {1}
