"""The main job on PostgreSQL: emit inside the host's transaction, deliver after its commit."""

from __future__ import annotations

import threading
from functools import wraps

import psycopg
import pytest
from waiting import wait_for

from unihooks import Dispatcher, EventSubscription, Webhook, Worker
from unihooks.stores import PostgresStore
from unihooks.stores.postgres import signals
from unihooks.stores.postgres.pool import Pool

pytestmark = pytest.mark.postgres


@pytest.fixture
def new_dispatcher(receiver, postgres_dsn, schema):
    opened = []

    def make():
        store = PostgresStore(postgres_dsn, schema=schema)
        opened.append(Dispatcher(store, targets=receiver.targets, ssl_context=receiver.ssl_context))
        return opened[-1]

    yield make
    for dispatcher in opened:
        dispatcher.close()


def subscribe(dispatcher, receiver):
    webhook = Webhook(
        name="CRM sync",
        endpoints=[receiver.url_for("/crm"), receiver.url_for("/audit")],
        subscriptions=[EventSubscription("chat", "*")],
    )
    added = dispatcher.webhooks.add(webhook)
    return dispatcher.webhooks.activate(added.id)


def test_event_is_delivered_exactly_if_the_host_commits(new_dispatcher, receiver, postgres_dsn):
    dispatcher = new_dispatcher()
    subscribe(dispatcher, receiver)
    with dispatcher.running(), psycopg.connect(postgres_dsn) as host:
        dispatcher.emit("chat", "message.lost", {}, connection=host)
        host.rollback()
        event = dispatcher.emit("chat", "message.received", {"n": 1}, connection=host)
        host.commit()
        requests = receiver.wait_for(2)
    assert {(one.path, one.headers["webhook-id"]) for one in requests} == {("/crm", event.id), ("/audit", event.id)}
    assert [one.state for one in dispatcher.log.deliveries()] == ["delivered"] * 2


def test_worker_elsewhere_is_notified_of_an_emit_and_need_not_poll(new_dispatcher, receiver, monkeypatch):
    monkeypatch.setattr(signals, "_LOOKS_SHARED", (3_600.0, 3_600.0))
    here, elsewhere = new_dispatcher(), new_dispatcher()
    subscribe(here, receiver)
    with elsewhere.running():
        listener = elsewhere.settings.store._postgres._unchecked().signals
        wait_for(lambda: listener._hearing is signals.Hearing.ALL)
        here.emit("chat", "message.received", {"n": 1})
        receiver.wait_for(2, timeout=20)


async def test_aemit_and_a_worker_in_the_hosts_event_loop(new_dispatcher, receiver, postgres_dsn):
    dispatcher = new_dispatcher()
    subscribe(dispatcher, receiver)
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as host:
        await dispatcher.aemit("chat", "message.received", {"n": 1}, connection=host)
        await host.commit()
    await dispatcher.aemit("chat", "message.received", {"n": 2})
    result = await dispatcher.adrain(timeout=10)
    assert (result.planned, result.delivered) == (2, 4)
    assert Worker(dispatcher)


async def test_event_loop_never_waits_for_the_server(new_dispatcher, receiver, monkeypatch):
    subscribe(new_dispatcher(), receiver)
    dispatcher = new_dispatcher()
    with monkeypatch.context() as patched:
        patched.setattr(psycopg, "connect", refusing(threading.get_ident(), psycopg.connect))
        patched.setattr(Pool, "lent", refusing(threading.get_ident(), Pool.lent))
        await dispatcher.aemit("chat", "message.received", {"n": 1})
        assert (await dispatcher.adrain(timeout=10)).delivered == 2
        assert [event.payload for event in await dispatcher.log.aevents()] == [{"n": 1}]


def refusing(thread, function):
    @wraps(function)
    def call(*args, **options):
        assert threading.get_ident() != thread, "the event loop waits for the server"
        return function(*args, **options)

    return call
