"""Find who wants an event; remember it for as long as the tenant's configuration stays the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from unihooks._planning import NewEvent, Subscriber
from unihooks.stores._postgres_statements import Row, Statements
from unihooks.stores._rows import to_subscriber

_PAGE = 500
_KEPT = 20_000

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

_Key = tuple[str, str, str, str]


class Subscribers:
    """Keep pages of subscribers under the stamp of their tenant, for all threads, the least used of too many forgotten.

    A page is read while the tenant's configuration is locked, so it is what
    the stamp stands for, whole.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: OrderedDict[_Key, tuple[int, list[Subscriber]]] = OrderedDict()
        self._size = 0

    def matching(self, it: Statements, event: NewEvent, stamp: int, after: str) -> Iterator[Subscriber]:
        """Yield the event's subscribers beyond the webhook `after`, by webhook id."""
        while True:
            page = self._page(it, (event.tenant, event.product, event.event_type, after), stamp)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].webhook_id

    def _page(self, it: Statements, key: _Key, stamp: int) -> list[Subscriber]:
        with self._lock:
            kept = self._pages.get(key)
            if kept is not None and kept[0] == stamp:
                self._pages.move_to_end(key)
                return kept[1]
        page = _read_page(it, key)
        with self._lock:
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


def _read_page(it: Statements, key: _Key) -> list[Subscriber]:
    tenant, product, event_type, after = key
    rows = it.fetch(_WEBHOOKS, tenant=tenant, product=product, event_type=event_type, after=after, page=_PAGE)
    endpoints: dict[str, list[Row]] = {row[0]: [] for row in rows}
    for webhook_id, *endpoint in it.fetch(_ENDPOINTS, webhooks=list(endpoints)) if rows else ():
        endpoints[webhook_id].append(tuple(endpoint))
    return [to_subscriber(row, endpoints[row[0]]) for row in rows]
