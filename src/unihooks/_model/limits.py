"""How much one tenant may have, so that none uses up what all share."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import optional

from unihooks._model.checks import check_count, is_number
from unihooks.exceptions import InvalidArgument


def _count(_instance: object, attribute: Attribute[Any], value: object) -> None:
    check_count(attribute.name, value)


def _number(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not is_number(value):
        raise TypeError(f"{attribute.name} must be a number, such as 60, not {value!r}")
    if not 0 < value < inf:
        raise InvalidArgument(f"{attribute.name} must be more than 0, not {value}", name=attribute.name)


def _duration(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{attribute.name} must be a timedelta, such as timedelta(days=7), not {value!r}")
    if value < timedelta(0):
        raise InvalidArgument(f"{attribute.name} must not be negative, not {value}", name=attribute.name)


def _yes_or_no(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


@frozen(kw_only=True)
class Limits:
    """The most that one tenant may have.

    If an event leads to more deliveries than `deliveries_per_event`, only that many are made, and a warning is logged;
    `log.recover` makes the others. `tests_in_flight` counts calls of `send_test` in one process.
    `jobs_per_tenant` counts unfinished jobs. `job_deliveries_per_second` limits all jobs of all tenants together, over
    all workers, and replaces each worker's own pace.
    `retries`, `retry_delay`, `deadline`, `in_flight` and `rate` bound what a `DeliveryPolicy` may ask for.

    Beyond `events_per_minute`, if it is set, `emit` raises `LimitReached`. Events are counted over all processes, in
    whole minutes. Those emitted with `connection=` are neither counted nor refused, unless `refuse_in_transactions` is
    True.
    """

    webhooks_per_tenant: int = field(default=1_000, validator=_count)
    endpoints_per_webhook: int = field(default=100, validator=_count)
    endpoints_per_tenant: int = field(default=5_000, validator=_count)
    deliveries_per_event: int = field(default=10_000, validator=_count)
    tests_in_flight: int = field(default=5, validator=_count)
    jobs_per_tenant: int = field(default=2, validator=_count)
    job_deliveries_per_second: float | None = field(default=None, validator=optional(_number))
    retries: int = field(default=20, validator=_count)
    retry_delay: timedelta = field(default=timedelta(days=7), validator=_duration)
    deadline: float = field(default=60, validator=_number)
    in_flight: int = field(default=1_000, validator=_count)
    rate: float = field(default=10_000, validator=_number)
    events_per_minute: int | None = field(default=None, validator=optional(_count))
    refuse_in_transactions: bool = field(default=False, validator=_yes_or_no)
