"""Failures in a row, counted so that a worker need not wait for the store before it leaves an endpoint alone."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from unihooks._delivery.decisions import Decision
from unihooks._model.log import DeliveryState
from unihooks._model.policy import CircuitBreaker
from unihooks.abc import Claimed, Result

_KEPT = 20_000
_NO_HICCUP = 2


@define
class FailuresInARow:
    """The failures in a row of endpoints in this worker; the store counts those of all workers.

    `_tripping` maps deliveries whose failure was one too many to their endpoints, until the store has recorded it.
    """

    counts: dict[str, int] = field(factory=dict)
    _tripping: dict[str, str] = field(factory=dict)

    def trips(self, claimed: Claimed, decision: Decision, breaker: CircuitBreaker | None) -> bool:
        """Count an attempt; return whether to pause its endpoint until the store has decided."""
        endpoint_id = claimed.endpoint_id
        if decision.state is DeliveryState.DELIVERED:
            self.counts.pop(endpoint_id, None)
            return False
        if breaker is None:
            return False
        if len(self.counts) > _KEPT:
            self.counts.clear()
        count = self.counts[endpoint_id] = self.counts.get(endpoint_id, 0) + 1
        if count < breaker.failures:
            return False
        self._tripping[claimed.id] = endpoint_id
        return True

    def recorded(self, results: Iterable[Result]) -> set[str]:
        """Return the endpoints about which the store has decided by now; their counts start afresh."""
        if not self._tripping:
            return set()
        decided = {self._tripping.pop(one.claimed.id) for one in results if one.claimed.id in self._tripping}
        for endpoint_id in decided:
            self.counts.pop(endpoint_id, None)
        return decided

    def left(self, endpoint_id: str, breaker: CircuitBreaker | None) -> int | None:
        """Return how many more failures of an endpoint the breaker allows; None while they may be a hiccup."""
        count = self.counts.get(endpoint_id, 0)
        return None if breaker is None or count < _NO_HICCUP else max(1, breaker.failures - count)
