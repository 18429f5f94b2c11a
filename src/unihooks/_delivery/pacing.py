"""Decide when a worker asks the store again: for what others have left, and after finding nothing to take."""

from __future__ import annotations

from attrs import define

from unihooks.abc import ALONE, Share

LONGEST = 0.25
_SHORTEST = 0.02
_PAUSES_OF_QUIET = 4
# So long after it was due does work count as waiting, and so long must that last.
OVERDUE_US = 100_000
_LASTING = 1.0


@define
class ClaimBackoff:
    """The time until the next claim, in seconds of the monotonic clock.

    Deliveries that are due may find no capacity: while their endpoints hang, for long. To claim after each delivery of
    the other endpoints would go through them each time and delay the others, so claims that find nothing become rare.
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


@define
class Backlog:
    """Whether more is due than the workers take at once, and has been for a while; times as above.

    Until then everybody takes what there is, so that nothing waits for one that rests. From then on all are awake, and
    each keeps to its own share.
    """

    _lasts: bool = False
    _otherwise_since: float | None = None

    def note(self, now: float, *, is_waiting: bool) -> None:
        """Learn whether work is waiting; only what stays so for a second counts."""
        if is_waiting is self._lasts:
            self._otherwise_since = None
        elif self._otherwise_since is None:
            self._otherwise_since = now
        elif now - self._otherwise_since >= _LASTING:
            self._lasts, self._otherwise_since = is_waiting, None

    def share(self, own: Share) -> Share:
        """Return what a worker keeps to whose share is its `own`."""
        return own if self._lasts else ALONE
