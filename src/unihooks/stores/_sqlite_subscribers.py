"""Find who wants an event; remember it for as long as the tenant's configuration stays the same."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator

from unihooks._planning import NewEvent, Subscriber
from unihooks.stores._rows import to_subscriber

_PAGE = 500
_KEPT = 20_000

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

_Key = tuple[str, str, str, str]


class Subscribers:
    """Keep pages of subscribers under the stamp of their tenant, the least used of too many forgotten."""

    def __init__(self) -> None:
        self._pages: OrderedDict[_Key, tuple[int, list[Subscriber]]] = OrderedDict()
        self._size = 0

    def matching(self, connection: sqlite3.Connection, event: NewEvent, stamp: int, after: str) -> Iterator[Subscriber]:
        """Yield the event's subscribers beyond the webhook `after`, by webhook id."""
        while True:
            page = self._page(connection, (event.tenant, event.product, event.event_type, after), stamp)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].webhook_id

    def _page(self, connection: sqlite3.Connection, key: _Key, stamp: int) -> list[Subscriber]:
        kept = self._pages.get(key)
        if kept is not None and kept[0] == stamp:
            self._pages.move_to_end(key)
            return kept[1]
        page = _read_page(connection, key)
        self._keep(key, stamp, page)
        return page

    def _keep(self, key: _Key, stamp: int, page: list[Subscriber]) -> None:
        replaced = self._pages.pop(key, None)
        self._size += _weight(page) - (_weight(replaced[1]) if replaced else 0)
        self._pages[key] = (stamp, page)
        while self._size > _KEPT:
            _, (_, forgotten) = self._pages.popitem(last=False)
            self._size -= _weight(forgotten)


def _weight(page: list[Subscriber]) -> int:
    return 1 + len(page) + sum(len(one.endpoints) for one in page)


def _read_page(connection: sqlite3.Connection, key: _Key) -> list[Subscriber]:
    tenant, product, event_type, after = key
    parameters = {"tenant": tenant, "product": product, "event_type": event_type, "after": after, "page": _PAGE}
    rows = connection.execute(_WEBHOOKS, parameters).fetchall()
    return [to_subscriber(row, connection.execute(_ENDPOINTS, (row[0],)).fetchall()) for row in rows]
