"""The host's handle: emit events, manage webhooks, read the log, run or drain the work."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Self

from attrs import evolve

from unihooks._base.awaitable import awaitable, in_own_thread
from unihooks._base.event_loops import run_in_new_loop
from unihooks._base.times import Clock, from_us, optional_microseconds
from unihooks._contract.leasing import DrainResult
from unihooks._contract.statistics import Stats, TenantStatistics
from unihooks._delivery.emit_batching import EmitBatcher, in_time
from unihooks._delivery.test_sends import TestSender
from unihooks._delivery.transports import HostTransport, transport_maker
from unihooks._delivery.worker import Worker, WorkerThread, drain
from unihooks._management.emissions import EventMaker, Given, check_emissions
from unihooks._management.log import Log
from unihooks._management.option_checks import (
    check_callables,
    check_clock,
    check_kinds,
    check_seconds,
    check_store,
    check_times,
    to_addresses,
)
from unihooks._management.overview import Overview, Watch
from unihooks._management.paging import Page, paginate
from unihooks._management.retention import erase, prune
from unihooks._management.settings import Hook, Settings
from unihooks._management.webhooks import Webhooks
from unihooks._model.catalog import Catalog
from unihooks._model.checks import check_tenant
from unihooks._model.egress import Egress
from unihooks._model.limits import Limits
from unihooks._model.log import Emission, Event
from unihooks._model.retries import DEFAULT_RETRIES, RetryPolicy
from unihooks._model.targets import TargetPolicy
from unihooks.abc import EmitOutcome, Store
from unihooks.exceptions import StoreError

_UNPLANNED_TOO_LONG = timedelta(seconds=60)
_LOOK_EVERY = timedelta(seconds=10)
_DEFAULT_TARGETS = TargetPolicy()
_DEFAULT_EGRESS = Egress()
_DEFAULT_LIMITS = Limits()
_logger = logging.getLogger("unihooks.dispatcher")


class Dispatcher:
    """The host's handle for everything; safe to share between threads, tasks and forked processes.

    Args:
        store: Where all of it is kept: SQLiteStore, PostgresStore, MemoryStore or your own.
        catalog: The products and event types on offer; without one any well-formed pair is accepted.
        targets: Which destinations are allowed; None only together with `transport`.
        retries: When to try again; 5 s to 24 h over about three days by default.
        transport: An `httpx.AsyncBaseTransport` of your own, which then has to guard destinations itself, or a
            function that makes one per event loop: needed if it keeps connections and several loops use it at once.
        ssl_context: Whom to trust; the system's authorities by default.
        clock: `() -> aware datetime`, for tests; the store's own by default.
        deadline: Seconds for one attempt: resolve, connect, send and read together.
        retention: How long events and their log are kept; None for ever.
        idempotency_window: How long an `idempotency_key` is remembered, at most as long as the event is kept;
            None for as long.
        on_delivery: Called with each `Delivery` that was delivered or failed for good.
        on_endpoint_disabled: Called with each `Endpoint` that was disabled.
        egress: From which address of its machine, or through which proxy, a worker sends.
        egress_ips: The addresses your requests come from, for customers' allow-lists.
        limits: How much one tenant may have.

    Attributes:
        webhooks: Add, change, list and test webhooks: see `Webhooks`.
        log: Read events, deliveries and attempts, and act on them: see `Log`.
    """

    _is_open = _knows_time = False

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
        egress: Egress = _DEFAULT_EGRESS,
        egress_ips: Iterable[str] = (),
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        check_store(store)
        check_kinds(catalog=catalog, retries=retries, ssl_context=ssl_context, egress=egress, limits=limits)
        check_clock(clock)
        check_callables(on_delivery=on_delivery, on_endpoint_disabled=on_endpoint_disabled)
        check_times(deadline, retention=retention, idempotency_window=idempotency_window)
        new_transport = transport_maker(transport, targets, ssl_context, egress)
        self.egress_ips = to_addresses(egress_ips)
        if clock is not None:
            store.use_clock(clock)
        self.catalog = catalog
        self._maker = EventMaker(store.now, catalog)
        self._batcher = EmitBatcher(store)
        self._no_worker = _NoWorkerWarning(store)
        self._watch = Watch()
        # What a worker needs of this dispatcher.
        self.settings = Settings(
            store=store,
            catalog=catalog,
            targets=targets,
            egress=egress,
            retries=retries,
            deadline=float(deadline),
            retention_us=optional_microseconds(retention),
            keys_us=optional_microseconds(idempotency_window),
            new_transport=new_transport,
            on_delivery=on_delivery,
            on_endpoint_disabled=on_endpoint_disabled,
            limits=limits,
        )
        self.webhooks = Webhooks(self.settings, TestSender(self.settings).send)
        self.log = Log(self.settings)

    # Emitting.

    def emit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
    ) -> Event:
        """Store an event; when this returns, it survives a power cut and will be delivered.

        With `connection`, the event is one row in the host's open transaction there: it is committed, or rolled back,
        by the host. With an `idempotency_key` that the tenant has used for the same event and payload, the first event
        comes back.

        Raises:
            UnknownEventType: The product or event type is malformed or not in the catalog.
            InvalidPayload: The payload is not JSON, too large or does not fit its schema;
                `name` is the path. Or the idempotency key is malformed.
            InvalidArgument: The tenant is not a text of 1 to 256 characters.
            IdempotencyConflict: The key was used for another event or payload.
            StoreError: The database cannot be used, or `connection` leads to another one. Or it has not confirmed the
                event within the store's `emit_deadline` (10 s); it may have been stored or not.
            TypeError: `connection` is of a kind that is not known, or asynchronous: use `aemit`.
        """
        store = self.settings.open_store
        new = self._maker.make(product, event_type, payload, tenant, idempotency_key)
        if connection is not None:
            return _with_payload(store.emit_on(connection, new), payload)
        event = _settled(store.insert_events([new])[0], payload)
        self._look_for_worker(event)
        return event

    async def aemit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
    ) -> Event:
        """Do what `emit` does without blocking the event loop; `connection` may be asynchronous."""
        store = self.settings.open_store
        if connection is None and not self._is_open:
            # The store may have to open its database, once, and to ask its server for the time.
            await in_time(in_own_thread(store.ready), store.emit_deadline)
            self._is_open = True
        if not self._knows_time:
            await in_time(in_own_thread(store.now), store.emit_deadline)
            self._knows_time = True
        new = self._maker.make(product, event_type, payload, tenant, idempotency_key)
        if connection is not None:
            return _with_payload(await store.aemit_on(connection, new), payload)
        event = _settled(await self._batcher.submit(new), payload)
        if self._no_worker.is_due(event):
            await in_own_thread(self._no_worker.look, event)
        return event

    def emit_many(
        self,
        events: Iterable[tuple[str, str, Any] | Emission],
        *,
        tenant: str = "default",
        connection: Any = None,
    ) -> list[Event]:
        """Emit (product, event type, payload) triples or `Emission`s together: one commit, all of them or none.

        All are checked before the first is stored. With `connection`, they are rows in the host's open transaction
        there, to be rolled back if this raises. Raises what `emit` raises.
        """
        store, emissions = self.settings.open_store, check_emissions(events)
        new = self._maker.make_many(emissions, tenant)
        if connection is not None:
            return _emitted([store.emit_on(connection, one) for one in new], emissions)
        if not new:
            return []
        keyed = any(one.idempotency_key is not None for one in new)
        emitted = _emitted(store.insert_together(new) if keyed else store.insert_events(new), emissions)
        self._look_for_worker(emitted[-1])
        return emitted

    async def aemit_many(
        self,
        events: Iterable[tuple[str, str, Any] | Emission],
        *,
        tenant: str = "default",
        connection: Any = None,
    ) -> list[Event]:
        """Do what `emit_many` does without blocking the event loop; `connection` may be asynchronous."""
        if connection is None:
            # It may have to wait for a thread, too.
            seconds = self.settings.open_store.emit_deadline
            return await in_time(in_own_thread(self.emit_many, events, tenant=tenant), seconds)
        store, emissions = self.settings.open_store, check_emissions(events)
        new = await in_own_thread(self._maker.make_many, emissions, tenant)
        return _emitted([await store.aemit_on(connection, one) for one in new], emissions)

    def wake(self) -> None:
        """Let workers look at once, as after a host's commit; a hint, never needed."""
        self.settings.open_store.wake()

    # Working.

    @contextmanager
    def running(self, **worker_options: Any) -> Iterator[Worker]:
        """Run a worker in a background thread of this process while the block runs."""
        _ = self.settings.open_store  # here, not in the thread, is where a closed dispatcher has to raise
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
        """Plan every new event and attempt what is due, then return.

        It waits neither for the future nor for what other workers hold; after
        `timeout` seconds it starts nothing more and finishes what it has started.
        """
        return run_in_new_loop(lambda: self.adrain(timeout))

    async def adrain(self, timeout: float = 10.0) -> DrainResult:
        """Do what `drain` does inside the running event loop."""
        check_seconds("timeout", timeout, at_least=0)
        return await drain(self.settings, timeout)

    def stats(self) -> Stats:
        """Return the state of the queue over all tenants."""
        return evolve(self.settings.open_store.statistics(), hook_calls_dropped=self.settings.hook_calls_dropped)

    def overview(self) -> Overview:
        """Return what an operator looks at first, over all tenants: stats, failing and slow endpoints."""
        return self._watch.overview(self.settings.open_store)

    def tenants(self, *, limit: int = 50, cursor: str | None = None) -> Page[TenantStatistics]:
        """List tenants by name, with how many webhooks they have and how much is due."""
        fetch, position = self.settings.open_store.list_tenants, attrgetter("tenant")
        return paginate(fetch, position, limit=limit, cursor=cursor, kind="tenant", rising=True)

    astats = awaitable(stats)
    aoverview = awaitable(overview)
    atenants = awaitable(tenants)

    def prune(self, *, older_than: timedelta | datetime) -> int:
        """Remove events that are older, with their deliveries and attempts; return how many went.

        `older_than` is an age or an aware time. An event that is not planned or has a pending delivery stays. Workers
        do this by themselves for what is past the dispatcher's `retention`.
        """
        return prune(self.settings.open_store, older_than)

    def erase(
        self, *, tenant: str = "default", event_ids: Iterable[str] | None = None, before: datetime | None = None
    ) -> int:
        """Erase what a tenant's events said, for good; return how many were erased now.

        They are those of `event_ids` or those made before the aware time `before`. Payloads, mapped bodies, answers and
        request headers go; rows and counts stay. What is pending is cancelled and what is not yet planned is never
        sent, but a request that is under way ends. Ids of other tenants and unknown ones are not found, and not
        counted.

        Raises `StoreError` when another connection still holds old copies: erase again later.
        """
        return erase(self.settings.open_store, check_tenant(tenant), event_ids, before)

    aprune = awaitable(prune)
    aerase = awaitable(erase)

    def migrate(self) -> list[str]:
        """Create or bring up to date the store's schema, best at start-up; return the names of the steps taken."""
        return self.settings.open_store.migrate()

    amigrate = awaitable(migrate)

    def close(self) -> None:
        """Free the store's threads and connections; what was emitted is safe. Later calls raise `StoreError`."""
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

    def _look_for_worker(self, last: Event) -> None:
        if self._no_worker.is_due(last):
            self._no_worker.look(last)


def _settled(outcome: EmitOutcome, payload: Any) -> Event:
    if isinstance(outcome, Exception):
        raise outcome
    return _with_payload(outcome, payload)


def _emitted(outcomes: Iterable[EmitOutcome], emissions: Iterable[Given]) -> list[Event]:
    return [_settled(outcome, payload) for outcome, (_, _, payload, _) in zip(outcomes, emissions, strict=True)]


def _with_payload(stored: Event, payload: Any) -> Event:
    # attrs.evolve takes five times as long.
    return Event(stored.id, stored.tenant, stored.product, stored.event_type, payload, stored.created_at)


class _NoWorkerWarning:
    """A warning, given once, that nobody seems to run a worker; it is looked for every 10 s at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_look = from_us(0)
        self._warned = False

    def is_due(self, event: Event) -> bool:
        return not self._warned and event.created_at >= self._next_look

    def look(self, event: Event) -> None:
        self._next_look = event.created_at + _LOOK_EVERY
        try:
            oldest = self._store.oldest_unplanned()
        except StoreError:
            # The event is stored already: its emit must not fail because of this look.
            return
        if oldest is not None and event.created_at - from_us(oldest) > _UNPLANNED_TOO_LONG:
            self._warned = True
            _logger.warning(
                "an event has waited for a worker since %s; nothing is sent until one runs: use "
                "`with dispatcher.running():`, `unihooks worker`, or `dispatcher.drain()`",
                from_us(oldest).isoformat(),
            )
