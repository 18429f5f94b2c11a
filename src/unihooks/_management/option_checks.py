"""Check what a host gives to a dispatcher and a worker; each refusal says what to give instead."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from unihooks._base.texts import brief
from unihooks._base.times import Clock
from unihooks._model.catalog import Catalog
from unihooks._model.checks import is_number
from unihooks._model.egress import Egress
from unihooks._model.limits import Limits
from unihooks._model.policy import CircuitBreaker
from unihooks._model.retries import RetryPolicy
from unihooks.abc import Store

_MOST_SECONDS = 600
_YEAR = 365 * 86_400
_EXAMPLES = {
    "breaker": (CircuitBreaker | None, "a CircuitBreaker, such as CircuitBreaker(failures=10), or None"),
    "catalog": (Catalog | None, "a Catalog, such as Catalog(), or None"),
    "operational_events": (bool, "True or False"),
    "egress": (Egress, "an Egress, such as Egress(bind='203.0.113.7')"),
    "limits": (Limits, "Limits, such as Limits(webhooks_per_tenant=100)"),
    "receiver_control": (bool, "True or False"),
    "retries": (RetryPolicy, "a RetryPolicy, such as RetryPolicy.from_delays([10, 60])"),
    "ssl_context": (ssl.SSLContext | None, "an ssl.SSLContext, such as ssl.create_default_context(), or None"),
}


def check_store(store: object) -> None:
    """Raise TypeError if this is not a store; a path or URL is not shown, since it may hold a password."""
    if isinstance(store, Store):
        return
    given = "a path or URL" if isinstance(store, str | bytes | os.PathLike) else kind_of(store)
    raise TypeError(f"store must be a store, such as SQLiteStore('webhooks.db') or PostgresStore(dsn), not {given}")


def check_kinds(**options: object) -> None:
    """Raise TypeError for an option of the wrong type."""
    for name, value in options.items():
        kind, example = _EXAMPLES[name]
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be {example}, not {kind_of(value)}")


def check_callables(**functions: object) -> None:
    """Raise TypeError for a value that is neither a function nor None."""
    for name, value in functions.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be a function, or None, not {kind_of(value)}")


def check_clock(clock: Clock | None) -> None:
    """Raise TypeError for a clock that is not a function or returns no aware datetime."""
    check_callables(clock=clock)
    now: object = datetime.now(UTC) if clock is None else clock()
    if not isinstance(now, datetime) or now.utcoffset() is None:
        raise TypeError("clock must return a datetime with a time zone, such as datetime.now(UTC)")


def check_seconds(name: str, value: Any, *, at_least: float, why: str = "") -> float:
    """Return a number of seconds of at least `at_least`, of which `why` says where it comes from; or raise.

    More than a year, or for ever, is a year: the sum of a time and a larger number may be too large for the system.
    """
    if not is_number(value):
        raise TypeError(f"{name} must be a number of seconds, such as 30, not {kind_of(value)}")
    if not value >= at_least:  # unlike `<`, this refuses NaN
        raise ValueError(f"{name} must be at least {why}{at_least:g} s, not {brief(value)}")
    return float(min(value, _YEAR))


def check_times(deadline: object, **kept: object) -> None:
    """Raise for a deadline, or a time to keep things, that is not valid."""
    if not is_number(deadline) or not 0 < deadline <= _MOST_SECONDS:
        raise ValueError(f"deadline must be more than 0 and at most {_MOST_SECONDS} seconds, not {deadline!r}")
    for name, age in kept.items():
        if not isinstance(age, timedelta | None):
            raise TypeError(f"{name} must be a timedelta, such as timedelta(days=30), or None, not {age!r}")
        if age is not None and age <= timedelta(0):
            raise ValueError(f"{name} must be longer than nothing; None keeps everything")


def to_addresses(value: object) -> tuple[str, ...]:
    """Return addresses as a tuple; a single text is one."""
    if isinstance(value, str):
        return (value,)
    addresses = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(one, str) for one in addresses):
        raise TypeError("egress_ips must be a list of texts, such as ['192.0.2.1']")
    return addresses


def kind_of(value: object) -> str:
    """Name the type of a refused value, for a message."""
    return "None" if value is None else f"of type {type(value).__name__}"
