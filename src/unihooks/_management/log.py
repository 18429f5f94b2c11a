"""The verbs of `dispatcher.log`: read events, deliveries and attempts, replay, cancel, recover."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar, Unpack

from attrs import evolve, frozen

from unihooks._base.awaitable import awaitable
from unihooks._base.sentences import Kept
from unihooks._contract.filters import DeliveryFilters
from unihooks._management.paging import Page, paginate
from unihooks._management.settings import Settings
from unihooks._message.rendering import RenderingFailed
from unihooks._model.checks import (
    check_filters,
    check_id,
    check_member,
    check_moment,
    check_number,
    check_status_codes,
    check_tenant,
    check_truth,
    not_found,
)
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.exceptions import InvalidArgument

CANCELLED_BY_HAND = Kept("cancelled-by-hand", "cancelled by hand")
_BATCH = 200
_MOST = 1_000_000

T = TypeVar("T", Event, Delivery)


@frozen(kw_only=True)
class BulkResult:
    """The number of deliveries that a call has made; `more` says whether it has reached its limit and left some.

    Another call makes the rest; a job is better for many: see `Jobs`.
    """

    made: int
    more: bool


@frozen(kw_only=True)
class Tally:
    """The number of deliveries that were counted; `is_all` says whether these are all."""

    count: int
    is_all: bool


@frozen
class Log:
    """The log, and what can be done with deliveries. Listings are newest first; another tenant's ids are not found.

    `since` is included, `until` is not; both are aware datetimes. Raises `NotFound` for an unknown id, `StoreError` if
    the store cannot be used.
    """

    _settings: Settings

    def events(
        self,
        *,
        tenant: str = "default",
        product: str | None = None,
        event_type: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Event]:
        """List events, with their payloads."""
        about = {"product": product, "event_type": event_type, "subject": subject}
        filters = EventFilter(**_converted(**about, since=since, until=until))
        fetch = partial(self._settings.open_store.list_events, check_tenant(tenant), filters)
        return paginate(fetch, attrgetter("id"), limit=limit, cursor=cursor)

    def event(self, event_id: str, *, tenant: str = "default") -> Event:
        """Return one event with its payload."""
        check_tenant(tenant)
        filters = EventFilter(event_id=check_id("event", event_id))
        return _only(self._settings.open_store.list_events(tenant, filters, Window(limit=1)), "event", event_id, tenant)

    def deliveries(
        self, *, tenant: str = "default", limit: int = 50, cursor: str | None = None, **filters: Unpack[DeliveryFilters]
    ) -> Page[Delivery]:
        """List the deliveries that match all given filters: see `DeliveryFilters`."""
        store, chosen = self._settings.open_store, to_delivery_filter(filters)
        check_tenant(tenant)

        def fetch(window: Window) -> list[Delivery]:
            return [self._counted_down(one) for one in store.list_deliveries(tenant, chosen, window)]

        return paginate(fetch, attrgetter("id"), limit=limit, cursor=cursor)

    def count(self, *, tenant: str = "default", most: int = 10_000, **filters: Unpack[DeliveryFilters]) -> int:
        """Count the deliveries that match the filters, as in `deliveries`, up to `most`."""
        return self._settings.open_store.count_deliveries(
            check_tenant(tenant), to_delivery_filter(filters), check_number("most", most, at_most=_MOST)
        )

    def tally(self, *, tenant: str = "default", most: int = 10_000, **filters: Unpack[DeliveryFilters]) -> Tally:
        """Count the deliveries that match the filters as far as that is quick, however many there are.

        Where the filters have no index of their own, only the newest `most` deliveries are looked at.
        """
        count, is_all = self._settings.open_store.tally_deliveries(
            check_tenant(tenant), to_delivery_filter(filters), check_number("most", most, at_most=_MOST)
        )
        return Tally(count=count, is_all=is_all)

    def delivery(self, delivery_id: str, *, tenant: str = "default") -> Delivery:
        """Return one delivery."""
        check_tenant(tenant)
        filters = DeliveryFilter(delivery_id=check_id("delivery", delivery_id))
        found = self._settings.open_store.list_deliveries(tenant, filters, Window(limit=1))
        return self._counted_down(_only(found, "delivery", delivery_id, tenant))

    def body(self, delivery_id: str, *, tenant: str = "default") -> bytes:
        """Return the bytes that a delivery sends: the event's payload as the webhook's mapping made it.

        Empty if the event was erased, or if the mapping failed, so that nothing is ever sent.
        """
        body, rendering = self._settings.open_store.delivery_source(
            check_tenant(tenant), check_id("delivery", delivery_id)
        )
        if rendering is None or not body:
            return body
        try:
            return rendering.render(body).body
        except RenderingFailed:
            return b""

    def attempts(
        self, delivery_id: str, *, tenant: str = "default", limit: int = 50, cursor: str | None = None
    ) -> Page[Attempt]:
        """List the attempts of a delivery."""
        fetch = partial(
            self._settings.open_store.list_attempts, check_tenant(tenant), check_id("delivery", delivery_id)
        )
        return paginate(fetch, lambda attempt: str(attempt.number), limit=limit, cursor=cursor, kind="number")

    aevents = awaitable(events)
    aevent = awaitable(event)
    adeliveries = awaitable(deliveries)
    adelivery = awaitable(delivery)
    acount = awaitable(count)
    atally = awaitable(tally)
    abody = awaitable(body)
    aattempts = awaitable(attempts)

    def replay(self, delivery_id: str, *, tenant: str = "default") -> Delivery:
        """Make a new delivery with the same body and the same `webhook-id`; the original stays as it is.

        Raises `Conflict` if its endpoint is gone.
        """
        check_tenant(tenant)
        delivery = self._settings.open_store.replay(tenant, check_id("delivery", delivery_id))
        self._settings.open_store.wake()
        return self._counted_down(delivery)

    def replay_all(
        self, *, tenant: str = "default", most: int = 10_000, **filters: Unpack[DeliveryFilters]
    ) -> BulkResult:
        """Replay the deliveries that match the filters, oldest first, up to `most`.

        Each event is sent to an endpoint once. Deliveries that are pending, that a replay has delivered, or that cannot
        be replayed are left out, so the call can be repeated. Replays are made in batches: after an error, those made
        before it stay. This process makes them, at once: for more than a few thousand, `jobs.replay` is better.
        """
        check_tenant(tenant)
        chosen, store = to_delivery_filter(filters), self._settings.open_store
        check_number("most", most, at_most=_MOST)
        newest = store.list_deliveries(tenant, chosen, Window(limit=1))
        if not newest:
            return BulkResult(made=0, more=False)
        return self._in_batches(partial(store.replay_many, tenant, chosen, last=newest[0].id, limit=_BATCH), most)

    def cancel(self, delivery_id: str, *, tenant: str = "default") -> Delivery:
        """Cancel a pending delivery; raise `Conflict` if it is not pending."""
        check_tenant(tenant)
        return self._settings.open_store.cancel(tenant, check_id("delivery", delivery_id), CANCELLED_BY_HAND)

    def recover(
        self,
        webhook_id: str,
        *,
        tenant: str = "default",
        since: datetime,
        until: datetime | None = None,
        most: int = 10_000,
    ) -> BulkResult:
        """Plan the events made in [since, until) that this webhook missed, and resend those that failed, up to `most`.

        It is safe to repeat: events that are pending or delivered by then are left alone. This process makes the
        deliveries, at once: for more than a few thousand, `jobs.recover` is better.
        """
        check_tenant(tenant)
        check_id("webhook", webhook_id)
        store = self._settings.open_store
        first = check_moment("since", since)
        last = store.now() + 1 if until is None else check_moment("until", until)
        check_number("most", most, at_most=_MOST)
        return self._in_batches(partial(store.recover, tenant, webhook_id, first, last, limit=_BATCH), most)

    areplay = awaitable(replay)
    areplay_all = awaitable(replay_all)
    acancel = awaitable(cancel)
    arecover = awaitable(recover)

    def _counted_down(self, delivery: Delivery) -> Delivery:
        """Return a delivery with the attempts left by the dispatcher's retries, unless its policy has given them."""
        most = self._settings.retries.most_attempts
        if most is None or delivery.state is not DeliveryState.PENDING or delivery.attempts_left is not None:
            return delivery
        return evolve(delivery, attempts_left=max(0, most - delivery.attempt_count))

    def _in_batches(self, batch: Callable[..., tuple[int, str | None]], most: int) -> BulkResult:
        """Repeat a verb of the store until it has made `most` deliveries, or there are no more to make."""
        made, after = 0, ""
        while True:
            count, reached = batch(after=after, most=most - made)
            made += count
            if count:
                self._settings.open_store.wake()
            if reached is None or (not count and reached == after):
                return BulkResult(made=made, more=reached is not None)
            after = reached


def to_delivery_filter(filters: DeliveryFilters) -> DeliveryFilter:
    names = DeliveryFilters.__annotations__
    for name in filters:
        if name not in names:
            raise InvalidArgument(f"{name!r} is not a filter of deliveries; use one of {', '.join(names)}", name=name)
    return DeliveryFilter(**_converted(**filters))


def _converted(**filters: Any) -> dict[str, Any]:
    return {name: _checked(name, value) for name, value in filters.items() if _is_given(name, value)}


def _is_given(name: str, value: Any) -> bool:
    # An empty search is no filter.
    return value is not None and not (name == "search" and value == "")


def _checked(name: str, value: Any) -> Any:
    if name == "state":
        return check_member(name, value, DeliveryState)
    if name in ("since", "until"):
        return check_moment(name, value)
    if name == "status_code":
        return check_status_codes(name, value)
    if name == "held":
        return check_truth(name, value)
    check_filters(**{name: value})
    return value


def _only(found: list[T], kind: str, wanted: str, tenant: str) -> T:
    if found:
        return found[0]
    raise not_found(kind, wanted, tenant)
