"""How fast, how long and how often an endpoint is tried, and when it is left alone for a while."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from attrs import Attribute, asdict, field, frozen

from unihooks._base.sentences import said
from unihooks._base.texts import brief
from unihooks._base.times import SECOND
from unihooks._model.checks import is_number, is_whole
from unihooks._model.limits import Limits
from unihooks.exceptions import InvalidArgument, InvalidWebhook

_LEAST_DEADLINE = 1.0
_LEAST_RATE = 0.01
_JITTER = 0.2
_LONGEST_PAUSE = 7 * 86_400.0
# Larger whole numbers cannot be converted to a float.
_LARGEST = sys.float_info.max


def _to_delays(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidWebhook("retry_delays must be a list of seconds, such as [10, 60], or None", name="retry_delays")
    delays = tuple(item.total_seconds() if isinstance(item, timedelta) else item for item in value)
    for one in delays:
        if not is_number(one) or not 0 <= one <= _LARGEST:
            raise InvalidWebhook(
                said("delay-malformed", "{value} is not a retry delay; use seconds, 0 or more", value=brief(one)),
                name="retry_delays",
            )
    return tuple(float(one) for one in delays)


def _number(at_least: float, example: str) -> Any:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if value is None:
            return
        if not is_number(value) or not at_least <= value <= _LARGEST:
            figures = {"name": attribute.name, "least": f"{at_least:g}", "example": example}
            template = "{name} must be at least {least}, such as {example}, or None"
            raise InvalidWebhook(said("number-too-small", template, **figures), name=attribute.name)

    return check


@frozen(kw_only=True)
class DeliveryPolicy:
    """A webhook's own rate, deadline and retries for each of its endpoints; None leaves it to the dispatcher.

    Args:
        retry_delays: Seconds to wait after the first, second, ... failed attempt, with the dispatcher's jitter. When
        the last of these retries fails, the delivery has failed. An empty list means a single attempt.
        deadline: Seconds for one attempt.
        in_flight: How many requests may be in flight to one endpoint at once, over all workers.
        rate: How many deliveries per second may go to one endpoint, over all workers.
        burst: How many may go at once after a quiet time; by default 1 or `rate`, whichever is larger.

    >>> DeliveryPolicy(retry_delays=[10, 60], rate=5)
    DeliveryPolicy(retry_delays=(10.0, 60.0), deadline=None, in_flight=None, rate=5, burst=None)
    """

    retry_delays: tuple[float, ...] | None = field(default=None, converter=_to_delays)
    deadline: float | None = field(default=None, validator=_number(_LEAST_DEADLINE, "10"))
    in_flight: int | None = field(default=None)
    rate: float | None = field(default=None, validator=_number(_LEAST_RATE, "5"))
    burst: float | None = field(default=None, validator=_number(1, "10"))

    @in_flight.validator
    def _check_in_flight(self, _attribute: Attribute[Any], value: object) -> None:
        if value is not None and (not is_whole(value) or value < 1):
            sentence = said("in-flight-malformed", "in_flight must be a whole number from 1, such as 4, or None")
            raise InvalidWebhook(sentence, name="in_flight")

    @burst.validator
    def _check_burst(self, _attribute: Attribute[Any], value: object) -> None:
        if value is not None and self.rate is None:
            sentence = said("burst-without-rate", "burst needs a rate: give both, or leave burst out")
            raise InvalidWebhook(sentence, name="burst")

    @property
    def is_limited(self) -> bool:
        """Whether deliveries may have to wait for each other, or take longer than the dispatcher's deadline."""
        return not (self.rate is None and self.in_flight is None and self.deadline is None)

    @property
    def largest_burst(self) -> float | None:
        """How many deliveries may go at once; None without a rate."""
        return None if self.rate is None else float(max(1.0, self.rate) if self.burst is None else self.burst)

    def given(self) -> dict[str, Any]:
        """Return the fields that are not left to the dispatcher, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def check_bounds(self, limits: Limits) -> None:
        """Raise InvalidWebhook if the policy goes beyond the host's limits."""
        delays, longest = self.retry_delays or (), limits.retry_delay.total_seconds()
        if len(delays) > limits.retries:
            sentence = said("too-many-delays", "retry_delays has at most {most} delays", most=limits.retries)
            raise InvalidWebhook(sentence, name="retry_delays")
        if max(delays, default=0) > longest:
            sentence = said("delay-too-long", "a retry delay is at most {most:g} seconds", most=longest)
            raise InvalidWebhook(sentence, name="retry_delays")
        bounds = {"deadline": limits.deadline, "in_flight": limits.in_flight, "rate": limits.rate}
        for name, most in {**bounds, "burst": max(1.0, limits.rate)}.items():
            if (getattr(self, name) or 0) > most:
                sentence = said("number-too-large", "{name} is at most {most}", name=name, most=f"{most:g}")
                raise InvalidWebhook(sentence, name=name)


NO_POLICY = DeliveryPolicy()


@frozen(kw_only=True)
class CircuitBreaker:
    """The rule for pausing an endpoint that keeps failing.

    After this many `failures` in a row, nothing is sent to it for `pause` seconds. Then one delivery is sent as a
    probe. If it succeeds, all others continue; if it fails, another pause begins, twice as long, up to `longest`
    seconds. Up to a fifth is added to each pause at random, so that many endpoints are not probed at once. Waiting uses
    up no attempt.
    """

    failures: int = field(default=5)
    pause: float = field(default=30.0)
    longest: float = field(default=900.0)

    @failures.validator
    def _check_failures(self, _attribute: Attribute[Any], value: object) -> None:
        if not is_whole(value) or value < 1:
            raise InvalidArgument("failures must be a whole number from 1, such as 5", name="failures")

    @pause.validator
    def _check_pause(self, _attribute: Attribute[Any], value: object) -> None:
        if not is_number(value) or not 0 < value <= _LONGEST_PAUSE:
            raise InvalidArgument("pause must be a number of seconds above 0, such as 30, up to 7 days", name="pause")

    @longest.validator
    def _check_longest(self, _attribute: Attribute[Any], value: object) -> None:
        if not is_number(value) or not self.pause <= value <= _LONGEST_PAUSE:
            raise InvalidArgument("longest must be at least pause seconds, and at most 7 days", name="longest")

    def next_pause_us(self, last_us: int | None) -> int:
        """Return the length of the pause after one of `last_us`; None if it is the first."""
        seconds = self.pause if last_us is None else min(2 * last_us / SECOND, self.longest)
        return round(seconds * SECOND)

    def jittered_us(self, pause_us: int) -> int:
        """Return a pause with up to a fifth added at random."""
        return round(pause_us * random.uniform(1, 1 + _JITTER))  # noqa: S311 - no secret
