"""The contract of a store's log: events, deliveries and attempts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from unihooks._contract.filters import DeliveryFilter, EventFilter, Window
from unihooks._message.rendering import Rendering
from unihooks._model.log import Attempt, Delivery, Event


class DeliveryLog(ABC):
    """Events, deliveries and attempts: how they are read, sent again, cancelled and erased."""

    @abstractmethod
    def list_events(self, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
        """Return events with their payloads, newest first (by id)."""

    @abstractmethod
    def list_deliveries(self, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
        """Return deliveries, newest first (by id)."""

    @abstractmethod
    def list_attempts(self, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
        """Return attempts of a delivery, newest first (by number), or raise `NotFound`."""

    @abstractmethod
    def count_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> int:
        """Count deliveries, up to `most`."""

    @abstractmethod
    def tally_deliveries(self, tenant: str, filters: DeliveryFilter, most: int) -> tuple[int, bool]:
        """Count deliveries, up to `most`, and say whether these are all.

        If it would have to look at many more than it counts, it may look only at the newest ones, at least `most` of
        them.
        """

    @abstractmethod
    def delivery_source(self, tenant: str, delivery_id: str) -> tuple[bytes, Rendering | None]:
        """Return what the delivery's body is made from: the event's body, and the rendering if it has one.

        Empty bytes if the event was erased; `NotFound` if there is no such delivery.
        """

    @abstractmethod
    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        """Make a new delivery with the body of this one, due now; the row of this one stays as it is.

        `NotFound` if there is none; `Conflict` if its endpoint is gone or its body could not be made.
        """

    @abstractmethod
    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int, most: int
    ) -> tuple[int, str | None]:
        """Replay, oldest first, what the filter matches among up to `limit` deliveries after one id and up to `last`.

        Each event is sent to an endpoint once: deliveries that are pending, that a replay has delivered, or that cannot
        be replayed are left out. Return how many were made, at most `most`, and the last delivery that was dealt with,
        None when there are no more.
        """

    @abstractmethod
    def cancel(self, tenant: str, delivery_id: str, reason: str) -> Delivery:
        """Cancel a pending delivery; a result that comes later is dropped.

        `NotFound` if there is none, `Conflict` if it is not pending.
        """

    @abstractmethod
    def recover(
        self, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int, most: int
    ) -> tuple[int, str | None]:
        """Plan for one webhook what it missed among up to `limit` events after the id `after`.

        For each event made in [since, until) that it is subscribed to, each enabled endpoint gets a delivery if it
        never had one, or a replay if its newest one failed or was held too long. One whose mapping failed is mapped
        again, and repeated only if that works now. Return how many were made, at most `most`, and the last event that
        was dealt with, None when there are no more. `NotFound` if there is no such webhook.
        """

    @abstractmethod
    def erase_tenant(self, tenant: str, *, after: str = "", limit: int) -> tuple[int, str | None]:
        """Remove the next part of all that a tenant has, with about `limit` rows of the log, for good.

        Return how many events were removed, and where to continue, None at the end. Webhooks go first, with their
        secrets, so that nothing more is planned or claimed; then the log, the counts, idempotency keys and stored
        responses, a console's state, the tenant itself, and renderings that nobody uses any more. If it is started
        again after a kill, it finds what is left. When it returns None, the bytes are gone from the store's files as
        well, as with `erase`.
        """

    @abstractmethod
    def erase(
        self,
        tenant: str,
        *,
        event_ids: Collection[str] | None = None,
        before: int | None = None,
        subject: str | None = None,
        after: str = "",
        limit: int,
    ) -> tuple[int, str | None]:
        """Erase the content of up to `limit` of the tenant's events (by id, from the id `after` on) for good.

        The events are those of `event_ids`, of `subject`, or else those made before `before`. An erased event keeps its
        row with an empty body and no key, counts as planned and is never sent, replayed (`Conflict`) or recovered; in
        listings its payload is None. Its subject is removed, also from its deliveries. Its attempts lose headers,
        bodies and warnings, its pending deliveries are cancelled (ERASED; a later result is dropped), and the reason of
        a failed mapping becomes ERASED. The requests to the tenant's test receivers are removed, too. Return how many
        were erased by this call, and the last event looked at, None when there are no more. When it returns None, the
        bytes are gone from the store's files as well, as far as the store controls them; `StoreError` if another
        connection still reads them.
        """
