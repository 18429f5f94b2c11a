"""Decide when a worker claims or plans again, after finding nothing to take."""

from __future__ import annotations

from attrs import define

LONGEST = 0.25
_SHORTEST = 0.02


@define
class ClaimBackoff:
    """The time until the next claim, in seconds of the monotonic clock.

    Deliveries that are due may find no capacity: while their endpoints hang, for long. To claim
    after each delivery of the other endpoints would go through them each time and delay the others,
    so claims that find nothing become rare.
    """

    _until: float = 0.0
    _at_least_until: float = 0.0
    _shortest: float = _SHORTEST

    def is_over(self, now: float) -> bool:
        """Say whether to claim now."""
        return now >= self._until

    def found(self) -> None:
        """Learn that the last claim found something."""
        self._shortest = _SHORTEST

    def found_nothing(self, now: float) -> None:
        """Learn that the last claim found nothing to take."""
        self._until = now + LONGEST
        self._at_least_until = now + self._shortest
        self._shortest = min(2 * self._shortest, LONGEST)

    def had_no_capacity(self, now: float) -> None:
        """Learn that there was no capacity to claim anything."""
        self._until = now + LONGEST

    def shorten(self) -> None:
        """Learn that there may be capacity now."""
        self._until = min(self._until, self._at_least_until)

    def end(self) -> None:
        """Claim now."""
        self._until = 0.0
