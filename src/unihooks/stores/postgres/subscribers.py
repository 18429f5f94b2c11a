"""Find who wants an event; remember it for as long as the tenant's configuration stays the same."""

from __future__ import annotations

from collections.abc import Iterator

from unihooks._contract.planning import NewEvent, Subscriber
from unihooks.stores.postgres.statements import Row, Statements
from unihooks.stores.sql.rows import to_subscriber
from unihooks.stores.sql.subscribers import PAGE, Key, SubscriberCache

# A webhook that was never active has no activated_at and wants nothing yet.
_WEBHOOKS = """
SELECT id, mapping, activated_at, activated_mark, deactivated_at, deactivated_mark FROM unihooks.webhooks
WHERE activated_at IS NOT NULL AND id IN (
    SELECT webhook_id FROM unihooks.subscriptions
    WHERE tenant = %(tenant)s AND product = %(product)s AND event_type IN (%(event_type)s, '*')
      AND webhook_id > %(after)s
)
ORDER BY id LIMIT %(page)s
"""
_ENDPOINTS = """
SELECT webhook_id, id, disabled_at FROM unihooks.endpoints WHERE webhook_id = ANY(%(webhooks)s) ORDER BY id
"""


class Subscribers:
    """Find subscribers, by what is remembered or in the database."""

    def __init__(self) -> None:
        self._cache = SubscriberCache()

    def matching(self, it: Statements, event: NewEvent, config_version: int, after: str) -> Iterator[Subscriber]:
        """Yield the event's subscribers beyond the webhook `after`, by webhook id."""
        return self._cache.matching(event, config_version, after, lambda key: _read_page(it, key))


def _read_page(it: Statements, key: Key) -> list[Subscriber]:
    tenant, product, event_type, after = key
    rows = it.fetch(_WEBHOOKS, tenant=tenant, product=product, event_type=event_type, after=after, page=PAGE)
    endpoints: dict[str, list[Row]] = {row[0]: [] for row in rows}
    for webhook_id, *endpoint in it.fetch(_ENDPOINTS, webhooks=list(endpoints)) if rows else ():
        endpoints[webhook_id].append(tuple(endpoint))
    return [to_subscriber(row, endpoints[row[0]]) for row in rows]
