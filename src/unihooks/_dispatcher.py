"""The host's handle: emit events, manage webhooks, read the log, run or drain the work."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Self

from unihooks._base.awaitable import awaitable
from unihooks._base.event_loops import run_in_new_loop
from unihooks._base.times import Clock, optional_microseconds
from unihooks._contract.leasing import DrainResult
from unihooks._delivery.emitting import Emits
from unihooks._delivery.endpoint_checks import EndpointChecker
from unihooks._delivery.test_sends import TestSender
from unihooks._delivery.transports import HostTransport, transport_maker
from unihooks._delivery.worker import Worker, WorkerThread, drain
from unihooks._management.host_hooks import Hook, HostHooks
from unihooks._management.jobs import Jobs
from unihooks._management.log import Log
from unihooks._management.operations import Operates
from unihooks._management.option_checks import (
    check_clock,
    check_kinds,
    check_seconds,
    check_store,
    check_times,
    to_addresses,
)
from unihooks._management.settings import Settings
from unihooks._management.webhooks import Webhooks
from unihooks._message.wire_names import WireNames
from unihooks._model.catalog import Catalog
from unihooks._model.egress import Egress
from unihooks._model.limits import Limits
from unihooks._model.policy import CircuitBreaker
from unihooks._model.retries import DEFAULT_RETRIES, RetryPolicy
from unihooks._model.targets import TargetPolicy
from unihooks.abc import Store

_DEFAULT_TARGETS = TargetPolicy()
_DEFAULT_EGRESS = Egress()
_DEFAULT_LIMITS = Limits()
_DEFAULT_BREAKER = CircuitBreaker()


class Dispatcher(Emits, Operates):
    """The host's handle to everything; safe to share between threads, tasks and forked processes.

    Args:
        store: Where everything is kept: SQLiteStore, PostgresStore, MemoryStore or your own.
        catalog: The products and event types on offer; without one any well-formed pair is accepted.
        targets: Which destinations are allowed; None only together with `transport`.
        retries: When to try again; 5 s to 24 h over about three days by default.
        transport: An `httpx.AsyncBaseTransport` of your own, which then has to guard destinations itself, or a
            function that makes one per event loop: needed if it keeps connections and several loops use it at once.
        ssl_context: Whom to trust; the system's authorities by default.
        clock: `() -> aware datetime`, for tests; the store's own by default.
        deadline: Seconds for one attempt: resolve, connect, send and read together.
        retention: How long events and their log are kept; None means for ever.
        idempotency_window: How long an `idempotency_key` is remembered, at most as long as the event is kept;
            None means for as long as that.
        on_delivery: Called with each `Delivery` that was delivered or failed for good.
        on_endpoint_disabled: Called with each `Endpoint` that was disabled.
        on_endpoint_failing: Called with each `Endpoint` whose health has become failing, once in 10 minutes at most.
        on_endpoint_recovered: Called with each such `Endpoint` once it is healthy again.
        on_webhook_changed: Called with each `Webhook` that this process has added, changed or deleted.
        operational_events: Whether customers can subscribe to what happens to their webhooks: the product `webhooks`.
        egress: The address of its machine from which a worker sends, or the proxy through which it does.
        egress_ips: The addresses your requests come from, for customers' allow-lists.
        limits: How much one tenant may have.
        breaker: When an endpoint that fails is left alone, and for how long; None never leaves one alone.
        receiver_control: Whether a response with the header `webhook-delivery: disable` disables its endpoint, and one
            with `abort-message` ends its delivery as failed.
        header_prefix: What the names of your headers begin with: `acme` sends `acme-event` and so on.
        user_agent: What requests name as their sender; by default `unihooks/<version>`, or `<prefix>-webhooks` where
            `header_prefix` is given.

    Attributes:
        webhooks: Add, change, list and test webhooks: see `Webhooks`.
        log: Read events, deliveries and attempts, and act on them: see `Log`.
        jobs: Recover and replay many deliveries in slices: see `Jobs`.
    """

    def __init__(
        self,
        store: Store,
        *,
        catalog: Catalog | None = None,
        targets: TargetPolicy | None = _DEFAULT_TARGETS,
        retries: RetryPolicy = DEFAULT_RETRIES,
        transport: HostTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        deadline: float = 20.0,
        retention: timedelta | None = timedelta(days=30),
        idempotency_window: timedelta | None = timedelta(days=30),
        on_delivery: Hook | None = None,
        on_endpoint_disabled: Hook | None = None,
        on_webhook_changed: Hook | None = None,
        on_endpoint_failing: Hook | None = None,
        on_endpoint_recovered: Hook | None = None,
        operational_events: bool = False,
        egress: Egress = _DEFAULT_EGRESS,
        egress_ips: Iterable[str] = (),
        limits: Limits = _DEFAULT_LIMITS,
        breaker: CircuitBreaker | None = _DEFAULT_BREAKER,
        receiver_control: bool = False,
        header_prefix: str = "unihooks",
        user_agent: str | None = None,
    ) -> None:
        check_store(store)
        check_kinds(ssl_context=ssl_context, egress=egress)
        check_times(deadline, retention=retention, idempotency_window=idempotency_window)
        new_transport = transport_maker(transport, targets, ssl_context, egress)
        self.egress_ips, self.catalog = to_addresses(egress_ips), catalog
        of_endpoints = on_endpoint_disabled, on_endpoint_failing, on_endpoint_recovered
        # What a worker needs of this dispatcher, too.
        settings = Settings(
            store=store,
            catalog=catalog,
            targets=targets,
            egress=egress,
            retries=retries,
            deadline=float(deadline),
            retention_us=optional_microseconds(retention),
            keys_us=optional_microseconds(idempotency_window),
            new_transport=new_transport,
            hooks=HostHooks(on_delivery, on_webhook_changed, *of_endpoints),
            limits=limits,
            breaker=breaker,
            receiver_control=receiver_control,
            operational_events=operational_events,
            names=WireNames(header_prefix, user_agent),
        )
        _prepare(store, clock, catalog, operational_events=operational_events)
        Emits.__init__(self, settings)
        Operates.__init__(self, settings)
        self.webhooks = Webhooks(settings, TestSender(settings).send, EndpointChecker(settings).check)
        self.log = Log(settings)
        self.jobs = Jobs(settings)

    @contextmanager
    def running(self, **worker_options: Any) -> Iterator[Worker]:
        """Run a worker in a background thread of this process while the block runs."""
        _ = self.settings.open_store  # A closed dispatcher must raise here, not in the thread.
        worker = Worker(self, **worker_options)
        thread = WorkerThread(worker)
        thread.start()
        process = os.getpid()
        try:
            yield worker
        finally:
            # A process that was forked inside the block has no such thread.
            if os.getpid() == process:
                thread.stop()

    @asynccontextmanager
    async def arunning(self, **worker_options: Any) -> AsyncIterator[Worker]:
        """Run a worker inside the running event loop while the block runs, as in an ASGI application's lifespan."""
        _ = self.settings.open_store
        worker = Worker(self, **worker_options)
        serving = asyncio.create_task(worker.serve(), name="unihooks-worker")
        try:
            yield worker
        finally:
            worker.stop()
            await serving

    def drain(self, timeout: float = 10.0) -> DrainResult:
        """Plan every new event and attempt every due delivery, then return.

        It does not wait for future retries or for what other workers hold. After `timeout` seconds it starts nothing
        more and finishes what it has started.
        """
        return run_in_new_loop(lambda: self.adrain(timeout))

    async def adrain(self, timeout: float = 10.0) -> DrainResult:
        """Do what `drain` does inside the running event loop."""
        return await drain(self.settings, check_seconds("timeout", timeout, at_least=0))

    def close(self) -> None:
        """Free the store's threads and connections; emitted events are safe. Later calls raise `StoreError`.

        Calls of `on_webhook_changed` that are under way get up to 5 seconds.
        """
        self.settings.changes.finish()
        self.settings.is_closed = True
        self.settings.store.close()

    aclose = awaitable(close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


def _prepare(store: Store, clock: Clock | None, catalog: Catalog | None, *, operational_events: bool) -> None:
    """Have a store use the host's clock, if given, and emit operational events, which the catalog then offers."""
    check_clock(clock)
    if clock is not None:
        store.use_clock(clock)
    if operational_events:
        if catalog is not None:
            catalog.offer_operational_events()
        store.use_operational_events()
