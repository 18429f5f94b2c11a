"""Worker processes of one database: they share the work, notice changes, and end in order."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from itertools import accumulate
from pathlib import Path

import pytest
from attrs import evolve
from waiting import wait_for

from unihooks import DeliveryPolicy, EventSubscription, Webhook
from unihooks._delivery.maintenance import Maintenance
from unihooks.testing._answers import Answer

PROCESSES = 2
# Deliveries a second, and for how many seconds they are counted.
RATE, SECONDS = 20, 6
# Ten times as long as a change may take to reach a worker.
PATIENCE = 10
ON_POSTGRES = pytest.mark.parametrize("place", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)


@contextmanager
def emitting(dispatcher):
    """Emit continuously."""
    stopping = threading.Event()

    def emit():
        while not stopping.wait(0.01):
            dispatcher.emit("shop", "order.paid", {"n": 1})

    thread = threading.Thread(target=emit)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def subscribe(dispatcher, *urls, **fields):
    webhook = Webhook(name="CRM sync", endpoints=urls, subscriptions=[EventSubscription("shop", "*")], **fields)
    return dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)


def is_done(dispatcher):
    return dispatcher.stats().oldest_unplanned is None and not dispatcher.log.deliveries(state="pending", limit=1).items


def senders(requests):
    return Counter(one.headers["user-agent"] for one in requests)


def requests_to(receiver, path):
    return [one for one in receiver.requests if one.path == path]


@pytest.mark.slow
def test_change_reaches_every_worker_process_within_a_second(open_dispatcher, receiver, start_worker):
    # Responses are so slow that one worker alone cannot have enough requests in flight.
    for path in ("/old", "/new"):
        receiver.on(path).always(Answer(204, delay=0.5))
    dispatcher = open_dispatcher()
    webhook = subscribe(dispatcher, receiver.url_for("/old"))
    for _ in range(PROCESSES):
        start_worker()
    with emitting(dispatcher):
        wait_for(lambda: len(senders(requests_to(receiver, "/old"))) == PROCESSES)
        [endpoint] = webhook.endpoints
        changed = dispatcher.webhooks.update(
            webhook.id,
            endpoints=[evolve(endpoint, url=receiver.url_for("/new"))],
            headers={"X-Shop": "7"},
        )
        new = wait_for(lambda: all_are_new(receiver, 5), PATIENCE)
    assert {one.headers.get("x-shop") for one in new} == {"7"}
    wait_for(lambda: is_done(dispatcher))
    dispatcher.webhooks.deactivate(changed.id)
    # There are so many events that a process that never learns of the change would plan some of them.
    wait_for(lambda: not_sent(dispatcher, receiver, 200), PATIENCE)


def all_are_new(receiver, count):
    """Return the next requests of every process if there are `count` of each, and none to the old URL."""
    known = len(receiver.requests)
    wait_for(lambda: has_each_sent(receiver.requests[known:], count))
    arrived = receiver.requests[known:]
    return arrived if {one.path for one in arrived} == {"/new"} else []


def has_each_sent(requests, count):
    counts = senders(requests)
    return len(counts) == PROCESSES and min(counts.values()) >= count


def not_sent(dispatcher, receiver, count):
    """Emit this many events, and return whether they were planned without a single request."""
    known = len(receiver.requests)
    for _ in range(count):
        dispatcher.emit("shop", "order.paid", {"n": 1})
    wait_for(lambda: is_done(dispatcher))
    return len(receiver.requests) == known


@pytest.mark.slow
def test_worker_processes_share_the_work_and_each_delivery_is_made_once(open_dispatcher, receiver, start_worker):
    # One worker alone would take a while.
    receiver.on("/crm").always(Answer(204, delay=0.3))
    dispatcher = open_dispatcher()
    subscribe(dispatcher, receiver.url_for("/crm"), receiver.url_for("/crm?two"))
    for _ in range(PROCESSES):
        start_worker()
    events = []
    for _ in range(20):
        events += dispatcher.emit_many([("shop", "order.paid", {"n": number}) for number in range(20)])
        # Events spread over time wake both workers, while one of them may take events that arrive at once.
        time.sleep(0.02)
    wait_for(lambda: is_done(dispatcher), 30)
    sent = Counter((one.headers["webhook-id"], one.headers["unihooks-webhook"], one.path) for one in receiver.requests)
    assert set(Counter(one.headers["webhook-id"] for one in receiver.requests).values()) == {2}
    assert len(receiver.requests) == 2 * len(events), sent.most_common(3)
    assert len(senders(receiver.requests)) == PROCESSES


@pytest.mark.slow
def test_activation_just_before_an_emit_is_seen_by_workers_whose_configuration_is_older(
    open_dispatcher, receiver, start_worker
):
    one, two = open_dispatcher(), open_dispatcher()
    webhook = subscribe(one, receiver.url_for("/crm"))
    for _ in range(PROCESSES):
        start_worker()
    expected = []
    for number in range(12):
        one.webhooks.deactivate(webhook.id)
        two.emit("shop", "order.paid", {"unwanted": number})
        one.webhooks.activate(webhook.id)
        expected.append(two.emit("shop", "order.paid", {"number": number}).id)
        wait_for(lambda: one.stats().oldest_unplanned is None)
    wait_for(lambda: is_done(one), 30)
    assert sorted({request.headers["webhook-id"] for request in receiver.requests}) == sorted(expected)


@ON_POSTGRES
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="there the kernel tells which threads are stopped")
def test_events_emitted_while_the_listener_is_frozen_are_sent_by_another_worker(
    open_dispatcher, receiver, start_worker
):
    dispatcher = open_dispatcher()
    subscribe(dispatcher, receiver.url_for("/crm"))
    workers = [start_worker() for _ in range(PROCESSES)]
    wait_for(lambda: len(dispatcher.stats().workers) == PROCESSES)
    dispatcher.emit("shop", "order.paid", {"n": 1})
    [told] = receiver.wait_for(1)
    wait_for(lambda: is_done(dispatcher))
    frozen = next(one for one in workers if told.headers["user-agent"] == f"worker-{one.pid}")
    frozen.send_signal(signal.SIGSTOP)
    try:
        dispatcher.emit("shop", "order.paid", {"n": 2})
        [_, other] = receiver.wait_for(2)
    finally:
        frozen.send_signal(signal.SIGCONT)
        # A SIGTERM before the main thread waits goes to another thread, and does not wake the main one.
        wait_for(lambda: is_waiting(frozen))
    assert other.headers["user-agent"] != told.headers["user-agent"]


def is_waiting(process):
    """Return whether the main thread of a process runs and waits."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@ON_POSTGRES
@pytest.mark.slow
def test_one_of_many_worker_processes_sends_single_events(open_dispatcher, receiver, start_worker):
    dispatcher = open_dispatcher()
    subscribe(dispatcher, receiver.url_for("/crm"))
    for _ in range(PROCESSES):
        start_worker()
    wait_for(lambda: len(dispatcher.stats().workers) == PROCESSES)
    for number in range(1, 40):
        dispatcher.emit("shop", "order.paid", {"n": number})
        receiver.wait_for(number)
    # The other worker looks occasionally, and may find an event that waits long on a busy machine.
    assert max(senders(receiver.requests).values()) >= 30


@pytest.mark.slow
def test_limits_hold_over_all_worker_processes_together(open_dispatcher, receiver, start_worker):
    receiver.on("/few").always(Answer(204, delay=0.05))
    receiver.on("/down").always(503)
    dispatcher = open_dispatcher()
    paced = subscribe(dispatcher, receiver.url_for("/paced"), policy=DeliveryPolicy(rate=RATE))
    few = subscribe(dispatcher, receiver.url_for("/few"), policy=DeliveryPolicy(in_flight=2))
    down = subscribe(dispatcher, receiver.url_for("/down"))
    for _ in range(3):
        start_worker()
    dispatcher.emit_many([("shop", "order.paid", {"n": number}) for number in range(RATE * (SECONDS + 3))])
    wait_for(lambda: len(requests_to(receiver, "/paced")) >= RATE * (SECONDS + 2), 10 * SECONDS)
    starts = sorted(one.started_at for one in attempts_of(dispatcher, paced))
    # The deliveries of the first second are sent at once.
    until = starts[0] + timedelta(seconds=SECONDS)
    count = sum(one < until for one in starts) - RATE
    assert abs(count - RATE * SECONDS) <= 0.05 * RATE * SECONDS + 1
    assert 1 <= most_at_once(attempts_of(dispatcher, few)) <= 2
    # Each worker learns of the pause at the latest after as many failures of its own.
    assert len(attempts_of(dispatcher, down)) <= 3 * 7


def attempts_of(dispatcher, webhook):
    found, cursor = [], None
    while True:
        page = dispatcher.log.deliveries(webhook_id=webhook.id, limit=250, cursor=cursor)
        found += [one for each in page if each.attempt_count for one in dispatcher.log.attempts(each.id)]
        cursor = page.next
        if cursor is None:
            return found


def most_at_once(attempts):
    """Return the highest number of simultaneous attempts."""
    edges = [(one.started_at, 1) for one in attempts]
    edges += [(one.started_at + timedelta(milliseconds=one.duration_ms), -1) for one in attempts]
    return max(accumulate(step for _, step in sorted(edges)))


def noting(verb, shares):
    """Return a method that records by how many workers the share is divided."""

    @wraps(verb)
    def noted(*args):
        shares.append(args[-1].of)
        return verb(*args)

    return noted


def learning(is_due, learned):
    """Return a function that tells whether a worker has learned of the other one."""

    @wraps(is_due)
    def noted(maintenance):
        if maintenance.share.of == 2:
            learned.set()
        return is_due(maintenance)

    return noted


@ON_POSTGRES
def test_worker_keeps_to_its_share_while_a_backlog_lasts(open_dispatcher, receiver, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.pacing._LASTING", 0.0)
    # Several plans in a row, since a look between two of them may find nothing overdue yet.
    monkeypatch.setattr("unihooks._delivery.taking._PLAN_EVENTS", 64)
    dispatcher = open_dispatcher()
    store = dispatcher.settings.store
    subscribe(dispatcher, *(receiver.url_for(f"/{number}") for number in range(8)))
    store.heartbeat("another worker")
    learned = threading.Event()
    monkeypatch.setattr(Maintenance, "is_due", learning(Maintenance.is_due, learned))
    kept = {"plan": [], "claim": []}
    for name, shares in kept.items():
        monkeypatch.setattr(store, name, noting(getattr(store, name), shares))
    with dispatcher.running(concurrency=8):
        # Everything is planned within a moment, before a worker whose first heartbeat comes later gets a share.
        assert learned.wait(30)
        dispatcher.emit_many([("shop", "order.paid", number) for number in range(320)])
        # Deliveries in the other worker's lanes are claimed, too, once it has left them for a while.
        receiver.wait_for(2_560, timeout=60)
    assert kept["plan"][0] == 1
    assert 2 in kept["plan"]
    assert 2 in kept["claim"]
