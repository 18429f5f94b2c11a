"""Keep everything in one SQLite file, which may be the host's own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Any
from weakref import finalize

from unihooks._base.times import Clock, now_us, system_clock
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
from unihooks.stores.sqlite import answers, claims, config, erasure, hosts, records, recovery, replays, upkeep
from unihooks.stores.sqlite import figures as _sqlite_figures
from unihooks.stores.sqlite import log as _sqlite_log
from unihooks.stores.sqlite.claims import Claims
from unihooks.stores.sqlite.database import Database
from unihooks.stores.sqlite.plans import Plans

_MOST_SECONDS_BUSY = 3600
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|(sqlite|file):", re.IGNORECASE)


class _Time:
    """Tell the time by a clock that can be replaced."""

    def __init__(self) -> None:
        self.clock: Clock = system_clock

    def now(self) -> int:
        return now_us(self.clock)


class SQLiteStore(Store):
    """Keep webhooks, events, deliveries and the log in the SQLite file at `path`.

    The tables are created and brought up to date on first use, and the file
    is switched to write-ahead logging; with `migrate=False` an old or missing schema is a `StoreError`. Several
    processes may use one file. `busy_timeout` is how many seconds to wait for
    others' locks.
    """

    def __init__(self, path: str | os.PathLike[str], *, migrate: bool = True, busy_timeout: float = 5.0) -> None:
        self._time = _Time()
        self._claims = Claims()
        self._plans = Plans()
        self._database = Database(
            _checked_path(path),
            migrate=migrate,
            busy_timeout=_checked_seconds(busy_timeout),
            now=self._time.now,
            inserted=self._plans.keep,
            rolled_back=self._plans.forget,
        )
        finalize(self, self._database.close)

    def use_clock(self, clock: Clock | None) -> None:
        self._time.clock = system_clock if clock is None else clock

    def now(self) -> int:
        return now_us(self._time.clock)

    def migrate(self) -> list[str]:
        return self._database.migrate()

    def close(self) -> None:
        self._database.close()

    # Configuration.

    def add_webhook(self, webhook: Webhook, *, at_most: int) -> None:
        self._database.write(lambda it: config.add_webhook(it, webhook, at_most, self.now()))

    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        with self._database.reading() as connection:
            return config.get_webhook(connection, tenant, webhook_id)

    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        with self._database.reading() as connection:
            return config.list_webhooks(connection, tenant, filters, window)

    def revise_webhook(self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook]) -> Webhook:
        revised: Webhook = self._database.write(
            lambda it: config.revise_webhook(it, tenant, webhook_id, revise, self.now())
        )
        return revised

    def delete_webhook(self, tenant: str, webhook_id: str) -> None:
        self._database.write(lambda it: config.delete_webhook(it, tenant, webhook_id, self.now()))

    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        with self._database.reading() as connection:
            return config.destinations(connection, endpoint_ids)

    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        with self._database.reading() as connection:
            return config.config_versions(connection, tenants)

    # Emitting.

    def submit_events(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]]:
        return self._database.emit(events)

    def insert_events(self, events: Sequence[NewEvent]) -> list[EmitOutcome]:
        return self._database.insert(events)

    def emit_on(self, connection: Any, event: NewEvent) -> Event:
        return hosts.emit_on(connection, event, self._database.store_id, self._database.path)

    async def aemit_on(self, connection: Any, event: NewEvent) -> Event:
        return await hosts.aemit_on(connection, event, self._database.store_id, self._database.path)

    # Working.

    def change_token(self) -> object:
        return self._database.data_version()

    def work(self) -> Work:
        with self._database.reading() as connection:
            return claims.work(connection)

    def plan(self, lease: Lease, capacity: Capacity, limit: int) -> Planned:
        planned: Planned = self._database.write(lambda it: self._plans.plan(it, lease, capacity, limit, now=self.now()))
        return planned

    def claim(self, lease: Lease, capacity: Capacity) -> list[Claimed]:
        claimed: list[Claimed] = self._database.write(lambda it: self._claims.claim(it, lease, capacity, self.now()))
        return claimed

    def record(self, results: Sequence[Result]) -> Recorded:
        recorded: Recorded = self._database.write(lambda it: records.record(it, results, self.now()))
        return recorded

    def release(self, claimed: Sequence[Claimed]) -> None:
        self._database.write(lambda it: claims.release(it, claimed, self.now()))

    def heartbeat(self, worker_id: str, *, gone: bool = False) -> None:
        self._database.write(lambda it: upkeep.heartbeat(it, worker_id, self.now(), gone=gone))

    def expire_held(self, older_than: int, limit: int) -> int:
        expired: int = self._database.write(lambda it: upkeep.expire_held(it, older_than, limit, self.now()))
        return expired

    def prune(self, older_than: int, limit: int) -> int:
        pruned: int = self._database.write(lambda it: upkeep.prune(it, older_than, limit))
        return pruned

    def forget_keys(self, older_than: int, limit: int) -> int:
        forgotten: int = self._database.write(lambda it: erasure.forget_keys(it, older_than, limit))
        return forgotten

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
            lambda it: erasure.erase(it, tenant, event_ids, before, after=after, limit=limit, now=self.now())
        )
        self._plans.forget()
        if last is None:
            self._database.empty_log()
        return count, last

    # The log.

    def list_events(self, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
        with self._database.reading() as connection:
            return _sqlite_log.list_events(connection, tenant, filters, window)

    def list_deliveries(self, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
        with self._database.reading() as connection:
            return _sqlite_log.list_deliveries(connection, tenant, filters, window)

    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        with self._database.reading() as connection:
            return _sqlite_log.list_attempts(connection, tenant, delivery_id, window)

    def count_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> int:
        with self._database.reading() as connection:
            return _sqlite_log.count_deliveries(connection, tenant, filters, most)

    def delivery_body(self, tenant: str, delivery_id: str) -> bytes:
        with self._database.reading() as connection:
            return replays.body(connection, tenant, delivery_id)

    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        replayed: Delivery = self._database.write(lambda it: replays.replay(it, tenant, delivery_id, self.now()))
        return replayed

    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int
    ) -> tuple[int, str | None]:
        replayed: tuple[int, str | None] = self._database.write(
            lambda it: replays.replay_many(it, tenant, filters, after=after, last=last, limit=limit, now=self.now())
        )
        return replayed

    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        cancelled: Delivery = self._database.write(
            lambda it: _sqlite_log.cancel(it, tenant, delivery_id, reason, self.now())
        )
        return cancelled

    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int
    ) -> tuple[int, str | None]:
        recovered: tuple[int, str | None] = self._database.write(
            lambda it: recovery.recover(
                it, tenant, webhook_id, (since, until), after=after, limit=limit, now=self.now()
            )
        )
        return recovered

    # Answers.

    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        found: IdempotencyRecord | None = self._database.write(
            lambda it: answers.reserve(it, tenant, key, digest, at_most=at_most, now=self.now())
        )
        return found

    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        self._database.write(lambda it: answers.keep(it, tenant, key, status, content))

    def drop_answer(self, tenant: str, key: str) -> None:
        self._database.write(lambda it: answers.drop(it, tenant, key))

    # QueueStatistics.

    def webhook_health(self, tenant: str, webhook_ids: Collection[str]) -> dict[str, WebhookHealth]:
        with self._database.reading() as connection:
            return _sqlite_figures.webhook_health(connection, tenant, webhook_ids, self.now())

    def webhook_hours(self, tenant: str, webhook_id: str, since: int) -> list[HourRow]:
        with self._database.reading() as connection:
            return _sqlite_figures.webhook_hours(connection, tenant, webhook_id, since)

    def failing_endpoints(self, limit: int) -> list[FailingEndpoint]:
        with self._database.reading() as connection:
            return _sqlite_figures.failing_endpoints(connection, limit)

    def slowest_endpoints(self, since: int, limit: int) -> list[SlowEndpoint]:
        with self._database.reading() as connection:
            return _sqlite_figures.slowest_endpoints(connection, since, limit)

    def list_tenants(self, window: Window) -> list[TenantStatistics]:
        with self._database.reading() as connection:
            return _sqlite_figures.list_tenants(connection, window, self.now())

    def statistics(self) -> QueueStatistics:
        with self._database.reading() as connection:
            return upkeep.statistics(connection, self.now())

    def oldest_unplanned(self) -> int | None:
        with self._database.reading() as connection:
            return upkeep.oldest_unplanned(connection)


def _checked_seconds(busy_timeout: object) -> float:
    if isinstance(busy_timeout, int | float) and 0 <= busy_timeout <= _MOST_SECONDS_BUSY:
        return busy_timeout
    raise ValueError(f"busy_timeout must be 0 to {_MOST_SECONDS_BUSY} seconds, not {busy_timeout!r}")


def _checked_path(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"SQLiteStore takes a path, such as 'webhooks.db', not {type(path).__name__}")
    text = os.fspath(path)
    if text in {"", ":memory:"}:
        raise StoreError("SQLiteStore needs a file; to keep everything in memory use MemoryStore()", name="path")
    if _URL.match(text):  # not shown, since it may hold a password
        raise StoreError("SQLiteStore takes a path, not a URL; give the path alone, such as 'webhooks.db'", name="path")
    if not storable(text):
        raise StoreError("path holds a NUL or a lone surrogate; give one such as 'webhooks.db'", name="path")
    return os.path.abspath(text)  # noqa: PTH100 - a later chdir must not change the file
