"""The contracts of the pluggable parts: the store, and the emitter that application code sees.

A store keeps configuration, events, deliveries, attempts and lanes. Its verbs are synchronous, work on batches and may
be called from any thread. Times are whole microseconds since 1970 by the store's own clock (`now`). Every verb is one
transaction: it takes effect as a whole or not at all, and durably by the time it returns (`plan` and `claim`: by the
time the next verb returns). Errors of the driver are raised as `StoreError`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from unihooks._base.ids import new_id
from unihooks._base.times import Clock
from unihooks._contract.configuration import Configuration, IdempotencyRecord
from unihooks._contract.console_state import ConsoleState, State, StateKey, StateKind
from unihooks._contract.delivery_log import DeliveryLog
from unihooks._contract.event_queue import EmitOutcome, EventQueue, Watcher
from unihooks._contract.filters import DeliveryFilter, EventFilter, WebhookFilter, Window
from unihooks._contract.jobs import Advanced, JobQueue, Recovery, Replays, Task
from unihooks._contract.leasing import (
    ALONE,
    ENDPOINT_REMOVED,
    ERASED,
    FAILING_LIMIT_US,
    FAILING_SILENCE_US,
    FAILING_TOO_LONG,
    HELD_TOO_LONG,
    TOLD_AGAIN_US,
    WEBHOOK_DELETED,
    AttemptRow,
    Capacity,
    Claimed,
    HealthChange,
    Lease,
    Planned,
    Recorded,
    Result,
    Share,
    Terms,
    Work,
    WorkerSeen,
)
from unihooks._contract.planning import Match, NewEvent, Subscriber, plan_event, subscriber
from unihooks._contract.statistics import Statistics, Stats
from unihooks._message.rendering import Rendering
from unihooks._message.requests import Destination
from unihooks._model.log import Emission, Event
from unihooks.exceptions import StoreError

__all__ = [
    "ALONE",
    "ENDPOINT_REMOVED",
    "ERASED",
    "FAILING_LIMIT_US",
    "FAILING_SILENCE_US",
    "FAILING_TOO_LONG",
    "HELD_TOO_LONG",
    "TOLD_AGAIN_US",
    "WEBHOOK_DELETED",
    "Advanced",
    "AttemptRow",
    "Capacity",
    "Claimed",
    "Configuration",
    "ConsoleState",
    "DeliveryFilter",
    "DeliveryLog",
    "Destination",
    "EmitOutcome",
    "Emitter",
    "EventFilter",
    "EventQueue",
    "HealthChange",
    "IdempotencyRecord",
    "JobQueue",
    "Lease",
    "Match",
    "NewEvent",
    "Planned",
    "Recorded",
    "Recovery",
    "Rendering",
    "Replays",
    "Result",
    "Share",
    "State",
    "StateKey",
    "StateKind",
    "Statistics",
    "Stats",
    "Store",
    "Subscriber",
    "Task",
    "Terms",
    "Watcher",
    "WebhookFilter",
    "Window",
    "Work",
    "WorkerSeen",
    "new_id",
    "plan_event",
    "subscriber",
]


@runtime_checkable
class Emitter(Protocol):
    """The part of a dispatcher on which host code that only emits depends."""

    def emit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
        subject: str | None = None,
    ) -> Event:
        """Store the event durably and return it."""

    async def aemit(
        self,
        product: str,
        event_type: str,
        payload: Any,
        *,
        tenant: str = "default",
        connection: Any = None,
        idempotency_key: str | None = None,
        subject: str | None = None,
    ) -> Event:
        """Do what `emit` does without blocking the event loop."""

    def emit_many(
        self, events: Iterable[tuple[str, str, Any] | Emission], *, tenant: str = "default", connection: Any = None
    ) -> list[Event]:
        """Store (product, event type, payload) triples or `Emission`s durably, all of them or none."""

    async def aemit_many(
        self, events: Iterable[tuple[str, str, Any] | Emission], *, tenant: str = "default", connection: Any = None
    ) -> list[Event]:
        """Do what `emit_many` does without blocking the event loop."""

    def wake(self) -> None:
        """Let workers look for work at once, for example after a commit; a hint that is never required."""


class Store(EventQueue, Configuration, DeliveryLog, JobQueue, Statistics, ConsoleState):
    """A store: all six contracts, with one clock and one lifetime.

    A store of your own may inherit some of them from an existing store, and bring its own queue and log.
    """

    @abstractmethod
    def use_clock(self, clock: Clock | None) -> None:
        """Take all times from `clock`; None means the store's own (the server's, where there is one)."""

    def use_operational_events(self) -> None:
        """Emit operational events from now on: events of the product `webhooks`, as the contracts describe.

        Each is a row in the transaction of the change that it reports. `created`, `revised` and `deleted` of
        `unihooks._model.operational_events` make them; those of `record` follow its own rules. A store that cannot emit
        them raises.
        """
        raise StoreError("this store makes no operational events; leave operational_events out", name="store")

    @abstractmethod
    def now(self) -> int:
        """Return the time by the store's clock."""

    @abstractmethod
    def migrate(self) -> list[str]:
        """Create the store's tables or bring them up to date; return the names of the steps taken."""

    @abstractmethod
    def close(self) -> None:
        """Finish the work that was handed over, and free threads and connections; a later call opens them again."""
