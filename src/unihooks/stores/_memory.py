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

from unihooks._models import Attempt, Delivery, DeliveryState, Event, Webhook
from unihooks._planning import NewEvent, PlannedBody, plan_event, recover_event, subscriber
from unihooks._times import SECOND, Clock, system_clock, to_us
from unihooks.abc import (
    HELD_TOO_LONG,
    WEBHOOK_DELETED,
    Claimed,
    DeliveryFilter,
    Destination,
    EmitOutcome,
    EventFilter,
    Figures,
    Lease,
    Planned,
    Recorded,
    Result,
    Room,
    Store,
    WebhookFilter,
    Window,
    Work,
    WorkerSeen,
)
from unihooks.exceptions import UnihooksError
from unihooks.stores._memory_listing import delivery_fits, event_fits, page, webhook_fits
from unihooks.stores._memory_rows import DeliveryRow, EventRow, Lane, serve_in_turn
from unihooks.stores._memory_tables import Tables
from unihooks.stores._refusals import check_replayable, not_pending, too_many_webhooks

_SEEN_WITHIN = 60 * SECOND


class MemoryStore(Store):
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

    def list_webhooks(self, tenant: str, narrow: WebhookFilter, window: Window) -> list[Webhook]:
        """Return webhooks, newest first."""
        with self._lock:
            mine = [one for one in self._tables.webhooks.values() if one.tenant == tenant]
        return page([one for one in mine if webhook_fits(one, narrow)], window)

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
            self._tables.stamps[tenant] += 1
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
            stamp=self._tables.stamps[lane.tenant],
        )

    def stamps(self, tenants: Collection[str]) -> dict[str, int]:
        """Return the configuration stamp of each tenant."""
        with self._lock:
            return {tenant: self._tables.stamps[tenant] for tenant in tenants}

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
        """Return a constant: no other process can change this store."""
        return None

    def work(self) -> Work:
        """Return whether there are new events, and when an open lane is next due."""
        with self._lock:
            due = [due for lane in self._tables.open_lanes.values() if (due := lane.next_due()) is not None]
            return Work(new_events=bool(self._tables.unplanned), next_due=min(due, default=None))

    def plan(self, lease: Lease, room: Room, limit: int) -> Planned:
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
            claimed = [self._lease(row, lease) for row in made if self._has_room(row, room)]
            failed = [row.to_ended() for row in made if row.state is DeliveryState.FAILED]
            return Planned(events=events, deliveries=len(made), claimed=claimed, failed=failed, more=bool(unplanned))

    def _plan_one(self, event: EventRow) -> list[DeliveryRow]:
        now = self.now()
        bodies = plan_event(event.new, self._tables.subscribers(event.new), now=now)
        event.planned = True
        return [row for planned in bodies for row in self._tables.add_deliveries(event, planned, now)]

    def _has_room(self, row: DeliveryRow, room: Room) -> bool:
        return row.pending and row.endpoint_id in self._tables.open_lanes and room.take(row.endpoint_id)

    def _lease(self, row: DeliveryRow, lease: Lease) -> Claimed:
        now = self.now()
        until = now + int(lease.seconds * SECOND)
        stamp = self._tables.stamps[row.event.tenant]
        return self._tables.lanes[row.endpoint_id].lease(row, now=now, until=until, token=lease.token, stamp=stamp)

    def claim(self, lease: Lease, room: Room) -> list[Claimed]:
        """Lease due deliveries of open lanes with room."""
        claimed: list[Claimed] = []
        with self._lock:
            now = self.now()

            def serve(lane: Lane) -> bool:
                row = lane.first_due(now)
                if row is None or not room.take(lane.endpoint_id):
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
                accepted.append(row.id)
                if self._settle(row, result):
                    disabled.append((row.event.tenant, row.webhook_id, row.endpoint_id))
        return Recorded(accepted=accepted, disabled=disabled)

    def _leased(self, claimed: Claimed) -> DeliveryRow | None:
        row = self._tables.deliveries.get(claimed.id)
        return row if row is not None and row.token == claimed.token else None

    def _settle(self, row: DeliveryRow, result: Result) -> bool:
        now, lane = self.now(), self._tables.lanes[row.endpoint_id]
        failing = lane.settle(row, result, now)
        if result.disable and self._tables.disable(lane, result.disable, now, url=result.attempt.url):
            return True
        return failing is not None and self._tables.disable(lane, failing, now)

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give leased deliveries back, due now."""
        with self._lock:
            for row in filter(None, map(self._leased, claimed)):
                self._tables.lanes[row.endpoint_id].schedule(row, self.now())

    def beat(self, worker_id: str, *, gone: bool = False) -> None:
        """Note that this worker lives, or that it has ended."""
        seen = WorkerSeen(id=worker_id, host=socket.gethostname(), pid=os.getpid(), seen_at=self.now())
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
                row.end(DeliveryState.CANCELLED, HELD_TOO_LONG)
            return len(expired)

    def prune(self, older_than: int, limit: int) -> int:
        """Remove up to `limit` planned events made before `older_than`, with all that belongs to them."""
        with self._lock:
            old = [one for one in self._tables.events.values() if one.planned and one.new.created_at < older_than]
            done = [one for one in old if not one.pending][:limit]
            for event in done:
                self._tables.remove_event(event)
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

    # The log.

    def list_events(self, tenant: str, narrow: EventFilter, window: Window) -> list[Event]:
        """Return events with their payloads, newest first."""
        with self._lock:
            mine = [one for one in self._tables.events.values() if one.new.tenant == tenant]
        rows = page([one for one in mine if event_fits(one.new, narrow)], window, attrgetter("new.id"))
        return [row.to_event(payload=True) for row in rows]

    def list_deliveries(self, tenant: str, narrow: DeliveryFilter, window: Window) -> list[Delivery]:
        """Return deliveries, newest first."""
        with self._lock:
            mine = [row for row in self._tables.deliveries.values() if row.event.tenant == tenant]
            fitting = [row for row in mine if delivery_fits(row, narrow, held=self._tables.held(row))]
            return [self._shown(row) for row in page(fitting, window)]

    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        """Return attempts of a delivery, newest first."""
        with self._lock:
            attempts = self._tables.delivery(tenant, delivery_id).to_attempts()
        return page(attempts, window, attrgetter("number"), int)

    def _shown(self, row: DeliveryRow) -> Delivery:
        return row.to_delivery(held=self._tables.held(row))

    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        """Make a new delivery, due now, with the stored body of this one."""
        with self._lock:
            row = self._tables.delivery(tenant, delivery_id)
            check_replayable(
                is_erased=self._tables.events[row.event.id].erased,
                has_endpoint=row.endpoint_id in self._tables.lanes,
                has_body=row.body is not None,
            )
            return self._shown(self._repeat(row, PlannedBody(row.webhook_id, (), row.body, row.warnings)))

    def _repeat(self, row: DeliveryRow, planned: PlannedBody) -> DeliveryRow:
        event = self._tables.events[row.event.id]
        return self._tables.add_delivery(event, planned, row.endpoint_id, self.now(), replay_of=row.id)

    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        """Cancel a pending delivery."""
        with self._lock:
            row = self._tables.delivery(tenant, delivery_id)
            if not row.pending:
                raise not_pending(self._shown(row))
            row.end(DeliveryState.CANCELLED, reason)
            return self._shown(row)

    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int
    ) -> tuple[int, str | None]:
        """Plan for one webhook what it missed among up to `limit` events after the id `after`."""
        with self._lock:
            webhook = self._tables.webhook(tenant, webhook_id)
            narrow = EventFilter(since=since, until=until)
            mine = [one for one in self._tables.events.values() if one.new.tenant == tenant and one.new.id > after]
            kept = [one for one in mine if not one.erased and event_fits(one.new, narrow)]
            fitting = sorted(kept, key=attrgetter("new.id"))
            made = sum(self._recover_one(webhook, event) for event in fitting[:limit])
            return made, fitting[limit - 1].new.id if len(fitting) > limit else None

    def _recover_one(self, webhook: Webhook, event: EventRow) -> int:
        one = subscriber(webhook)
        if one is None or not any(webhook.id == each.webhook_id for each in self._tables.subscribers(event.new)):
            return 0
        newest = {endpoint.id: event.newest(endpoint.id) for endpoint in webhook.endpoints if endpoint.enabled}
        missed = [endpoint_id for endpoint_id, row in newest.items() if row is None]
        failed = [row for row in newest.values() if row is not None and row.missed]
        afresh = recover_event(event.new, one, missed)
        made = len(self._tables.add_deliveries(event, afresh, self.now()))
        for row in failed:
            body = PlannedBody(row.webhook_id, (), row.body, row.warnings) if row.body is not None else afresh
            if body.failure is None:
                self._repeat(row, body)
                made += 1
        return made

    def figures(self) -> Figures:
        """Return the state of the queue over all tenants."""
        with self._lock:
            now, lanes = self.now(), self._tables.lanes.values()
            pending = [(lane, row, row.due_at or 0) for lane in lanes for row in lane.pending()]
            return Figures(
                oldest_unplanned=self.oldest_unplanned(),
                due=sum(lane.open and due_at <= now for lane, _, due_at in pending),
                held=sum(not lane.open for lane, _, _ in pending),
                in_flight=sum(row.token is not None and due_at > now for _, row, due_at in pending),
                failing_endpoints=sum(lane.failing_since is not None for lane in lanes),
                workers=[one for one in self._tables.workers.values() if one.seen_at >= now - _SEEN_WITHIN],
            )

    def oldest_unplanned(self) -> int | None:
        """Return when the oldest event that is not planned was made."""
        with self._lock:
            return min((waiting[0].new.created_at for waiting in self._tables.unplanned.values()), default=None)


def _refuse_connection() -> NoReturn:
    raise TypeError("a MemoryStore has no database that a connection could lead to; emit without `connection`")
