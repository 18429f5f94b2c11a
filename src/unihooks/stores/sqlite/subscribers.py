"""Find who wants an event; remember it for as long as the tenant's configuration stays the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from unihooks._contract.planning import NewEvent, Subscriber
from unihooks.stores.sql.rows import to_subscriber
from unihooks.stores.sql.subscribers import PAGE, Key, SubscriberCache

# A webhook that was never active has no activated_at and wants nothing yet.
_WEBHOOKS = """
SELECT id, mapping, activated_at, activated_mark, deactivated_at, deactivated_mark FROM main.unihooks_webhooks
WHERE activated_at IS NOT NULL AND id IN (
    SELECT webhook_id FROM main.unihooks_subscriptions
    WHERE tenant = :tenant AND product = :product AND event_type IN (:event_type, '*') AND webhook_id > :after
)
ORDER BY id LIMIT :page
"""
_ENDPOINTS = "SELECT id, disabled_at FROM main.unihooks_endpoints WHERE webhook_id = ? ORDER BY id"


class Subscribers:
    """Find subscribers, by what is remembered or in the database."""

    def __init__(self) -> None:
        self._cache = SubscriberCache()

    def matching(
        self, connection: sqlite3.Connection, event: NewEvent, config_version: int, after: str
    ) -> Iterator[Subscriber]:
        """Yield the event's subscribers beyond the webhook `after`, by webhook id."""
        return self._cache.matching(event, config_version, after, lambda key: _read_page(connection, key))

    def whole(
        self, connection: sqlite3.Connection, event: NewEvent, config_version: int, after: str
    ) -> list[Subscriber] | None:
        """Return all that `matching` yields, None if they are many."""
        return self._cache.whole(event, config_version, after, lambda key: _read_page(connection, key))


def _read_page(connection: sqlite3.Connection, key: Key) -> list[Subscriber]:
    tenant, product, event_type, after = key
    parameters = {"tenant": tenant, "product": product, "event_type": event_type, "after": after, "page": PAGE}
    rows = connection.execute(_WEBHOOKS, parameters).fetchall()
    return [to_subscriber(row, connection.execute(_ENDPOINTS, (row[0],)).fetchall()) for row in rows]
