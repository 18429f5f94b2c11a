"""Read the memory store's log, and act on what it shows."""

from __future__ import annotations

import threading
from contextlib import suppress
from operator import attrgetter

from unihooks._contract.planning import PlannedBody, recover_event, subscriber
from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.webhooks import Webhook
from unihooks.abc import DeliveryFilter, EventFilter, Store, Window
from unihooks.exceptions import Conflict
from unihooks.stores._memory_listing import delivery_fits, event_fits, page
from unihooks.stores._memory_rows import DeliveryRow, EventRow
from unihooks.stores._memory_tables import Tables
from unihooks.stores.sql.refusals import check_replayable, not_pending


class MemoryLog(Store):
    """Be the part of the memory store that keeps the log."""

    _lock: threading.RLock
    _tables: Tables

    def list_events(self, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
        """Return events with their payloads, newest first."""
        with self._lock:
            mine = [one for one in self._tables.events.values() if one.new.tenant == tenant]
        rows = page([one for one in mine if event_fits(one.new, filters)], window, attrgetter("new.id"))
        return [row.to_event(payload=True) for row in rows]

    def list_deliveries(self, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
        """Return deliveries, newest first."""
        with self._lock:
            return [self._shown(row) for row in page(self._fitting(tenant, filters), window)]

    def count_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> int:
        """Count deliveries, up to `most`."""
        with self._lock:
            return min(most, len(self._fitting(tenant, filters)))

    def _fitting(self, tenant: str, filters: DeliveryFilter) -> list[DeliveryRow]:
        mine = [row for row in self._tables.deliveries.values() if row.event.tenant == tenant]
        return [row for row in mine if delivery_fits(row, filters, held=self._tables.held(row))]

    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        """Return attempts of a delivery, newest first."""
        with self._lock:
            attempts = self._tables.delivery(tenant, delivery_id).to_attempts()
        return page(attempts, window, attrgetter("number"), int)

    def _shown(self, row: DeliveryRow) -> Delivery:
        return row.to_delivery(held=self._tables.held(row))

    def delivery_body(self, tenant: str, delivery_id: str) -> bytes:
        """Return the bytes that the delivery sends."""
        with self._lock:
            return self._tables.delivery(tenant, delivery_id).body or b""

    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        """Make a new delivery, due now, with the stored body of this one."""
        with self._lock:
            return self._shown(self._replayed(self._tables.delivery(tenant, delivery_id)))

    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int
    ) -> tuple[int, str | None]:
        """Replay what the filter shows among up to `limit` deliveries after one id and up to another."""
        with self._lock:
            fitting = [row for row in self._fitting(tenant, filters) if after < row.id <= last]
            found = sorted(fitting, key=attrgetter("id"))[:limit]
            made = sum(self._replay_if_possible(row) for row in found)
            return made, found[-1].id if len(found) == limit else None

    def _replay_if_possible(self, row: DeliveryRow) -> bool:
        if row.pending:
            return False
        with suppress(Conflict):
            self._replayed(row)
            return True
        return False

    def _replayed(self, row: DeliveryRow) -> DeliveryRow:
        check_replayable(
            is_erased=self._tables.events[row.event.id].erased,
            has_endpoint=row.endpoint_id in self._tables.lanes,
            has_body=row.body is not None,
        )
        return self._repeat(row, PlannedBody(row.webhook_id, (), row.body, row.warnings))

    def _repeat(self, row: DeliveryRow, planned: PlannedBody) -> DeliveryRow:
        event = self._tables.events[row.event.id]
        return self._tables.add_delivery(event, planned, row.endpoint_id, self.now(), replay_of=row.id)

    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        """Cancel a pending delivery."""
        with self._lock:
            row = self._tables.delivery(tenant, delivery_id)
            if not row.pending:
                raise not_pending(self._shown(row))
            row.cancel(reason)
            return self._shown(row)

    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int
    ) -> tuple[int, str | None]:
        """Plan for one webhook what it missed among up to `limit` events after the id `after`."""
        with self._lock:
            webhook = self._tables.webhook(tenant, webhook_id)
            filters = EventFilter(since=since, until=until)
            mine = [one for one in self._tables.events.values() if one.new.tenant == tenant and one.new.id > after]
            kept = [one for one in mine if not one.erased and event_fits(one.new, filters)]
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
