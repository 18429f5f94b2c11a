"""Plan for one webhook what it missed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from unihooks._ids import first_id, new_id
from unihooks._models import ActiveInterval, Webhook
from unihooks._planning import NewEvent, PlannedBody, Subscriber, recover_event
from unihooks._times import SECOND
from unihooks.abc import HELD_TOO_LONG
from unihooks.stores._sqlite_bodies import keep_bodies
from unihooks.stores._sqlite_claims import lower_next_due
from unihooks.stores._sqlite_config import get_webhook
from unihooks.stores._sqlite_plans import delivery_row, insert_deliveries
from unihooks.stores._sqlite_statements import as_json

_EVENTS = """
SELECT id, tenant, product, event_type, body, created_at FROM main.unihooks_events
WHERE tenant = :tenant AND id > :after AND created_at >= :since AND created_at < :until AND length(body) > 0
  AND EXISTS (SELECT 1 FROM json_each(:wanted) AS k WHERE product = json_extract(k.value, '$[0]')
              AND json_extract(k.value, '$[1]') IN (event_type, '*'))
ORDER BY id LIMIT :limit
"""
_NEWEST = """
SELECT endpoint_id, id, state, reason, body_of FROM main.unihooks_deliveries
WHERE event_id = ? AND +webhook_id = ? ORDER BY id
"""
_DAY = 24 * 3600 * SECOND
_ALWAYS = ActiveInterval(activated_at=0, activated_mark="")


@define
class _Recovery:
    """Gather the new deliveries of one webhook."""

    webhook: Webhook
    now: int
    rows: list[tuple[Any, ...]] = field(factory=list)
    bodies: list[tuple[str, str, bytes, tuple[str, ...]]] = field(factory=list)

    def look_at(self, event: NewEvent, newest: dict[str, tuple[str, str, str | None, str]]) -> None:
        """Add what the event lacks; `newest` is each endpoint's newest delivery of it."""
        missed = [item.id for item in self.webhook.endpoints if item.enabled and _missed(newest.get(item.id))]
        stored = {item: newest[item][3] for item in missed if item in newest and newest[item][3] != "none"}
        for endpoint_id, body_of in stored.items():
            body = PlannedBody(self.webhook.id, (endpoint_id,), b"" if body_of == "webhook" else None)
            self._add(event, body, endpoint_id, newest[endpoint_id][0])
        self._render(event, [item for item in missed if item not in stored], newest)

    def _render(
        self, event: NewEvent, endpoint_ids: list[str], newest: dict[str, tuple[str, str, str | None, str]]
    ) -> None:
        if not endpoint_ids:
            return
        body = recover_event(event, Subscriber(self.webhook.id, _ALWAYS, self.webhook.mapping, ()), endpoint_ids)
        if body.body is not None:
            self.bodies.append((event.id, body.webhook_id, body.body, body.warnings))
        for endpoint_id in endpoint_ids:
            earlier = newest.get(endpoint_id)
            # A mapping that fails as it did before adds nothing to the log.
            if earlier is None or body.failure is None:
                self._add(event, body, endpoint_id, earlier and earlier[0])

    def _add(self, event: NewEvent, body: PlannedBody, endpoint_id: str, replay_of: str | None) -> None:
        id_ = new_id("dlv_", self.now)
        self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now, replay_of=replay_of))


def recover(
    connection: sqlite3.Connection,
    tenant: str,
    webhook_id: str,
    made_in: tuple[int, int],
    *,
    after: str,
    limit: int,
    now: int,
) -> tuple[int, str | None]:
    """Plan what the webhook missed of the next `limit` events; return how many deliveries and where to go on."""
    recovery = _Recovery(get_webhook(connection, tenant, webhook_id), now)
    last, count = None, 0
    for event in _events(connection, recovery.webhook, made_in, after, limit):
        found = connection.execute(_NEWEST, (event.id, webhook_id)).fetchall()
        recovery.look_at(event, {row[0]: row[1:] for row in found})
        last, count = event.id, count + 1
    keep_bodies(connection, recovery.bodies)
    insert_deliveries(connection, recovery.rows)
    lower_next_due(connection, dict.fromkeys((item.id for item in recovery.webhook.endpoints), now))
    return len(recovery.rows), last if count == limit else None


def _events(
    connection: sqlite3.Connection, webhook: Webhook, made_in: tuple[int, int], after: str, limit: int
) -> Iterator[NewEvent]:
    # Identifiers begin with their time; a day's allowance saves reading all that is older.
    parameters = {
        "tenant": webhook.tenant,
        "after": max(after, first_id("evt_", made_in[0] - _DAY)),
        "since": made_in[0],
        "until": made_in[1],
        "wanted": as_json([(item.product, item.event_type) for item in webhook.subscriptions]),
        "limit": limit,
    }
    for row in connection.execute(_EVENTS, parameters).fetchall():
        yield NewEvent(*row)


def _missed(newest: tuple[str, str, str | None, str] | None) -> bool:
    if newest is None:
        return True
    _, state, reason, _ = newest
    return state == "failed" or (state == "cancelled" and reason == HELD_TOO_LONG)
