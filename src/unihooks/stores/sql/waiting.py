"""Say why a pending delivery waits."""

from __future__ import annotations

from attrs import define

from unihooks._base.times import from_us
from unihooks._model.log import Delivery


@define
class Wait:
    """What a delivery's row and its lane say of when it goes on; times are microseconds."""

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
        """Return why it waits, None if it does not."""
        if self.is_inactive:
            return "on hold: the webhook is inactive"
        if self.is_disabled:
            return f"on hold: the endpoint is disabled: {self.disabled_reason or 'no reason was given'}"
        if delivery.next_attempt_at is None:
            return f"waits for an earlier delivery about {delivery.subject}"
        until = max(self.due_at, self.not_before or 0, self.probe_at or 0, self.ready_at or 0)
        if until <= now or (self.is_taken and self.due_at > now):
            return None
        return f"waits until {from_us(until):%Y-%m-%dT%H:%M:%SZ}: {self._cause(delivery, until)}"

    def _cause(self, delivery: Delivery, until: int) -> str:
        if until == self.due_at:
            return delivery.reason or "its last attempt failed"
        if self.probe_at is not None and until in (self.probe_at, self.ready_at):
            failed = "once" if self.failures == 1 else f"{self.failures} times in a row"
            return f"the endpoint failed {failed}"
        if until == self.not_before:
            return "the endpoint asked for no request before, by Retry-After"
        limits = [f"{self.rate:g} per second"] if self.rate is not None else []
        limits += [f"{self.in_flight_limit} at once"] if self.in_flight_limit is not None else []
        return f"the webhook's policy lets at most {' and '.join(limits) or 'so many'} go"
