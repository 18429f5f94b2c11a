"""The fixtures of most tests: each kind of store, a clock, a real receiver, and a host with a dispatcher."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, settings

from unihooks import Delivery, Dispatcher, EventSubscription, RetryPolicy, Secret, VerifiedMessage, Webhook
from unihooks.abc import Store
from unihooks.stores import MemoryStore, PostgresStore, SQLiteStore
from unihooks.testing import FakeClock, ReceivedRequest, Receiver
from unihooks.testing._certificates import Certificates

# The duration of an example depends on how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if TYPE_CHECKING:
    from schemas import Schemas

_numbers = count(1)
# A FakeClock's time may be long ago, so the age of a signature does not count.
_ANY_AGE = 10**10


@define
class Host:
    """An application with a dispatcher, a receiver as its customers' endpoints, and a clock."""

    dispatcher: Dispatcher
    receiver: Receiver
    clock: FakeClock
    new_dispatcher: Callable[..., Dispatcher] = field(repr=False)

    def webhook(self, *paths: str, tenant: str = "default", active: bool = True, **fields: Any) -> Webhook:
        """Register an active webhook for every event of `chat`."""
        fields.setdefault("name", "CRM sync")
        fields.setdefault("subscriptions", [EventSubscription("chat", "*")])
        fields.setdefault("endpoints", [self.receiver.url_for(path) for path in paths or ("/in",)])
        added = self.dispatcher.webhooks.add(Webhook(**fields), tenant=tenant)
        return self.dispatcher.webhooks.activate(added.id, tenant=tenant) if active else added

    def emit(self, payload: Any = None, *, tenant: str = "default", **options: Any) -> Any:
        """Emit a message of `chat`."""
        payload = {"text": "hi"} if payload is None else payload
        return self.dispatcher.emit("chat", "message.received", payload, tenant=tenant, **options)

    def received(self, path: str | None = None) -> Sequence[ReceivedRequest]:
        """Return the requests that have arrived, at one path or at any."""
        return [one for one in self.receiver.requests if path is None or one.path == path]

    def verify(self, request: ReceivedRequest, *secrets: str | Secret) -> VerifiedMessage:
        """Check the signature of a request as a customer would."""
        return request.verify(list(secrets), tolerance=_ANY_AGE)

    def deliveries(self, **filters: Any) -> list[Delivery]:
        """Return the deliveries, oldest first."""
        return list(self.dispatcher.log.deliveries(limit=250, **filters))[::-1]

    def only(self, **filters: Any) -> Delivery:
        """Return the only delivery."""
        (delivery,) = self.deliveries(**filters)
        return delivery


@pytest.fixture(autouse=True)
def tracer() -> Iterator[None]:
    """Fail a test that removes the tracer: the coverage of all later tests would not be measured."""
    before = sys.gettrace()
    yield
    assert sys.gettrace() is before


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one call plan its full share even on a busy machine."""
    monkeypatch.setattr("unihooks.stores.sql.matching._SECONDS_OF_MATCHING", 60)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone, even if trio is installed."""
    return "asyncio"


@pytest.fixture
def schema(postgres_dsn: str) -> Iterator[str]:
    """Return the name of a schema that does not exist yet, and drop it afterwards."""
    import psycopg
    from schemas import drop

    name = f"unihooks_test_{os.getpid()}_{next(_numbers)}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        drop(admin, name)


@pytest.fixture(scope="session")
def schemas(postgres_dsn: str) -> Iterator[Schemas]:
    """Return the schemas that tests use one after the other."""
    from schemas import Schemas

    with closing(Schemas(postgres_dsn)) as schemas:
        yield schemas


@pytest.fixture
def empty_schema(schemas: Schemas) -> Iterator[str]:
    """Return the name of a schema that has all tables, and no rows."""
    with schemas.lent() as name:
        yield name


# MemoryStore is the SQLite store in a temporary file: what its contract shows is enough.
@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Yield each kind of store in turn, empty."""
    with closing(_new_store(request)) as store:
        yield store


def _new_store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return SQLiteStore(request.getfixturevalue("tmp_path") / "webhooks.db")
    return PostgresStore(request.getfixturevalue("postgres_dsn"), schema=request.getfixturevalue("empty_schema"))


@pytest.fixture(scope="session")
def certificates() -> Any:
    """Make the keys and contexts of receivers once, because making them takes longer than many tests."""
    made = Certificates()
    client, server = made.client_context(), made.server_context()
    return SimpleNamespace(client_context=lambda: client, server_context=lambda: server)


@pytest.fixture
def receiver(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with monkeypatch.context() as patch:
        patch.setattr("unihooks.testing._receiver.Certificates", lambda _names: certificates)
        receiver = Receiver()
    with receiver:
        yield receiver


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def new_dispatcher(store: Store, receiver: Receiver, clock: FakeClock) -> Iterator[Callable[..., Dispatcher]]:
    """Return a function that makes dispatchers of the store that may send to the receiver."""
    with ExitStack() as stack:

        def make(**options: Any) -> Dispatcher:
            options.setdefault("clock", clock)
            options.setdefault("retries", RetryPolicy.from_delays([60, 600], jitter=0))
            if "transport" not in options:
                options.setdefault("targets", receiver.targets)
                options.setdefault("ssl_context", receiver.ssl_context)
            return stack.enter_context(Dispatcher(store, **options))

        yield make


@pytest.fixture
def host(new_dispatcher: Callable[..., Dispatcher], receiver: Receiver, clock: FakeClock) -> Host:
    """Return a host whose deliveries are retried after 1 and 10 minutes."""
    return Host(new_dispatcher(), receiver, clock, new_dispatcher)
