from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import aiosqlite
import attrs
import httpx
import pytest

from unihooks import (
    Catalog,
    DeliveryState,
    Dispatcher,
    Emission,
    EventSubscription,
    Limits,
    TargetPolicy,
    Webhook,
    Worker,
)
from unihooks.abc import Capacity, Emitter, Lease
from unihooks.exceptions import (
    IdempotencyConflict,
    InvalidArgument,
    InvalidPayload,
    InvalidWebhook,
    LimitReached,
    StoreError,
    UnknownEventType,
)
from unihooks.stores import MemoryStore, SQLiteStore

# Emitting.


def test_emit_returns_the_event_with_the_payload_as_given(host):
    payload = {"text": "hi", "nested": [1, 2.5, None, True]}
    event = host.emit(payload, tenant="acme")

    assert (event.tenant, event.product, event.event_type) == ("acme", "chat", "message.received")
    assert event.payload == payload
    assert event.created_at == host.clock.now
    assert event.id.startswith("evt_")
    assert len(event.id) == 30


def test_tenant_is_default_where_it_is_left_out(host):
    assert host.dispatcher.emit("chat", "x", 1).tenant == "default"


async def test_aemit_stores_what_emit_stores(host):
    event = await host.dispatcher.aemit("chat", "x", {"a": 1}, tenant="acme", idempotency_key="k")

    assert host.dispatcher.log.event(event.id, tenant="acme") == event
    assert await host.dispatcher.aemit("chat", "x", {"a": 1}, tenant="acme", idempotency_key="k") == event


def test_emit_neither_reads_nor_matches_webhooks(host, monkeypatch):
    host.webhook()

    def refuse(*_args, **_options):
        raise AssertionError("emit looked at the configuration")

    for verb in ("get_webhook", "list_webhooks", "destinations", "config_versions", "plan", "claim", "work"):
        monkeypatch.setattr(type(host.dispatcher.settings.store), verb, refuse)

    host.emit()


def test_the_dispatcher_is_an_emitter(host):
    assert isinstance(host.dispatcher, Emitter)


def test_emit_many_returns_the_events_in_order(host):
    host.webhook()
    events = host.dispatcher.emit_many([("chat", f"type.{number}", number) for number in range(20)])

    assert [event.payload for event in events] == list(range(20))
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert host.dispatcher.drain().delivered == 20


_VERBS = {
    "emit": lambda it: it.emit("chat", "x", 1),
    "emit_many": lambda it: it.emit_many([("chat", "x", 1)]),
    "wake": lambda it: it.wake(),
    "drain": lambda it: it.drain(),
    "running": lambda it: it.running().__enter__(),
    "worker": lambda it: Worker(it).run(),
    "stats": lambda it: it.stats(),
    "overview": lambda it: it.overview(),
    "tenants": lambda it: it.tenants(),
    "prune": lambda it: it.prune(older_than=timedelta(days=1)),
    "erase": lambda it: it.erase(event_ids=["evt_1"]),
    "migrate": lambda it: it.migrate(),
    "add": lambda it: it.webhooks.add(Webhook(name="x", endpoints=["https://example.com/"])),
    "list": lambda it: it.webhooks.list(),
    "check_endpoint": lambda it: it.webhooks.check_endpoint("https://example.com/"),
    "events": lambda it: it.log.events(),
    "replay_all": lambda it: it.log.replay_all(),
}


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_of_a_closed_dispatcher_raises_an_error(tmp_path, verb):
    dispatcher = Dispatcher(SQLiteStore(tmp_path / "hooks.db"))
    dispatcher.emit("chat", "x", 1)
    dispatcher.close()
    dispatcher.close()
    with pytest.raises(StoreError, match="this dispatcher is closed"):
        _VERBS[verb](dispatcher)
    assert not any(thread.name.startswith("unihooks-sqlite") for thread in threading.enumerate())


async def test_every_awaitable_verb_of_a_closed_dispatcher_raises_an_error(host):
    await host.dispatcher.aclose()
    with pytest.raises(StoreError, match="this dispatcher is closed"):
        async with host.dispatcher.arunning():
            pytest.fail("a closed dispatcher must not run")
    for verb in ("aemit", "aemit_many"):
        given = ("chat", "x", 1)
        with pytest.raises(StoreError, match="this dispatcher is closed"):
            await getattr(host.dispatcher, verb)(*(given if verb == "aemit" else [[given]]))


def test_a_worker_finishes_its_work_when_its_dispatcher_is_closed_meanwhile(new_dispatcher, receiver, store):
    dispatcher = new_dispatcher()
    webhook = Webhook(
        name="n", endpoints=[receiver.url], subscriptions=[EventSubscription("chat", "*")], status="active"
    )
    dispatcher.webhooks.add(webhook)
    with dispatcher.running():
        dispatcher.emit("chat", "x", 1)
        receiver.wait_for(1)
        dispatcher.close()
    assert [one.state for one in new_dispatcher().log.deliveries()] == [DeliveryState.DELIVERED]


def test_emit_many_of_nothing_is_nothing(host):
    assert host.dispatcher.emit_many([]) == []


@pytest.mark.parametrize("one", [("chat", "x"), ("chat", "x", 1, "key"), "abc", None])
def test_emit_many_takes_triples(host, one):
    with pytest.raises(InvalidPayload, match="triples") as refused:
        host.dispatcher.emit_many([("chat", "x", 1), one])
    assert refused.value.name == "events"
    assert not host.dispatcher.log.events()


def test_emit_many_takes_emissions_with_keys(host):
    host.webhook()
    first = host.emit({"n": 1}, idempotency_key="one")
    again, other, plain = host.dispatcher.emit_many(
        [
            Emission("chat", "message.received", {"n": 1}, idempotency_key="one"),
            Emission("chat", "message.received", {"n": 2}, "two"),
            ("chat", "message.received", {"n": 3}),
        ]
    )
    assert again == first
    assert [one.payload for one in (again, other, plain)] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert host.dispatcher.drain().delivered == 3


def test_emit_many_stores_none_if_a_key_was_used_for_another_event(host):
    host.emit(1, idempotency_key="one")
    with pytest.raises(IdempotencyConflict):
        host.dispatcher.emit_many([("chat", "x", 1), Emission("chat", "x", 2, "two"), Emission("chat", "x", 2, "one")])
    assert len(host.dispatcher.log.events()) == 1
    with pytest.raises(InvalidPayload, match="idempotency_key"):
        host.dispatcher.emit_many([Emission("chat", "x", 2, "")])


def test_emit_many_joins_the_hosts_transaction(tmp_path):
    with Dispatcher(SQLiteStore(tmp_path / "host.db")) as dispatcher:
        dispatcher.migrate()
        with closing(sqlite3.connect(tmp_path / "host.db", isolation_level=None)) as connection:
            for end, count in (("ROLLBACK", 0), ("COMMIT", 2)):
                connection.execute("BEGIN IMMEDIATE")
                events = dispatcher.emit_many([("chat", "x", 1), Emission("chat", "x", 2, "k")], connection=connection)
                assert [event.payload for event in events] == [1, 2]
                connection.execute(end)
                assert len(dispatcher.log.events()) == count
        assert dispatcher.emit_many([], connection=connection) == []


async def test_emit_many_joins_an_asynchronous_transaction(tmp_path):
    async with Dispatcher(SQLiteStore(tmp_path / "host.db")) as dispatcher:
        dispatcher.migrate()
        async with aiosqlite.connect(tmp_path / "host.db", isolation_level=None) as connection:
            await connection.execute("BEGIN IMMEDIATE")
            events = await dispatcher.aemit_many([("chat", "x", 1), ("chat", "x", 2)], connection=connection)
            await connection.commit()
        assert set(dispatcher.log.events()) == set(events)
        assert [event.payload for event in await dispatcher.aemit_many([Emission("chat", "x", 3, "k")])] == [3]


def test_emit_many_stores_none_if_one_is_bad(host):
    with pytest.raises(InvalidPayload):
        host.dispatcher.emit_many([("chat", "x", 1), ("chat", "x", float("nan"))])

    assert not host.dispatcher.log.events()


async def test_every_blocking_verb_of_the_dispatcher_has_an_awaitable_twin(host):
    assert [event.payload for event in await host.dispatcher.aemit_many([("chat", "x", 1)])] == [1]
    assert (await host.dispatcher.astats()).oldest_unplanned == host.clock.now
    await host.dispatcher.aclose()


async def test_events_emitted_together_fail_alone(host):
    outcomes = await asyncio.gather(
        *(host.dispatcher.aemit("chat", "x", number, idempotency_key="same") for number in (1, 2)),
        *(host.dispatcher.aemit("chat", "x", number) for number in range(8)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, IdempotencyConflict) for one in outcomes) == 1
    assert len(host.dispatcher.log.events()) == 9


# What is accepted.


@pytest.mark.parametrize("name", ["", "a b", "a" * 129, "a\n", "é", "*", None, 5])
def test_a_malformed_product_or_event_type_is_refused(host, name):
    with pytest.raises(UnknownEventType) as refused:
        host.dispatcher.emit(name, "x", 1)
    assert refused.value.name == "product"
    with pytest.raises(UnknownEventType) as refused:
        host.dispatcher.emit("chat", name, 1)
    assert refused.value.name == "event_type"
    assert isinstance(refused.value, ValueError)


def test_names_of_128_of_the_allowed_characters_are_accepted(host):
    name = ("Az09._:/-" * 15)[:128]
    assert host.dispatcher.emit(name, name, 1).product == name


@pytest.mark.parametrize(
    "payload, path",
    [
        ({"a": [float("nan")]}, "a[0]"),
        ({"a": {"b": b"x"}}, "a.b"),
        ({"a": {1, 2}}, "a"),
        ({"a": Decimal("1.5")}, "a"),
        ({1: "x"}, ""),
        ({"a": "\ud800"}, "a"),
    ],
)
def test_a_payload_that_is_not_json_is_refused_with_its_path(host, payload, path):
    with pytest.raises(InvalidPayload) as refused:
        host.emit(payload)
    assert path in refused.value.name
    assert not host.dispatcher.log.events()


def test_a_payload_over_256_kib_is_refused(host):
    host.emit("x" * (256 * 1024 - 2))
    with pytest.raises(InvalidPayload):
        host.emit("x" * (256 * 1024 - 1))


@pytest.mark.parametrize("tenant", ["", "t" * 257, "a\0", "\ud800", None, 5])
def test_a_tenant_is_a_text_of_1_to_256_characters(host, tenant):
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.emit("chat", "x", 1, tenant=tenant)
    assert refused.value.name == "tenant"


@pytest.mark.parametrize("key", ["", "k" * 257, "a\0", "\ud800", 5])
def test_an_idempotency_key_is_a_text_of_1_to_256_characters(host, key):
    with pytest.raises(InvalidPayload) as refused:
        host.emit(idempotency_key=key)
    assert refused.value.name == "idempotency_key"


def test_with_a_catalog_an_unknown_pair_is_refused(new_dispatcher):
    catalog = Catalog()
    catalog.add_product("chat").add_event("message.received")
    dispatcher = new_dispatcher(catalog=catalog)

    dispatcher.emit("chat", "message.received", 1)
    for product, event_type in [("chat", "other"), ("other", "message.received"), ("chat", "*")]:
        with pytest.raises(UnknownEventType):
            dispatcher.emit(product, event_type, 1)


def test_with_a_schema_a_payload_that_does_not_fit_is_refused(new_dispatcher):
    catalog = Catalog()
    catalog.add_product("chat").add_event("x", schema={"type": "object", "required": ["id"]})
    dispatcher = new_dispatcher(catalog=catalog)

    dispatcher.emit("chat", "x", {"id": 1})
    with pytest.raises(InvalidPayload):
        dispatcher.emit("chat", "x", {})


# Idempotency.


def test_the_same_key_and_payload_give_the_first_event(host):
    host.webhook()
    first = host.emit({"a": 1, "b": 2}, idempotency_key="order-7")
    host.clock.advance(60)

    assert host.emit({"a": 1, "b": 2}, idempotency_key="order-7") == first
    assert host.emit({"b": 2, "a": 1}, idempotency_key="order-7") == first
    assert host.dispatcher.drain().attempted == 1


@pytest.mark.parametrize("event_type, payload", [("message.received", {"a": 2}), ("message.read", {"a": 1})])
def test_the_same_key_for_another_event_is_a_conflict(host, event_type, payload):
    host.emit({"a": 1}, idempotency_key="order-7")
    with pytest.raises(IdempotencyConflict):
        host.dispatcher.emit("chat", event_type, payload, idempotency_key="order-7")


def test_tenants_do_not_share_idempotency_keys(host):
    events = {host.emit({"by": tenant}, tenant=tenant, idempotency_key="k").id for tenant in ("acme", "globex")}
    assert len(events) == 2


# The host's transaction.


on_a_file = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def file_host(host):
    host.dispatcher.stats()  # the first use creates the tables
    return host


def _connect(tmp_path):
    return sqlite3.connect(tmp_path / "webhooks.db", isolation_level=None)


@on_a_file
def test_an_event_of_the_hosts_transaction_is_sent_once_it_is_committed(file_host, tmp_path):
    file_host.webhook()
    connection = _connect(tmp_path)
    connection.execute("BEGIN IMMEDIATE")
    event = file_host.emit({"a": 1}, connection=connection)
    assert event.payload == {"a": 1}
    assert not file_host.dispatcher.log.events()

    connection.execute("COMMIT")
    connection.close()
    file_host.dispatcher.wake()

    assert file_host.dispatcher.drain().delivered == 1
    assert file_host.received()[0].headers["webhook-id"] == event.id


@on_a_file
def test_an_event_of_a_transaction_that_is_rolled_back_is_never_sent(file_host, tmp_path):
    file_host.webhook()
    connection = _connect(tmp_path)
    connection.execute("BEGIN IMMEDIATE")
    file_host.emit(connection=connection)
    connection.execute("ROLLBACK")
    connection.close()

    assert file_host.dispatcher.drain().planned == 0
    assert not file_host.received()


@on_a_file
async def test_aemit_joins_the_hosts_transaction(file_host, tmp_path):
    connection = _connect(tmp_path)
    connection.execute("BEGIN IMMEDIATE")
    event = await file_host.dispatcher.aemit("chat", "x", 1, connection=connection)
    connection.execute("COMMIT")
    connection.close()

    assert file_host.dispatcher.log.event(event.id) == event


@on_a_file
def test_a_reused_key_does_not_spoil_the_hosts_transaction(file_host, tmp_path):
    first = file_host.emit({"a": 1}, idempotency_key="k")
    connection = _connect(tmp_path)
    connection.execute("BEGIN IMMEDIATE")
    assert file_host.emit({"a": 1}, idempotency_key="k", connection=connection) == first
    with pytest.raises(IdempotencyConflict):
        file_host.emit({"a": 2}, idempotency_key="k", connection=connection)
    file_host.emit({"a": 3}, connection=connection)
    connection.execute("COMMIT")
    connection.close()

    assert [event.payload for event in file_host.dispatcher.log.events()] == [{"a": 3}, {"a": 1}]


@on_a_file
def test_a_connection_to_another_database_is_refused(file_host, tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    with pytest.raises(StoreError):
        file_host.emit(connection=connection)
    connection.close()


def test_a_value_that_is_no_connection_is_a_type_error(host):
    with pytest.raises(TypeError):
        host.emit(connection=object())


async def test_a_value_that_is_no_connection_is_a_type_error_for_aemit_too(host):
    with pytest.raises(TypeError):
        await host.dispatcher.aemit("chat", "x", 1, connection=object())


def test_inside_the_hosts_write_transaction_other_calls_fail_with_an_explanation(tmp_path):
    store = SQLiteStore(tmp_path / "webhooks.db", busy_timeout=0.05)
    with Dispatcher(store) as dispatcher:
        dispatcher.stats()
        connection = _connect(tmp_path)
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="lock"):
            dispatcher.emit("chat", "x", 1)
        dispatcher.emit("chat", "x", 2, connection=connection)
        connection.execute("COMMIT")
        connection.close()

        assert [event.payload for event in dispatcher.log.events()] == [2]


@on_a_file
def test_a_deferred_transaction_that_read_first_is_told_to_begin_immediately(file_host, tmp_path):
    connection = _connect(tmp_path)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    file_host.emit()
    with pytest.raises(StoreError, match="BEGIN IMMEDIATE"):
        file_host.emit(connection=connection)
    connection.close()


# Nobody runs a worker.


def test_emit_warns_once_when_the_oldest_event_waits_for_more_than_60_s(host, caplog):
    host.emit()
    host.clock.advance(60)
    host.emit()
    assert not caplog.records

    host.clock.advance(11)
    host.emit()
    (warning,) = caplog.records
    assert (warning.name, warning.levelno) == ("unihooks.dispatcher", logging.WARNING)
    assert "dispatcher.running()" in warning.message

    host.clock.advance(600)
    host.emit()
    assert len(caplog.records) == 1


async def test_emit_that_is_stored_does_not_fail_for_what_comes_after(host, store, monkeypatch):
    def fail():
        raise StoreError("gone", name="store")

    monkeypatch.setattr(store, "oldest_unplanned", fail)
    host.emit(1)
    host.clock.advance(60)
    await host.dispatcher.aemit("chat", "message.received", 2)
    assert [event.payload for event in host.dispatcher.log.events()] == [2, 1]


def test_emit_does_not_warn_while_events_are_planned(host, caplog):
    for _ in range(5):
        host.emit()
        host.dispatcher.drain()
        host.clock.advance(120)
    assert not caplog.records


# The guard and the transport.


def test_a_transport_of_the_hosts_own_needs_targets_none():
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with pytest.raises(TypeError, match="targets=None"):
        Dispatcher(MemoryStore(), transport=transport)
    with pytest.raises(TypeError, match="targets=None"):
        Dispatcher(MemoryStore(), transport=transport, targets=TargetPolicy())


def test_targets_none_needs_a_transport():
    with pytest.raises(TypeError, match="transport"):
        Dispatcher(MemoryStore(), targets=None)


@pytest.mark.parametrize("deadline", [0, -1, 601, True, float("nan"), timedelta(seconds=20)])
def test_a_deadline_that_makes_no_sense_is_refused(deadline):
    with pytest.raises(ValueError, match="deadline"):
        Dispatcher(MemoryStore(), deadline=deadline)


def test_a_retention_of_nothing_is_refused():
    with pytest.raises(ValueError, match="retention"):
        Dispatcher(MemoryStore(), retention=timedelta(0))
    Dispatcher(MemoryStore(), retention=None)


@pytest.mark.parametrize("name", ["retention", "idempotency_window", "retries"])
def test_an_option_of_another_type_is_refused_with_an_example(name):
    with pytest.raises(TypeError, match=rf"{name} must be a .*, such as"):
        Dispatcher(MemoryStore(), **{name: 30})


@pytest.mark.parametrize("path", ["webhooks.db", Path("webhooks.db")])
def test_a_path_in_place_of_a_store_is_refused(path):
    with pytest.raises(TypeError, match=r"SQLiteStore\('webhooks.db'\).*not a path"):
        Dispatcher(path)


def test_the_systems_authorities_are_trusted_unless_others_are_given(new_dispatcher, host):
    host.webhook()
    host.emit()
    # The receiver's authority is a throwaway one.
    dispatcher = new_dispatcher(ssl_context=None)
    dispatcher.drain()
    delivery = host.only()
    attempt = dispatcher.log.attempts(delivery.id)[0]
    assert delivery.state is DeliveryState.PENDING
    assert attempt.status_code is None
    assert "certificate" in attempt.error


def test_egress_ips_are_kept_for_the_hosts_pages(new_dispatcher):
    for given in ("192.0.2.1", ["192.0.2.1"]):
        assert new_dispatcher(egress_ips=given).egress_ips == ("192.0.2.1",)


# Stats and bounds.


def test_stats_show_the_state_of_the_queue(host):
    webhook = host.webhook()
    before = host.dispatcher.stats()
    assert (before.oldest_unplanned, before.due, before.held, before.in_flight, before.failing_endpoints) == (
        None, 0, 0, 0, 0,
    )  # fmt: skip
    assert not before.workers

    host.emit()
    assert host.dispatcher.stats().oldest_unplanned == host.clock.now

    host.receiver.answer(500)
    host.dispatcher.drain()
    failing = host.dispatcher.stats()
    assert (failing.oldest_unplanned, failing.due, failing.failing_endpoints) == (None, 0, 1)

    host.clock.advance(60)
    assert host.dispatcher.stats().due == 1
    host.dispatcher.webhooks.deactivate(webhook.id)
    held = host.dispatcher.stats()
    assert (held.due, held.held) == (0, 1)


def test_a_running_worker_is_seen_and_one_that_ended_is_not(host):
    with host.dispatcher.running():
        host.webhook()
        host.emit()
        host.receiver.wait_for(1)
        (worker,) = host.dispatcher.stats().workers
        assert worker.pid > 0
        assert worker.seen_at == host.clock.now

    assert not host.dispatcher.stats().workers


def test_a_tenant_has_a_limited_number_of_webhooks(new_dispatcher, receiver):
    dispatcher = new_dispatcher(limits=Limits(webhooks_per_tenant=1))
    dispatcher.webhooks.add(Webhook(name="first", endpoints=[receiver.url]), tenant="acme")
    with pytest.raises(LimitReached) as refused:
        dispatcher.webhooks.add(Webhook(name="second", endpoints=[receiver.url]), tenant="acme")
    assert refused.value.name == "webhooks"
    dispatcher.webhooks.add(Webhook(name="another's", endpoints=[receiver.url]), tenant="globex")


def test_a_webhook_has_a_limited_number_of_endpoints(new_dispatcher, receiver):
    dispatcher = new_dispatcher(limits=Limits(endpoints_per_webhook=2))
    urls = [receiver.url_for(f"/{number}") for number in range(3)]
    with pytest.raises(InvalidWebhook) as refused:
        dispatcher.webhooks.add(Webhook(name="many", endpoints=urls))
    assert refused.value.name == "endpoints"
    webhook = dispatcher.webhooks.add(Webhook(name="few", endpoints=urls[:2]))
    with pytest.raises(InvalidWebhook):
        dispatcher.webhooks.update(webhook.id, endpoints=urls)


def test_a_tenant_has_a_limited_number_of_endpoints_in_all_its_webhooks(new_dispatcher, receiver):
    webhooks = new_dispatcher(limits=Limits(endpoints_per_tenant=4)).webhooks
    urls = [receiver.url_for(f"/{number}") for number in range(4)]
    first = webhooks.add(Webhook(name="two", endpoints=urls[:2]))
    with pytest.raises(LimitReached) as refused:
        webhooks.add(Webhook(name="three", endpoints=urls[:3]))
    assert refused.value.name == "endpoints"
    webhooks.add(Webhook(name="two more", endpoints=urls[:2]))
    webhooks.add(Webhook(name="another's", endpoints=urls), tenant="globex")
    with pytest.raises(LimitReached) as refused:
        webhooks.update(first.id, endpoints=urls[:3])
    assert refused.value.name == "endpoints"
    webhooks.update(first.id, endpoints=urls[2:])
    webhooks.update(first.id, endpoints=urls[:1])
    webhooks.add(Webhook(name="one", endpoints=urls[:1]))


@pytest.mark.parametrize("limits", [{"webhooks_per_tenant": 7}, {"endpoints_per_tenant": 14}])
def test_limits_hold_when_thirty_add_at_once(new_dispatcher, limits):
    webhooks = new_dispatcher(limits=Limits(**limits)).webhooks

    def add(number):
        try:
            return webhooks.add(
                Webhook(name=f"{number}", endpoints=["https://a.example.com/", "https://b.example.com/"])
            )
        except LimitReached:
            return None

    with ThreadPoolExecutor(30) as pool:
        added = [one for one in pool.map(add, range(30)) if one is not None]
    assert len(added) == len(webhooks.list(limit=250)) == 7


def test_endpoints_of_a_tenant_are_counted_when_thirty_change_at_once(new_dispatcher):
    webhooks = new_dispatcher(limits=Limits(endpoints_per_tenant=37)).webhooks
    made = [webhooks.add(Webhook(name=f"{number}", endpoints=["https://a.example.com/"])) for number in range(30)]

    def grow(webhook):
        with contextlib.suppress(LimitReached):
            webhooks.update(webhook.id, endpoints=["https://a.example.com/", "https://b.example.com/"])

    with ThreadPoolExecutor(30) as pool:
        list(pool.map(grow, made))
    assert sum(len(one.endpoints) for one in webhooks.list(limit=250)) == 37


@pytest.mark.parametrize("most, endpoints", [(4, 3), (5, 3), (6, 3), (300, 301), (602, 301)])
def test_of_an_event_with_too_many_deliveries_the_first_are_made_and_recover_makes_the_rest(
    new_dispatcher, clock, caplog, most, endpoints
):
    dispatcher = new_dispatcher(limits=Limits(deliveries_per_event=most, endpoints_per_webhook=endpoints))
    start = clock.now
    urls = [f"https://h{number}.example.com/" for number in range(endpoints)]
    subscriptions = [EventSubscription("chat", "*")]
    for name in ("first", "second"):
        dispatcher.webhooks.add(Webhook(name=name, endpoints=urls, subscriptions=subscriptions, status="active"))
    clock.advance(1)
    dispatcher.emit("chat", "x", 1)
    store = dispatcher.settings.store
    while store.work().new_events:
        store.plan(Lease(token=1, seconds=30), Capacity(0, 0), 10, most_per_event=most)
    assert dispatcher.log.count() == min(most, 2 * endpoints)
    warnings = [one for one in caplog.records if "log.recover" in one.message]
    assert len(warnings) == (most < 2 * endpoints)
    made = sum(dispatcher.log.recover(webhook.id, since=start).made for webhook in dispatcher.webhooks.list())
    assert made == 2 * endpoints - min(most, 2 * endpoints)


def test_a_worker_keeps_to_the_deliveries_per_event(new_dispatcher, receiver):
    dispatcher = new_dispatcher(limits=Limits(deliveries_per_event=2))
    endpoints = [receiver.url_for(f"/{number}") for number in range(3)]
    subscriptions = [EventSubscription("chat", "*")]
    dispatcher.webhooks.add(Webhook(name="n", endpoints=endpoints, subscriptions=subscriptions, status="active"))
    dispatcher.emit("chat", "x", 1)
    assert dispatcher.drain().delivered == 2


@pytest.mark.parametrize("name", [one.name for one in attrs.fields(Limits) if one.type in {"int", int}])
def test_a_limit_is_a_whole_number_from_1_up(name):
    for wrong, error in ((0, ValueError), (2**63, ValueError), (True, TypeError), ("5", TypeError), (None, TypeError)):
        with pytest.raises(error, match=name):
            Limits(**{name: wrong})
    with pytest.raises(TypeError, match="limits must be Limits"):
        Dispatcher(MemoryStore(), limits={name: 1})


# Opening and closing.


def test_the_store_of_a_closed_dispatcher_serves_another(host):
    event = host.emit()
    host.dispatcher.close()
    assert host.new_dispatcher().log.event(event.id) == event


def test_migrate_names_the_steps_taken_and_repeats_none(host):
    host.dispatcher.migrate()
    assert host.dispatcher.migrate() == []


async def test_a_dispatcher_is_an_async_context_manager(store):
    async with Dispatcher(store) as dispatcher:
        await dispatcher.aemit("chat", "x", 1)


def test_a_clock_of_the_hosts_gives_all_times(host):
    before = host.clock.now
    webhook = host.webhook()
    host.clock.advance(30)
    assert webhook.created_at == webhook.activated_at == before
    assert host.emit().created_at == before + timedelta(seconds=30)
