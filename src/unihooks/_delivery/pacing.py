"""Decide when a worker asks the store again: for what others have left, and after finding nothing to take."""

from __future__ import annotations

from attrs import define

LONGEST = 0.25
_SHORTEST = 0.02
_PAUSES_OF_QUIET = 4


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

    @property
    def until(self) -> float:
        """When to claim again."""
        return self._until

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


@define
class Looks:
    """The time of the next look for what other processes have left, in seconds of the monotonic clock.

    Where there was some, more is likely to come. The longer there has been none, the more rarely it is looked for.
    """

    next: float = 0.0
    _quiet_since: float = 0.0

    def is_due(self, now: float) -> bool:
        """Say whether to look now."""
        return now >= self.next

    def looked(self, now: float, bounds: tuple[float, float]) -> None:
        """Learn that a look is under way; `bounds` are the shortest and the longest pause until the next one."""
        shortest, longest = bounds
        self.next = now + min(max((now - self._quiet_since) / _PAUSES_OF_QUIET, shortest), longest)

    def expect(self, now: float, bounds: tuple[float, float]) -> None:
        """Learn that there is something, or soon will be."""
        self._quiet_since = now
        self.next = min(self.next, now + bounds[0])
