"""Send with the library: emit, plan, sign, send and log on a store with full durability."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from attrs import evolve
from databases import Place, place, visit
from receiver import wait_for
from tasks import IN_FLIGHT, SECRET, Meter, Running, Task

from unihooks import Dispatcher, EventSubscription, Limits, PayloadMapping, Secret, TargetPolicy, Webhook, Worker

# The benchmarks have a webhook for each endpoint.
LIMITS = Limits(webhooks_per_tenant=1_000_000, endpoints_per_tenant=1_000_000, deliveries_per_event=1_000_000)

MAPPING = PayloadMapping(remove=["tags"], rename={"text": "body"})
_AHEAD = 2_000
_BATCH = 100
_AHEAD_BYTES = 8_000_000


def durable(task: Task, count: Any) -> dict[str, float]:
    """Emit and deliver in one process; return what each delivery took, and what the log says."""
    with opened(task) as (dispatcher, one):
        with dispatcher.running(concurrency=IN_FLIGHT, per_endpoint=IN_FLIGHT):
            emit(dispatcher, task, task.warm, 0, count)
            wait_for(count, task.warm)
            meter = Meter(task.dsn)
            emit(dispatcher, task, task.count, task.warm, count)
            wait_for(count, task.warm + task.count)
            threads = meter.read_threads(task.count)
        return {**meter.read(task.count), **threads, **log(one)}


@contextmanager
def opened(task: Task) -> Iterator[tuple[Dispatcher, Place]]:
    """Yield a dispatcher on an empty store, with the webhooks of the task."""
    with place(task.kind, task.dsn) as one, dispatching(task, one) as dispatcher:
        subscribe(dispatcher, task)
        yield dispatcher, one


@contextmanager
def dispatching(task: Task, one: Place, **options: Any) -> Iterator[Dispatcher]:
    """Yield a dispatcher that may send to the receiver."""
    options = {"targets": TargetPolicy(allow=["127.0.0.0/8"]), **options}
    with Dispatcher(one.store, ssl_context=task.trust, limits=LIMITS, **options) as dispatcher:
        yield dispatcher


@contextmanager
def work_beside(task: Task, one: Place, count: Any) -> Iterator[int]:
    """Run a worker process on the same store while the block runs; yield its id."""
    with Running(work, evolve(task, store=one.name), count) as running:
        yield running.pid
        running.stop()
        running.result()


def work(task: Task, count: Any) -> None:
    """Run a worker until SIGTERM."""
    with dispatching(task, visit(task.kind, task.dsn, task.store)) as dispatcher:
        Worker(dispatcher).run()


def subscribe(dispatcher: Dispatcher, task: Task) -> None:
    """Add webhooks, one per endpoint, that subscribe to all events or to a type of their own."""

    def add(number: int, url: str) -> None:
        mapping = MAPPING if task.mapped else PayloadMapping()
        add_webhook(dispatcher, url, "*" if task.fan_out > 1 else f"type.{number}", mapping=mapping)

    # Each thread has a connection of its own, and the server has few.
    with ThreadPoolExecutor(8 // task.stores) as pool:
        list(pool.map(add, range(task.endpoints), task.urls))


def add_webhook(
    dispatcher: Dispatcher, url: str, event_type: str, *, tenant: str = "default", active: bool = True, **more: Any
) -> Webhook:
    """Add a webhook with one endpoint, and activate it if it is to be active."""
    wanted = [EventSubscription("bench", event_type)]
    webhook = Webhook(name=url, endpoints=[url], subscriptions=wanted, secrets=[Secret(SECRET)], **more)
    added = dispatcher.webhooks.add(webhook, tenant=tenant)
    return dispatcher.webhooks.activate(added.id, tenant=tenant) if active else added


def emit(dispatcher: Dispatcher, task: Task, deliveries: int, before: int, count: Any) -> None:
    """Emit in batches, a little ahead of the worker, as a busy host does."""
    payload, events = task.payload, deliveries // task.fan_out
    ahead = min(_AHEAD, _AHEAD_BYTES // (task.kilobytes * 1_000))
    size = min(_BATCH, ahead // 4)
    for emitted in range(0, events, size):
        while before + emitted * task.fan_out - count.value > ahead:
            time.sleep(0.002)
        batch = range(emitted, min(events, emitted + size))
        dispatcher.emit_many([("bench", f"type.{number % task.endpoints}", payload) for number in batch])


def emit_one(dispatcher: Dispatcher, task: Task, number: int, tenant: str = "default") -> str:
    """Emit an event for one of the endpoints; return its id."""
    return dispatcher.emit("bench", f"type.{number % task.endpoints}", task.payload, tenant=tenant).id


def log(one: Place) -> dict[str, float]:
    """Count the log's deliveries."""
    row = one.fetch(f"""
        SELECT (SELECT count(*) FROM {one.prefix}events) - (SELECT count(*) FROM {one.prefix}new_events),
            (SELECT count(*) FROM {one.prefix}deliveries WHERE state = 'delivered'),
            (SELECT count(*) FROM {one.prefix}deliveries),
            (SELECT count(*) FROM {one.prefix}attempts WHERE status_code = 204)
    """)
    return dict(zip(("events", "delivered", "deliveries", "attempts"), row, strict=True))
