"""Decide when a worker looks for due deliveries again, after it looked and could take none."""

from __future__ import annotations

from attrs import define

LONGEST = 0.25
_SHORTEST = 0.02


@define
class ClaimBackoff:
    """Be the time until the next look, in seconds of the monotonic clock.

    What is due may have no capacity: of endpoints that hang it has none for long. To
    look at all of it after each delivery of the others would delay them, so
    looks that find nothing become rare.
    """

    _until: float = 0.0
    _at_least_until: float = 0.0
    _shortest: float = _SHORTEST

    def is_over(self, now: float) -> bool:
        """Say whether to look now."""
        return now >= self._until

    def found(self) -> None:
        """Learn that the last look found something."""
        self._shortest = _SHORTEST

    def found_nothing(self, now: float) -> None:
        """Learn that the last look found nothing to take."""
        self._until = now + LONGEST
        self._at_least_until = now + self._shortest
        self._shortest = min(2 * self._shortest, LONGEST)

    def had_no_room(self, now: float) -> None:
        """Learn that there was no room to look for anything."""
        self._until = now + LONGEST

    def shorten(self) -> None:
        """Learn that there may be room now."""
        self._until = min(self._until, self._at_least_until)

    def end(self) -> None:
        """Look now."""
        self._until = 0.0
