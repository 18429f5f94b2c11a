"""Remember who wants an event, for as long as the tenant's configuration stays the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from unihooks._contract.planning import NewEvent, Subscriber

PAGE = 500
_KEPT = 20_000

# Tenant, product, event type, and the webhook after which the page begins.
Key = tuple[str, str, str, str]


class SubscriberCache:
    """Keep pages of subscribers by their tenant's config_version, for all threads; the least used go first.

    `read` is called while the tenant's configuration cannot change, so what
    it returns is what the config_version stands for, whole: up to PAGE subscribers by webhook id.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cache: OrderedDict[Key, tuple[int, list[Subscriber]]] = OrderedDict()
        self._size = 0

    def matching(
        self, event: NewEvent, config_version: int, after: str, read: Callable[[Key], list[Subscriber]]
    ) -> Iterator[Subscriber]:
        """Yield the event's subscribers beyond the webhook `after`, by webhook id."""
        while True:
            page = self._page((event.tenant, event.product, event.event_type, after), config_version, read)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].webhook_id

    def whole(
        self, event: NewEvent, config_version: int, after: str, read: Callable[[Key], list[Subscriber]]
    ) -> list[Subscriber] | None:
        """Return all that `matching` yields, None if they are more than a page."""
        page = self._page((event.tenant, event.product, event.event_type, after), config_version, read)
        return page if len(page) < PAGE else None

    def _page(self, key: Key, config_version: int, read: Callable[[Key], list[Subscriber]]) -> list[Subscriber]:
        with self._lock:
            kept = self._cache.get(key)
            if kept is not None and kept[0] == config_version:
                self._cache.move_to_end(key)
                return kept[1]
        page = read(key)
        with self._lock:
            self._keep(key, config_version, page)
        return page

    def _keep(self, key: Key, config_version: int, page: list[Subscriber]) -> None:
        replaced = self._cache.pop(key, None)
        self._size += _weight(page) - (_weight(replaced[1]) if replaced else 0)
        self._cache[key] = (config_version, page)
        while self._size > _KEPT:
            _, (_, forgotten) = self._cache.popitem(last=False)
            self._size -= _weight(forgotten)


def _weight(page: list[Subscriber]) -> int:
    return 1 + len(page) + sum(len(one.endpoints) for one in page)
