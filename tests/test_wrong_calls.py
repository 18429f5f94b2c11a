"""A wrong call raises one of our errors that says what to do, and stores nothing."""

from __future__ import annotations

import inspect
import sqlite3
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aiosqlite
import attrs
import httpx
import pytest

import unihooks
from unihooks import (
    Catalog,
    Dispatcher,
    Endpoint,
    EventSubscription,
    HeaderSet,
    Log,
    PayloadMapping,
    RetryPolicy,
    Secret,
    TargetPolicy,
    Webhook,
    Webhooks,
    Worker,
    sign,
    verify,
)
from unihooks.exceptions import InvalidArgument, StoreError, UnihooksError, UnknownEventType
from unihooks.stores import MemoryStore, PostgresStore, SQLiteStore
from unihooks.testing import FakeClock, Receiver, RecordingDispatcher

URL = "https://crm.example.com/"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HERE = Path(unihooks.__file__).parent

JUNK = [
    *(None, 0, -1, 10**30, 1.5, float("nan"), float("inf"), True, Decimal(1), 1 + 1j),
    *(b"", b"x", bytearray(b"x"), "", " ", "x", "*", "\0", "\ud800", "x" * 5000),
    *([], [None], [1], ["x"], ["\ud800"], ["ab"], (), {}, {"a": 1}, {1: 2}, set(), range(3)),
    *(object(), object, Exception("x"), lambda: 1, ...),
    *(datetime.now(UTC).replace(tzinfo=None), datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=-1), timedelta.max),
]


@attrs.frozen
class Scene:
    """A dispatcher with one active webhook and one delivered event."""

    dispatcher: Dispatcher
    webhook: Webhook
    delivery_id: str

    def state(self):
        webhooks, log = self.dispatcher.webhooks, self.dispatcher.log
        return [
            [*webhooks.list(limit=250)],
            [one.id for one in log.events(limit=250)],
            [*log.deliveries(limit=250)],
        ]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request, tmp_path_factory):
    if request.param == "sqlite":
        return SQLiteStore(tmp_path_factory.mktemp("wrong") / "calls.db")
    return PostgresStore(request.getfixturevalue("postgres_dsn"), schema="wrong_calls")


@pytest.fixture(scope="module")
def scene(store):
    transport = httpx.MockTransport(lambda request: httpx.Response(204))
    with Dispatcher(store, transport=transport, targets=None) as dispatcher:
        webhook = Webhook(name="x", endpoints=[URL], subscriptions=[EventSubscription("shop", "*")])
        webhook = dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
        dispatcher.emit("shop", "paid", {})
        dispatcher.drain()
        yield Scene(dispatcher, webhook, dispatcher.log.deliveries()[0].id)


def options(make, *names):
    return {f"{make.__name__}({name})": lambda value, name=name: make(**{name: value}) for name in names}


def new_webhook(**changes):
    return Webhook(**{"name": "x", "endpoints": [URL], **changes})


def endpoint(**changes):
    return Endpoint(URL, **changes)


def dispatcher_in_memory(**changes):
    return Dispatcher(MemoryStore(), **changes)


def worker(**changes):
    return Worker(dispatcher_in_memory(), **changes)


def product(**changes):
    return Catalog().add_product("shop", **changes)


def event_type(**changes):
    return product().add_event("paid", **changes)


def verified(**changes):
    return verify(**{"headers": {}, "body": b"", "secrets": SECRET, **changes})


def signed(**changes):
    return sign(**{"message_id": "evt_1", "timestamp": 1, "body": b"", "secrets": SECRET, **changes})


VALUES = {
    **options(new_webhook, "name", "endpoints", "description", "subscriptions", "mapping", "headers", "status"),
    **options(new_webhook, "secrets"),
    **options(endpoint, "id", "description", "state"),
    **options(dispatcher_in_memory, "catalog", "targets", "retries", "transport", "ssl_context", "clock"),
    **options(dispatcher_in_memory, "deadline", "retention", "idempotency_window", "on_delivery"),
    **options(dispatcher_in_memory, "on_endpoint_disabled", "egress_ips", "limits"),
    **options(worker, "concurrency", "per_endpoint", "lease", "grace"),
    **options(product, "title", "description"),
    **options(event_type, "title", "description", "schema", "example"),
    **options(verified, "headers", "body", "secrets", "tolerance", "now"),
    **options(signed, "message_id", "timestamp", "body", "secrets"),
    **options(TargetPolicy, "allow_http", "allow", "deny", "resolver"),
    **options(RetryPolicy, "wait", "stop"),
    **options(RecordingDispatcher, "catalog", "clock"),
    **options(Receiver, "answers"),
    "Dispatcher": Dispatcher,
    "Worker": Worker,
    "SQLiteStore": SQLiteStore,
    "SQLiteStore(busy_timeout)": lambda value: SQLiteStore("x.db", busy_timeout=value),
    "Endpoint": Endpoint,
    "an endpoint of a webhook": lambda value: new_webhook(endpoints=[value]),
    "a subscription of a webhook": lambda value: new_webhook(subscriptions=[value]),
    "a secret of a webhook": lambda value: new_webhook(secrets=[value]),
    "EventSubscription(product)": lambda value: EventSubscription(value, "paid"),
    "EventSubscription(event_type)": lambda value: EventSubscription("shop", value),
    "PayloadMapping(remove)": lambda value: PayloadMapping(remove=value),
    "PayloadMapping(rename)": lambda value: PayloadMapping(rename=value),
    "a path to remove": lambda value: PayloadMapping(remove=[value]),
    "a new name": lambda value: PayloadMapping(rename={"a": value}),
    "PayloadMapping.preview": PayloadMapping(remove=["a.b"]).preview,
    "HeaderSet": HeaderSet,
    "a header's value": lambda value: HeaderSet({"X-A": value}),
    "a header's name": lambda value: HeaderSet([(value, "x")]),
    "a pair of a header": lambda value: HeaderSet([value]),
    "Secret": Secret,
    "TargetPolicy.check_url": TargetPolicy().check_url,
    "TargetPolicy.check_host": TargetPolicy().check_host,
    "TargetPolicy.check_address": TargetPolicy().check_address,
    "RetryPolicy.from_delays": RetryPolicy.from_delays,
    "a delay": lambda value: RetryPolicy.from_delays([value]),
    "jitter": lambda value: RetryPolicy.from_delays([5], jitter=value),
    "a product of a catalog": lambda value: Catalog()[value],
    "an event type of a product": lambda value: product()[value],
    "FakeClock": FakeClock,
}

CALLS = {
    "emit(product)": lambda it, value: it.dispatcher.emit(value, "paid*", {}),
    "emit(event_type)": lambda it, value: it.dispatcher.emit("shop*", value, {}),
    "emit(payload)": lambda it, value: it.dispatcher.emit("shop", "paid", [object(), value]),
    "emit(tenant)": lambda it, value: it.dispatcher.emit("shop", "paid*", {}, tenant=value),
    "emit(connection)": lambda it, value: it.dispatcher.emit("shop", "paid", {}, connection=value or object()),
    "emit(idempotency_key)": lambda it, value: it.dispatcher.emit("shop", "paid*", {}, idempotency_key=value),
    "emit_many": lambda it, value: it.dispatcher.emit_many(value),
    "an event of emit_many": lambda it, value: it.dispatcher.emit_many([("shop", "paid", {}), value]),
    "add": lambda it, value: it.dispatcher.webhooks.add(value),
    "add(tenant)": lambda it, value: it.dispatcher.webhooks.add(new_webhook(endpoints=["ftp://x"]), tenant=value),
    "update(version)": lambda it, value: it.dispatcher.webhooks.update(it.webhook.id, version=value or 0, name="y"),
    "update(endpoints)": lambda it, value: it.dispatcher.webhooks.update(it.webhook.id, endpoints=value),
    "an endpoint's id in update": lambda it, value: it.dispatcher.webhooks.update(
        it.webhook.id, endpoints=[Endpoint(URL, id=value or "x")]
    ),
    "update(mapping)": lambda it, value: it.dispatcher.webhooks.update(it.webhook.id, mapping=value),
    "update(secrets)": lambda it, value: it.dispatcher.webhooks.update(it.webhook.id, secrets=value),
    "enable_endpoint": lambda it, value: it.dispatcher.webhooks.enable_endpoint(it.webhook.id, value),
    "rotate_secret(secret)": lambda it, value: it.dispatcher.webhooks.rotate_secret(it.webhook.id, secret=value or ""),
    "rotate_secret(overlap)": lambda it, value: it.dispatcher.webhooks.rotate_secret(
        it.webhook.id, secret="x", overlap=value
    ),
    "send_test(product)": lambda it, value: it.dispatcher.webhooks.send_test(
        it.webhook.id, product=value, event_type="paid"
    ),
    "send_test(payload)": lambda it, value: it.dispatcher.webhooks.send_test(
        it.webhook.id, product="shop", event_type="paid", payload=[object(), value]
    ),
    "send_test(endpoint_id)": lambda it, value: it.dispatcher.webhooks.send_test(
        it.webhook.id, product="shop", event_type="paid", endpoint_id=value
    ),
    "recover(since)": lambda it, value: it.dispatcher.log.recover(
        it.webhook.id, since=None if isinstance(value, datetime) else value
    ),
    "recover(until)": lambda it, value: it.dispatcher.log.recover(it.webhook.id, since=datetime.now(UTC), until=value),
}


def verbs_and_parameters():
    for part, kind in {"dispatcher": Dispatcher, "webhooks": Webhooks, "log": Log}.items():
        for verb, function in vars(kind).items():
            twin_or_private = inspect.iscoroutinefunction(function) or verb.startswith("_") or verb == "running"
            if inspect.isfunction(function) and not twin_or_private:
                yield from ((part, verb, name) for name in inspect.signature(function).parameters if name != "self")


def arguments(scene, function, name, value):
    """Return the arguments of the function, all well formed except the one called `name`."""
    formed = {
        "id": scene.webhook.id,
        "webhook_id": scene.webhook.id,
        "webhook_ids": [scene.webhook.id],
        "endpoint_id": scene.webhook.endpoints[0].id,
        "delivery_id": scene.delivery_id,
        "event_id": "evt_none",
        "product": "shop",
        "event_type": "paid",
        "payload": {},
        "webhook": new_webhook(),
        "events": [],
        "since": datetime.now(UTC),
        "older_than": timedelta(days=1),
        "url": URL,
    }
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    given = {one.name: formed[one.name] for one in needed if one.kind is not one.VAR_KEYWORD}
    return given if name == "changes" else {**given, name: value}


@pytest.mark.parametrize("call", list(verbs_and_parameters()), ids=".".join)
def test_a_wrong_value_for_a_parameter_is_refused_with_a_sentence_and_nothing_is_stored(call, scene):
    part, verb, name = call
    owner = scene.dispatcher if part == "dispatcher" else getattr(scene.dispatcher, part)
    function = getattr(owner, verb)
    before = scene.state()
    for junk in JUNK:
        if not assert_told(lambda junk=junk: function(**arguments(scene, function, name, junk))):
            before = scene.state()  # it is a value after all
    assert scene.state() == before


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_none_is_refused_with_a_sentence(name):
    for junk in JUNK:
        assert_told(lambda junk=junk: VALUES[name](junk))


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_refused_with_a_sentence_and_nothing_is_stored(name, scene):
    before = scene.state()
    refused = [junk for junk in JUNK if assert_told(lambda junk=junk: CALLS[name](scene, junk))]
    assert refused
    assert scene.state() == before


def assert_told(call):
    """Return whether the call was refused, and check that it was by an error that we raised ourselves."""
    error = error_of(call)
    if isinstance(error, UnihooksError):
        assert error.name is not None
        assert " " in error.message
    elif error is not None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        assert Path(last.filename).is_relative_to(HERE), repr(error)
        assert last.line.startswith("raise "), repr(error)
    return error is not None


def error_of(call):
    try:
        call()
    except (UnihooksError, TypeError, ValueError) as error:
        return error
    return None


# Messages that newcomers meet.


@pytest.mark.parametrize("event_type", ["order*", "**", "*.paid", "order.*.*", ".*.*", "order .*"])
def test_a_pattern_of_event_types_is_refused_with_a_correction(event_type):
    with pytest.raises(UnknownEventType, match=r"'\*' stands alone, for every event|use 1 to 128 letters"):
        EventSubscription("shop", event_type)
    with pytest.raises(UnknownEventType, match="names one product"):
        EventSubscription("*", event_type)


@pytest.mark.parametrize(
    "url", ["sqlite:///a.db", "sqlite:a.db", "file:a.db?mode=ro", "postgresql://u:s3cr3t@h/d", "SQLite://a.db"]
)
def test_an_sqlite_store_given_a_url_asks_for_the_path_and_quotes_nothing(url):
    with pytest.raises(StoreError, match="takes a path, not a URL") as raised:
        SQLiteStore(url)
    assert raised.value.name == "path"
    assert url not in str(raised.value)


def test_a_path_that_only_looks_like_a_url_is_a_path(tmp_path):
    store = SQLiteStore(tmp_path / "files:2" / "file.db")
    assert store


@pytest.mark.parametrize("dsn", ["s3cr3t is no dsn", "webhooks.db", "postgresql://u:s3cr3t@h/%zz", "\ud800"])
def test_a_dsn_that_cannot_be_read_is_refused_when_the_store_is_made(dsn):
    with pytest.raises(StoreError, match="dsn cannot be read") as raised:
        PostgresStore(dsn)
    assert raised.value.name == "dsn"
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    "scheme", ["postgresql+psycopg", "postgresql+asyncpg", "postgres+psycopg2", "PostgreSQL+psycopg"]
)
def test_a_dsn_with_the_driver_of_sqlalchemy_is_an_error_that_says_to_drop_it(scheme):
    with pytest.raises(StoreError, match="drop that part") as raised:
        PostgresStore(f"{scheme}://me:s3cr3t@host/name")
    assert raised.value.name == "dsn"
    assert "s3cr3t" not in str(raised.value)


def test_no_dsn_is_a_type_error():
    with pytest.raises(TypeError, match="takes a dsn"):
        PostgresStore(None)


def test_a_worker_takes_the_dispatcher_not_the_store():
    with pytest.raises(TypeError, match=r"Worker\(dispatcher\), not of type MemoryStore"):
        Worker(MemoryStore())


def test_a_dsn_in_place_of_a_store_is_not_quoted():
    with pytest.raises(TypeError, match="not a path or URL") as raised:
        Dispatcher("postgresql://u:s3cr3t@h/d")
    assert "s3cr3t" not in str(raised.value)


def test_a_tenant_that_add_would_ignore_is_refused():
    with Dispatcher(MemoryStore()) as dispatcher:
        with pytest.raises(InvalidArgument, match="tenant must be given to add") as raised:
            dispatcher.webhooks.add(new_webhook(tenant="acme"))
        assert raised.value.name == "tenant"
        added = dispatcher.webhooks.add(new_webhook(tenant="acme"), tenant="acme")
        assert dispatcher.webhooks.add(added, tenant="globex").tenant == "globex"


def test_a_function_that_makes_no_transport_is_named():
    dispatcher = Dispatcher(MemoryStore(), transport=lambda: "nothing", targets=None)
    with dispatcher, pytest.raises(TypeError, match="given as transport must return"):
        dispatcher.drain()


def test_a_clock_without_a_time_zone_is_refused():
    with pytest.raises(TypeError, match="time zone"):
        Dispatcher(MemoryStore(), clock=datetime.now)


def test_a_schema_that_is_no_name_is_refused():
    for schema in ("", "x" * 64, "a%b", "\0", "\ud800", None):
        with pytest.raises(StoreError, match="schema") as raised:
            PostgresStore("postgresql:///x", schema=schema)
        assert raised.value.name == "schema"


def test_a_closed_connection_is_named(tmp_path):
    with Dispatcher(SQLiteStore(tmp_path / "a.db")) as dispatcher:
        dispatcher.migrate()
        connection = sqlite3.connect(tmp_path / "a.db")
        connection.close()
        with pytest.raises(StoreError, match="one that is open") as raised:
            dispatcher.emit("shop", "paid", {}, connection=connection)
        assert raised.value.name == "connection"


async def test_a_closed_asynchronous_connection_is_named(tmp_path):
    with Dispatcher(SQLiteStore(tmp_path / "a.db")) as dispatcher:
        dispatcher.migrate()
        connection = await aiosqlite.connect(tmp_path / "a.db")
        await connection.close()
        with pytest.raises(StoreError, match="one that is open") as raised:
            await dispatcher.aemit("shop", "paid", {}, connection=connection)
        assert raised.value.name == "connection"


def test_a_receiver_that_runs_is_not_started_twice():
    with Receiver() as receiver, pytest.raises(RuntimeError, match="already running"):
        receiver.start()
