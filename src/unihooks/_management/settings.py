"""The settings that a dispatcher shares with its workers and with the verbs of `webhooks`, `log` and `jobs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import httpx
from attrs import Attribute, Factory, define, field

from unihooks._management.host_hooks import ChangeHooks, HostHooks
from unihooks._management.option_checks import check_kinds
from unihooks._message.wire_names import DEFAULT_NAMES, WireNames
from unihooks._model.catalog import Catalog
from unihooks._model.egress import Egress
from unihooks._model.limits import Limits
from unihooks._model.policy import CircuitBreaker
from unihooks._model.retries import RetryPolicy
from unihooks._model.targets import TargetPolicy
from unihooks.abc import Store
from unihooks.exceptions import StoreError


def _kind(_instance: object, attribute: Attribute[Any], value: object) -> None:
    check_kinds(**{attribute.name: value})


@define(kw_only=True, eq=False)
class Settings:
    """The settings of a dispatcher.

    `new_transport` returns a transport for one event loop, which the caller closes. `deadline` is in seconds.
    `retention_us` (of events) and `keys_us` (of idempotency keys) are in microseconds, or None for ever.
    With `receiver_control`, responses may disable their endpoint and end their delivery. `hook_calls_dropped` counts
    the calls of hooks that the workers of this process have dropped. `changes` calls the hooks for what verbs change.
    """

    store: Store
    catalog: Catalog | None = field(validator=_kind)
    targets: TargetPolicy | None
    egress: Egress
    retries: RetryPolicy = field(validator=_kind)
    deadline: float
    retention_us: int | None
    keys_us: int | None
    new_transport: Callable[[], httpx.AsyncBaseTransport]
    hooks: HostHooks
    limits: Limits = field(validator=_kind)
    breaker: CircuitBreaker | None = field(validator=_kind)
    receiver_control: bool = field(default=False, validator=_kind)
    operational_events: bool = field(default=False, validator=_kind)
    names: WireNames = DEFAULT_NAMES
    hook_calls_dropped: int = 0
    is_closed: bool = False
    changes: ChangeHooks = field(init=False, default=Factory(lambda self: ChangeHooks(self.hooks), takes_self=True))

    @property
    def open_store(self) -> Store:
        """The store, for a verb of the dispatcher: `StoreError` once it is closed. Workers use `store`."""
        self.check_open()
        return self.store

    def check_open(self) -> None:
        """Raise `StoreError` once the dispatcher is closed, also for a verb that needs no store."""
        if self.is_closed:
            raise StoreError("this dispatcher is closed; make another one", name="dispatcher")


class HasSettings(Protocol):
    """Anything that has the settings a worker needs, such as a dispatcher."""

    @property
    def settings(self) -> Settings:
        """Return the settings."""
