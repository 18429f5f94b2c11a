"""The store in an SQL database: every verb of the contract, each a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from weakref import finalize

from unihooks._base.times import Clock
from unihooks._contract.configuration import ANSWERS_PER_TENANT, IdempotencyRecord
from unihooks._contract.filters import DeliveryFilter, EventFilter, WebhookFilter, Window
from unihooks._contract.leasing import Capacity, Claimed, Lease, Planned, QueueStatistics, Recorded, Result, Work
from unihooks._contract.planning import NewEvent
from unihooks._contract.statistics import FailingEndpoint, HourRow, SlowEndpoint, TenantStatistics, WebhookHealth
from unihooks._message.rendering import Rendering
from unihooks._message.requests import Destination
from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.webhooks import Webhook
from unihooks.abc import EmitOutcome, Store
from unihooks.stores.sql import (
    claiming,
    configuration,
    erasing,
    idempotency,
    log,
    maintenance,
    recording,
    recovering,
    replaying,
    statistics,
)
from unihooks.stores.sql.claiming import Claimer
from unihooks.stores.sql.planning import Planner
from unihooks.stores.sql.transaction import Database, Transaction


class SQLStore(Store):
    """A store over the transactions of a database; what is left to a kind of database is how it is opened."""

    def __init__(self, database: Database, planner: Planner) -> None:
        self._database = database
        self._planner = planner
        self._claimer = Claimer()
        finalize(self, database.close)

    def use_clock(self, clock: Clock | None) -> None:
        self._database.time.clock = clock

    def now(self) -> int:
        return self._database.time.now()

    def migrate(self) -> list[str]:
        return self._database.migrate()

    def close(self) -> None:
        self._database.close()

    # The queue.

    def submit_events(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]]:
        return self._database.submit(events)

    def insert_events(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        return self._database.insert(events)

    def wake(self) -> None:
        self._database.notify()

    def change_token(self) -> object:
        return self._database.change_token()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return self._database.watch(changed)

    def work(self) -> Work:
        return self._database.ask(claiming.work)

    def plan(self, lease: Lease, capacity: Capacity, limit: int) -> Planned:
        planned = self._planner.plan(self._database, lease, capacity, limit)
        _take(capacity, planned.claimed)
        return planned

    def claim(self, lease: Lease, capacity: Capacity) -> list[Claimed]:
        claimed = self._claimer.claim(self._database, lease, capacity)
        _take(capacity, claimed)
        return claimed

    def record(self, results: Sequence[Result]) -> Recorded:
        return self._database.write(lambda tx: recording.record(tx, results), recording.opening(results))

    def release(self, claimed: Sequence[Claimed]) -> None:
        self._database.write(lambda tx: claiming.release(tx, claimed))

    def heartbeat(self, worker_id: str, *, gone: bool = False) -> None:
        self._database.write(lambda tx: maintenance.heartbeat(tx, worker_id, gone=gone))

    def expire_held(self, older_than: int, limit: int) -> int:
        return self._database.write(lambda tx: maintenance.expire_held(tx, older_than, limit))

    def prune(self, older_than: int, limit: int) -> int:
        return self._database.write(lambda tx: maintenance.prune(tx, older_than, limit))

    def forget_keys(self, older_than: int, limit: int) -> int:
        return self._database.write(lambda tx: erasing.forget_keys(tx, older_than, limit))

    # Configuration.

    def add_webhook(self, webhook: Webhook, *, at_most: int) -> None:
        self._database.write(lambda tx: configuration.add_webhook(tx, webhook, at_most))

    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        return self._database.read(lambda tx: configuration.get_webhook(tx, tenant, webhook_id))

    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        return self._database.read(lambda tx: configuration.list_webhooks(tx, tenant, filters, window))

    def revise_webhook(self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook]) -> Webhook:
        def work(tx: Transaction) -> Webhook:
            configuration.lock_configuration(tx, [tenant])
            # The time of the change is looked up once nobody else can change: events are for it from exactly then.
            now = tx.time()
            with self._database.time.pinned(now):
                return configuration.revise_webhook(tx, tenant, webhook_id, revise, now)

        revised = self._database.write(work)
        self._database.notify()
        return revised

    def delete_webhook(self, tenant: str, webhook_id: str) -> None:
        self._database.write(lambda tx: configuration.delete_webhook(tx, tenant, webhook_id))

    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        return self._database.read(lambda tx: configuration.destinations(tx, endpoint_ids))

    def renderings(self, ids: Collection[str]) -> dict[str, Rendering]:
        return self._database.ask(lambda tx: configuration.renderings(tx, ids))

    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        return self._database.ask(lambda tx: configuration.config_versions(tx, tenants))

    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        return self._database.write(lambda tx: idempotency.reserve(tx, tenant, key, digest, at_most))

    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        self._database.write(lambda tx: idempotency.keep(tx, tenant, key, status, content))

    def drop_answer(self, tenant: str, key: str) -> None:
        self._database.write(lambda tx: idempotency.drop(tx, tenant, key))

    # The log.

    def list_events(self, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
        return self._database.read(lambda tx: log.list_events(tx, tenant, filters, window))

    def list_deliveries(self, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
        return self._database.read(lambda tx: log.list_deliveries(tx, tenant, filters, window))

    def count_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> int:
        return self._database.read(lambda tx: log.count_deliveries(tx, tenant, filters, most))

    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        return self._database.read(lambda tx: log.list_attempts(tx, tenant, delivery_id, window))

    def delivery_source(self, tenant: str, delivery_id: str) -> tuple[bytes, Rendering | None]:
        return self._database.read(lambda tx: replaying.delivery_source(tx, tenant, delivery_id))

    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        return self._database.write(lambda tx: replaying.replay(tx, tenant, delivery_id))

    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int
    ) -> tuple[int, str | None]:
        return self._database.write(
            lambda tx: replaying.replay_many(tx, tenant, filters, after=after, last=last, limit=limit)
        )

    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        return self._database.write(lambda tx: log.cancel(tx, tenant, delivery_id, reason))

    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int
    ) -> tuple[int, str | None]:
        return self._database.write(
            lambda tx: recovering.recover(tx, tenant, webhook_id, (since, until), after=after, limit=limit)
        )

    def erase(
        self,
        tenant: str,
        *,
        event_ids: Collection[str] | None = None,
        before: int | None = None,
        after: str = "",
        limit: int,
    ) -> tuple[int, str | None]:
        count, last = self._database.write(
            lambda tx: erasing.erase(tx, tenant, event_ids, before, after=after, limit=limit)
        )
        self._planner.forget()
        if last is None:
            self._database.scrub()
        return count, last

    # Statistics.

    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        return self._database.read(lambda tx: statistics.webhook_health(tx, tenant, webhook_ids))

    def webhook_hours(self, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
        return self._database.read(lambda tx: statistics.webhook_hours(tx, tenant, webhook_id, since))

    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        return self._database.read(lambda tx: statistics.failing_endpoints(tx, limit))

    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        return self._database.read(lambda tx: statistics.slowest_endpoints(tx, since, limit))

    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        return self._database.read(lambda tx: statistics.list_tenants(tx, window))

    def statistics(self) -> QueueStatistics:
        return self._database.read(statistics.queue)

    def oldest_unplanned(self) -> int | None:
        return self._database.ask(statistics.oldest_unplanned)


def _take(capacity: Capacity, claimed: Sequence[Claimed]) -> None:
    for one in claimed:
        capacity.take(one.endpoint_id)
