"""The caches of planning: subscribers, and the events that this process has recently emitted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from attrs import frozen

from unihooks._contract.planning import NewEvent, Subscriber
from unihooks._model.products import subscribed_as
from unihooks.stores.sql.rows import by_owner, to_subscriber
from unihooks.stores.sql.transaction import Row, Transaction

_PAGE = 500
_ENDPOINTS_PER_PAGE = 2_000
_MOST_KEPT = 20_000
_MOST_BYTES = 8 * 1024 * 1024
# The memory that an event takes besides its body; small ones would pile up if another process plans.
_BYTES_AROUND_A_BODY = 1024

# Tenant, product, event type, and the webhook after which the page begins.
_Key = tuple[str, str, str, str]


@frozen
class _Page:
    """Subscribers by webhook id, and whether there are any beyond them."""

    subscribers: list[Subscriber]
    is_last: bool

    @property
    def weight(self) -> int:
        """The page's share of the cache's capacity."""
        return (
            1 + len(self.subscribers) + sum(len(one.endpoints) + sum(map(len, one.where)) for one in self.subscribers)
        )


class Subscribers:
    """The subscribers of events, in pages that all threads share, by config_version; the least recently used go first.

    A page is read while the tenant's configuration cannot change, so it matches the config_version.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._cache: OrderedDict[_Key, tuple[int, _Page]] = OrderedDict()
        self._size = 0

    def matching(self, tx: Transaction, event: NewEvent, config_version: int, after: str) -> Iterator[Subscriber]:
        """Yield the event's subscribers after the webhook `after`, by webhook id."""
        while True:
            page = self._page(tx, (event.tenant, event.product, event.event_type, after), config_version)
            yield from page.subscribers
            if page.is_last:
                return
            after = page.subscribers[-1].webhook_id

    def whole(self, tx: Transaction, event: NewEvent, config_version: int, after: str) -> list[Subscriber] | None:
        """Return all that `matching` yields, None if that is more than a page."""
        page = self._page(tx, (event.tenant, event.product, event.event_type, after), config_version)
        return page.subscribers if page.is_last else None

    def known(self, event: NewEvent) -> tuple[int, list[Subscriber]] | None:
        """Return the configuration version and all subscribers as they were last read, None if they are not cached."""
        version, page = self._cache.get((event.tenant, event.product, event.event_type, ""), (0, None))
        return (version, page.subscribers) if page is not None and page.is_last else None

    def _page(self, tx: Transaction, key: _Key, config_version: int) -> _Page:
        with self._lock:
            kept = self._cache.get(key)
            if kept is not None and kept[0] == config_version:
                self._cache.move_to_end(key)
                return kept[1]
        page = _read_page(tx, key)
        with self._lock:
            self._keep(key, config_version, page)
        return page

    def _keep(self, key: _Key, config_version: int, page: _Page) -> None:
        replaced = self._cache.pop(key, None)
        self._size += page.weight - (replaced[1].weight if replaced else 0)
        self._cache[key] = (config_version, page)
        while self._size > _MOST_KEPT:
            _, (_, forgotten) = self._cache.popitem(last=False)
            self._size -= forgotten.weight


def _read_page(tx: Transaction, key: _Key) -> _Page:
    tenant, product, event_type, after = key
    wanted = {"tenant": tenant, "product": product, "event_types": subscribed_as(event_type)}
    found = tx.fetch("subscribers", **wanted, after=after, limit=_PAGE)
    rows = _bounded(found)
    ids = [row[0] for row in rows]
    endpoints = by_owner(tx.fetch("subscribed_endpoints", webhooks=ids) if ids else ())
    conditions = by_owner(tx.fetch("conditions_of_subscribers", **wanted, webhooks=ids) if ids else ())
    subscribers = [to_subscriber(row[:-1], endpoints.get(row[0], ()), conditions.get(row[0], ())) for row in rows]
    return _Page(subscribers, is_last=len(found) < _PAGE and len(rows) == len(found))


def _bounded(rows: list[Row]) -> list[Row]:
    """Return as many subscribers as have few enough endpoints in all, but at least one."""
    left = _ENDPOINTS_PER_PAGE
    for position, (*_, endpoints) in enumerate(rows):
        left -= endpoints
        if left < 0 and position:
            return rows[:position]
    return rows


class RecentEvents:
    """The recently emitted events, kept once somebody in this process plans: `is_wanted`.

    They only save reading and decoding: the store still decides which events are new, and others are read from it.
    """

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], NewEvent] = {}
        self._size = 0
        self.is_wanted = False

    def keep(self, events: Iterable[NewEvent]) -> None:
        """Keep events that were inserted."""
        if not self.is_wanted:
            return
        for event in events:
            self._events[event.tenant, event.id] = event
            self._size += len(event.body) + _BYTES_AROUND_A_BODY
        if self._size > _MOST_BYTES:
            self.forget()

    def few(self, most: int) -> list[NewEvent]:
        """Return all cached events, none if there are more than `most`."""
        events = self._events
        # One step of the interpreter, since other threads add events meanwhile.
        return list(events.values()) if len(events) <= most else []

    def take(self, tenant: str, event_id: str) -> NewEvent | None:
        """Remove and return the event if it is cached."""
        event = self._events.pop((tenant, event_id), None)
        if event is not None:
            self._size -= len(event.body) + _BYTES_AROUND_A_BODY
        return event

    def forget(self) -> None:
        """Drop all cached events."""
        self._events, self._size = {}, 0
