"""A store in the memory of one process, for tests and demos: nothing survives it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from itertools import count
from operator import attrgetter
from typing import Any, NoReturn

from unihooks._base.times import SECOND, Clock, from_us, system_clock, to_us
from unihooks._contract.filters import name_position
from unihooks._contract.planning import NewEvent, plan_event
from unihooks._model.log import DeliveryState, Event
from unihooks._model.webhooks import Webhook
from unihooks.abc import (
    HELD_TOO_LONG,
    WEBHOOK_DELETED,
    Capacity,
    Claimed,
    Destination,
    EmitOutcome,
    Lease,
    Planned,
    Recorded,
    Result,
    WebhookFilter,
    Window,
    Work,
    WorkerSeen,
)
from unihooks.exceptions import UnihooksError
from unihooks.stores._memory_answers import MemoryAnswers
from unihooks.stores._memory_figures import MemoryFigures
from unihooks.stores._memory_listing import page, webhook_fits
from unihooks.stores._memory_log import MemoryLog
from unihooks.stores._memory_rows import DeliveryRow, EventRow, Lane, serve_in_turn
from unihooks.stores._memory_tables import Tables
from unihooks.stores.sql.refusals import too_many_webhooks

_SEEN_WITHIN = 60 * SECOND


class MemoryStore(MemoryLog, MemoryAnswers, MemoryFigures):
    """Keep everything in dicts under one lock.

    It follows the rules of every store but durability, and belongs to the
    process that made it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._clock: Clock = system_clock
        self._tokens = count(1)
        self._tables = Tables()

    def __repr__(self) -> str:
        return "MemoryStore()"

    def use_clock(self, clock: Clock | None) -> None:
        """Take all times from `clock`; None means this machine's."""
        self._clock = clock or system_clock

    def now(self) -> int:
        """Return the time by the store's clock."""
        return to_us(self._clock())

    def migrate(self) -> list[str]:
        """Do nothing: there is no schema."""
        return []

    def close(self) -> None:
        """Do nothing: what is kept stays until the store itself goes."""

    # Configuration.

    def add_webhook(self, webhook: Webhook, *, at_most: int) -> None:
        """Store a complete webhook."""
        with self._lock:
            if sum(one.tenant == webhook.tenant for one in self._tables.webhooks.values()) >= at_most:
                raise too_many_webhooks(at_most)
            self._tables.put_webhook(webhook, self.now())

    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        """Return the webhook."""
        with self._lock:
            return self._tables.webhook(tenant, webhook_id)

    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        """Return webhooks, newest first."""
        with self._lock:
            mine = [one for one in self._tables.webhooks.values() if one.tenant == tenant]
            fitting = [one for one in mine if webhook_fits(one, filters, failing=self._fails(one))]
        return page(fitting, window, name_position if window.by_name else attrgetter("id"))

    def _fails(self, webhook: Webhook) -> bool:
        return any(self._tables.lanes[one.id].failing_since is not None for one in webhook.endpoints)

    def revise_webhook(self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook]) -> Webhook:
        """Replace a webhook by `revise(current)`."""
        with self._lock:
            revised = revise(self._tables.webhook(tenant, webhook_id))
            self._tables.put_webhook(revised, self.now())
            return revised

    def delete_webhook(self, tenant: str, webhook_id: str) -> None:
        """Delete the webhook; cancel its pending deliveries."""
        with self._lock:
            webhook = self._tables.webhook(tenant, webhook_id)
            del self._tables.webhooks[webhook_id]
            self._tables.config_versions[tenant] += 1
            self._tables.drop_lanes([endpoint.id for endpoint in webhook.endpoints], WEBHOOK_DELETED)

    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        """Return the current destination of each endpoint that exists."""
        with self._lock:
            lanes = [self._tables.lanes[one] for one in endpoint_ids if one in self._tables.lanes]
            return {lane.endpoint_id: self._destination(lane) for lane in lanes}

    def _destination(self, lane: Lane) -> Destination:
        webhook = self._tables.webhooks[lane.webhook_id]
        return Destination(
            endpoint_id=lane.endpoint_id,
            webhook_id=lane.webhook_id,
            tenant=lane.tenant,
            url=next(one.url for one in webhook.endpoints if one.id == lane.endpoint_id),
            headers=webhook.headers,
            secrets=webhook.secrets,
            open=lane.open,
            config_version=self._tables.config_versions[lane.tenant],
        )

    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        """Return the configuration config_version of each tenant."""
        with self._lock:
            return {tenant: self._tables.config_versions[tenant] for tenant in tenants}

    # Emitting.

    def submit_events(self, events: Sequence[NewEvent]) -> Future[list[EmitOutcome]]:
        """Insert the events at once; the future is done."""
        done: Future[list[EmitOutcome]] = Future()
        with self._lock:
            done.set_result([self._outcome(event) for event in events])
        return done

    def _outcome(self, event: NewEvent) -> EmitOutcome:
        try:
            return self._tables.add_event(event)
        except UnihooksError as error:
            return error

    def emit_on(self, connection: Any, event: NewEvent) -> Event:  # noqa: ARG002 - the contract names them
        """Raise TypeError, because no connection leads to this store."""
        _refuse_connection()

    async def aemit_on(self, connection: Any, event: NewEvent) -> Event:  # noqa: ARG002
        """Raise TypeError, because no connection leads to this store."""
        _refuse_connection()

    # Working.

    def change_token(self) -> object:
        """Return a count of changes, by which a worker sees those that came through other dispatchers."""
        return self._tables.changes

    def work(self) -> Work:
        """Return whether there are new events, and when an open lane is next due."""
        with self._lock:
            due = [due for lane in self._tables.open_lanes.values() if (due := lane.next_due()) is not None]
            return Work(new_events=bool(self._tables.unplanned), next_due=min(due, default=None))

    def plan(self, lease: Lease, capacity: Capacity, limit: int) -> Planned:
        """Turn up to `limit` new events into deliveries, tenants in turn."""
        unplanned = self._tables.unplanned
        events = 0
        made: list[DeliveryRow] = []
        with self._lock:
            while unplanned and events < limit:
                tenant = next(iter(unplanned))
                made += self._plan_one(unplanned[tenant][0])
                events += 1
                waiting = unplanned.pop(tenant)
                waiting.popleft()
                if waiting:  # behind the other tenants
                    unplanned[tenant] = waiting
            claimed = [self._lease(row, lease) for row in made if self._has_room(row, capacity)]
            failed = [row.to_ended() for row in made if row.state is DeliveryState.FAILED]
            return Planned(events=events, deliveries=len(made), claimed=claimed, failed=failed, more=bool(unplanned))

    def _plan_one(self, event: EventRow) -> list[DeliveryRow]:
        now = self.now()
        bodies = plan_event(event.new, self._tables.subscribers(event.new), now=now)
        event.planned = True
        return [row for planned in bodies for row in self._tables.add_deliveries(event, planned, now)]

    def _has_room(self, row: DeliveryRow, capacity: Capacity) -> bool:
        return row.pending and row.endpoint_id in self._tables.open_lanes and capacity.take(row.endpoint_id)

    def _lease(self, row: DeliveryRow, lease: Lease) -> Claimed:
        now = self.now()
        until = now + int(lease.seconds * SECOND)
        config_version = self._tables.config_versions[row.event.tenant]
        return self._tables.lanes[row.endpoint_id].lease(
            row, now=now, until=until, token=lease.token, config_version=config_version
        )

    def claim(self, lease: Lease, capacity: Capacity) -> list[Claimed]:
        """Lease due deliveries of open lanes with capacity."""
        claimed: list[Claimed] = []
        with self._lock:
            now = self.now()

            def serve(lane: Lane) -> bool:
                row = lane.first_due(now)
                if row is None or not capacity.take(lane.endpoint_id):
                    return False
                claimed.append(self._lease(row, lease))
                return True

            due = [lane for lane in self._tables.open_lanes.values() if lane.first_due(now)]
            serve_in_turn(sorted(due, key=lambda lane: lane.next_due() or 0), serve)
        return claimed

    def record(self, results: Sequence[Result]) -> Recorded:
        """Store attempts, states and lane health of those results whose token still holds the delivery."""
        accepted: list[str] = []
        disabled: list[tuple[str, str, str]] = []
        with self._lock:
            for result in results:
                row = self._leased(result.claimed)
                if row is None:
                    continue
                if not row.pending:
                    row.keep(result.sent)
                    continue
                accepted.append(row.id)
                self._tables.count(result, self.now())
                if self._settle(row, result):
                    disabled.append((row.event.tenant, row.webhook_id, row.endpoint_id))
        return Recorded(accepted=accepted, disabled=disabled)

    def _leased(self, claimed: Claimed) -> DeliveryRow | None:
        row = self._tables.deliveries.get(claimed.id)
        return row if row is not None and row.token == claimed.token else None

    def _settle(self, row: DeliveryRow, result: Result) -> bool:
        now, lane = self.now(), self._tables.lanes[row.endpoint_id]
        failing = lane.settle(row, result, now)
        if result.disable and self._tables.disable(lane, result.disable, now, url=result.sent.url):
            return True
        return failing is not None and self._tables.disable(lane, failing, now)

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give leased deliveries back, due now."""
        with self._lock:
            held = [row for row in map(self._leased, claimed) if row is not None and row.pending]
            for row in held:
                self._tables.lanes[row.endpoint_id].schedule(row, self.now())

    def heartbeat(self, worker_id: str, *, gone: bool = False) -> None:
        """Note that this worker lives, or that it has ended."""
        seen = WorkerSeen(id=worker_id, host=socket.gethostname(), pid=os.getpid(), seen_at=from_us(self.now()))
        with self._lock:
            if gone:
                self._tables.workers.pop(worker_id, None)
            else:
                self._tables.workers[worker_id] = seen

    def expire_held(self, older_than: int, limit: int) -> int:
        """Cancel up to `limit` deliveries held since before `older_than`."""
        with self._lock:
            closed = [lane for lane in self._tables.lanes.values() if not lane.open and lane.closed_since < older_than]
            expired = [row for lane in closed for row in lane.pending() if row.created_at < older_than][:limit]
            for row in expired:
                row.cancel(HELD_TOO_LONG)
            return len(expired)

    def prune(self, older_than: int, limit: int) -> int:
        """Remove up to `limit` planned events made before `older_than`, with all that belongs to them."""
        with self._lock:
            old = [one for one in self._tables.events.values() if one.planned and one.new.created_at < older_than]
            done = [one for one in old if not one.pending][:limit]
            for event in done:
                self._tables.remove_event(event)
            self._tables.forget_hours(older_than)
            self._tables.forget_answers(older_than)
            return len(done)

    def forget_keys(self, older_than: int, limit: int) -> int:
        """Forget up to `limit` idempotency keys of events made before `older_than`."""
        with self._lock:
            return self._tables.forget_keys(older_than, limit)

    def erase(
        self,
        tenant: str,
        *,
        event_ids: Collection[str] | None = None,
        before: int | None = None,
        after: str = "",
        limit: int,
    ) -> tuple[int, str | None]:
        """Erase what up to `limit` of the tenant's events said."""
        with self._lock:
            mine = [one for one in self._tables.events.values() if one.new.tenant == tenant and one.new.id > after]
            chosen = [one for one in mine if event_ids is None or one.new.id in event_ids]
            return self._tables.erase_events(sorted(chosen, key=attrgetter("new.id")), before, limit)


def _refuse_connection() -> NoReturn:
    raise TypeError("a MemoryStore has no database that a connection could lead to; emit without `connection`")
