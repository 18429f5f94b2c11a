"""The times at which a worker asks the store again: for work from other processes, and after it found none."""

from __future__ import annotations

import asyncio

from attrs import define

from unihooks.abc import ALONE, Share

_STORE_PATIENCE_SECONDS = 0.5
LONGEST = 0.25
_SHORTEST = 0.02
_PAUSES_OF_QUIET = 4
# Work counts as waiting this long after it was due, and a backlog must last this long.
OVERDUE_US = 100_000
_LASTING = 1.0


@define
class ClaimBackoff:
    """The time until the next claim, in seconds of the monotonic clock.

    While endpoints hang, their due deliveries find no capacity for a long time. A claim after each delivery of another
    endpoint would go through all of them and delay the others, so claims that find nothing become rare.
    """

    _until: float = 0.0
    _at_least_until: float = 0.0
    _shortest: float = _SHORTEST

    @property
    def until(self) -> float:
        """The time of the next claim."""
        return self._until

    def is_over(self, now: float) -> bool:
        """Return whether to claim now."""
        return now >= self._until

    def found(self) -> None:
        """Note that the last claim found something."""
        self._shortest = _SHORTEST

    def found_nothing(self, now: float) -> None:
        """Note that the last claim found nothing to take."""
        self._until = now + LONGEST
        self._at_least_until = now + self._shortest
        self._shortest = min(2 * self._shortest, LONGEST)

    def had_no_capacity(self, now: float) -> None:
        """Note that there was no capacity to claim anything."""
        self._until = now + LONGEST

    def shorten(self) -> None:
        """Note that there may be capacity now."""
        self._until = min(self._until, self._at_least_until)

    def end(self) -> None:
        """Claim now."""
        self._until = 0.0


@define
class Looks:
    """The time of the next look for work from other processes, in seconds of the monotonic clock.

    Where there was some, more is likely to come. The longer there has been none, the rarer the looks.
    """

    next: float = 0.0
    _quiet_since: float = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether to look now."""
        return now >= self.next

    def looked(self, now: float, bounds: tuple[float, float]) -> None:
        """Note that a look is under way; `bounds` are the shortest and the longest pause until the next one."""
        shortest, longest = bounds
        self.next = now + min(max((now - self._quiet_since) / _PAUSES_OF_QUIET, shortest), longest)

    def expect(self, now: float, bounds: tuple[float, float]) -> None:
        """Note that there is work, or soon will be."""
        self._quiet_since = now
        self.next = min(self.next, now + bounds[0])


@define
class Backlog:
    """A detector of a backlog: more has been due for a while than the workers take at once; times as above.

    Without a backlog, every worker takes what there is, so that nothing waits for a resting one. With a backlog, all
    are awake, and each keeps to its own share.
    """

    _lasts: bool = False
    _otherwise_since: float | None = None

    def note(self, now: float, *, is_waiting: bool) -> None:
        """Note whether work is waiting; only if it has been for a second, it counts."""
        if is_waiting is self._lasts:
            self._otherwise_since = None
        elif self._otherwise_since is None:
            self._otherwise_since = now
        elif now - self._otherwise_since >= _LASTING:
            self._lasts, self._otherwise_since = is_waiting, None

    def share(self, own: Share) -> Share:
        """Return the share that a worker keeps to, given its `own` one."""
        return own if self._lasts else ALONE


async def pause_after_store_error() -> None:
    """Give a store that has failed a moment before it is asked again."""
    await asyncio.sleep(_STORE_PATIENCE_SECONDS)
