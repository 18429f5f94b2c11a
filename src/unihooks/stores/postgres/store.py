"""Keep everything in a schema of a PostgreSQL database, which may be the host's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from typing import Any
from weakref import WeakMethod, finalize

from unihooks._base.times import Clock
from unihooks._contract.idempotency import ANSWERS_PER_TENANT
from unihooks._contract.planning import NewEvent
from unihooks._contract.statistics import FailingEndpoint, HourRow, SlowEndpoint, TenantStatistics, WebhookHealth
from unihooks._model.checks import storable
from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.webhooks import Webhook
from unihooks.abc import (
    Capacity,
    Claimed,
    DeliveryFilter,
    Destination,
    EmitOutcome,
    EventFilter,
    IdempotencyRecord,
    Lease,
    Planned,
    QueueStatistics,
    Recorded,
    Result,
    Store,
    WebhookFilter,
    Window,
    Work,
)
from unihooks.exceptions import StoreError
from unihooks.stores.postgres import answers, claims, config, erasure, hosts, records, recovery, replays, upkeep
from unihooks.stores.postgres import figures as _postgres_figures
from unihooks.stores.postgres import log as _postgres_log
from unihooks.stores.postgres.claims import Claims
from unihooks.stores.postgres.database import Database
from unihooks.stores.postgres.errors import driver, is_dsn
from unihooks.stores.postgres.plans import Plans
from unihooks.stores.postgres.schema import SCHEMA_VERSION, migration_sql
from unihooks.stores.postgres.statements import Statements

_A_DSN = "'postgresql://user@host/name'"
_LONGEST_NAME = 63


class PostgresStore(Store):
    """Keep webhooks, events, deliveries and the log in the schema `schema` of the database at `dsn`.

    PostgreSQL 14 and newer. `dsn` is a libpq URI or keyword string. The tables
    are created and brought up to date on first use; with `migrate=False` an
    old or missing schema is a `StoreError`. Any number of processes may share
    the database; each opens up to `max_connections`, two more while it emits
    and one more while it runs a worker. No connection keeps state on the server between transactions, so
    poolers in transaction mode will do.
    """

    def __init__(self, dsn: str, *, schema: str = "unihooks", migrate: bool = True, max_connections: int = 8) -> None:
        driver()
        self._database = Database(
            _checked_dsn(dsn), _checked_schema(schema), migrate=migrate, size=_checked_size(max_connections)
        )
        self._start_afresh()
        self._database.forked = WeakMethod(self._start_afresh)
        finalize(self, self._database.close)

    def _start_afresh(self) -> None:
        self._claims = Claims()
        self._plans = Plans(self._database.schema.name)

    def __repr__(self) -> str:
        return f"PostgresStore(schema={self._database.schema.name!r})"

    def use_clock(self, clock: Clock | None) -> None:
        self._database.use_clock(clock)

    def now(self) -> int:
        return self._database.time.now()

    def migrate(self) -> list[str]:
        return self._database.migrate()

    def migration_sql(self, *, since: int = 0, until: int = SCHEMA_VERSION) -> str:
        """Return the SQL that leads a database from version `since` (0 is an empty one) to version `until`."""
        return migration_sql(self._database.schema.name, since=since, until=until)

    def wake(self) -> None:
        """Let the workers of other processes look for work, as after a host's commit; a hint, never needed."""
        self._database.notify()

    def close(self) -> None:
        self._database.close()

    # Configuration.

    def add_webhook(self, webhook: Webhook, *, at_most: int) -> None:
        self._database.write(lambda it: config.add_webhook(it, webhook, at_most))

    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        return self._database.read(lambda it: config.get_webhook(it, tenant, webhook_id))

    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        return self._database.read(lambda it: config.list_webhooks(it, tenant, filters, window))

    def revise_webhook(self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook]) -> Webhook:
        def work(it: Statements) -> Webhook:
            config.change_alone(it, [tenant])
            # The time of the change is looked up once nobody else can change: events are for it from exactly then.
            now = it.now if self._database.time.clock else config.server_time(it)
            with self._database.time.pinned(now):
                return config.revise_webhook(it, tenant, webhook_id, revise, now)

        revised = self._database.write(work)
        self._database.notify()
        return revised

    def delete_webhook(self, tenant: str, webhook_id: str) -> None:
        self._database.write(lambda it: config.delete_webhook(it, tenant, webhook_id))

    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        return self._database.read(lambda it: config.destinations(it, endpoint_ids))

    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        return self._database.ask(lambda it: config.config_versions(it, tenants))

    # Emitting.

    def submit_events(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]]:
        return self._database.emit(events)

    def insert_events(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        return self._database.insert(events)

    def emit_on(self, connection: Any, event: NewEvent) -> Event:
        hosts.check_database(connection)
        it = self._database
        return hosts.emit_on(connection, event, it.store_id, it.schema, own_times=it.time.clock is not None)

    async def aemit_on(self, connection: Any, event: NewEvent) -> Event:
        hosts.check_database(connection)
        it = self._database
        if not it.is_ready:
            await asyncio.to_thread(it.ready)
        return await hosts.aemit_on(connection, event, it.store_id, it.schema, own_times=it.time.clock is not None)

    # Working.

    def change_token(self) -> object:
        return self._database.change_token()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return self._database.watch(changed)

    def work(self) -> Work:
        return self._database.ask(claims.work)

    def plan(self, lease: Lease, capacity: Capacity, limit: int) -> Planned:
        opening = self._plans.opening(limit)
        after = opening[1]["after"]
        # The sync of what is recorded later covers this, too: a server that crashes before loses no more of the
        # plan than what was in flight or not yet recorded, and that goes out again in any case.
        planned = self._database.write(
            lambda it: self._plans.plan(it, lease, capacity, limit, after=after), opening, synced=False
        )
        _take(capacity, planned.claimed)
        return planned

    def claim(self, lease: Lease, capacity: Capacity) -> list[Claimed]:
        claimed = self._database.write(lambda it: self._claims.claim(it, lease, capacity), synced=False)
        _take(capacity, claimed)
        return claimed

    def record(self, results: Sequence[Result]) -> Recorded:
        opening = records.opening(results)
        return self._database.write(lambda it: records.record(it, results), opening)

    def release(self, claimed: Sequence[Claimed]) -> None:
        self._database.write(lambda it: claims.release(it, claimed))

    def heartbeat(self, worker_id: str, *, gone: bool = False) -> None:
        self._database.write(lambda it: upkeep.heartbeat(it, worker_id, gone=gone))

    def expire_held(self, older_than: int, limit: int) -> int:
        return self._database.write(lambda it: upkeep.expire_held(it, older_than, limit))

    def prune(self, older_than: int, limit: int) -> int:
        return self._database.write(lambda it: upkeep.prune(it, older_than, limit))

    def forget_keys(self, older_than: int, limit: int) -> int:
        return self._database.write(lambda it: erasure.forget_keys(it, older_than, limit))

    def erase(
        self,
        tenant: str,
        *,
        event_ids: Collection[str] | None = None,
        before: int | None = None,
        after: str = "",
        limit: int,
    ) -> tuple[int, str | None]:
        return self._database.write(lambda it: erasure.erase(it, tenant, event_ids, before, after=after, limit=limit))

    # The log.

    def list_events(self, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
        return self._database.read(lambda it: _postgres_log.list_events(it, tenant, filters, window))

    def list_deliveries(self, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
        return self._database.read(lambda it: _postgres_log.list_deliveries(it, tenant, filters, window))

    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        return self._database.read(lambda it: _postgres_log.list_attempts(it, tenant, delivery_id, window))

    def count_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> int:
        return self._database.read(lambda it: _postgres_log.count_deliveries(it, tenant, filters, most))

    def delivery_body(self, tenant: str, delivery_id: str) -> bytes:
        return self._database.read(lambda it: replays.body(it, tenant, delivery_id))

    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        return self._database.write(lambda it: replays.replay(it, tenant, delivery_id))

    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int
    ) -> tuple[int, str | None]:
        return self._database.write(
            lambda it: replays.replay_many(it, tenant, filters, after=after, last=last, limit=limit)
        )

    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        return self._database.write(lambda it: _postgres_log.cancel(it, tenant, delivery_id, reason))

    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int
    ) -> tuple[int, str | None]:
        return self._database.write(
            lambda it: recovery.recover(it, tenant, webhook_id, (since, until), after=after, limit=limit)
        )

    # Answers.

    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        return self._database.write(lambda it: answers.reserve(it, tenant, key, digest, at_most))

    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        self._database.write(lambda it: answers.keep(it, tenant, key, status, content))

    def drop_answer(self, tenant: str, key: str) -> None:
        self._database.write(lambda it: answers.drop(it, tenant, key))

    # QueueStatistics.

    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        return self._database.read(lambda it: _postgres_figures.webhook_health(it, tenant, webhook_ids))

    def webhook_hours(self, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
        return self._database.read(lambda it: _postgres_figures.webhook_hours(it, tenant, webhook_id, since))

    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        return self._database.read(lambda it: _postgres_figures.failing_endpoints(it, limit))

    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        return self._database.read(lambda it: _postgres_figures.slowest_endpoints(it, since, limit))

    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        return self._database.read(lambda it: _postgres_figures.list_tenants(it, window))

    def statistics(self) -> QueueStatistics:
        return self._database.read(upkeep.statistics)

    def oldest_unplanned(self) -> int | None:
        return self._database.ask(upkeep.oldest_unplanned)


def _take(capacity: Capacity, claimed: Iterable[Claimed]) -> None:
    for one in claimed:
        capacity.take(one.endpoint_id)


def _checked_dsn(dsn: object) -> str:
    if not isinstance(dsn, str):
        # None, as from a missing environment variable, would lead to the server's default database.
        raise TypeError(f"PostgresStore takes a dsn, such as {_A_DSN}, not {type(dsn).__name__}")
    if not storable(dsn) or not is_dsn(dsn):
        # Not quoted: it may hold a password.
        raise StoreError(f"the dsn cannot be read; give one such as {_A_DSN}", name="dsn")
    return dsn


def _checked_size(max_connections: object) -> int:
    if isinstance(max_connections, int) and max_connections >= 1:
        return max_connections
    raise ValueError(f"max_connections must be a whole number from 1 up, not {max_connections!r}")


def _checked_schema(schema: object) -> str:
    if (
        not isinstance(schema, str)
        or not storable(schema)
        or not 1 <= len(schema.encode()) <= _LONGEST_NAME
        or "%" in schema
    ):
        raise StoreError(f"schema must be a name of 1 to {_LONGEST_NAME} bytes, without %", name="schema")
    return schema
