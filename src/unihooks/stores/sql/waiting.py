"""Say why a pending delivery waits."""

from __future__ import annotations

from attrs import define

from unihooks._base.sentences import Kept
from unihooks._base.times import from_us
from unihooks._model.log import Delivery

_INACTIVE = Kept("held-inactive", "on hold: the webhook is inactive")
_DISABLED = Kept("held-disabled", "on hold: the endpoint is disabled: {why}")
_NO_REASON = Kept("no-reason", "no reason was given")
_IN_ORDER = Kept("waits-in-order", "waits for an earlier delivery about {subject}")
_UNTIL = Kept("waits-until", "waits until {until}: {why}")
_LAST_FAILED = Kept("last-failed", "its last attempt failed")
_FAILED_ONCE = Kept("failed-once", "the endpoint failed once")
_FAILED = Kept("failed-in-a-row", "the endpoint failed {count} times in a row")
_ASKED = Kept("asked-to-wait", "the endpoint asked for a pause with Retry-After")
_LIMITED = {
    (): Kept("limited", "the webhook's policy limits its deliveries"),
    ("rate",): Kept("limited-rate", "the webhook's policy allows at most {rate:g} per second"),
    ("in_flight",): Kept("limited-in-flight", "the webhook's policy allows at most {in_flight} at once"),
    ("rate", "in_flight"): Kept(
        "limited-both", "the webhook's policy allows at most {rate:g} per second and {in_flight} at once"
    ),
}


@define
class Wait:
    """The facts in a delivery's row and its lane that decide when it will be sent; times are microseconds."""

    due_at: int
    is_taken: bool
    is_inactive: bool
    is_disabled: bool
    disabled_reason: str | None
    not_before: int | None
    probe_at: int | None
    failures: int | None
    ready_at: int | None
    rate: float | None
    in_flight_limit: int | None

    def sentence(self, delivery: Delivery, now: int) -> str | None:
        """Return why the delivery waits, None if it does not."""
        if self.is_inactive:
            return _INACTIVE
        if self.is_disabled:
            return _DISABLED(why=self.disabled_reason or _NO_REASON)
        if delivery.next_attempt_at is None:
            return _IN_ORDER(subject=delivery.subject)
        until = max(self.due_at, self.not_before or 0, self.probe_at or 0, self.ready_at or 0)
        if until <= now or (self.is_taken and self.due_at > now):
            return None
        return _UNTIL(until=f"{from_us(until):%Y-%m-%dT%H:%M:%SZ}", why=self._cause(delivery, until))

    def _cause(self, delivery: Delivery, until: int) -> str:
        if until == self.due_at:
            return delivery.reason or _LAST_FAILED
        if self.probe_at is not None and until in (self.probe_at, self.ready_at):
            return _FAILED_ONCE if self.failures == 1 else _FAILED(count=self.failures)
        if until == self.not_before:
            return _ASKED
        limits = {"rate": self.rate, "in_flight": self.in_flight_limit}
        given = {name: value for name, value in limits.items() if value is not None}
        return _LIMITED[tuple(given)](**given)
