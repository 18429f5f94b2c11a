"""Plan for one webhook what it missed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from unihooks._base.ids import first_id
from unihooks._base.times import SECOND
from unihooks._contract.planning import NewEvent
from unihooks._model.webhooks import Webhook
from unihooks.stores.sql.recovery import Recovery
from unihooks.stores.sqlite.bodies import keep_bodies
from unihooks.stores.sqlite.claims import lower_next_due
from unihooks.stores.sqlite.config import get_webhook
from unihooks.stores.sqlite.deliveries import insert_deliveries
from unihooks.stores.sqlite.statements import as_json

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
    recovery = Recovery(get_webhook(connection, tenant, webhook_id), now)
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
