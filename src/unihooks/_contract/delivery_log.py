"""The contract of a store's log: events, deliveries and attempts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from unihooks._contract.filters import DeliveryFilter, EventFilter, Window
from unihooks._message.rendering import Rendering
from unihooks._model.log import Attempt, Delivery, Event


class DeliveryLog(ABC):
    """Events, deliveries and attempts as they are read, sent again, cancelled and erased."""

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

        It may look at the newest ones alone, not fewer than `most`, where it would have to look at many more than it
        counts.
        """

    @abstractmethod
    def delivery_source(self, tenant: str, delivery_id: str) -> tuple[bytes, Rendering | None]:
        """Return what the delivery's body is made from: the event's own, and the rendering if it has one.

        Empty bytes if the event was erased; `NotFound` if there is no such delivery.
        """

    @abstractmethod
    def replay(self, tenant: str, delivery_id: str) -> Delivery:
        """Make a new delivery, due now, with the stored body of this one, whose row stays as it is.

        `NotFound` if there is none; `Conflict` if its endpoint is gone or its body was never made.
        """

    @abstractmethod
    def replay_many(
        self, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int, most: int
    ) -> tuple[int, str | None]:
        """Replay, oldest first, what the filter shows among up to `limit` deliveries after one id and up to `last`.

        Each event is sent to an endpoint once: what is pending, or has been delivered by a replay, is left out, as is
        what cannot be replayed. Return how many were made, `most` of them at most, and the last delivery that is done
        with, None when there are no more.
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

        Of events made in [since, until) that it is subscribed to, each enabled endpoint gets a delivery if it never had
        one, or a replay if its newest one failed or was held too long. One that could not be mapped is mapped anew, and
        repeated only if that works now. Return how many were made, `most` of them at most, and the last event that is
        done with, None when there are no more. `NotFound` if there is no such webhook.
        """

    @abstractmethod
    def erase_tenant(self, tenant: str, *, after: str = "", limit: int) -> tuple[int, str | None]:
        """Remove the next part of all that a tenant has, with about `limit` rows of the log, for good.

        Return how many events went, and where to go on, None at the end. First go its webhooks, with their secrets, so
        that nothing more is planned or claimed, then the log, the counts, idempotency keys and kept answers, what a
        console keeps, the tenant itself, and renderings that nobody has any more. Begun anew after a kill, it finds
        what is left. With None the bytes are gone from the store's files as well, as with `erase`.
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
        """Erase what up to `limit` of the tenant's events (by id, from the id `after` on) said, for good.

        The events are those of `event_ids`, of `subject`, or else those made before `before`. An erased event keeps its
        row with an empty body and no key, counts as planned and is never sent, replayed (`Conflict`) or recovered;
        listed, its payload is None. Its subject goes, also from its deliveries, as do its mapped bodies. Its attempts
        lose headers, bodies and warnings, its pending deliveries are cancelled (ERASED; a result that comes later is
        dropped), and a reason that a failed mapping gave becomes ERASED. What came to the tenant's test receivers goes,
        too. Return how many were erased now, without those that were before, and the last event looked at, None when
        there are no more. With None the bytes are gone from the store's files as well, as far as the store has them in
        hand; `StoreError` if somebody holds them.
        """
